/** `weft capture` of a live mesh, read by tshark: both sides, comments, filters, bounds, and a dissector for what is sealed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { CaptureLoss, CaptureRecord, StatusReport } from '../../agent/control/api-types.ts';
import { run } from '../../agent/lab/command.ts';
import { delay, until } from '../../agent/lab/wait.ts';
import { BROADCAST, FrameSender, frame } from './frames.ts';
import { expectOk, Mesh, overlayOf } from './mesh.ts';

let mesh: Mesh;
let sender: FrameSender;
before(async () => {
  mesh = await Mesh.start({ hosts: 2 });
  sender = new FrameSender(mesh.host(0).node.namespace);
});
after(async () => {
  await sender?.stop();
  await mesh?.remove();
});

interface Captured {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** Captures on the first host while `act` runs, until SIGINT or by itself. */
async function capture(
  args: readonly string[],
  act: () => Promise<unknown>,
  byItself = false,
): Promise<Captured> {
  const [program = '', ...rest] = mesh.host(0).command(['capture', ...args]);
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('latin1').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  await until('capture', { timeoutMs: 15_000, everyMs: 20 }, () =>
    err.includes('capturing') || child.exitCode !== null ? true : null,
  );
  await act();
  // What was handled is with the reader within some ticks.
  await delay(500);
  if (!byItself) child.kill('SIGINT');
  return { status: await ended, out, err: err.replace('weft: capturing, Ctrl-C ends it\n', '') };
}

const DISSECTOR = new URL('../../docs/wireshark/weft.lua', import.meta.url).pathname.replace('/dist/', '/');

async function tshark(
  file: string,
  fields: readonly string[],
  args: readonly string[] = [],
): Promise<string[][]> {
  const wanted = fields.flatMap((field) => ['-e', field]);
  const command = [
    'tshark',
    '-n',
    '-X',
    `lua_script:${DISSECTOR}`,
    '-r',
    file,
    '-T',
    'fields',
    '-E',
    'separator=|',
    ...wanted,
    ...args,
  ];
  const out = expectOk(command, await run(command, { env: { HOME: mesh.folder } }));
  return out
    .trimEnd()
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split('|'));
}

const pings = async (count: number): Promise<void> => {
  await mesh.runOk(0, ['ping', '-c', String(count), '-i', '0.05', await overlayOf(mesh.host(1))]);
};

test('tshark reads both sides of a ping, with peer, VNI and verdict, and the seal by its fields', async (t) => {
  const file = join(mesh.folder, 'both.pcapng');
  const { vni } = await mesh.host(0).api.get<StatusReport>('/v1/status');
  const ended = await capture(['-w', file], async () => {
    await pings(5);
    await delay(1500);
  });
  assert.equal(ended.status, 0, ended.err);
  assert.match(ended.err, /^weft: \d+ packets, 0 lost\n$/);
  const inner = await tshark(
    file,
    ['icmp.type', 'frame.comment'],
    ['-Y', 'frame.interface_name == "inner" && icmp'],
  );
  const comment = (direction: string): string =>
    `direction=${direction} peer=host2 vni=${vni} verdict=forwarded`;
  assert.deepEqual([...new Set(inner.map((line) => line.join(' ')))].sort(), [
    `0 ${comment('in')}`,
    `8 ${comment('out')}`,
  ]);
  assert.equal(inner.length, 10);
  const sealed = await tshark(
    file,
    ['weft.type', 'weft.suite', 'weft.inner', 'weft.lane', 'weft.counter', 'frame.comment'],
    ['-Y', 'weft.inner == 1'],
  );
  t.diagnostic(JSON.stringify(sealed.slice(0, 3)));
  assert.ok(sealed.length >= 10, String(sealed.length));
  for (const [type, suite, kind, lane, counter, said] of sealed) {
    assert.deepEqual([type, suite, kind], ['4', '2', '1']);
    assert.ok(Number(lane) < 15 && Number(counter) >= 0);
    assert.match(said ?? '', /^direction=(in|out) peer=host2$/);
  }
  const gossip = await tshark(
    file,
    ['weft.gossip.type', 'weft.gossip.sender', 'weft.gossip.receiver'],
    ['-Y', 'weft.gossip'],
  );
  assert.ok(gossip.length > 0);
  const ids = await Promise.all(
    [0, 1].map(async (i) => (await mesh.host(i).api.get<StatusReport>('/v1/status')).nodeId.slice(0, 16)),
  );
  for (const [type, from = '', to = ''] of gossip.filter(([type]) => type === '16')) {
    assert.equal(type, '16');
    assert.deepEqual([from, to].map((id) => id.replaceAll(':', '')).sort(), [...ids].sort());
  }
});

test('a frame that is dropped is told with its reason, and so is a datagram that never became one', async () => {
  const file = join(mesh.folder, 'dropped.pcapng');
  const ended = await capture(['-w', file, 'dropped'], async () => {
    await pings(2);
    await sender.frames({
      device: 'weft0',
      frames: [frame({ to: BROADCAST, from: '01:00:5e:00:00:07', size: 80 })],
    });
    const stranger = new FrameSender(mesh.topology.router);
    const { address } = mesh.host(0).node;
    await stranger.datagrams({ address, port: 7947, payloads: [Buffer.alloc(64, 9)], listenMs: 0 });
    await stranger.stop();
  });
  assert.equal(ended.status, 0, ended.err);
  const lines = await tshark(file, ['frame.interface_name', 'frame.len', 'frame.comment']);
  assert.deepEqual(
    lines.map(([name, size, said = '']) => `${name} ${size} ${said.replace(/ vni=\d+/, '')}`).sort(),
    [
      'dropped 92 direction=in verdict=dropped reason=garbage',
      'inner 80 direction=out verdict=dropped reason=source_mac',
    ],
  );
});

test('a pipe into tshark works, and a number of packets ends the capture', async () => {
  const words = mesh
    .host(0)
    .command(['capture', '-i', 'inner', '-w', '-', '--count', '3', 'icmp', 'and', 'out']);
  const line = `${words.map((word) => `'${word}'`).join(' ')} | tshark -n -r - -T fields -e icmp.type`;
  const piped = run(['sh', '-c', line], { env: { HOME: mesh.folder }, timeoutMs: 60_000 });
  let done = false;
  void piped.finally(() => (done = true));
  // It has begun at some time while these go on.
  for (let i = 0; i < 40 && !done; i++) await pings(5);
  const { status, out, err } = await piped;
  assert.deepEqual([status, out], [0, '8\n8\n8\n'], err);
  assert.match(err, /^weft: 3 packets, 0 lost$/m);
});

test('people get a line for each packet, and a filter that is not understood is refused before anything starts', async () => {
  const { status, out } = await capture(['-i', 'inner', 'icmp', 'not', 'in'], () => pings(2));
  assert.equal(status, 0);
  assert.match(
    out,
    /^\d\d:\d\d:\d\d\.\d{3} {2}inner {4}[0-9a-f:]{17} > [0-9a-f:]{17} {2}10\.80\.0\.1 > 10\.80\.0\.\d+ icmp {2}98 bytes {2}direction=out peer=host2 vni=1 verdict=forwarded$/m,
  );
  const bad = await mesh.host(0).weft(['capture', 'tcp', 'or', 'udp']);
  assert.deepEqual([bad.status, /filter: `or` and parentheses are not understood/.test(bad.err)], [2, true]);
});

test('of a flood every frame goes through, and each is shown or counted as lost', async () => {
  const source = '06:00:00:00:00:01';
  const frames = Array.from({ length: 4000 }, (_, i) =>
    frame({ to: BROADCAST, from: source, size: 1200, seed: i }),
  );
  const sentToPeer = (): Promise<number> =>
    mesh.metric(0, 'weft_peer_transmit_packets_total', { peer: 'host2' });
  const sentBefore = await sentToPeer();
  const end = new AbortController();
  let [shown, lost, started] = [0, 0, false];
  const reading = (async () => {
    for await (const line of mesh.host(0).api.lines('/v1/capture?snap=64', end.signal)) {
      started = true;
      const said = JSON.parse(line) as CaptureRecord | CaptureLoss;
      if ('lost' in said) lost = said.lost;
      else if (said.direction === 'out') {
        assert.ok(Buffer.from(said.data, 'base64').length <= 64 && said.reason === null);
        shown++;
      }
    }
  })();
  await until('start', { timeoutMs: 10_000, everyMs: 10 }, () => (started ? true : null));
  try {
    // The device's own queue may be full for some of them: those never reach the agent.
    await sender.frames({ device: 'weft0', frames });
    await until('records', { timeoutMs: 30_000, everyMs: 200 }, async () => {
      const sent = (await sentToPeer()) - sentBefore;
      return sent > 200 && shown + lost >= sent ? true : null;
    });
  } finally {
    end.abort();
    await reading;
  }
});

test('a capture ends with status 3 when the agent does', async () => {
  const ended = await capture(['-i', 'inner'], async () => void (await mesh.host(0).stop()), true);
  assert.equal(ended.status, 3, ended.err);
});
