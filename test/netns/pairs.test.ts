/** Three hosts, sealed VXLAN: what people do with a network. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { StatusReport } from '../../agent/control/api-types.ts';
import { allCameBack } from './all-came-back.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { iperf, ping } from './programs.ts';

let mesh: Mesh;
let addresses: string[];
before(async () => {
  mesh = await Mesh.start({ hosts: 3 });
  addresses = await Promise.all(mesh.hosts.map(overlayOf));
});
after(() => mesh?.remove());

const namespaceOf = (index: number): string => mesh.host(index).node.namespace;

test('every pair pings with 0 % loss over 1,000 packets, and nothing arrives twice', async () => {
  for (const from of [0, 1, 2]) {
    for (const to of [0, 1, 2].filter((index) => index !== from)) {
      const counts = await ping(namespaceOf(from), addresses[to] ?? '', { count: 1000, intervalSec: 0.001 });
      await allCameBack(mesh, counts);
    }
  }
});

test('packets that fill the MTU pass and larger ones are cut by IP', async () => {
  const { mtu } = await mesh.host(0).api.get<StatusReport>('/v1/status');
  assert.equal(mtu, 1390);
  for (const size of [mtu - 28, 4000, 20_000]) {
    const args = ['-s', String(size)];
    const counts = await ping(namespaceOf(0), addresses[1] ?? '', { count: 50, args });
    await allCameBack(mesh, counts);
  }
});

test('TCP runs between every two hosts', async () => {
  for (const [from, to] of [
    [0, 1],
    [1, 2],
    [2, 0],
  ] as const) {
    const { bitsPerSec } = await iperf(namespaceOf(to), namespaceOf(from), addresses[to] ?? '');
    assert.ok(bitsPerSec > 50e6, `${from} to ${to}: ${bitsPerSec / 1e6} Mbit/s`);
  }
});

test('UDP at a rate that the path carries loses less than 0.5 %', async () => {
  const args = ['-u', '-b', '20M', '-l', '1200', '-w', '2M'];
  const { packets, lostPackets } = await iperf(namespaceOf(1), namespaceOf(0), addresses[1] ?? '', args, 3);
  assert.ok(packets > 5000, `${packets} packets`);
  assert.ok(lostPackets / packets < 0.005, `${lostPackets} of ${packets} lost`);
});

test('IPv6 runs over the overlay: ping, a full MTU, TCP', async () => {
  for (const [i, host] of mesh.hosts.entries()) {
    await mesh.runOk(i, ['ip', 'address', 'add', `fd80::${i + 1}/64`, 'dev', 'weft0', 'nodad']);
    assert.ok(host.pid);
  }
  for (const [from, to] of [
    [0, 1],
    [2, 1],
  ] as const) {
    const address = `fd80::${to + 1}`;
    const counts = await ping(namespaceOf(from), address, { count: 200, intervalSec: 0.005 });
    await allCameBack(mesh, counts);
    const full = await ping(namespaceOf(from), address, {
      count: 20,
      args: ['-s', String(1390 - 48), '-M', 'do'],
    });
    await allCameBack(mesh, full);
    const { bitsPerSec } = await iperf(namespaceOf(to), namespaceOf(from), address);
    assert.ok(bitsPerSec > 50e6, `${bitsPerSec / 1e6} Mbit/s`);
  }
});

test('the tables say what is true: members, peers, addresses, counters', async () => {
  for (const [i, host] of mesh.hosts.entries()) {
    const members = JSON.parse(await host.weftOk(['members', '--json'])).members;
    assert.deepEqual(members.map((member: { name: string }) => member.name).sort(), [
      'host1',
      'host2',
      'host3',
    ]);
    assert.ok(members.every((member: { state: string }) => member.state === 'alive'));
    const { peers } = JSON.parse(await host.weftOk(['peers', '--json']));
    assert.equal(peers.length, 2);
    for (const peer of peers) {
      assert.deepEqual([peer.state, peer.path], ['up', 'direct']);
      assert.ok(peer.txBytes > 0 && peer.rxBytes > 0 && peer.lastHandshakeMs >= 0);
    }
    const status = JSON.parse(await host.weftOk(['status', '--json']));
    assert.equal(status.address, `${addresses[i]}/24`);
    assert.deepEqual([status.state, status.mode, status.encap], ['up', 'sealed', 'vxlan']);
  }
});
