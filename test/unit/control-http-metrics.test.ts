import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { systemClock } from '../../agent/clock.ts';
import { MetricsServer } from '../../agent/control/http-metrics.ts';
import { WeftError } from '../../agent/errors.ts';
import { type Served, serveFakeAgent } from './control-fake-agent.ts';

let served: Served;
let server: MetricsServer;
let base: string;
const pageOn = false;

function start(ip: string, port: number): Promise<MetricsServer> {
  const { agent: view, metrics } = served;
  return MetricsServer.start({
    address: { ip, port },
    view,
    metrics,
    pageOn: () => pageOn,
    clock: systemClock,
    onInternalError: () => undefined,
  });
}

before(async () => {
  served = await serveFakeAgent();
  server = await start('127.0.0.1', 0);
  base = `http://127.0.0.1:${server.port}`;
});
after(async () => {
  await server.close();
  await served.stop();
});

test('/metrics is the exposition text', async () => {
  const response = await fetch(`${base}/metrics`);
  assert.equal(response.status, 200);
  assert.match(String(response.headers.get('content-type')), /^text\/plain; version=0\.0\.4/);
  assert.match(await response.text(), /^weft_gossip_members\{state="alive"\} 3$/m);
});

test('/readyz and /healthz are 503 with reasons until the host is ready; /livez is 200 all the time', async () => {
  served.agent.ready = false;
  const ready = await fetch(`${base}/readyz`);
  assert.equal(ready.status, 503);
  assert.deepEqual(((await ready.json()) as { reasons: string[] }).reasons, ['the TAP is not open']);
  assert.equal((await fetch(`${base}/healthz`)).status, 503);
  assert.equal((await fetch(`${base}/livez`)).status, 200);
  served.agent.ready = true;
  assert.equal((await fetch(`${base}/readyz`)).status, 200);
  assert.equal((await fetch(`${base}/healthz?verbose`)).status, 200);
});

test('other paths are 404 and other methods 405', async () => {
  assert.equal((await fetch(`${base}/v1/status`)).status, 404);
  assert.equal((await fetch(`${base}/metrics`, { method: 'POST', body: 'x' })).status, 405);
  assert.equal((await fetch(`${base}/metrics`, { method: 'HEAD' })).status, 200);
});

test('an address in use or of another host is one line that names the key', async () => {
  const says = (code: string) => (error: unknown) =>
    error instanceof WeftError && error.code === code && /metrics\.address/.test(error.message);
  await assert.rejects(start('127.0.0.1', server.port), says('E_ADDRESS_IN_USE'));
  await assert.rejects(start('192.0.2.1', 9586), says('E_CONFIG'));
});
