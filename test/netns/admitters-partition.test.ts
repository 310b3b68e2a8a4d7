/**
 * Two admitters that cannot see each other give the one use of a token to a host each. When they meet both hosts stay, everybody
 * says so, and nobody else gets in with the token.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { EventsReport } from '../../agent/control/api-types.ts';
import { until } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { reachable } from './programs.ts';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.underlay({ hosts: 5 });
  await mesh.init();
  await mesh.join([mesh.host(1)]);
  await mesh.converged();
  await mesh.host(0).weftOk(['admitter', 'add', 'host2']);
});
after(() => mesh?.remove());

/** Each host of one side and each of the other. */
const CUT = [0, 2].flatMap((a) => [1, 3].flatMap((b) => [[a, b] as const, [b, a] as const]));

async function route(verb: 'add' | 'delete'): Promise<void> {
  for (const [a, b] of CUT) {
    const [from, to] = [mesh.host(a).node.address, mesh.host(b).node.address];
    await mesh.inRouter(['ip', 'rule', verb, 'from', from, 'to', to, 'blackhole']);
  }
}

const up = (index: number, file: string): void => {
  const { name, node } = mesh.host(index);
  mesh.host(index).start(['up', '--token-file', file, '--name', name, '--underlay', node.address]);
};

test('two halves give one use twice; when they meet both hosts stay, and it is told', async () => {
  const file = await mesh.token(['--count', 'each', '--uses', '1']);
  await route('add');
  up(2, file);
  up(3, file);
  await mesh.host(2).ready();
  await mesh.host(3).ready();
  const addresses = [await overlayOf(mesh.host(2)), await overlayOf(mesh.host(3))];
  assert.notEqual(
    addresses[0],
    addresses[1],
    'admitters that do not see each other give different addresses',
  );
  for (const at of [0, 1]) assert.equal(await mesh.metric(at, 'weft_admission_overuse_total'), 0);
  await route('delete');
  await mesh.converged(60_000);
  for (const at of [0, 1])
    await until(`overuse as host${at + 1} sees it`, { timeoutMs: 15_000 }, async () =>
      (await mesh.metric(at, 'weft_admission_overuse_total')) === 1 ? true : null,
    );
  for (const at of [0, 1]) {
    const { events } = await mesh.host(at).api.get<EventsReport>('/v1/events?after=0');
    const overuse = events.filter(({ type }) => type === 'overuse');
    assert.equal(overuse.length, 1);
    assert.match(
      `${overuse[0]?.subject} ${overuse[0]?.text}`,
      /host[34] has use 1 of token .* as host[34] has/,
    );
    for (const name of ['host3', 'host4']) assert.equal(await mesh.host(at).stateOf(name), 'alive');
  }
  await reachable(mesh.host(2).node.namespace, addresses[1] ?? '');
  const late = mesh.host(4);
  const args = ['up', '--token-file', file, '--name', late.name, '--underlay', late.node.address];
  assert.match((await late.weft(args, { timeoutMs: 60_000 })).err, /used up: 1 of 1 uses/);
});

test('what was told once is not told again after a restart, and the use stays used', async () => {
  for (const at of [0, 1]) {
    await mesh.host(at).stop();
    mesh.host(at).start(['run']);
    await mesh.host(at).ready();
  }
  await mesh.converged();
  for (const at of [0, 1]) assert.equal(await mesh.metric(at, 'weft_admission_overuse_total'), 0);
});

test('a joiner whose address is outside the networks of its token is refused, also through a seed', async () => {
  const far = await mesh.token(['--underlay', '192.0.2.0/24', '--seed', 'host3']);
  const late = mesh.host(4);
  const args = (file: string): string[] => [
    ...['up', '--token-file', file, '--name', late.name],
    ...['--underlay', late.node.address],
  ];
  const refused = await late.weft(args(far), { timeoutMs: 60_000 });
  assert.match(refused.err, /lets hosts in from 192\.0\.2\.0\/24 only, not from 10\.89\.5\.2/);
  // A seed asks again when an answer takes longer than a second.
  assert.ok((await mesh.metric(0, 'weft_admission_requests_total', { result: 'underlayNotAllowed' })) >= 1);
  assert.equal(await mesh.host(0).stateOf(late.name), null);
  const near = await mesh.token(['--underlay', `${late.node.address}/32`, '--seed', 'host3']);
  up(4, near);
  await late.ready();
});
