/** Both replay windows of 8192, in C behind a Receiver and in TypeScript, against a Set that forgets nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RECV, ReplayWindow } from 'tun-tap';
import { INDEX, Loopback, laneKeys, sealedDatagram } from './loopback.ts';

const WINDOW = 8192;
const LIMIT = 2 ** 52;
const KEYS = laneKeys(2);

/** The rule, as one would say it. */
class NaiveWindow {
  readonly #seen = new Set<number>();
  #next = 0;

  accept(counter: number): boolean {
    if (counter >= LIMIT || this.#seen.has(counter) || this.#next - counter > WINDOW) return false;
    this.#seen.add(counter);
    this.#next = Math.max(this.#next, counter + 1);
    return true;
  }
}

/** Steps around the window's edges, word edges and far jumps. */
const step = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -70, max: 70 }) },
  { weight: 3, arbitrary: fc.integer({ min: -WINDOW - 66, max: WINDOW + 66 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(-WINDOW - 1, -WINDOW, -WINDOW + 1, 63, 64, 65, WINDOW, 2 * WINDOW),
  },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 2 ** 40 }) },
);

function walk(start: number, steps: readonly number[]): number[] {
  let high = start;
  return steps.map((by) => {
    const counter = Math.min(Math.max(high + by, 0), LIMIT - 1);
    high = Math.max(high, counter);
    return counter;
  });
}

const counters = fc
  .tuple(
    fc.oneof(fc.constant(0), fc.nat(2 ** 30), fc.constant(LIMIT - 200)),
    fc.array(step, { maxLength: 300 }),
  )
  .map(([start, steps]) => walk(start, steps));

test('the window in TypeScript accepts what the rule accepts', () => {
  fc.assert(
    fc.property(counters, (list) => {
      const window = new ReplayWindow();
      const naive = new NaiveWindow();
      for (const counter of list) {
        const expected = naive.accept(counter);
        assert.equal(window.check(counter), expected, `check ${counter}`);
        assert.equal(window.accept(counter), expected, `accept ${counter}`);
        assert.equal(window.check(counter), false);
      }
    }),
    { numRuns: 300 },
  );
});

test('the window in C accepts what the rule accepts', () => {
  const loop = new Loopback();
  fc.assert(
    fc.property(counters, (list) => {
      loop.receiver.install({ index: INDEX, suite: 2, inner: 1, laneKeys: KEYS, lanes: 1, tunnel: 0 });
      const naive = new NaiveWindow();
      const expected = list.map((counter) => (naive.accept(counter) ? RECV.OK : RECV.REPLAY));
      for (let at = 0; at < list.length; at += 50) {
        const made = list
          .slice(at, at + 50)
          .map((counter) =>
            sealedDatagram({ suite: 2, inner: 1, flags: 0, index: INDEX, counter }, KEYS, new Uint8Array(0)),
          );
        assert.deepEqual(loop.statuses(made), expected.slice(at, at + 50));
      }
    }),
    { numRuns: 60 },
  );
  loop.close();
});

test('no counter below zero, at the limit or that is no number is ever accepted', () => {
  const window = new ReplayWindow();
  for (const counter of [-1, LIMIT, LIMIT + 1, Number.NaN, Number.POSITIVE_INFINITY])
    assert.equal(window.accept(counter), false, `${counter}`);
  assert.equal(window.accept(LIMIT - 1), true);
});

test('each lane has a window of its own, and a session installed again begins anew', () => {
  const loop = new Loopback();
  const install = (): void =>
    loop.receiver.install({ index: INDEX, suite: 1, inner: 2, laneKeys: KEYS, lanes: 3, tunnel: 0 });
  const on = (lane: number): Uint8Array =>
    sealedDatagram(
      { suite: 1, inner: 2, flags: 0, index: INDEX | lane, counter: 1 },
      KEYS,
      new Uint8Array(1),
    );
  install();
  assert.deepEqual(loop.statuses([on(0), on(1), on(0), on(1)]), [RECV.OK, RECV.OK, RECV.REPLAY, RECV.REPLAY]);
  install();
  assert.deepEqual(loop.statuses([on(0)]), [RECV.OK]);
  loop.close();
});
