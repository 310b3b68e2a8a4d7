/** Revoking a host in a real mesh: its traffic ends everywhere, for good, and it says so itself. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type {
  EventsReport,
  FdbReport,
  RevocationsReport,
  StatusReport,
} from '../../agent/control/api-types.ts';
import { until } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from './mesh.ts';

/** Within this the whole mesh has put a host out. */
const CUT_MS = 3000;

let mesh: Mesh;
let addresses: string[];
before(async () => {
  mesh = await Mesh.start({ hosts: 4 });
  addresses = await Promise.all(mesh.hosts.map((host) => overlayOf(host)));
});
after(() => mesh?.remove());

const pings = async (from: number, to: number): Promise<boolean> =>
  (await mesh.run(from, ['ping', '-c', '1', '-W', '1', addresses[to] ?? ''])).status === 0;

/** What a host still knows of another: nothing, once it is out. */
async function traces(at: number, name: string): Promise<string[]> {
  const host = mesh.host(at);
  const { entries } = await host.api.get<FdbReport>('/v1/fdb');
  const left: string[] = [];
  if (entries.some((entry) => entry.peer === name)) left.push('fdb');
  if ((await host.peers()).some((peer) => peer.name === name)) left.push('peer');
  if ((await host.members()).some((member) => member.name === name)) left.push('member');
  return left;
}

const forgotten = (at: number, name: string, timeoutMs: number): Promise<true> =>
  until(`${name} put out by host${at + 1}`, { timeoutMs, everyMs: 20 }, async () =>
    (await traces(at, name)).length === 0 ? true : null,
  );

test('only a host with the right can revoke, and only what there is', async () => {
  const denied = await mesh.host(1).weft(['revoke', 'node', mesh.host(2).name, '--yes']);
  assert.equal(denied.status, 4);
  assert.match(denied.err, /may not revoke/);
  assert.equal((await mesh.host(0).weft(['revoke', 'node', 'nobody', '--yes'])).status, 5);
  assert.equal((await mesh.host(0).weft(['revoke', 'node', mesh.host(0).name, '--yes'])).status, 4);
});

test('a revoked host is out everywhere within 3 s, and says so itself', async () => {
  const name = mesh.host(3).name;
  for (const from of [0, 1, 2]) assert.ok(await pings(from, 3), `before, from host ${from + 1}`);
  assert.deepEqual(await traces(1, name), ['fdb', 'peer', 'member']);
  const report = JSON.parse(
    await mesh.host(0).weftOk(['revoke', 'node', name, '--reason', 'stolen', '--yes', '--json']),
  );
  assert.deepEqual([report.kind, report.what, report.reason, report.hosts], ['node', name, 'stolen', [name]]);
  await Promise.all([0, 1, 2].map((at) => forgotten(at, name, CUT_MS)));
  // From the statement, not from the start of the program that asked for it.
  const tookMs = Date.now() - report.revokedAt;
  assert.ok(tookMs < CUT_MS, `${Math.round(tookMs)} ms`);
  const revoked = mesh.host(3);
  // It answers for 5 s more.
  const status = await until('status of the revoked host', { timeoutMs: CUT_MS, everyMs: 50 }, async () => {
    const seen = await revoked.api.get<StatusReport>('/v1/status');
    return seen.state === 'revoked' ? seen : null;
  });
  for (const from of [0, 1, 2]) assert.equal(await pings(from, 3), false, `after, from host ${from + 1}`);
  assert.match(status.problems.join(), /was revoked at .*: stolen; to join anew/);
  await until('end of the revoked host', { timeoutMs: 20_000 }, () => revoked.exitStatus);
  assert.equal(revoked.exitStatus, 4);
  assert.match(revoked.log(), /this host was revoked/);
  const again = await revoked.weft(['run']);
  assert.equal(again.status, 4);
  assert.match(again.err, /was revoked at .*: stolen/);
});

test('every host keeps it: list, events, metrics, and after a restart of all', async () => {
  const name = mesh.host(3).name;
  for (const host of mesh.hosts.slice(0, 3)) {
    const { events } = await host.api.get<EventsReport>('/v1/events?after=0');
    assert.ok(
      events.some((event) => event.type === 'revocation' && event.subject === name),
      host.name,
    );
  }
  for (const at of [0, 1, 2]) assert.equal(await mesh.metric(at, 'weft_revocations', { kind: 'node' }), 1);
  for (const host of mesh.hosts.slice(0, 3)) await host.stop();
  for (const host of mesh.hosts.slice(0, 3)) host.start(['run']);
  await mesh.converged();
  for (const host of mesh.hosts.slice(0, 3)) {
    const { revocations } = await host.api.get<RevocationsReport>('/v1/revocations');
    assert.deepEqual(
      revocations.map((r) => [r.kind, r.what]),
      [['node', name]],
    );
  }
});

test('one who was off when it was revoked hears it when it comes back, and gets nowhere', async () => {
  const name = mesh.host(2).name;
  await mesh.host(2).stop();
  await mesh.host(0).weftOk(['revoke', 'node', name, '--yes']);
  await forgotten(1, name, CUT_MS);
  // Neither does a restart of those who knew its keys change that.
  await mesh.host(1).stop();
  mesh.host(1).start(['run']);
  await mesh.host(1).ready();
  mesh.host(2).start(['run']);
  await until('end of the revoked host', { timeoutMs: 30_000 }, () => mesh.host(2).exitStatus);
  assert.equal(mesh.host(2).exitStatus, 4);
  assert.match(mesh.host(2).log(), /this host was revoked/);
  assert.ok(
    (await mesh.metric(0, 'weft_dropped_frames_total', { reason: 'revoked' })) +
      (await mesh.metric(1, 'weft_dropped_frames_total', { reason: 'revoked' })) >
      0,
  );
  for (const at of [0, 1]) assert.deepEqual(await traces(at, name), []);
  assert.ok(await pings(0, 1), 'the others go on');
});
