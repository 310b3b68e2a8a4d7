/**
 * The data path alone, between two kernels, with keys that the test gives it: traffic of every kind of segment, and the
 * proof that the workers make no garbage.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { nodeCommand } from '../../agent/lab/command.ts';
import { Probe } from '../../agent/lab/probe-client.ts';
import type { Collections, DataPlaneEnd } from './data-plane-host.ts';
import { Mesh } from './mesh.ts';
import { iperf, ping } from './programs.ts';

const HOST = nodeCommand('./data-plane-host.ts', import.meta.url);
const LOAD_SEC = 30;
/** Long enough for the code to have been compiled and the garbage of the start to be gone. */
const WARM_SEC = 5;
const MAC_A = Uint8Array.of(2, 0, 0, 0, 0, 0xa);
const MAC_B = Uint8Array.of(2, 0, 0, 0, 0, 0xb);

for (const [mode, encap, mtuBytes] of [
  ['sealed', 'vxlan', 1390],
  ['sealed', 'geneve', 1326],
  ['plain', 'vxlan', 1422],
  ['plain', 'geneve', 1422],
] as const) {
  describe(`${mode} ${encap}`, () => exchanges({ mode, encap, mtuBytes }));
}

function exchanges(kind: Pick<DataPlaneEnd, 'mode' | 'encap' | 'mtuBytes'>): void {
  let mesh: Mesh;
  let ends: Probe[] = [];
  let namespaces: string[];
  const addresses = ['10.80.0.1', '10.80.0.2'];

  before(async () => {
    mesh = await Mesh.underlay({ hosts: 2 });
    namespaces = mesh.hosts.map((host) => host.node.namespace);
    ends = namespaces.map((namespace) => Probe.start(namespace, HOST));
    const keys = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)] as const;
    const sides: [number, Uint8Array, Uint8Array, Uint8Array, Uint8Array][] = [
      [0, MAC_A, MAC_B, keys[0], keys[1]],
      [1, MAC_B, MAC_A, keys[1], keys[0]],
    ];
    await Promise.all(
      sides.map(([i, mac, remoteMac, sendKey, receiveKey]) => {
        const local = mesh.host(i).node.address;
        const remote = mesh.host(1 - i).node.address;
        const overlay = `${addresses[i]}/24`;
        const end: DataPlaneEnd = { ...kind, local, remote, overlay, mac, remoteMac, sendKey, receiveKey };
        return ends[i]?.ask('start', end);
      }),
    );
  });
  after(async () => {
    await Promise.all(ends.map((end) => end.stop()));
    await mesh?.remove();
  });

  const traffic = (from: number, args: readonly string[] = [], seconds = 1) =>
    iperf(namespaces[1 - from] ?? '', namespaces[from] ?? '', addresses[1 - from] ?? '', args, seconds);

  test('1,000 pings each way, full-size ones too, and nothing is lost', async () => {
    for (const from of [0, 1]) {
      const to = addresses[1 - from] ?? '';
      const small = await ping(namespaces[from] ?? '', to, { count: 1000, intervalSec: 0.001 });
      assert.deepEqual(small, { sent: 1000, received: 1000, duplicates: 0 }, JSON.stringify(await drops()));
      const args = ['-s', String(kind.mtuBytes - 28), '-M', 'do'];
      assert.equal((await ping(namespaces[from] ?? '', to, { count: 50, args })).received, 50);
    }
  });

  test('TCP and UDP run each way', async (t) => {
    for (const from of [0, 1]) {
      const { bitsPerSec } = await traffic(from);
      t.diagnostic(`${Math.round(bitsPerSec / 1e6)} Mbit/s`);
      assert.ok(bitsPerSec > 100e6, `${bitsPerSec / 1e6} Mbit/s ${JSON.stringify(await drops())}`);
      const udp = await traffic(from, ['-u', '-b', '20M', '-l', '1200', '-w', '2M']);
      assert.ok(udp.packets > 1500 && udp.lostPackets / udp.packets < 0.005, `${udp.lostPackets} lost`);
    }
  });

  const drops = (): Promise<unknown[]> => Promise.all(ends.map((end) => end.ask('drops')));

  if (kind.mode === 'sealed' && kind.encap === 'vxlan') {
    const watch = (seconds: number, deliberate: boolean): Promise<Collections[]> =>
      Promise.all(ends.map((end) => end.ask<Collections>('watch', { seconds, deliberate })));

    test('the watch on the garbage collector sees a deliberate allocation in each worker', async () => {
      const [counts] = await Promise.all([watch(2, true), traffic(0, ['--bidir'], 3)]);
      for (const { transmit, receive } of counts)
        assert.ok(transmit > 0 && receive > 0, JSON.stringify(counts));
    });

    test(`no collection in any worker over ${LOAD_SEC} s of load`, async (t) => {
      await traffic(0, ['--bidir'], WARM_SEC);
      const [counts, { bitsPerSec }] = await Promise.all([
        watch(LOAD_SEC, false),
        traffic(0, ['--bidir'], LOAD_SEC + 1),
      ]);
      t.diagnostic(
        `collections ${JSON.stringify(counts)} at ${Math.round(bitsPerSec / 1e6)} Mbit/s each way`,
      );
      assert.ok(bitsPerSec > 50e6);
      assert.deepEqual(counts, [
        { transmit: 0, receive: 0 },
        { transmit: 0, receive: 0 },
      ]);
    });
  }
}
