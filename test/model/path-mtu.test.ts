/** The path MTU of one peer over a simulated link: loss, black holes, and sizes that change while it runs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  BASE_BYTES,
  CONFIRM_MS,
  MAX_MISSES,
  MAX_OUTSTANDING,
  PathMtu,
  RAISE_MS,
} from '../../agent/peer/path-mtu.ts';

const TICK_MS = 50;

/** A link that silently eats what is too large, some of the rest, and answers after a round trip. */
class Link {
  readonly path = new PathMtu();
  nowMs = 1000;
  mtuBytes: number;
  interfaceBytes = 1500;
  rttMs = 2;
  loss = 0;
  dead = false;
  /** A message longer than this in all is swallowed, though each of its datagrams would pass. */
  runBytes = Number.POSITIVE_INFINITY;
  /** Large packets go to the peer all the time. */
  busy = false;
  probes = 0;
  #seed: number;
  #ids = 0;
  #answers: { readonly atMs: number; readonly id: string }[] = [];

  constructor(mtuBytes: number, seed = 1) {
    this.mtuBytes = mtuBytes;
    this.#seed = seed;
  }

  #chance(): number {
    this.#seed = (Math.imul(this.#seed, 1664525) + 1013904223) >>> 0;
    return this.#seed / 0x1_0000_0000;
  }

  begin(): void {
    this.path.begin(this.nowMs, this.interfaceBytes);
  }

  /** Acknowledgements come between ticks, as they do on a network. */
  run(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.nowMs < endMs) {
      const nextMs = this.nowMs + TICK_MS;
      for (const { atMs, id } of this.#answers
        .filter((answer) => answer.atMs < nextMs)
        .sort((a, b) => a.atMs - b.atMs))
        this.path.acked(atMs, id);
      this.#answers = this.#answers.filter((answer) => answer.atMs >= nextMs);
      this.nowMs = nextMs;
      for (const { sizeBytes, run } of this.path.tick(this.nowMs, this.busy ? this.nowMs : null))
        this.#probe(sizeBytes, run ? 2 : 1);
    }
  }

  #probe(size: number, count: number): void {
    if (size > this.interfaceBytes) return this.path.refused(this.nowMs, size);
    const ids = Array.from({ length: count }, () => String(this.#ids++));
    this.probes += count;
    this.path.sent(this.nowMs, size, ids);
    if (this.dead || size > this.mtuBytes || (count > 1 && size * count > this.runBytes)) return;
    for (const id of ids)
      if (this.#chance() >= this.loss) this.#answers.push({ atMs: this.nowMs + this.rttMs, id });
  }

  /** Runs until `done`; how long it took. */
  until(what: string, limitMs: number, done: () => boolean): number {
    const startMs = this.nowMs;
    while (!done()) {
      assert.ok(this.nowMs - startMs < limitMs, `${what}: ${this.path.bytes} after ${limitMs} ms`);
      this.run(TICK_MS);
    }
    return this.nowMs - startMs;
  }
}

/** The next probe, then as many as may be missed, and the ticks that notice. */
const fallMs = CONFIRM_MS * (MAX_MISSES + 1) + 3 * TICK_MS;

test('nothing is said before a probe was answered', () => {
  const link = new Link(1500);
  assert.equal(link.path.bytes, null);
  link.begin();
  assert.equal(link.path.bytes, null);
});

test('a path as wide as the interface is known after two probes, and one run of them', () => {
  const link = new Link(1500);
  link.begin();
  link.run(600);
  assert.equal(link.path.bytes, 1500);
  assert.ok(link.path.settled);
  assert.equal(link.probes, 4);
});

test('any path between the base and the interface is found exactly, within two seconds', () => {
  for (const mtu of [1200, 1201, 1280, 1300, 1399, 1400, 1420, 1492, 1499, 1500]) {
    const link = new Link(mtu);
    link.begin();
    const ms = link.until(`path of ${mtu}`, 2000, () => link.path.settled);
    assert.equal(link.path.bytes, mtu, `after ${ms} ms`);
  }
  for (const mtu of [1200, 1500, 4321, 8999]) {
    const link = new Link(mtu);
    link.interfaceBytes = 9000;
    link.begin();
    link.until(`path of ${mtu}`, 4000, () => link.path.settled);
    assert.equal(link.path.bytes, mtu);
  }
});

test('a first search says nothing before it knows better than the base, and does not keep what it knows to its end', () => {
  const link = new Link(1300);
  link.begin();
  link.until('a size', 1000, () => {
    if (link.path.bytes === null) return false;
    // One of its first questions, which lie 17 bytes apart.
    assert.ok(link.path.bytes > 1300 - 17, String(link.path.bytes));
    return true;
  });
  assert.ok(!link.path.settled);
  link.until('its end', 1000, () => link.path.settled);
  assert.equal(link.path.bytes, 1300);
  link.mtuBytes = 1250;
  link.busy = true;
  link.until('fall', fallMs, () => link.path.bytes === BASE_BYTES);
  link.path.begin(link.nowMs, 1500);
  assert.equal(link.path.bytes, null);
});

test('while large packets go, a black hole is left within 3 misses, and what passes is found', () => {
  const link = new Link(1500);
  link.busy = true;
  link.begin();
  link.run(1000);
  link.mtuBytes = 1300;
  const ms = link.until('fall', fallMs, () => link.path.bytes === BASE_BYTES);
  assert.ok(ms >= CONFIRM_MS * (MAX_MISSES - 1), `${ms} ms`);
  link.until('search', 2000, () => link.path.bytes === 1300);
});

test('while large packets go, a run of two probes of the current size goes every 200 ms; else every 30 s', () => {
  const link = new Link(1500);
  link.begin();
  link.run(1000);
  link.busy = true;
  const before = link.probes;
  link.run(10_000);
  assert.ok(Math.abs(link.probes - before - 100) <= 4, `${link.probes - before} probes in 10 s`);
  link.busy = false;
  const idle = link.probes;
  link.run(300_000);
  assert.ok(link.probes - idle <= 25, `${link.probes - idle} probes in 300 s`);
});

test('a path that grows is followed within 31 s, one that shrinks while idle too', () => {
  const link = new Link(1300);
  link.begin();
  link.until('first', 2000, () => link.path.bytes === 1300);
  link.mtuBytes = 1420;
  link.until('growth', RAISE_MS + 2500, () => link.path.bytes === 1420);
  link.mtuBytes = 1280;
  link.until('shrinking', RAISE_MS + 3000, () => link.path.bytes === 1280);
  link.mtuBytes = 1500;
  link.until('growth to the interface', RAISE_MS + 2500, () => link.path.bytes === 1500);
});

test('a settled narrow path costs few probes', () => {
  const link = new Link(1300);
  link.begin();
  link.until('first', 2000, () => link.path.settled);
  const before = link.probes;
  link.run(300_000);
  assert.ok(link.probes - before < 120, `${link.probes - before} probes in 300 s`);
  assert.equal(link.path.bytes, 1300);
});

test('a smaller interface takes effect at once, a larger one without waiting', () => {
  const link = new Link(9000);
  link.begin();
  link.run(500);
  assert.equal(link.path.bytes, 1500);
  link.interfaceBytes = 1400;
  link.path.resize(link.nowMs, 1400);
  assert.equal(link.path.bytes, BASE_BYTES);
  link.until('1400', 300, () => link.path.bytes === 1400);
  link.interfaceBytes = 9000;
  link.path.resize(link.nowMs, 9000);
  link.until('9000', 500, () => link.path.bytes === 9000);
});

test('a probe that the kernel refuses bounds the search at once', () => {
  const link = new Link(1400);
  link.interfaceBytes = 1400;
  link.path.begin(link.nowMs, 1500);
  link.until('1400', 1500, () => link.path.bytes === 1400);
  link.interfaceBytes = 1320;
  link.mtuBytes = 1320;
  link.path.tooBig(link.nowMs);
  assert.equal(link.path.bytes, BASE_BYTES);
  link.until('1320', 1500, () => link.path.bytes === 1320);
});

test('a dead path proves nothing about sizes', () => {
  const link = new Link(1500);
  link.busy = true;
  link.begin();
  link.run(1000);
  link.dead = true;
  link.run(20_000);
  assert.equal(link.path.bytes, 1500);
  assert.ok(link.path.runs && !link.path.tooSmall);
  const before = link.probes;
  link.run(10_000);
  assert.ok(link.probes - before < 170, `${link.probes - before} probes in 10 s`);
  link.dead = false;
  link.run(2000);
  assert.equal(link.path.bytes, 1500);
  assert.ok(link.path.runs);
});

test('a path that comes back narrower after an outage is measured at once', () => {
  const link = new Link(1500);
  link.busy = true;
  link.begin();
  link.run(1000);
  link.dead = true;
  link.run(5000);
  link.dead = false;
  link.mtuBytes = 1300;
  link.until('fall', 1500, () => link.path.bytes === BASE_BYTES);
  link.until('1300', 2000, () => link.path.bytes === 1300);
});

test('a far host that answers nothing for a while costs neither size nor runs', () => {
  const link = new Link(1500);
  link.busy = true;
  link.begin();
  link.run(1000);
  for (const silenceMs of [700, 1500, 3000]) {
    link.dead = true;
    link.run(silenceMs);
    link.dead = false;
    for (let i = 0; i < 40; i++) {
      link.run(TICK_MS);
      assert.equal(link.path.bytes, 1500);
      assert.ok(link.path.runs);
    }
  }
});

test('a path under 1200 bytes is seen, and seen to end', () => {
  const link = new Link(1100);
  link.begin();
  link.until('too small', 5000, () => link.path.tooSmall);
  assert.equal(link.path.bytes, null);
  link.mtuBytes = 1500;
  link.until('wide', 3000, () => link.path.bytes === 1500);
  assert.ok(!link.path.tooSmall);
  link.busy = true;
  link.mtuBytes = 900;
  link.until('too small again', 10_000, () => link.path.tooSmall);
});

test('a new endpoint begins from nothing, and an answer of the old one does not count', () => {
  const link = new Link(1500);
  link.begin();
  link.run(1000);
  link.path.sent(link.nowMs, 1500, ['old']);
  link.path.begin(link.nowMs, 1500);
  assert.equal(link.path.bytes, null);
  assert.ok(!link.path.acked(link.nowMs, 'old'));
  assert.equal(link.path.bytes, null);
  link.path.end();
  assert.deepEqual(link.path.tick(link.nowMs + 60_000, null), []);
});

test('a round trip longer than the probe gap does not shrink the path', () => {
  const link = new Link(1500);
  link.rttMs = 450;
  link.busy = true;
  link.begin();
  link.run(5000);
  let least = 1500;
  for (let i = 0; i < 400; i++) {
    link.run(TICK_MS);
    least = Math.min(least, link.path.bytes ?? 0);
  }
  assert.equal(least, 1500);
});

test('ten percent loss does not cost the size for long', () => {
  const link = new Link(1500, 7);
  link.busy = true;
  link.loss = 0.1;
  link.begin();
  link.run(3000);
  let below = 0;
  for (let i = 0; i < 6000; i++) {
    link.run(TICK_MS);
    if ((link.path.bytes ?? 0) < 1500) below += TICK_MS;
  }
  assert.ok(below < 6000, `${below} of 300000 ms below the true size`);
});

test('whatever the link does, the size ends exact, and before that never above what passed', () => {
  const step = fc.record({
    mtu: fc.integer({ min: 1200, max: 2000 }),
    iface: fc.constantFrom(1400, 1500, 2000),
    loss: fc.constantFrom(0, 0, 0.05, 0.2),
    rtt: fc.constantFrom(1, 10, 120, 300),
    busy: fc.boolean(),
    dead: fc.constantFrom(false, false, false, true),
    ms: fc.integer({ min: 50, max: 8000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), fc.nat(), (steps, seed) => {
      const link = new Link(1500, seed);
      link.begin();
      for (const { mtu, iface, loss, rtt, busy, dead, ms } of steps) {
        link.mtuBytes = mtu;
        link.interfaceBytes = iface;
        link.path.resize(link.nowMs, iface);
        Object.assign(link, { loss, rttMs: rtt, busy, dead });
        link.run(ms);
        assert.ok((link.path.bytes ?? 0) <= Math.max(iface, BASE_BYTES));
      }
      Object.assign(link, { loss: 0, dead: false, rttMs: 5 });
      link.run(RAISE_MS * 2 + 10_000);
      assert.equal(link.path.bytes, Math.min(link.mtuBytes, link.interfaceBytes));
      assert.ok(!link.path.tooSmall);
    }),
    { numRuns: 300 },
  );
});

test('a path that judges runs by their whole length gets single datagrams, and runs again when it no longer does', () => {
  const link = new Link(1500);
  link.busy = true;
  link.begin();
  link.run(2000);
  assert.ok(link.path.runs && link.path.settled);
  link.mtuBytes = 1300;
  link.runBytes = 1300;
  link.until('runs off', fallMs, () => !link.path.runs);
  link.until('1300 in single datagrams', 2000, () => link.path.bytes === 1300);
  for (let i = 0; i < 2000; i++) {
    link.run(TICK_MS);
    assert.equal(link.path.bytes, 1300);
    assert.ok(!link.path.runs);
  }
  link.runBytes = Number.POSITIVE_INFINITY;
  link.until('runs again', RAISE_MS + 1000, () => link.path.runs);
  assert.equal(link.path.bytes, 1300);
});

test('runs that were never possible are off within a second of the start, without traffic', () => {
  const link = new Link(1500);
  link.runBytes = 1500;
  link.begin();
  link.until('runs off', 1500, () => !link.path.runs);
  link.until('the whole size', 1500, () => link.path.bytes === 1500);
});

test('after a fall that had nothing to do with runs they are on again as soon as the size is found', () => {
  const link = new Link(1500);
  link.busy = true;
  link.begin();
  link.run(2000);
  link.mtuBytes = 1400;
  link.until('runs off', fallMs, () => !link.path.runs);
  link.until('size and runs', 2500, () => link.path.bytes === 1400 && link.path.runs);
});

test('probes under way are bounded', () => {
  const path = new PathMtu();
  path.begin(0, 1500);
  for (let i = 0; i < 1000; i++) path.sent(0, 1200, [String(i)]);
  let counted = 0;
  for (let i = 0; i < 1000; i++) if (path.acked(1, String(i))) counted++;
  assert.equal(counted, MAX_OUTSTANDING);
});
