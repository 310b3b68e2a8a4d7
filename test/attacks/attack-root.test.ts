/**
 * The row "CA compromised" of the attack table: a member holds a copy of the root key, and uses it in the moment in which
 * the recovery key takes that root away. Real agents; the thief's agent believes itself the root while it is cut off.
 */
import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { EventsReport, PolicyReport, RevocationsReport } from '../../agent/control/api-types.ts';
import type { RootChangeReport, RootsReport } from '../../agent/control/root-types.ts';
import type { Ended } from '../../agent/lab/command.ts';
import type { Host } from '../../agent/lab/host.ts';
import { until } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from '../netns/mesh.ts';

const ROOT_KEY = 'mesh-root.key';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.underlay({ hosts: 4, recovery: true });
  await mesh.init();
  await mesh.join(mesh.hosts.slice(1));
  await mesh.converged();
});
after(() => mesh?.remove());

const policyOf = (host: Host): Promise<PolicyReport> => host.api.get<PolicyReport>('/v1/policy');

const revocationsOf = async (host: Host): Promise<RevocationsReport['revocations']> =>
  (await host.api.get<RevocationsReport>('/v1/revocations')).revocations;

const cable = (host: Host, state: 'up' | 'down'): Promise<string> =>
  mesh.inRouter(['ip', 'link', 'set', host.node.routerInterface, state]);

test('CA compromised: a thief with the old root undoes nothing, though his policies are as many and as early', async () => {
  const [alpha, beta, gamma, thief] = mesh.hosts;
  assert.ok(alpha && beta && gamma && thief);
  await thief.stop();
  copyFileSync(join(alpha.stateDir, ROOT_KEY), join(thief.stateDir, ROOT_KEY));
  await cable(thief, 'down');
  thief.start(['run']);
  await thief.ready();
  for (const leeway of ['1m', '2m', '3m']) await thief.weftOk(['policy', 'set', '--leeway', leeway]);
  await thief.weftOk(['revoke', 'node', gamma.name, '--yes']);
  assert.equal((await policyOf(thief)).seq, 4);

  const recover = ['root', 'recover', '--key-file', mesh.recoveryPath, '--stolen-from', alpha.name, '--json'];
  const report = JSON.parse(await beta.weftOk(recover)) as RootChangeReport;
  assert.deepEqual([report.state, report.policySeq, report.dropped], ['done', 2, []]);
  assert.ok(report.kept.includes(gamma.name));
  await until('end of alpha', { timeoutMs: 20_000 }, () => alpha.exitStatus);
  assert.equal(alpha.exitStatus, 4);

  await cable(thief, 'up');
  await until('the recovery at the thief', { timeoutMs: 60_000 }, async () =>
    (await policyOf(thief)).id === (await policyOf(beta)).id ? true : null,
  );
  for (const host of [beta, gamma, thief]) {
    const policy = await policyOf(host);
    assert.deepEqual([policy.seq, policy.leewayMs], [2, 600_000], host.name);
    // A statement of its own. Who did not know the new root when it came asks again as soon as it does.
    await until(`the revocation at ${host.name}`, { timeoutMs: 3000 }, async () =>
      (await revocationsOf(host)).length > 0 ? true : null,
    );
    assert.deepEqual(
      (await revocationsOf(host)).map(({ kind, what }) => [kind, what]),
      [['admitter', alpha.name]],
      host.name,
    );
  }
  const { events } = await thief.api.get<EventsReport>('/v1/events?after=0');
  assert.ok(events.some(({ type }) => type === 'policy-conflict'));
  assert.ok((await mesh.metric(mesh.hosts.indexOf(thief), 'weft_policy_conflicts_total')) >= 1);
  const verbs = [
    ['policy', 'set', '--leeway', '4m'],
    ['token', 'create'],
    ['root', 'rotate'],
  ];
  for (const verb of verbs) {
    const ended: Ended = await thief.weft(verb);
    assert.equal(ended.status, 4, ended.err);
    assert.match(ended.err, /does not hold the root/);
  }
  assert.equal(await beta.stateOf(gamma.name), 'alive');
  const ping = await mesh.run(1, ['ping', '-c', '1', '-W', '3', await overlayOf(gamma)]);
  assert.equal(ping.status, 0, ping.out);
});

test('the mesh of the new root goes on after a restart of everybody', async () => {
  const members = mesh.hosts.slice(1);
  for (const host of members) await host.stop();
  for (const host of members) host.start(['run']);
  for (const host of members) await host.ready();
  await mesh.converged();
  const rootsNow = (): Promise<RootsReport> => mesh.host(1).api.get<RootsReport>('/v1/roots');
  // What hangs on the old root is renewed a moment after the start, not before the sessions.
  await until('new certificates of all', { timeoutMs: 20_000 }, async () =>
    (await rootsNow()).waiting.length === 0 ? true : null,
  );
  assert.equal((await rootsNow()).roots.length, 2);
});
