/** Two writers and a reader on one forwarding database, each a thread of its own, ten million steps together. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { createFdbMemory, ENTRY_STRIDE } from '../../agent/datapath/fdb.ts';
import { FDB_STATIC, NO_FREEZE } from '../../agent/datapath/fdb-moves.ts';
import {
  ADDRESSES,
  familyOf,
  hiOf,
  loOf,
  PINNED,
  PORTS,
  THREADS,
  type ThreadResult,
  type ThreadTask,
} from './fdb-thread.ts';

/** Of both runs together. */
const STEPS = 10_000_000;
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const THREAD = new URL(`./fdb-thread${extension}`, import.meta.url);

async function run(task: ThreadTask): Promise<ThreadResult> {
  const [result] = (await once(new Worker(THREAD, { workerData: task }), 'message')) as [ThreadResult];
  return result;
}

for (const [what, duplicates] of [
  ['addresses that move at will', NO_FREEZE],
  ['addresses that are frozen when they move', { moves: 2, windowSec: 20, freezeSec: 20 }],
] as const)
  test(`of ${what} no reader ever sees half of an entry, and the counts by port are exact when all is done`, async (t) => {
    // Half as many places as addresses, so that eviction is frequent.
    const memory = createFdbMemory(ADDRESSES / 2, PORTS);
    const generations = new Int32Array(new SharedArrayBuffer(PORTS * 4));
    const steps = Math.ceil(STEPS / THREADS);
    const ready = new Int32Array(new SharedArrayBuffer(4));
    const startMs = performance.now();
    const results = await Promise.all(
      [0, 1, 2].map((role) => run({ memory, generations, role, steps, ready, duplicates })),
    );
    t.diagnostic(`${STEPS} steps in ${Math.round(performance.now() - startMs)} ms`);
    const [first, second, reader] = results;
    assert.ok(first && second && reader);
    for (const writer of [first, second]) {
      assert.equal(writer.unpinned, 0, 'the other writer is waited for');
      assert.ok(writer.added > 1000 && writer.moved > 1000 && writer.evicted > 1000, JSON.stringify(writer));
    }
    // Which of them is refused depends on which was put off the CPU.
    const refused = first.frozen + second.frozen;
    if (duplicates === NO_FREEZE) assert.equal(refused, 0);
    else assert.ok(refused > 1000, `${refused} claims refused`);
    assert.ok(reader.found > steps / 100, `${reader.found} found`);
    assert.equal(reader.torn, 0);

    const known = new Map(
      Array.from({ length: ADDRESSES + PINNED }, (_, a) => [`${hiOf(a)} ${loOf(a)}`, familyOf(a)]),
    );
    const { words, perPort } = memory;
    const counted = new Array<number>(PORTS).fill(0);
    for (let at = 0; at < words.length; at += ENTRY_STRIDE) {
      assert.equal(words[at]! & 1, 0, 'no writer is left inside an entry');
      if (words[at + 1] === 0) continue;
      counted[words[at + 4]!]!++;
      assert.equal(known.get(`${words[at + 2]} ${words[at + 3]}`), words[at + 4]! >> 1, 'a whole entry');
    }
    assert.deepEqual([...perPort], counted);
    const statics = Array.from(words).filter((flags, i) => i % ENTRY_STRIDE === 7 && flags === FDB_STATIC);
    assert.equal(statics.length, PINNED, 'each pinned address has one entry');
  });
