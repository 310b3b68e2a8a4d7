/**
 * What every combination of the matrix has to carry: TCP, UDP datagram by datagram, and UDP in super-frames, over IPv4 and
 * IPv6, compared byte for byte. Used by the offload-*.test.ts.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { type Mesh, overlayOf } from './mesh.ts';
import { allCombinations, type Combination, offloadConfig, pairwise } from './offload-switches.ts';
import { reachable } from './programs.ts';
import { type Transfer, transfer } from './traffic.ts';

/** `npm run test:matrix`: all combinations, 100 MB in each transfer. */
export const FULL = process.env.WEFT_MATRIX === 'full';
const BYTES = FULL ? 100_000_000 : 10_000_000;
const DATAGRAM_BYTES = 1200;
/** Datagrams of one UDP_SEGMENT send. */
const SEGMENTS = 40;

/** `WEFT_MATRIX_PART=2/3`: of all combinations the second third, for several machines or evenings. */
const [PART = 0, PARTS = 0] = (process.env.WEFT_MATRIX_PART ?? '1/1').split('/').map(Number);
// A part that does not exist has no rows, and would pass.
assert.ok(
  PART >= 1 && PART <= PARTS,
  `WEFT_MATRIX_PART=${process.env.WEFT_MATRIX_PART}: as 2/3, the first from 1 to the second`,
);

export const combinations = (switches: number): Combination[] =>
  FULL ? allCombinations(switches).filter((_, i) => i % PARTS === PART - 1) : pairwise(switches);

export interface End {
  readonly namespace: string;
  readonly addresses: readonly string[];
}

/** @param part of the usual amount */
export async function exchange(from: End, to: End, seed: number, part = 1): Promise<void> {
  const bytes = BYTES * part;
  for (const address of to.addresses) {
    await reachable(from.namespace, address, 20_000);
    const ends = { from: from.namespace, to: to.namespace, address, seed, size: DATAGRAM_BYTES } as const;
    await identical({ ...ends, kind: 'tcp', bytes });
    // One system call each: enough to see every path that single datagrams take.
    await identical({ ...ends, kind: 'udp', bytes: bytes / 10 });
    await identical({ ...ends, kind: 'udp', bytes, extra: SEGMENTS });
  }
}

async function identical(options: Transfer): Promise<void> {
  const { sent, received } = await transfer(options);
  const what = `${options.kind} to ${options.address}`;
  assert.ok(received.bytes >= options.bytes, `${what}: ${received.bytes} bytes`);
  assert.deepEqual([received.bytes, received.digest], [sent.bytes, sent.digest], what);
  if (options.kind === 'udp') assert.deepEqual([received.corrupted, received.duplicates], [0, 0], what);
}

/** IPv6 overlay address of a host. */
export const v6Of = (index: number): string => `fd80::${index + 1}`;

export async function addV6(mesh: Mesh, index: number, device: string): Promise<void> {
  await mesh.runOk(index, ['ip', 'address', 'replace', `${v6Of(index)}/64`, 'dev', device, 'nodad']);
}

/** What the agents of a mesh were last started with, by host. */
const runningWith = new WeakMap<Mesh, string[]>();

/** Starts the agents of the first hosts again, each with switches of its own; one that has them already goes on. */
export async function restart(mesh: Mesh, settings: readonly Combination[]): Promise<End[]> {
  const hosts = mesh.hosts.slice(0, settings.length);
  const before = runningWith.get(mesh) ?? [];
  // Both libraries at both ends, in every pairing, over the combinations.
  const wanted = settings.map((mine, i) =>
    offloadConfig(mine, (i + mine.filter(Boolean).length) % 2 === 1 ? 'on' : 'off'),
  );
  const changed = hosts.map((_, i) => i).filter((i) => before[i] !== wanted[i]);
  runningWith.set(mesh, wanted);
  await Promise.all(changed.map((i) => mesh.host(i).stop()));
  for (const i of changed) {
    const host = mesh.host(i);
    // All hosts share one file, and each reads it when it starts.
    writeFileSync(mesh.configPath, wanted[i] ?? '');
    host.start(['run']);
    await host.ready();
    await addV6(mesh, i, 'weft0');
  }
  await mesh.converged();
  return Promise.all(
    hosts.map(async (host, i) => ({
      namespace: host.node.namespace,
      addresses: [await overlayOf(host), v6Of(i)],
    })),
  );
}
