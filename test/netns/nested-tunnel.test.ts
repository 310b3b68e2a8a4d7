/** An underlay that is itself a tunnel works, and is said once in the log and in status. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ip } from '../../agent/lab/command.ts';
import { until } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { iperf, reachable } from './programs.ts';

/** A kernel vxlan device between the two hosts, with 1450 bytes, carries the mesh. */
const INNER_UNDERLAY = ['10.77.0.1', '10.77.0.2'] as const;

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.underlay({ hosts: 2 });
  for (const [i, address] of INNER_UNDERLAY.entries()) {
    const { namespace, address: local } = mesh.host(i).node;
    const remote = mesh.host(1 - i).node.address;
    await ip(
      ['-n', namespace, '-batch', '-'],
      `link add under0 mtu 1450 type vxlan id 9 dstport 14789 local ${local} remote ${remote} dev eth0
       address add ${address}/24 dev under0
       link set under0 up\n`,
    );
  }
  const [first, second] = [mesh.host(0), mesh.host(1)];
  await first.weftOk([
    'init',
    '--name',
    first.name,
    '--underlay',
    INNER_UNDERLAY[0],
    '--address',
    '10.80.0.1/24',
  ]);
  first.start(['run']);
  await first.ready();
  const file = await mesh.token();
  second.start(['up', '--token-file', file, '--name', second.name, '--underlay', INNER_UNDERLAY[1]]);
  await second.ready();
  await mesh.converged();
});
after(() => mesh?.remove());

test('traffic passes at the size that is left', async () => {
  const [client, server] = [mesh.host(0).node.namespace, mesh.host(1).node.namespace];
  const address = await overlayOf(mesh.host(1));
  await reachable(client, address);
  await until('path MTU', { timeoutMs: 10_000 }, async () => {
    const { peers } = JSON.parse(await mesh.host(0).weftOk(['peers', '--json']));
    return peers[0].pmtu === 1450 ? true : null;
  });
  assert.ok((await iperf(server, client, address, [], 1)).bitsPerSec > 20e6);
});

test('status and the log say once that packets are wrapped twice', async () => {
  const { warnings, problems } = JSON.parse(await mesh.host(0).weftOk(['status', '--json']));
  assert.deepEqual(warnings, [
    'the underlay interface under0 is itself a tunnel (vxlan): packets are wrapped twice',
  ]);
  assert.deepEqual(problems, []);
  assert.match(await mesh.host(0).weftOk(['status']), /warning.*under0/);
  assert.equal(mesh.host(0).log().split('is itself a tunnel').length - 1, 1);
});
