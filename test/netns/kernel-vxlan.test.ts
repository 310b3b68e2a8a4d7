/**
 * Plain mode against the Linux kernel's own vxlan device, veth offloads left on: two weft hosts and a third that runs no
 * agent but
 *
 *   host3: vx0 (kernel vxlan, VNI 77) -- eth0 -- router -- host1 and host2 (weft, plain)
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ip } from '../../agent/lab/command.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { iperf, ping, reachable } from './programs.ts';

const VNI = 77;
const KERNEL_ADDRESS = '10.80.0.9';
const MTU = 1422;

let mesh: Mesh;
let addresses: string[];
let namespaces: string[];
before(async () => {
  mesh = await Mesh.underlay({ hosts: 3, mode: 'plain', vni: VNI });
  await mesh.init();
  await mesh.join([mesh.host(1)]);
  await mesh.converged();
  const kernel = mesh.host(2).node;
  const remotes = [0, 1].map((index) => mesh.host(index).node.address);
  await ip(
    ['-n', kernel.namespace, '-batch', '-'],
    `link add vx0 mtu ${MTU} type vxlan id ${VNI} dstport 4789 local ${kernel.address} dev eth0
     address add ${KERNEL_ADDRESS}/24 dev vx0
     link set vx0 up\n`,
  );
  for (const remote of remotes) {
    await mesh.runOk(2, ['bridge', 'fdb', 'append', '00:00:00:00:00:00', 'dev', 'vx0', 'dst', remote]);
  }
  for (const index of [0, 1]) await mesh.host(index).weftOk(['vtep', 'add', kernel.address]);
  addresses = [await overlayOf(mesh.host(0)), await overlayOf(mesh.host(1)), KERNEL_ADDRESS];
  namespaces = mesh.hosts.map((host) => host.node.namespace);
});
after(() => mesh?.remove());

const PAIRS = [
  [0, 2],
  [2, 0],
  [1, 2],
  [2, 1],
  [0, 1],
] as const;

test('weft hosts and a kernel vxlan device ping each other, both ways', async () => {
  for (const [from, to] of PAIRS) {
    await reachable(namespaces[from] ?? '', addresses[to] ?? '');
    const counts = await ping(namespaces[from] ?? '', addresses[to] ?? '', {
      count: 500,
      intervalSec: 0.002,
    });
    assert.deepEqual(counts, { sent: 500, received: 500, duplicates: 0 }, `${from} to ${to}`);
  }
});

test('full-size packets cross without being cut', async () => {
  for (const [from, to] of PAIRS) {
    const args = ['-s', String(MTU - 28), '-M', 'do'];
    const counts = await ping(namespaces[from] ?? '', addresses[to] ?? '', { count: 20, args });
    assert.equal(counts.received, 20, `${from} to ${to}`);
  }
});

test('TCP runs both ways, through super-frames and unfinished checksums', async () => {
  for (const [from, to] of PAIRS) {
    const { bitsPerSec } = await iperf(namespaces[to] ?? '', namespaces[from] ?? '', addresses[to] ?? '');
    assert.ok(bitsPerSec > 50e6, `${from} to ${to}: ${bitsPerSec / 1e6} Mbit/s`);
  }
});

test('UDP runs both ways', async () => {
  for (const [from, to] of PAIRS.slice(0, 2)) {
    const args = ['-u', '-b', '20M', '-l', '1200', '-w', '2M'];
    const { packets, lostPackets } = await iperf(
      namespaces[to] ?? '',
      namespaces[from] ?? '',
      addresses[to] ?? '',
      args,
    );
    assert.ok(packets > 3000 && lostPackets / packets < 0.005, `${lostPackets} of ${packets} lost`);
  }
});

test('IPv6 runs to the kernel device as well', async () => {
  await mesh.runOk(0, ['ip', 'address', 'add', 'fd80::1/64', 'dev', 'weft0', 'nodad']);
  await mesh.runOk(2, ['ip', 'address', 'add', 'fd80::9/64', 'dev', 'vx0', 'nodad']);
  const counts = await ping(namespaces[0] ?? '', 'fd80::9', { count: 100 });
  assert.equal(counts.received, 100);
  const { bitsPerSec } = await iperf(namespaces[0] ?? '', namespaces[2] ?? '', 'fd80::1');
  assert.ok(bitsPerSec > 50e6, `${bitsPerSec / 1e6} Mbit/s`);
});

test('the tables name the kernel device: a plain peer, its MAC address, the list of endpoints', async () => {
  const host = mesh.host(0);
  const underlay = mesh.host(2).node.address;
  const { vteps } = JSON.parse(await host.weftOk(['vtep', 'list', '--json']));
  assert.deepEqual(vteps, [{ address: `${underlay}:4789`, vni: VNI }]);
  const { peers } = JSON.parse(await host.weftOk(['peers', '--json']));
  const peer = peers.find(({ endpoint }: { endpoint: string }) => endpoint === `${underlay}:4789`);
  assert.equal(peer.path, 'plain');
  assert.ok(peer.txBytes > 1e6 && peer.rxBytes > 1e6);
  const link = JSON.parse(await mesh.runOk(2, ['ip', '-json', 'link', 'show', 'vx0']))[0];
  const { entries } = JSON.parse(await host.weftOk(['fdb', '--json']));
  const entry = entries.find(({ mac }: { mac: string }) => mac === link.address);
  assert.equal(entry.vni, VNI);
  assert.ok(entry.peer.includes(underlay));
});

test('endpoints survive a restart, and removing one shuts it out at once', async () => {
  const host = mesh.host(0);
  await host.kill();
  host.start(['run']);
  await host.ready();
  await reachable(namespaces[0] ?? '', KERNEL_ADDRESS);
  await host.weftOk(['vtep', 'remove', mesh.host(2).node.address]);
  const counts = await ping(namespaces[0] ?? '', KERNEL_ADDRESS, { count: 5, intervalSec: 0.1 });
  assert.equal(counts.received, 0);
});
