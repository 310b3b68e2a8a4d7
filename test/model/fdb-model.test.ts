/**
 * The forwarding database against a Map that knows nothing of buckets, hashes or sequence locks. The model never evicts:
 * after each `learn` that says it evicted, the one entry that is gone is looked for and judged.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createFdbMemory, ENTRY_STRIDE, Fdb, type FdbMemory, LEARN } from '../../agent/datapath/fdb.ts';

const AGEING_SEC = 300;
const PORTS = 6;
const BUCKET = 8;

interface Held {
  readonly segment: number;
  readonly hi: number;
  readonly lo: number;
  port: number;
  generation: number;
  seen: number;
  pinned: boolean;
}

const keyOf = (segment: number, hi: number, lo: number): string => `${segment} ${hi} ${lo}`;

/** An Fdb and what it should hold. */
class Pair {
  readonly memory: FdbMemory;
  readonly generations = new Int32Array(PORTS);
  readonly fdb: Fdb;
  /** By address; what aged out or was flushed stays until `forget`. */
  readonly held = new Map<string, Held>();
  readonly limit: number;
  now = 1000;

  constructor(entries: number, limit: number) {
    this.memory = createFdbMemory(entries, PORTS);
    this.limit = limit;
    const { memory, generations } = this;
    this.fdb = new Fdb({ memory, generations, ageingSec: AGEING_SEC, perPortLimit: limit });
  }

  isLive(entry: Held): boolean {
    return (
      entry.pinned ||
      (this.now - entry.seen < AGEING_SEC && entry.generation === this.generations[entry.port])
    );
  }

  live(): Held[] {
    return [...this.held.values()].filter((entry) => this.isLive(entry));
  }

  lookup(segment: number, hi: number, lo: number): void {
    const entry = this.held.get(keyOf(segment, hi, lo));
    const expected = entry !== undefined && this.isLive(entry) ? entry.port : -1;
    assert.equal(this.fdb.lookup(segment, hi, lo, this.now), expected, keyOf(segment, hi, lo));
    if (expected < 0) return;
    assert.equal(this.fdb.foundFlags, entry?.pinned ? 1 : 0);
    assert.equal(this.fdb.foundSeen, entry?.seen);
  }

  #listed(): Set<string> {
    return new Set(this.fdb.list(this.now).map((e) => keyOf(e.segment, e.macHi, e.macLo)));
  }

  /** Removes from the model the live entry that the Fdb no longer has, and returns it. */
  #vanished(): Held {
    const listed = this.#listed();
    const gone = this.live().filter((e) => !listed.has(keyOf(e.segment, e.hi, e.lo)));
    assert.equal(gone.length, 1, 'exactly one entry was evicted');
    const [victim] = gone;
    assert.ok(victim);
    this.held.delete(keyOf(victim.segment, victim.hi, victim.lo));
    return victim;
  }

  learn(segment: number, hi: number, lo: number, port: number): number {
    const key = keyOf(segment, hi, lo);
    const entry = this.held.get(key);
    const wasLive = entry !== undefined && this.isLive(entry);
    const before = this.memory.perPort[port]!;
    const code = this.fdb.learn(segment, hi, lo, port, this.now);
    const fresh = {
      segment,
      hi,
      lo,
      port,
      generation: this.generations[port]!,
      seen: this.now,
      pinned: false,
    };
    if (entry?.pinned) {
      assert.equal(code, entry.port === port ? LEARN.known : LEARN.conflict);
      return code;
    }
    if (wasLive) {
      assert.equal(code, entry.port === port ? LEARN.known : LEARN.moved);
      this.held.set(key, fresh);
      return code;
    }
    if (code === LEARN.full) {
      assert.ok(
        before >= this.limit || this.live().filter((e) => e.pinned).length >= BUCKET,
        'full for a reason',
      );
      return code;
    }
    assert.ok(code === LEARN.added || code === LEARN.evicted, `code ${code}`);
    if (code === LEARN.evicted) this.judge(this.#vanished());
    this.held.set(key, fresh);
    return code;
  }

  /** In a table of one bucket every live entry could have been chosen. */
  judge(victim: Held): void {
    assert.equal(victim.pinned, false, 'a static entry is never evicted');
    if (this.memory.words.length !== BUCKET * ENTRY_STRIDE) return;
    const others = this.live().filter((e) => !e.pinned);
    const share = (port: number): number =>
      this.live().filter((e) => e.port === port).length + (port === victim.port ? 1 : 0);
    for (const other of others) {
      assert.ok(share(victim.port) >= share(other.port), 'the port that holds most loses one');
      if (other.port === victim.port) assert.ok(victim.seen <= other.seen, 'its oldest');
    }
  }

  pin(segment: number, hi: number, lo: number, port: number): void {
    const key = keyOf(segment, hi, lo);
    const done = this.fdb.pin(segment, hi, lo, port, this.now);
    if (!done) {
      assert.ok(this.live().filter((e) => e.pinned).length >= BUCKET);
      return;
    }
    this.held.delete(key);
    if (this.#listed().size < this.live().length + 1) this.judge(this.#vanished());
    const generation = this.generations[port]!;
    this.held.set(key, { segment, hi, lo, port, generation, seen: this.now, pinned: true });
  }

  sweep(absent: number): void {
    this.fdb.sweep(this.now, (port) => port !== absent);
    for (const [key, entry] of this.held)
      if (entry.pinned ? entry.port === absent : !this.isLive(entry)) this.held.delete(key);
    for (let port = 0; port < PORTS; port++) {
      const model = [...this.held.values()].filter((entry) => entry.port === port).length;
      assert.equal(this.memory.perPort[port], model, `entries of port ${port}`);
    }
  }

  check(): void {
    for (const { segment, hi, lo } of this.held.values()) this.lookup(segment, hi, lo);
    const listed = this.fdb.list(this.now).map((e) => {
      return [keyOf(e.segment, e.macHi, e.macLo), e.port, this.now - e.ageSec, e.isStatic] as const;
    });
    const expected = this.live().map(
      (e) => [keyOf(e.segment, e.hi, e.lo), e.port, e.seen, e.pinned] as const,
    );
    assert.deepEqual(new Set(listed.map(String)), new Set(expected.map(String)));
    const { words, perPort } = this.memory;
    const counted = new Array<number>(PORTS).fill(0);
    for (let at = 0; at < words.length; at += ENTRY_STRIDE)
      if (words[at + 1] !== 0) counted[words[at + 4]!]!++;
    assert.deepEqual([...perPort], counted, 'the count by port is what the table holds');
  }
}

const mac = fc.record({
  segment: fc.nat(1),
  hi: fc.constantFrom(0x200, 0xffff),
  lo: fc.integer({ min: -8, max: 8 }),
});
const port = fc.nat(PORTS - 1);
const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('learn' as const), mac, port }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('lookup' as const), mac, port }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pin' as const), mac, port }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const), mac, port }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep' as const), mac, port }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), mac, port }) },
);

function run(pair: Pair, one: Step): void {
  const { segment, hi, lo } = one.mac;
  if (one.do === 'learn') pair.learn(segment, hi, lo, one.port);
  else if (one.do === 'lookup') pair.lookup(segment, hi, lo);
  else if (one.do === 'pin') pair.pin(segment, hi, lo, one.port);
  else if (one.do === 'flush') pair.generations[one.port]!++;
  else if (one.do === 'sweep') pair.sweep(one.port);
  else pair.now += [0, 1, 150, 299, 300, 1000][one.port] ?? 0;
}

interface Step {
  readonly do: 'learn' | 'lookup' | 'pin' | 'flush' | 'sweep' | 'wait';
  readonly mac: { readonly segment: number; readonly hi: number; readonly lo: number };
  readonly port: number;
}

for (const [what, entries, limit] of [
  ['one bucket', BUCKET, 1000],
  ['one bucket and a limit of 3', BUCKET, 3],
  ['few buckets', 64, 1000],
  ['few buckets and a limit of 5', 64, 5],
  ['many buckets', 4096, 1000],
] as const)
  test(`a table of ${what} does what a Map does`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const pair = new Pair(entries, limit);
        for (const one of steps) {
          run(pair, one);
          pair.check();
        }
      }),
      { numRuns: 150 },
    );
  });

test('an address is found until it has aged, to the second, and a frame from it renews it', () => {
  const pair = new Pair(64, 100);
  assert.equal(pair.learn(0, 2, 1, 3), LEARN.added);
  pair.now += AGEING_SEC - 1;
  assert.equal(pair.fdb.lookup(0, 2, 1, pair.now), 3);
  assert.equal(pair.learn(0, 2, 1, 3), LEARN.known);
  pair.now += AGEING_SEC - 1;
  assert.equal(pair.fdb.lookup(0, 2, 1, pair.now), 3);
  pair.now += 1;
  assert.equal(pair.fdb.lookup(0, 2, 1, pair.now), -1);
  assert.equal(pair.learn(0, 2, 1, 4), LEARN.added);
});

test('raising a port’s generation forgets what was learned behind it and nothing else', () => {
  const pair = new Pair(64, 100);
  for (let lo = 0; lo < 6; lo++) pair.learn(0, 2, lo, lo % 2);
  pair.pin(0, 3, 9, 0);
  pair.generations[0]!++;
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5].map((lo) => pair.fdb.lookup(0, 2, lo, pair.now)),
    [-1, 1, -1, 1, -1, 1],
  );
  assert.equal(pair.fdb.lookup(0, 3, 9, pair.now), 0);
});

test('the same MAC in two segments is two addresses', () => {
  const pair = new Pair(64, 100);
  pair.learn(0, 2, 1, 1);
  pair.learn(1, 2, 1, 2);
  assert.equal(pair.fdb.lookup(0, 2, 1, pair.now), 1);
  assert.equal(pair.fdb.lookup(1, 2, 1, pair.now), 2);
  assert.equal(pair.fdb.lookup(2, 2, 1, pair.now), -1);
});

test('a port that floods loses its own addresses: those of the others stay', () => {
  const pair = new Pair(BUCKET, 100);
  pair.learn(0, 2, 1, 1);
  pair.learn(0, 2, 2, 2);
  for (let lo = 100; lo < 1100; lo++) {
    if (lo % 10 === 0) pair.now++;
    pair.learn(0, 2, lo, 3);
  }
  assert.equal(pair.fdb.lookup(0, 2, 1, pair.now), 1);
  assert.equal(pair.fdb.lookup(0, 2, 2, pair.now), 2);
});

test('a million addresses never make the table larger than it is, nor a port richer than its limit', () => {
  const pair = new Pair(1024, 100);
  for (let i = 0; i < 1_000_000; i++)
    pair.fdb.learn(0, 2, Math.imul(i, 0x9e3779b1), i % PORTS, 1000 + (i >> 14));
  assert.equal(pair.memory.words.length, 1024 * ENTRY_STRIDE);
  for (const count of pair.memory.perPort) assert.ok(count > 0 && count <= 100, `${count}`);
});
