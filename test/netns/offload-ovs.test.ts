/**
 * Whatever offloads are on at an agent, what it exchanges with Open vSwitch arrives byte for byte, both ways. A covering
 * subset by default; with WEFT_MATRIX=full (`npm run test:matrix`) every combination.
 */
import { after, before, describe } from 'node:test';
import type { Mesh } from './mesh.ts';
import { addV6, FULL } from './offload-exchange.ts';
import { everyCombination, FOREIGN_ADDRESS, oneAgent, PLAIN_MTU, VNI } from './offload-one-agent.ts';
import { Ovs } from './ovs.ts';

describe('an agent and Open vSwitch', () => {
  let mesh: Mesh;
  let ovs: Ovs;
  before(async () => {
    mesh = await oneAgent();
    const { node } = mesh.host(1);
    // Userspace OVS takes frames as they are on a cable.
    await mesh.inRouter(['ethtool', '-K', node.routerInterface, 'tx', 'off', 'gso', 'off', 'tso', 'off']);
    ovs = await Ovs.start({
      node,
      gateway: '10.89.2.1',
      folder: mesh.folder,
      kind: 'vxlan',
      vni: VNI,
      remotes: [mesh.host(0).node.address],
      address: `${FOREIGN_ADDRESS}/24`,
      mtuBytes: PLAIN_MTU,
    });
    await addV6(mesh, 1, 'br-int');
  });
  after(async () => {
    await ovs?.stop();
    await mesh?.remove();
  });
  // Its userspace datapath carries a tenth of what the kernel's does.
  everyCombination(() => mesh, FULL ? 1 : 0.2);
});
