/**
 * The forwarding database against a Map that knows nothing of buckets, hashes or sequence locks. The model never evicts:
 * after each `learn` that says it evicted, the one entry that is gone is looked for and judged. Moves are counted from a list.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  createFdbMemory,
  ENTRY_STRIDE,
  Fdb,
  type FdbMemory,
  LEARN,
  ONE_PORT,
} from '../../agent/datapath/fdb.ts';

const AGEING_SEC = 300;
const PORTS = 6;
const BUCKET = 8;
/** The port of this host itself. */
const HERE = PORTS;
const RULE = { moves: 5, windowSec: 180, freezeSec: 1800 } as const;

interface Held {
  readonly segment: number;
  readonly hi: number;
  readonly lo: number;
  port: number;
  generation: number;
  seen: number;
  pinned: boolean;
  /** Of the moves counted since `movedAt`. */
  moves: number;
  movedAt: number;
  frozenAt: number | null;
  rival: number;
}

const NEW = { pinned: false, moves: 0, movedAt: 0, frozenAt: null, rival: -1 } as const;

const keyOf = (segment: number, hi: number, lo: number): string => `${segment} ${hi} ${lo}`;

/** An Fdb and what it should hold. */
class Pair {
  readonly memory: FdbMemory;
  readonly generations = new Int32Array(PORTS + 1);
  readonly fdb: Fdb;
  /** By address; what aged out or was flushed stays until `forget`. */
  readonly held = new Map<string, Held>();
  readonly limit: number;
  /** Addresses behind this host's own TAP, which may claim any other, and when each was last seen there. */
  readonly local: Fdb;
  readonly here = new Map<string, number>();
  now = 1000;

  constructor(entries: number, limit: number) {
    this.memory = createFdbMemory(entries, PORTS + 1);
    this.limit = limit;
    const { memory, generations } = this;
    const ageing = { ageingSec: AGEING_SEC, perPortLimit: limit };
    this.local = new Fdb({
      memory: createFdbMemory(4096, 1),
      generations: new Int32Array(1),
      ...ageing,
      perPortLimit: 4096,
      ...ONE_PORT,
    });
    this.fdb = new Fdb({ memory, generations, ...ageing, duplicates: RULE, local: this.local, here: HERE });
  }

  isLive(entry: Held): boolean {
    if (entry.pinned) return true;
    if (entry.generation !== this.generations[entry.port]) return false;
    return this.isFrozen(entry) || (entry.port !== HERE && this.now - entry.seen < AGEING_SEC);
  }

  isFrozen(entry: Held): boolean {
    return entry.frozenAt !== null && this.now - entry.frozenAt < RULE.freezeSec;
  }

  /** The address shows itself behind this host. */
  learnHere(segment: number, hi: number, lo: number): void {
    this.local.learn(segment, hi, lo, 0, this.now);
    this.here.set(keyOf(segment, hi, lo), this.now);
  }

  /** When this host's own TAP last showed it; -1: it does not. */
  #seenHere(key: string): number {
    const seen = this.here.get(key) ?? Number.NEGATIVE_INFINITY;
    return this.now - seen < AGEING_SEC ? seen : -1;
  }

  /** What `more` moves make of an address that is not frozen. */
  #count(entry: Held, more: number): void {
    const isOpen = entry.frozenAt === null && entry.moves > 0 && this.now - entry.movedAt < RULE.windowSec;
    entry.moves = isOpen ? entry.moves + more : more;
    if (!isOpen) entry.movedAt = this.now;
    entry.frozenAt = null;
  }

  #freeze(entry: Held, rival: number): void {
    Object.assign(entry, { frozenAt: this.now, moves: 0, rival });
  }

  /** What a frame of an address that is there already should do. */
  #expected(entry: Held, key: string, port: number): number {
    const isFrozen = this.isFrozen(entry);
    if (entry.port !== port) {
      if (isFrozen) return LEARN.frozen;
      const { moves, movedAt, frozenAt } = entry;
      this.#count(entry, 1);
      if (entry.moves >= RULE.moves) {
        Object.assign(entry, { moves, movedAt, frozenAt });
        this.#freeze(entry, port);
        return LEARN.froze;
      }
      Object.assign(entry, { port, generation: this.generations[port]!, seen: this.now });
      return LEARN.moved;
    }
    if (entry.seen === this.now) return LEARN.known;
    const before = entry.seen;
    entry.seen = this.now;
    if (isFrozen) return LEARN.known;
    if (entry.frozenAt !== null) Object.assign(entry, { frozenAt: null, moves: 0 });
    if (this.#seenHere(key) <= before) return LEARN.known;
    this.#count(entry, 2);
    if (entry.moves < RULE.moves) return LEARN.known;
    const isOurs = entry.moves % 2 === 1;
    if (isOurs) Object.assign(entry, { port: HERE, generation: this.generations[HERE]! });
    this.#freeze(entry, isOurs ? port : -1);
    return LEARN.froze;
  }

  live(): Held[] {
    return [...this.held.values()].filter((entry) => this.isLive(entry));
  }

  lookup(segment: number, hi: number, lo: number): void {
    const entry = this.held.get(keyOf(segment, hi, lo));
    const expected = entry !== undefined && this.isLive(entry) ? entry.port : -1;
    assert.equal(this.fdb.lookup(segment, hi, lo, this.now), expected, keyOf(segment, hi, lo));
    if (expected < 0) return;
    assert.equal(this.fdb.foundFlags, entry?.pinned ? 1 : entry && this.isFrozen(entry) ? 2 : 0);
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
    if (entry?.pinned) {
      assert.equal(code, entry.port === port ? LEARN.known : LEARN.conflict);
      return code;
    }
    if (wasLive) {
      assert.equal(code, this.#expected(entry, key, port));
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
    const place = { segment, hi, lo, port, generation: this.generations[port]!, seen: this.now };
    const isClaimed = this.#seenHere(key) >= 0;
    this.held.set(key, { ...place, ...NEW, moves: isClaimed ? 1 : 0, movedAt: this.now });
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
    this.held.set(key, { segment, hi, lo, port, generation, seen: this.now, ...NEW, pinned: true });
  }

  sweep(absent: number): void {
    this.fdb.sweep(this.now, (port) => port !== absent);
    for (const [key, entry] of this.held)
      if (entry.pinned ? entry.port === absent : !this.isLive(entry)) this.held.delete(key);
    for (let port = 0; port <= PORTS; port++) {
      const model = [...this.held.values()].filter((entry) => entry.port === port).length;
      assert.equal(this.memory.perPort[port], model, `entries of port ${port}`);
    }
  }

  check(): void {
    for (const { segment, hi, lo } of this.held.values()) this.lookup(segment, hi, lo);
    const listed = this.fdb.list(this.now).map((e) => {
      const frozen = e.frozenForSec > 0 ? [e.frozenForSec, e.rival] : [];
      return [keyOf(e.segment, e.macHi, e.macLo), e.port, this.now - e.ageSec, e.isStatic, ...frozen];
    });
    const expected = this.live().map((e) => {
      const left = e.frozenAt === null ? 0 : RULE.freezeSec - (this.now - e.frozenAt);
      const frozen = this.isFrozen(e) ? [left, e.rival] : [];
      return [keyOf(e.segment, e.hi, e.lo), e.port, e.seen, e.pinned, ...frozen];
    });
    assert.deepEqual(new Set(listed.map(String)), new Set(expected.map(String)));
    const { words, perPort } = this.memory;
    const counted = new Array<number>(PORTS + 1).fill(0);
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
/** Few enough that each moves often. */
const fewMacs = fc.record({ segment: fc.constant(0), hi: fc.constant(2), lo: fc.nat(2) });
const stepsOf = (mac: fc.Arbitrary<Step['mac']>): fc.Arbitrary<Step> =>
  fc.oneof(
    { weight: 12, arbitrary: fc.record({ do: fc.constant('learn' as const), mac, port }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('here' as const), mac, port }) },
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
  else if (one.do === 'here') pair.learnHere(segment, hi, lo);
  else if (one.do === 'pin') pair.pin(segment, hi, lo, one.port);
  else if (one.do === 'flush') pair.generations[one.port]!++;
  else if (one.do === 'sweep') pair.sweep(one.port);
  else pair.now += [1, 2, 20, 150, 299, 1800][one.port] ?? 0;
}

interface Step {
  readonly do: 'learn' | 'here' | 'lookup' | 'pin' | 'flush' | 'sweep' | 'wait';
  readonly mac: { readonly segment: number; readonly hi: number; readonly lo: number };
  readonly port: number;
}

for (const [what, entries, limit, macs] of [
  ['one bucket', BUCKET, 1000, mac],
  ['one bucket and a limit of 3', BUCKET, 3, mac],
  ['few buckets', 64, 1000, mac],
  ['few buckets and a limit of 5', 64, 5, mac],
  ['many buckets', 4096, 1000, mac],
  ['many buckets and three addresses that move', 4096, 1000, fewMacs],
] as const)
  test(`a table of ${what} does what a Map does`, () => {
    fc.assert(
      fc.property(fc.array(stepsOf(macs), { maxLength: 200 }), (steps) => {
        const pair = new Pair(entries, limit);
        for (const one of steps) {
          run(pair, one);
          pair.check();
        }
      }),
      { numRuns: 150 },
    );
  });

/** Where an address is after each of these ports has shown it, a second apart. */
function walk(pair: Pair, ports: readonly number[]): number[] {
  return ports.map((port) => {
    pair.now += 1;
    if (port === HERE) pair.learnHere(0, 2, 1);
    else pair.learn(0, 2, 1, port);
    return pair.fdb.lookup(0, 2, 1, pair.now);
  });
}

test('an address that two peers claim stays with the first at the fifth move, until the freeze is over', () => {
  const pair = new Pair(64, 100);
  assert.deepEqual(walk(pair, [0, 1, 0, 1, 0, 1, 1, 1, 0]), [0, 1, 0, 1, 0, 0, 0, 0, 0]);
  const [entry] = pair.fdb.list(pair.now);
  assert.deepEqual([entry?.port, entry?.rival, entry?.frozenForSec], [0, 1, RULE.freezeSec - 3]);
  pair.now += RULE.freezeSec - 4;
  assert.equal(pair.learn(0, 2, 1, 1), LEARN.frozen, 'although the first has been silent for long');
  pair.now += 1;
  assert.equal(pair.learn(0, 2, 1, 1), LEARN.added, 'silent, and no longer frozen');
  assert.deepEqual(walk(pair, [0, 1, 0, 1]), [0, 1, 0, 1], 'moves are counted anew');
});

test('moves that are too far apart are none too many', () => {
  const pair = new Pair(64, 100);
  const apart = RULE.windowSec / (RULE.moves - 2);
  for (let i = 0; i < 40; i++) {
    assert.notEqual(pair.learn(0, 2, 1, i % 2), LEARN.froze);
    pair.now += apart;
  }
});

test('a freeze ends with the peer that has the address', () => {
  const pair = new Pair(64, 100);
  walk(pair, [0, 1, 0, 1, 0, 1]);
  pair.generations[0]!++;
  assert.equal(pair.learn(0, 2, 1, 1), LEARN.added);
});

test('an address that this host and a peer claim stays with the first of them', () => {
  const mine = new Pair(64, 100);
  assert.equal(walk(mine, [HERE, 0, HERE, 0, HERE, 0]).at(-1), HERE);
  assert.equal(mine.learn(0, 2, 1, 0), LEARN.frozen);
  const theirs = new Pair(64, 100);
  assert.equal(walk(theirs, [0, HERE, 0, HERE, 0, HERE, 0]).at(-1), 0);
  assert.equal(theirs.fdb.foundFlags, 2, 'frozen there');
});

test('an address that moves here once, or away once, is not frozen', () => {
  const pair = new Pair(64, 100);
  walk(pair, [HERE, HERE, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(pair.fdb.foundFlags, 0);
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
  for (const count of pair.memory.perPort.subarray(0, PORTS))
    assert.ok(count > 0 && count <= 100, `${count}`);
});
