/**
 * Plain mode against Open vSwitch's userspace datapath, under each encapsulation that both speak:
 *
 *   host2: br-int -- tun0 (geneve or vxlan) -- br-phy -- eth0 -- router -- eth0 -- weft0: host1
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { allCameBack } from './all-came-back.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { Ovs } from './ovs.ts';
import { iperf, ping, reachable } from './programs.ts';

const VNI = 99;
const OVS_ADDRESS = '10.80.0.9';
const MTU = 1422;

for (const kind of ['geneve', 'vxlan'] as const) {
  describe(`a weft host and an Open vSwitch ${kind} port`, () => exchanges(kind));
}

function exchanges(kind: 'geneve' | 'vxlan'): void {
  let mesh: Mesh;
  let ovs: Ovs;
  let ends: { readonly namespace: string; readonly address: string }[];

  before(async () => {
    mesh = await Mesh.underlay({ hosts: 2, mode: 'plain', encap: kind, vni: VNI });
    const node = mesh.host(1).node;
    // Userspace OVS takes frames as they are on the wire: the router's end finishes checksums and cuts super-frames, as a
    // real cable would force it to.
    await mesh.inRouter(['ethtool', '-K', node.routerInterface, 'tx', 'off', 'gso', 'off', 'tso', 'off']);
    await mesh.init();
    await mesh.host(0).weftOk(['vtep', 'add', node.address]);
    ovs = await Ovs.start({
      node,
      gateway: '10.89.2.1',
      folder: mesh.folder,
      kind,
      vni: VNI,
      remotes: [mesh.host(0).node.address],
      address: `${OVS_ADDRESS}/24`,
      mtuBytes: MTU,
    });
    ends = [
      { namespace: mesh.host(0).node.namespace, address: await overlayOf(mesh.host(0)) },
      { namespace: node.namespace, address: OVS_ADDRESS },
    ];
    await reachable(node.namespace, ends[0]?.address ?? '', 20_000);
  });
  after(async () => {
    await ovs?.stop();
    await mesh?.remove();
  });

  for (const [from, to] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const way = from === 0 ? 'from weft to OVS' : 'from OVS to weft';

    test(`ping ${way}, small and full-size`, async () => {
      const { namespace } = ends[from] ?? { namespace: '' };
      const address = ends[to]?.address ?? '';
      const small = await ping(namespace, address, { count: 500, intervalSec: 0.002 });
      await allCameBack(mesh, small);
      const full = await ping(namespace, address, { count: 20, args: ['-s', String(MTU - 28), '-M', 'do'] });
      await allCameBack(mesh, full);
    });

    test(`TCP ${way}`, async () => {
      const client = ends[from]?.namespace ?? '';
      const { bitsPerSec } = await iperf(ends[to]?.namespace ?? '', client, ends[to]?.address ?? '');
      assert.ok(bitsPerSec > 20e6, `${bitsPerSec / 1e6} Mbit/s`);
    });
  }
}
