/** The root of a mesh is replaced while traffic goes on, and once more by the recovery key when its host is gone. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { EventsReport, PolicyReport, StatusReport } from '../../agent/control/api-types.ts';
import type { RootChangeReport, RootsReport } from '../../agent/control/root-types.ts';
import type { Host } from '../../agent/lab/host.ts';
import { delay, until } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from './mesh.ts';

let mesh: Mesh;
let early: string;
before(async () => {
  mesh = await Mesh.underlay({ hosts: 6, recovery: true });
  await mesh.init();
  await mesh.join([1, 2, 3].map((at) => mesh.host(at)));
  await mesh.converged();
  early = await mesh.token();
});
after(() => mesh?.remove());

const rootsOf = (host: Host): Promise<RootsReport> => host.api.get<RootsReport>('/v1/roots');

const policyReaches = (at: number, seq: number): Promise<PolicyReport> =>
  until(`policy ${seq} on host${at + 1}`, { timeoutMs: 30_000, everyMs: 50 }, async () => {
    const policy = await mesh.host(at).api.get<PolicyReport>('/v1/policy');
    return policy.seq >= seq ? policy : null;
  });

const pings = async (from: number, to: number): Promise<void> => {
  const target = await overlayOf(mesh.host(to));
  const ping = await mesh.run(from, ['ping', '-c', '1', '-W', '3', target]);
  assert.equal(ping.status, 0, ping.out);
};

const joins = (host: Host, file: string): void =>
  host.start(['up', '--token-file', file, '--name', host.name, '--underlay', host.node.address]);

async function comesBack(host: Host): Promise<void> {
  host.start(['run']);
  await host.ready();
}

const mayAdmit = (at: number): Promise<true> =>
  until('the right to admit', { timeoutMs: 15_000 }, async () =>
    (await mesh.host(at).api.get<StatusReport>('/v1/status')).admitter ? true : null,
  );

test('init wrote a recovery key that only its owner reads, says what it is, and warns without one', async () => {
  assert.match(readFileSync(mesh.recoveryPath, 'utf8'), /^weftrecovery1_[\w-]{92}\n$/);
  assert.equal(statSync(mesh.recoveryPath).mode & 0o777, 0o600);
  const without = await mesh.host(5).weft(['init', '--name', 'x', '--underlay', mesh.host(5).node.address]);
  assert.match(without.err, /warning: no recovery key: .*mesh-root\.key.*--recovery-out FILE/);
  rmSync(mesh.host(5).stateDir, { recursive: true });
  const again = await mesh
    .host(5)
    .weft(['init', '--name', 'x', '--recovery-out', mesh.recoveryPath, '--underlay', '192.0.2.1']);
  assert.equal(again.status, 78);
  assert.match(again.err, /--recovery-out .*exists/);
  const kinds = (await rootsOf(mesh.host(1))).roots.map(({ kind, here }) => [kind, here]);
  assert.deepEqual(kinds, [
    ['root', false],
    ['recovery', false],
  ]);
});

test('the root is rotated under traffic without a loss, and a host that was down comes back a member', async () => {
  const before = await rootsOf(mesh.host(0));
  await mesh.host(0).weftOk(['revoke', 'name', 'nobody']);
  await mesh.host(3).stop();
  // A right that waits for it is of the old root then.
  await mesh.host(0).weftOk(['admitter', 'add', 'host4']);
  const target = await overlayOf(mesh.host(2));
  const traffic = mesh.run(1, ['ping', '-i', '0.01', '-c', '800', '-q', target], { timeoutMs: 60_000 });
  await delay(1000);
  const denied = await mesh.host(1).weft(['root', 'rotate']);
  assert.equal(denied.status, 4);
  const startedMs = performance.now();
  const report = JSON.parse(await mesh.host(0).weftOk(['root', 'rotate', '--json'])) as RootChangeReport;
  const tookMs = performance.now() - startedMs;
  assert.deepEqual([report.state, report.waiting, report.policySeq], ['done', [], 3]);
  console.log(`rotated in ${Math.round(tookMs)} ms; ${(await traffic).out.match(/\d+ packets.*/)?.[0]}`);
  assert.match((await traffic).out, /, 0% packet loss/);
  for (const at of [1, 2]) await policyReaches(at, 3);
  const roots = await rootsOf(mesh.host(0));
  assert.notEqual(roots.roots[0]?.id, before.roots[0]?.id);
  assert.deepEqual(
    roots.roots.map(({ kind, newest, here }) => [kind, newest, here]),
    [
      ['root', true, true],
      ['recovery', false, false],
    ],
  );
  await comesBack(mesh.host(3));
  await mesh.converged();
  await policyReaches(3, 3);
  await until('its certificate', { timeoutMs: 30_000 }, async () =>
    (await rootsOf(mesh.host(0))).waiting.length === 0 ? true : null,
  );
  await mayAdmit(3);
  await pings(3, 2);
  const told = await mesh.host(3).api.get<{ revocations: { what: string }[] }>('/v1/revocations');
  assert.deepEqual(
    told.revocations.map(({ what }) => what),
    ['nobody'],
    'what the old root revoked stays revoked',
  );
});

test('a token of the old root is refused, one that names an older policy still admits', async () => {
  const file = await mesh.token();
  for (const leeway of ['9m', '8m', '7m']) await mesh.host(0).weftOk(['policy', 'set', '--leeway', leeway]);
  const host = mesh.host(4);
  const args = ['up', '--token-file', early, '--name', host.name, '--underlay', host.node.address];
  const refused = await host.weft(args, { timeoutMs: 60_000 });
  assert.equal(refused.status, 4, refused.err);
  assert.match(refused.err, /refused/);
  joins(host, file);
  await host.ready();
  await mesh.converged();
  assert.equal((await policyReaches(4, 6)).seq, 6);
});

test('a rotation that is killed at any moment goes on when it is given again', async () => {
  const host = mesh.host(0);
  for (const afterMs of [0, 60, 120, 250, 500, 900]) {
    const { roots } = await rootsOf(host);
    const verb = host.weft(['root', 'rotate']);
    await delay(300 + afterMs);
    await host.kill();
    await verb;
    await comesBack(host);
    const startedMs = performance.now();
    const again = await host.weftOk(['root', 'rotate', '--json'], { timeoutMs: 60_000 });
    const tookMs = performance.now() - startedMs;
    const report = JSON.parse(again) as RootChangeReport;
    assert.deepEqual([report.state, report.waiting], ['done', []]);
    console.log(`killed after ${300 + afterMs} ms; given again, it took ${Math.round(tookMs)} ms`);
    const now = await rootsOf(host);
    assert.deepEqual(
      now.roots.map(({ kind, here }) => [kind, here]),
      [
        ['root', true],
        ['recovery', false],
      ],
    );
    assert.notEqual(now.roots[0]?.id, roots[0]?.id);
  }
  await mesh.converged();
  await pings(1, 0);
});

test('a root that restarts and knows nobody yet waits for the hosts it let in before an older root ends', async () => {
  const host = mesh.host(0);
  // Their certificates are of this root then, and none of those that were given with a token.
  await host.weftOk(['root', 'rotate'], { timeoutMs: 60_000 });
  await host.kill();
  // As after a power cut, or from a backup: what is known of the others is older than their certificates, or gone.
  rmSync(join(host.stateDir, 'members.bin'));
  await comesBack(host);
  const report = JSON.parse(await host.weftOk(['root', 'rotate', '--json'], { timeoutMs: 60_000 }));
  assert.deepEqual([report.state, report.waiting], ['done', []]);
  await mesh.converged();
  for (const other of mesh.running) if (other !== host) await pings(0, mesh.hosts.indexOf(other));
});

/** Sessions between all of these; whoever was killed is not waited for. */
async function connected(indexes: readonly number[]): Promise<void> {
  const hosts = indexes.map((at) => mesh.host(at));
  for (const host of hosts)
    await until(`sessions of ${host.name}`, { timeoutMs: 30_000 }, async () => {
      const up = (await host.peers()).flatMap(({ name, state }) => (state === 'up' ? name : []));
      return hosts.every((other) => other === host || up.includes(other.name)) ? true : null;
    });
}

test('a mesh whose first host burnt down goes on under a root of another host, and nobody joins again', async () => {
  await mesh.host(3).stop();
  await mesh.host(0).kill();
  rmSync(mesh.host(0).stateDir, { recursive: true });
  const before = await mesh.host(1).api.get<PolicyReport>('/v1/policy');
  const wrong = await mesh.host(1).weft(['root', 'recover', '--key-file', early]);
  assert.match(wrong.err, /no recovery key/);
  const recover = ['root', 'recover', '--key-file', mesh.recoveryPath, '--json'];
  const report = JSON.parse(await mesh.host(1).weftOk(recover)) as RootChangeReport;
  assert.equal(report.state, 'done');
  assert.deepEqual(JSON.parse(await mesh.host(1).weftOk(recover)).policySeq, report.policySeq, 'is done');
  for (const at of [2, 4]) assert.ok((await policyReaches(at, before.seq + 2)).seq > before.seq);
  await pings(2, 4);
  await mesh.host(1).weftOk(['admitter', 'add', 'host3']);
  await mayAdmit(2);
  for (const at of [1, 2, 4]) await mesh.host(at).stop();
  for (const at of [1, 2, 3, 4]) mesh.host(at).start(['run']);
  for (const at of [1, 2, 3, 4]) await mesh.host(at).ready();
  await connected([1, 2, 3, 4]);
  await pings(3, 2);
  const file = `${mesh.folder}/after`;
  await mesh.host(1).weftOk(['token', 'create', '--out', file]);
  joins(mesh.host(5), file);
  await mesh.host(5).ready();
  await connected([1, 2, 3, 4, 5]);
  const askedMs = performance.now();
  await until('a new certificate of the host that was away', { timeoutMs: 10_000 }, async () => {
    const { events } = await mesh.host(3).api.get<EventsReport>('/v1/events?after=0');
    return events.some(({ type }) => type === 'renewal') ? true : null;
  });
  console.log(
    `its certificate came within ${Math.round(performance.now() - askedMs)} ms of the last session`,
  );
});
