/**
 * Whatever offloads are on at an agent, what it exchanges with kernel VXLAN arrives byte for byte, both ways. A covering
 * subset by default; with WEFT_MATRIX=full (`npm run test:matrix`) every combination.
 */
import { after, before, describe } from 'node:test';
import { ip } from '../../agent/lab/command.ts';
import type { Mesh } from './mesh.ts';
import { addV6 } from './offload-exchange.ts';
import { everyCombination, FOREIGN_ADDRESS, oneAgent, PLAIN_MTU, VNI } from './offload-one-agent.ts';

describe('an agent and kernel VXLAN', () => {
  let mesh: Mesh;
  before(async () => {
    mesh = await oneAgent();
    const { namespace, address } = mesh.host(1).node;
    await ip(
      ['-n', namespace, '-batch', '-'],
      `link add vx0 mtu ${PLAIN_MTU} type vxlan id ${VNI} dstport 4789 local ${address} dev eth0
       address add ${FOREIGN_ADDRESS}/24 dev vx0
       link set vx0 up\n`,
    );
    const remote = mesh.host(0).node.address;
    await mesh.runOk(1, ['bridge', 'fdb', 'append', '00:00:00:00:00:00', 'dev', 'vx0', 'dst', remote]);
    await addV6(mesh, 1, 'vx0');
  });
  after(() => mesh?.remove());
  everyCombination(() => mesh);
});
