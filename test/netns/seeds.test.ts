/**
 * Seeds of a token: one that does not count it passes the request on, one that is dead is passed over, one that cannot
 * reach the admitter says so and is asked again, and one that has a name is found where the name points.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { delay, until } from '../../agent/lab/wait.ts';
import { Mesh } from './mesh.ts';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.underlay({ hosts: 6 });
  await mesh.init();
  await mesh.join([mesh.host(1)]);
  await mesh.converged();
});
after(async () => {
  for (const host of mesh?.hosts ?? [])
    rmSync(`/etc/netns/${host.node.namespace}`, { recursive: true, force: true });
  await mesh?.remove();
});

const up = (index: number, file: string): void => {
  const { name, node } = mesh.host(index);
  mesh.host(index).start(['up', '--token-file', file, '--name', name, '--underlay', node.address]);
};

/** No datagram between two hosts, by routes of the router's. */
const block = (a: number, b: number): Promise<string> => {
  const [from, to] = [mesh.host(a).node.address, mesh.host(b).node.address];
  return mesh.inRouter(['ip', 'rule', 'add', 'from', from, 'to', to, 'blackhole']);
};
const unblock = (a: number, b: number): Promise<string> =>
  mesh.inRouter([
    ...['ip', 'rule', 'delete', 'from', mesh.host(a).node.address],
    ...['to', mesh.host(b).node.address, 'blackhole'],
  ]);

test('a host joins through a member that is no admitter, without a path to the admitter', async () => {
  await block(2, 0);
  up(2, await mesh.token(['--seed', 'host2']));
  await mesh.host(2).ready();
  assert.match(mesh.host(0).log(), /"name":"host3".*"msg":"admitted"|admitted/);
  await unblock(2, 0);
  await mesh.converged();
});

test('a seed that is dead is passed over', async () => {
  const file = await mesh.token(['--seed', 'host2', '--seed', 'host1']);
  await mesh.host(1).kill();
  up(3, file);
  await mesh.host(3).ready();
  mesh.host(1).start(['run']);
  await mesh.host(1).ready();
  await mesh.converged();
});

test('a seed that cannot reach the admitter is asked again until it can', async () => {
  const file = await mesh.token(['--seed', 'host2']);
  assert.equal(await mesh.host(0).stop(), 0);
  up(4, file);
  // Long enough to be refused at least once.
  await delay(3000);
  mesh.host(0).start(['run']);
  await mesh.host(4).ready();
  assert.equal((await mesh.host(4).api.get<{ name: string }>('/v1/status')).name, 'host5');
  await mesh.converged();
});

test('a seed is found under its name when its address leads nowhere', async () => {
  const { namespace, address } = mesh.host(5).node;
  const seedAddress = mesh.host(1).node.address;
  const elsewhere = '10.89.2.9';
  mkdirSync(`/etc/netns/${namespace}`, { recursive: true });
  writeFileSync(`/etc/netns/${namespace}/hosts`, `127.0.0.1 localhost\n${elsewhere} seed.weft.test\n`);
  const rules = `table ip seeds {
    chain first { type filter hook prerouting priority -300; ip saddr ${address} ip daddr ${seedAddress} drop; }
    chain then { type nat hook prerouting priority -100; ip daddr ${elsewhere} dnat to ${seedAddress}; }
  }
  `;
  await mesh.inRouter(['nft', '-f', '-'], { input: rules });
  up(5, await mesh.token(['--seed', 'host2=seed.weft.test']));
  await mesh.host(5).ready();
  await until('host6 at host1', { timeoutMs: 15_000 }, async () => await mesh.host(0).stateOf('host6'));
  await mesh.inRouter(['nft', 'delete', 'table', 'ip', 'seeds']);
  await mesh.converged();
});

test('a token for a seed that nobody knows is refused by name', async () => {
  const ended = await mesh.host(0).weft(['token', 'create', '--seed', 'nobody']);
  assert.equal(ended.status, 5);
  assert.match(ended.err, /no member 'nobody'/);
});
