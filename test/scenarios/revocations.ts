/** Trust that is taken away while frames flow: from a host, from a token's hosts, and while the mesh is in two halves. */
import type { RevokeRequest } from '../../agent/control/api-types.ts';
import { delay } from '../../agent/lab/wait.ts';
import { Mesh, type MeshOptions } from '../netns/mesh.ts';
import { partition } from './faults.ts';
import { must, type Scenario, type Values, type World } from './scenario.ts';
import { monotonicMs, type Stream, type StreamReport } from './stream.ts';

const CONNECTED_MS = 5000;
const HEALED_MS = 2000;

/** How long after `eventMs` the last datagram arrived; 0 if none came after it. */
const lastAfterMs = (report: StreamReport, eventMs: number): number =>
  Math.max(0, (report.arrivals.at(-1)?.atMs ?? 0) - eventMs);

/** Stops them all; how long after `eventMs` the last datagram of any arrived, and how many had come in all. */
async function lastOf(
  world: World,
  streams: readonly Stream[],
  eventMs: number,
): Promise<{ readonly lastMs: number; readonly arrived: number }> {
  const reports = await Promise.all(streams.map((stream) => world.stop(stream)));
  return {
    lastMs: Math.max(...reports.map((report) => lastAfterMs(report, eventMs))),
    arrived: Math.min(...reports.map(({ received }) => received)),
  };
}

async function isOut(world: World, by: readonly number[], names: readonly string[]): Promise<boolean> {
  for (const i of by)
    for (const { name } of await world.mesh.host(i).members()) if (names.includes(name)) return false;
  return true;
}

/** What host 1 revokes, and whom that puts out. Streams run from each of them to host 1. */
async function revokeAndWatch(
  world: World,
  { kind, what }: Pick<RevokeRequest, 'kind' | 'what'>,
  out: readonly number[],
): Promise<Values> {
  const streams = await Promise.all(out.map((i) => world.stream(i, 0)));
  await delay(1000);
  const eventMs = monotonicMs();
  // As `weft revoke` does, without the time that a process takes to start.
  await world.mesh.host(0).api.send('POST', '/v1/revocations', { kind, what, reason: '', keep: [] });
  const names = out.map((i) => world.mesh.host(i).name);
  const stay = world.all().filter((i) => !out.includes(i));
  await world.timed('out for all', 20_000, () => isOut(world, stay, names));
  const outMs = monotonicMs() - eventMs;
  await world.timed('end of the revoked', 20_000, async () =>
    out.every((i) => world.mesh.host(i).exitStatus === 4),
  );
  await delay(world.amount(4, 1) * 1000);
  const { lastMs, arrived } = await lastOf(world, streams, eventMs);
  const values = { 'last frame ms': lastMs, 'out for all ms': outMs };
  must(arrived > 500, 'the streams did not flow before', values);
  must(lastMs <= CONNECTED_MS && outMs <= CONNECTED_MS, 'too late', values);
  must(await world.isWhole(stay), 'the others are not whole', values);
  return values;
}

const node: Scenario = {
  number: '30a',
  title: 'a host is revoked while it sends 1,000 datagrams/s',
  criterion: 'its last frame within 5 s; it ends with status 4; the others are whole',
  mesh: { hosts: 4 },
  isFresh: true,
  run: (world) => revokeAndWatch(world, { kind: 'node', what: world.mesh.host(3).name }, [3]),
};

const token: Scenario = {
  number: '30b',
  title: 'the token of three hosts is revoked, while all of them send to its creator',
  criterion: 'their last frames within 5 s; they end with status 4',
  mesh: { hosts: 4 },
  isFresh: true,
  run(world) {
    const [id = ''] = world.mesh.tokenIds;
    return revokeAndWatch(world, { kind: 'token', what: id }, [1, 2, 3]);
  },
};

/**
 * What hosts 1 and 2 revoke while they do not hear the others, and whom that puts out among these. Streams run from each of
 * them to `to`, which stays, in its half.
 */
async function revokeApart(
  world: World,
  args: readonly string[],
  { out, to }: { readonly out: readonly number[]; readonly to: number },
): Promise<Values> {
  const { mesh } = world;
  const here = [0, 1];
  const there = world.all().slice(here.length);
  const streams = await Promise.all(out.map((i) => world.stream(i, to)));
  await world.rules(partition(world, here, there));
  const dead = async (at: number, of: number): Promise<boolean> =>
    (await mesh.host(at).stateOf(mesh.host(of).name)) === 'dead';
  await world.timed('a partition', 40_000, async () => (await dead(0, to)) && (await dead(to, 0)));
  await mesh.host(0).weftOk(['revoke', ...args, '--yes']);
  await delay(2000);
  await world.rules('');
  const openMs = monotonicMs();
  await world.timed('a word between the halves', 40_000, async () => {
    const seen = await Promise.all(here.map((i) => mesh.host(to).stateOf(mesh.host(i).name)));
    return seen.includes('alive');
  });
  const healedMs = monotonicMs();
  await world.timed('end of the revoked', 20_000, async () =>
    out.every((i) => mesh.host(i).exitStatus === 4),
  );
  await delay(1000);
  const { lastMs, arrived } = await lastOf(world, streams, healedMs);
  const values = { 'halves met ms': healedMs - openMs, 'last frame ms': lastMs };
  must(arrived > 500, 'the streams did not flow before', values);
  must(lastMs <= HEALED_MS, 'too late', values);
  const stay = world.all().filter((i) => !out.includes(i));
  await world.timed('a whole mesh of the others', 20_000, () => world.isWhole(stay));
  return values;
}

const apart: Scenario = {
  number: '30c',
  title: 'a host is revoked by the other half of a partition, while it sends inside its own half',
  criterion:
    'its last frame within 2 s of the first word between the halves; it ends with status 4; the others are whole',
  mesh: { hosts: 4 },
  isFresh: true,
  run: (world) => revokeApart(world, ['node', world.mesh.host(3).name], { out: [3], to: 2 }),
};

/** Host 3 admits hosts 4 and 5. */
async function admittedByThird(options: MeshOptions): Promise<Mesh> {
  const mesh = await Mesh.underlay(options);
  try {
    await mesh.init();
    await mesh.join(mesh.hosts.slice(1, 3));
    await mesh.converged();
    const admitter = mesh.host(2).name;
    await mesh.host(0).weftOk(['admitter', 'add', admitter]);
    const file = await mesh.token(['--count', 'each', '--uses', '2', '--seed', admitter]);
    for (const host of mesh.hosts.slice(3)) {
      host.start(['up', '--token-file', file, '--name', host.name, '--underlay', host.node.address]);
      await host.ready();
    }
    await mesh.converged();
    return mesh;
  } catch (error) {
    await mesh.remove();
    throw error;
  }
}

const admitterApart: Scenario = {
  number: '30d',
  title:
    'an admitter is revoked by the other half of a partition, with one of the two hosts that it let in; both send inside their own half',
  criterion:
    'their last frames within 2 s of the first word between the halves; they end with status 4; the others are whole, the host that was kept too',
  mesh: { hosts: 5 },
  begin: admittedByThird,
  isFresh: true,
  run(world) {
    const [, , admitter, kept] = world.mesh.hosts.map(({ name }) => name);
    const args = ['admitter', admitter ?? '', '--keep', kept ?? ''];
    return revokeApart(world, args, { out: [2, 4], to: 3 });
  },
};

export const REVOCATIONS: readonly Scenario[] = [node, token, apart, admitterApart];
