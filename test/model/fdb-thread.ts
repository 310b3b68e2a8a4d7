/**
 * One thread of fdb-threads.test.ts: a writer that learns, pins and sweeps, or the reader. An address is bound to few ports
 * by its number, so that a port that does not belong to the address it was found under is a torn read. The addresses past
 * ADDRESSES are pinned again and again by both writers.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Fdb, type FdbMemory, LEARN } from '../../agent/datapath/fdb.ts';
import type { DuplicateRule } from '../../agent/datapath/fdb-moves.ts';

export const ADDRESSES = 4096;
export const THREADS = 3;
export const PINNED = 16;
export const FAMILIES = 16;
/** Each family of addresses has a port for each writer. */
export const PORTS = FAMILIES * 2;
export const AGEING_SEC = 50;

export interface ThreadTask {
  readonly memory: FdbMemory;
  readonly generations: Int32Array;
  /** 0 or 1 writes, 2 reads. */
  readonly role: number;
  readonly steps: number;
  /** With a freeze after few moves, or none at all. */
  readonly duplicates: DuplicateRule;
  /** One word: how many threads are ready. */
  readonly ready: Int32Array;
}

export interface ThreadResult {
  readonly role: number;
  readonly torn: number;
  readonly found: number;
  readonly added: number;
  readonly moved: number;
  readonly evicted: number;
  /** Claims that were refused. */
  readonly frozen: number;
  /** Pins that were refused. */
  readonly unpinned: number;
}

const ALONE = { local: null, here: -1 } as const;

export const hiOf = (address: number): number => (address * 40503) & 0xffff;
export const loOf = (address: number): number => Math.imul(address + 1, 0x9e3779b1);
export const familyOf = (address: number): number => address % FAMILIES;

/** Nobody begins before all are there, or one could be done before the others have begun. */
function meet(ready: Int32Array): void {
  Atomics.add(ready, 0, 1);
  Atomics.notify(ready, 0);
  for (let n = Atomics.load(ready, 0); n < THREADS; n = Atomics.load(ready, 0)) Atomics.wait(ready, 0, n);
}

/** Steps of xorshift, so that the threads need no memory and no clock. */
function work(task: ThreadTask): ThreadResult {
  const { memory, generations, role, steps, ready, duplicates } = task;
  meet(ready);
  const fdb = new Fdb({
    memory,
    generations,
    ageingSec: AGEING_SEC,
    perPortLimit: 1 << 20,
    duplicates,
    ...ALONE,
  });
  const counts = new Float64Array(8);
  let torn = 0;
  let found = 0;
  let unpinned = 0;
  let random = 0x12345 + role * 7919;
  for (let i = 0; i < steps; i++) {
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    const address = (random >>> 8) % ADDRESSES;
    const second = Math.floor(i / 20_000);
    if (role === 2) {
      const port = fdb.lookup(0, hiOf(address), loOf(address), second);
      if (port >= 0) found++;
      if (port >= 0 && port >> 1 !== familyOf(address)) torn++;
      if (i % 2000 === 0) Atomics.add(generations, (i / 2000) % PORTS, 1);
    } else {
      const code = fdb.learn(0, hiOf(address), loOf(address), familyOf(address) * 2 + role, second);
      counts[code] = (counts[code] ?? 0) + 1;
      if (i % 500 === 0) fdb.sweep(second, () => true);
      const pinned = ADDRESSES + (i % PINNED);
      if (!fdb.pin(0, hiOf(pinned), loOf(pinned), familyOf(pinned) * 2 + role, second)) unpinned++;
    }
  }
  const count = (code: number): number => counts[code] ?? 0;
  return {
    role,
    torn,
    found,
    added: count(LEARN.added),
    moved: count(LEARN.moved),
    evicted: count(LEARN.evicted),
    frozen: count(LEARN.froze) + count(LEARN.frozen),
    unpinned,
  };
}

if (parentPort !== null) parentPort.postMessage(work(workerData as ThreadTask));
