/** Hosts that die, come back, stop and leave; the others see it and lose nothing. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { MemberState } from '../../agent/control/api-types.ts';
import { Host } from '../../agent/lab/host.ts';
import { until } from '../../agent/lab/wait.ts';
import { allCameBack } from './all-came-back.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { ping, pingDuring, reachable } from './programs.ts';

/** Acceptance of the first version. */
const DEATH_MS = 15_000;
const RETURN_MS = 10_000;

let mesh: Mesh;
let addresses: string[];
before(async () => {
  mesh = await Mesh.start({ hosts: 3 });
  addresses = await Promise.all(mesh.hosts.map(overlayOf));
});
after(() => mesh?.remove());

/** Waits until both other hosts see the third in a state, as `weft members --json` says it; returns after how long. */
async function seenAs(state: MemberState, timeoutMs: number): Promise<number> {
  const startMs = performance.now();
  for (const index of [0, 1]) {
    const host = mesh.host(index);
    await until(
      `${state} at ${host.name}`,
      { timeoutMs: timeoutMs - (performance.now() - startMs) },
      async () => {
        const { members } = JSON.parse(await host.weftOk(['members', '--json']));
        const member = members.find(({ name }: { name: string }) => name === 'host3');
        return member?.state === state ? true : null;
      },
    );
  }
  return performance.now() - startMs;
}

test('kill -9 is seen within 15 s, the restart within 10 s, and the other pair loses nothing', async (t) => {
  const counts = await pingDuring(mesh.host(0).node.namespace, addresses[1] ?? '', async () => {
    await mesh.host(2).kill();
    t.diagnostic(`seen dead after ${Math.round(await seenAs('dead', DEATH_MS))} ms`);
    mesh.host(2).start(['run']);
    t.diagnostic(`seen alive after ${Math.round(await seenAs('alive', RETURN_MS))} ms`);
    await reachable(mesh.host(0).node.namespace, addresses[2] ?? '', RETURN_MS);
    await reachable(mesh.host(1).node.namespace, addresses[2] ?? '', RETURN_MS);
  });
  assert.ok(counts.sent > 300, `${counts.sent} pings`);
  // The last ping may be under way when pinging ends.
  assert.ok(counts.received >= counts.sent - 1, `${counts.received} of ${counts.sent}`);
  assert.equal(counts.duplicates, 0);
});

test('a restart keeps name, address and MAC, and raises the incarnation', async () => {
  const before = (await mesh.host(0).members()).find(({ name }) => name === 'host3');
  assert.equal(await overlayOf(mesh.host(2)), addresses[2]);
  await mesh.host(2).kill();
  mesh.host(2).start(['run']);
  await mesh.host(2).ready();
  const after = await until('a higher incarnation', { timeoutMs: RETURN_MS }, async () => {
    const member = (await mesh.host(0).members()).find(({ name }) => name === 'host3');
    return member && member.incarnation > (before?.incarnation ?? 0) ? member : null;
  });
  assert.deepEqual([after.nodeId, after.address], [before?.nodeId, before?.address]);
  await mesh.converged();
});

test('SIGTERM ends the agent with 0, the others see it as left, and its TAP is gone', async () => {
  assert.equal(await mesh.host(2).stop(), 0);
  assert.equal((await mesh.run(2, ['ip', 'link', 'show', 'weft0'])).status, 1);
  await seenAs('left', 5000);
});

test('a host that left by SIGTERM comes back with the same name and address, without a token', async () => {
  mesh.host(2).start(['run']);
  await mesh.host(2).ready();
  await seenAs('alive', RETURN_MS);
  await mesh.converged();
  assert.equal(await overlayOf(mesh.host(2)), addresses[2]);
  const counts = await ping(mesh.host(0).node.namespace, addresses[2] ?? '', { count: 100 });
  await allCameBack(mesh, counts);
});

test('a TAP that existed before is left standing', async () => {
  await mesh.host(2).stop();
  await mesh.runOk(2, ['ip', 'tuntap', 'add', 'weft0', 'mode', 'tap', 'multi_queue', 'vnet_hdr']);
  mesh.host(2).start(['run']);
  await mesh.host(2).ready();
  await mesh.converged();
  assert.equal(await mesh.host(2).stop(), 0);
  assert.equal((await mesh.run(2, ['ip', 'link', 'show', 'weft0'])).status, 0);
  await mesh.runOk(2, ['ip', 'link', 'delete', 'weft0']);
  mesh.host(2).start(['run']);
  await mesh.host(2).ready();
  await mesh.converged();
});

test('weft leave ends the agent and releases the name: another host may have it', async () => {
  const { node } = mesh.host(2);
  const before = (await mesh.host(0).members()).find(({ name }) => name === 'host3');
  await mesh.host(2).weftOk(['leave']);
  await seenAs('left', 5000);
  await until('end of the agent that left', { timeoutMs: 5000 }, () =>
    mesh.host(2).exitStatus === null ? null : true,
  );
  assert.equal((await mesh.run(2, ['ip', 'link', 'show', 'weft0'])).status, 1);
  const successor = new Host({ ...node, name: 'successor' }, mesh.folder, mesh.configPath);
  const file = await mesh.token();
  successor.start(['up', '--token-file', file, '--name', 'host3', '--underlay', node.address]);
  try {
    await successor.ready();
    await until('the successor under the name', { timeoutMs: RETURN_MS }, async () => {
      const members = await mesh.host(0).members();
      return members.some(
        ({ name, state, nodeId }) => name === 'host3' && state === 'alive' && nodeId !== before?.nodeId,
      )
        ? true
        : null;
    });
  } finally {
    await successor.stop();
  }
});
