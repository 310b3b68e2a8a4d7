/** A host with several ways out takes the one to the mesh, when it joins and at every later start. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { StatusReport } from '../../agent/control/api-types.ts';
import { Mesh, overlayOf } from './mesh.ts';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.underlay({ hosts: 2 });
  await mesh.init();
});
after(() => mesh?.remove());

const endpoint = async (): Promise<string | null> =>
  (await mesh.host(1).api.get<StatusReport>('/v1/status')).endpoint;

test('without --underlay a host joins and comes back by the route to its seed, not by the default route', async () => {
  const [first, host] = mesh.hosts;
  assert.ok(first && host);
  // The default route leads elsewhere: to a second interface, whose address the mesh cannot answer.
  await mesh.runOk(1, ['ip', 'route', 'add', first.node.address, 'via', '10.89.2.1']);
  await mesh.runOk(1, ['ip', 'link', 'add', 'other0', 'type', 'veth', 'peer', 'name', 'other1']);
  await mesh.runOk(1, ['ip', 'address', 'add', '198.51.100.2/24', 'dev', 'other0']);
  for (const end of ['other0', 'other1']) await mesh.runOk(1, ['ip', 'link', 'set', end, 'up']);
  await mesh.runOk(1, ['ip', 'route', 'replace', 'default', 'via', '198.51.100.1']);
  host.start(['up', '--token-file', await mesh.token(), '--name', host.name]);
  await host.ready();
  await mesh.converged();
  const joined = await endpoint();
  assert.equal(joined, `${host.node.address}:7947`);
  await host.stop();
  host.start(['run']);
  await host.ready();
  assert.equal(await endpoint(), joined);
  await mesh.converged();
  await mesh.runOk(0, ['ping', '-q', '-c', '1', '-W', '3', await overlayOf(host)]);
});
