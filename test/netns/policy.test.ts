/** A policy that is changed at run time reaches every host, in order, also those that were away. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { EventsReport, PolicyReport } from '../../agent/control/api-types.ts';
import { until } from '../../agent/lab/wait.ts';
import { Mesh } from './mesh.ts';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start({ hosts: 3 });
});
after(() => mesh?.remove());

const policyOf = (index: number): Promise<PolicyReport> =>
  mesh.host(index).api.get<PolicyReport>('/v1/policy');

const reaches = (index: number, seq: number): Promise<PolicyReport> =>
  until(`policy ${seq} on host${index + 1}`, { timeoutMs: 15_000, everyMs: 50 }, async () => {
    const policy = await policyOf(index);
    return policy.seq === seq ? policy : null;
  });

test('only the host with the root changes it', async () => {
  const denied = await mesh.host(1).weft(['policy', 'set', '--node-life', '7d']);
  assert.equal(denied.status, 4);
  assert.match(denied.err, /does not hold the root/);
  assert.equal((await mesh.host(0).weft(['policy', 'set'])).status, 2);
  assert.equal((await policyOf(0)).seq, 1);
});

test('a change is in force everywhere, and one who was away gets all that it missed', async () => {
  await mesh.host(0).weftOk(['policy', 'set', '--node-life', '7d']);
  for (const at of [1, 2]) assert.equal((await reaches(at, 2)).nodeLifeMs, 7 * 86_400_000);
  await mesh.host(2).stop();
  await mesh.host(0).weftOk(['policy', 'set', '--leeway', '5m']);
  await mesh.host(0).weftOk(['policy', 'set', '--node-life', '6d']);
  await reaches(1, 4);
  mesh.host(2).start(['run']);
  await mesh.host(2).ready();
  const policy = await reaches(2, 4);
  assert.deepEqual([policy.nodeLifeMs, policy.leewayMs], [6 * 86_400_000, 300_000]);
  assert.deepEqual(policy, await policyOf(0));
  const { events } = await mesh.host(1).api.get<EventsReport>('/v1/events?after=0');
  assert.deepEqual(
    events.filter(({ type }) => type === 'policy').map(({ subject }) => subject),
    ['2', '3', '4'],
  );
});

test('it survives a restart of everybody', async () => {
  for (const host of mesh.hosts) await host.stop();
  for (const host of mesh.hosts) host.start(['run']);
  await mesh.converged();
  for (const at of [0, 1, 2]) assert.equal((await policyOf(at)).seq, 4);
});
