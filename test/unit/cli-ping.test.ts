import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { buildCli } from '../../agent/cli/cli.ts';
import { type Served, serveFakeAgent } from './control-fake-agent.ts';

let served: Served;
before(async () => {
  served = await serveFakeAgent();
});
after(() => served.stop());

const stop = (): Promise<never> => Promise.reject(new Error('not here'));

async function weft(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  served.agent.pings = 0;
  let out = '';
  let err = '';
  const cli = buildCli(
    { init: stop, up: stop, run: stop, lab: stop },
    {
      out: (more) => {
        out += more;
      },
      err: (more) => {
        err += more;
      },
      env: { WEFT_STATE_DIR: served.folder, WEFT_SOCKET: served.socket },
      outBytes: () => undefined,
      outIsTerminal: false,
      interactive: false,
      readStdin: async () => '',
      ask: async () => '',
    },
  );
  return { status: await cli.run(['ping', ...args]), out, err };
}

test('a host is probed by name, by overlay address, or by a MAC address behind it', async () => {
  for (const host of ['beta', '10.80.0.2', '02:00:00:00:00:02', '02:00:00:00:00:02'.toUpperCase()]) {
    const { status, out, err } = await weft(host, '--count', '1');
    assert.deepEqual([status, err], [0, ''], host);
    assert.equal(
      out,
      'beta  10.80.0.2/24  at 192.0.2.2:7947  direct\n1  0.25 ms  92 bytes\n' +
        '1 sent, 1 came back, 0 % lost; round trip 0.25 ms at least, 0.25 ms mean, 0.25 ms at most\n',
    );
  }
});

test('losses are counted, sizes passed on, and --json is one object', async () => {
  const { status, out } = await weft('beta', '--count', '3', '--interval', '1s', '--size', '1400', '--json');
  assert.equal(status, 0);
  const { v, sent, received, lossPercent, rttMs, replies } = JSON.parse(out);
  assert.deepEqual([v, sent, received, lossPercent], [1, 3, 2, 33.3]);
  assert.deepEqual(rttMs, { min: 0.25, mean: 0.5, max: 0.75 });
  assert.deepEqual(replies[1], { result: 'lost', rttMs: null });
});

test('a host that is not known, and an address behind this host, end with 5', async () => {
  const unknown = await weft('nobody');
  assert.deepEqual([unknown.status, unknown.out], [5, '']);
  assert.equal(unknown.err, 'weft: there is no host nobody: see `weft peers`\n');
  assert.match((await weft('02:00:00:00:00:99')).err, /is not known: it has sent nothing lately/);
  const local = await weft('02:00:00:00:00:01');
  assert.equal(local.status, 5);
  assert.match(local.err, /lives behind this host/);
});

test('wrong numbers are usage errors', async () => {
  for (const args of [['beta', '--count', '0'], ['beta', '--size', '10'], ['beta', '--interval', '5'], []])
    assert.equal((await weft(...args)).status, 2, args.join(' '));
});
