/**
 * Several admitters in a real mesh: a member is promoted, also while it is off, admits and renews without the host that holds
 * the root, and is demoted again; the hosts that it let in stay.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { AdmitterChange, AdmittersReport, TokenReport } from '../../agent/control/admission-types.ts';
import type { EventsReport, MembersReport, StatusReport } from '../../agent/control/api-types.ts';
import type { Host } from '../../agent/lab/host.ts';
import { until } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { reachable } from './programs.ts';

/** Within this the whole mesh knows. */
const KNOWN_MS = 3000;

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.underlay({ hosts: 5 });
  await mesh.init();
  await mesh.join([mesh.host(1)]);
  await mesh.converged();
});
after(() => mesh?.remove());

const up = (host: Host, file: string): void =>
  host.start(['up', '--token-file', file, '--name', host.name, '--underlay', host.node.address]);

async function change(verb: 'add' | 'remove', name: string): Promise<AdmitterChange> {
  return JSON.parse(await mesh.host(0).weftOk(['admitter', verb, name, '--json']));
}

/** Names of those that may admit, as a host sees it. */
async function admitters(at: number): Promise<string[]> {
  const { admitters: all } = await mesh.host(at).api.get<AdmittersReport>('/v1/admitters');
  return all.filter(({ admits }) => admits).map(({ name }) => name);
}

const agreed = (at: number, names: readonly string[]): Promise<true> =>
  until(`admitters as host${at + 1} sees them`, { timeoutMs: KNOWN_MS, everyMs: 20 }, async () =>
    (await admitters(at)).join() === names.join() ? true : null,
  );

/** Which host admitted a member, by what hosts tell of themselves. */
const admittedBy = async (at: number, name: string): Promise<boolean> => {
  const { events } = await mesh.host(at).api.get<EventsReport>('/v1/events?after=0');
  return events.some(({ type, subject }) => type === 'admitted' && subject === name);
};

test('only the host with the root makes admitters, and only of members', async () => {
  const denied = await mesh.host(1).weft(['admitter', 'add', 'host2']);
  assert.equal(denied.status, 4);
  assert.match(denied.err, /does not hold the root/);
  assert.equal((await mesh.host(0).weft(['admitter', 'add', 'nobody'])).status, 5);
  assert.equal((await mesh.host(0).weft(['admitter', 'remove', 'host1'])).status, 4);
  assert.equal((await mesh.host(0).weft(['admitter', 'remove', 'host2'])).status, 4);
});

test('a member is an admitter as soon as the root says so, and everybody sees it', async () => {
  const report = await change('add', 'host2');
  assert.deepEqual([report.name, report.admits, report.delivered], ['host2', true, true]);
  for (const at of [0, 1]) await agreed(at, ['host1', 'host2']);
  const status = await mesh.host(1).api.get<StatusReport>('/v1/status');
  assert.equal(status.admitter, true);
  const { members } = await mesh.host(0).api.get<MembersReport>('/v1/members');
  assert.deepEqual(
    members.map(({ name, admitter }) => [name, admitter]),
    [
      ['host1', true],
      ['host2', true],
    ],
  );
  assert.equal(await mesh.metric(0, 'weft_admitters'), 2);
  assert.equal((await mesh.host(0).weft(['admitter', 'add', 'host2'])).status, 4, 'it is one already');
});

test('it remains one after a restart', async () => {
  await mesh.host(1).stop();
  mesh.host(1).start(['run']);
  await mesh.host(1).ready();
  await mesh.converged();
  assert.equal((await mesh.host(1).api.get<StatusReport>('/v1/status')).admitter, true);
});

let each: string;

test('without the host that holds the root a newcomer joins through the other admitter', async () => {
  const made = await mesh.host(0).weft(['token', 'create', '--count', 'each', '--uses', '2', '--json']);
  const report: TokenReport = JSON.parse(made.out);
  assert.deepEqual([report.count, report.bound, report.admitters], ['each', 4, ['host1', 'host2']]);
  assert.match(made.err, /at most 2 by each admitter that cannot see what the others admit, 4 in all/);
  assert.equal(report.seeds.length, 2);
  each = await mesh.token(['--count', 'each', '--uses', '2']);
  const strict = await mesh.token(['--seed', 'host2']);
  assert.equal(await mesh.host(0).stop(), 0);
  up(mesh.host(2), each);
  await mesh.host(2).ready();
  await reachable(mesh.host(1).node.namespace, await overlayOf(mesh.host(2)));
  assert.ok(await admittedBy(1, 'host3'));
  assert.equal(await mesh.metric(1, 'weft_admission_requests_total', { result: 'admitted' }), 1);
  // A name is held by whoever has it, whichever admitter is asked, and such a refusal takes no use.
  const host = mesh.host(4);
  for (const name of ['host1', 'host3']) {
    const taken = ['up', '--token-file', each, '--name', name, '--underlay', host.node.address];
    assert.match((await host.weft(taken, { timeoutMs: 60_000 })).err, /held by another host/);
  }
  const args = ['up', '--token-file', strict, '--name', host.name, '--underlay', host.node.address];
  // Exact counting has its price.
  const refused = await host.weft(args, { timeoutMs: 60_000 });
  assert.match(refused.err, /cannot reach host1, which counts this token/);
});

test('the host that was away agrees when it is back, and counts the use that it did not give', async () => {
  mesh.host(0).start(['run']);
  await mesh.host(0).ready();
  await mesh.converged();
  await reachable(mesh.host(0).node.namespace, await overlayOf(mesh.host(2)));
  up(mesh.host(3), each);
  await mesh.host(3).ready();
  await mesh.converged();
  const third = mesh.host(4);
  const args = ['up', '--token-file', each, '--name', third.name, '--underlay', third.node.address];
  const refused = await third.weft(args, { timeoutMs: 60_000 });
  assert.match(refused.err, /used up: 2 of 2 uses/);
  for (const at of [0, 1]) assert.equal(await mesh.metric(at, 'weft_admission_overuse_total'), 0);
});

test('a host that was an admitter admits nobody within 3 s, and whom it let in stays', async () => {
  const token = await mesh.token(['--count', 'each', '--seed', 'host2']);
  const report = await change('remove', 'host2');
  assert.deepEqual([report.admits, report.delivered, report.hosts], [false, true, []]);
  assert.ok(report.kept >= 1, 'the certificate of host3 is kept');
  for (const at of [0, 1, 2, 3]) await agreed(at, ['host1']);
  assert.equal((await mesh.host(1).api.get<StatusReport>('/v1/status')).admitter, false);
  for (const [from, to] of [
    [0, 2],
    [1, 2],
    [2, 1],
    [3, 2],
  ] as const)
    await reachable(mesh.host(from).node.namespace, await overlayOf(mesh.host(to)));
  // As a seed it passes on what it may not decide.
  up(mesh.host(4), token);
  await mesh.host(4).ready();
  assert.ok(await admittedBy(0, 'host5'));
  assert.ok(!(await admittedBy(1, 'host5')));
});

test('what was admitted and demoted holds after a restart of everybody', async () => {
  for (const host of mesh.hosts) await host.stop();
  for (const host of mesh.hosts) host.start(['run']);
  for (const host of mesh.hosts) await host.ready();
  await mesh.converged();
  for (const at of [0, 1, 2, 3, 4]) await agreed(at, ['host1']);
});

test('a host that is off is promoted when it is back, also if the one with the root restarted meanwhile', async () => {
  await mesh.host(1).stop();
  const report = await change('add', 'host2');
  assert.deepEqual([report.admits, report.delivered], [true, false]);
  await mesh.host(0).stop();
  mesh.host(0).start(['run']);
  await mesh.host(0).ready();
  const listed = JSON.parse(await mesh.host(0).weftOk(['admitter', 'list', '--json'])) as AdmittersReport;
  assert.equal(listed.admitters.find(({ name }) => name === 'host2')?.pending, 'add');
  mesh.host(1).start(['run']);
  await mesh.host(1).ready();
  await until('the right', { timeoutMs: 15_000 }, async () =>
    (await mesh.host(1).api.get<StatusReport>('/v1/status')).admitter ? true : null,
  );
  await agreed(0, ['host1', 'host2']);
  // And demoted while it is off: it hears that it may not before it is asked.
  await mesh.host(1).stop();
  assert.equal((await change('remove', 'host2')).delivered, false);
  mesh.host(1).start(['run']);
  await mesh.host(1).ready();
  await until('the ordinary certificate', { timeoutMs: 15_000 }, async () => {
    const { admitters: all } = await mesh.host(0).api.get<AdmittersReport>('/v1/admitters');
    return all.some(({ name }) => name === 'host2') ? null : true;
  });
  assert.equal((await mesh.host(1).api.get<StatusReport>('/v1/status')).admitter, false);
  await mesh.converged();
});
