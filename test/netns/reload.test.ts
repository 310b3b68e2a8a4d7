/** `weft reload` under traffic: what can change does at once, what cannot is named, what is wrong changes nothing, and no packet is lost. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { ReloadReport, StatusReport } from '../../agent/control/api-types.ts';
import { run } from '../../agent/lab/command.ts';
import { delay, until } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { inside, iperf, ping, tooSlowToTake } from './programs.ts';

const START = 'log:\n  level: info\nmetrics:\n  address: 127.0.0.1:9586\n';
const CHANGED =
  'log:\n  level: warn\nmetrics:\n  address: 127.0.0.1:9587\n  per_peer: off\noffload:\n  gso: off\n  join: off\n' +
  'session:\n  rekey_after_sec: 5\nfdb:\n  limit: 4096\n';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start({ hosts: 2, config: START });
});
after(() => mesh?.remove());

const reload = async (): Promise<ReloadReport> => JSON.parse(await mesh.host(0).weftOk(['reload', '--json']));
const scrape = async (port: number): Promise<number | null> => {
  const script = `fetch('http://127.0.0.1:${port}/livez').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(7))`;
  return (await run(inside(mesh.host(0).node.namespace, [process.execPath, '-e', script]))).status;
};

test('nothing changed is said, and so is a file that is not valid, which changes nothing', async () => {
  assert.deepEqual(await reload(), { v: 1, applied: [], needRestart: [] });
  assert.equal(await mesh.host(0).weftOk(['reload']), 'nothing has changed\n');
  writeFileSync(mesh.configPath, `${CHANGED}frobnicate: 1\n`);
  const refused = await mesh.host(0).weft(['--config', '/dev/null', 'reload']);
  assert.deepEqual([refused.status, /frobnicate/.test(refused.err)], [78, true], refused.err);
  assert.equal(await scrape(9586), 0);
});

test('under load what can change does, what cannot is named, and no packet is lost', async () => {
  const [from = '', to = ''] = mesh.hosts.map((host) => host.node.namespace);
  const address = await overlayOf(mesh.host(1));
  const load = iperf(to, from, address, ['-u', '-b', '10M', '-l', '1000', '-w', '2M'], 8);
  const pings = ping(from, address, { count: 600, intervalSec: 0.01 });
  await delay(1000);
  writeFileSync(mesh.configPath, CHANGED);
  const report = await reload();
  assert.deepEqual(
    [report.applied, report.needRestart].map((keys) => [...keys].sort()),
    [
      [
        'log.level',
        'metrics.address',
        'metrics.per_peer',
        'offload.gso',
        'offload.join',
        'session.rekey_after_sec',
      ],
      ['fdb.limit'],
    ],
  );
  const { offloads } = await mesh.host(0).api.get<StatusReport>('/v1/status');
  const off = offloads.filter(({ on, why }) => !on && /switched off/.test(why ?? '')).map(({ name }) => name);
  assert.deepEqual(off.sort(), ['gso', 'join']);
  assert.deepEqual([await scrape(9586), await scrape(9587)], [7, 0]);
  assert.equal(
    (await mesh.host(0).api.getText('/v1/metrics')).includes('weft_peer_transmit_bytes_total{'),
    false,
  );
  const [loaded, echoed] = await Promise.all([load, pings]);
  assert.equal(loaded.lostPackets - (await tooSlowToTake(to)), 0, JSON.stringify(loaded));
  assert.deepEqual([echoed.received, echoed.duplicates], [600, 0]);
  await until('new keys after 5 s', { timeoutMs: 30_000 }, async () =>
    (await mesh.metric(0, 'weft_rekeys_total')) > 0 ? true : null,
  );
  // Its own line is below the new level.
  assert.doesNotMatch(mesh.host(0).log(), /fdb\.limit/);
});

test('SIGHUP does the same, and the agent goes on when the file is wrong', async () => {
  writeFileSync(mesh.configPath, START);
  mesh.host(0).signal('SIGHUP');
  await until('the old port', { timeoutMs: 10_000 }, async () => ((await scrape(9586)) === 0 ? true : null));
  writeFileSync(mesh.configPath, 'log: [\n');
  mesh.host(0).signal('SIGHUP');
  await until('the complaint', { timeoutMs: 10_000 }, () =>
    /not reloaded, nothing has changed/.test(mesh.host(0).log()) ? true : null,
  );
  assert.equal((await mesh.host(0).api.get<StatusReport>('/v1/status')).state, 'up');
  assert.equal(await mesh.metric(0, 'weft_config_last_reload_successful'), 0);
  writeFileSync(mesh.configPath, START);
  await reload();
  assert.equal(await mesh.metric(0, 'weft_config_last_reload_successful'), 1);
});
