/** A timer that is lazy while nothing is under way: how often it runs, that `hurry` wakes it, and that `stop` ends it. */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Pace } from '../../gossip/index.ts';

/** Virtual time: one timer at most, as a Pace has. */
class Time {
  nowMs = 1010;
  #due: { readonly atMs: number; readonly run: () => void } | null = null;
  readonly clock = {
    monotonicMs: () => this.nowMs,
    every: () => () => {},
    after: (delayMs: number, run: () => void) => {
      const due = { atMs: this.nowMs + delayMs, run };
      this.#due = due;
      return () => {
        if (this.#due === due) this.#due = null;
      };
    },
  };

  runUntil(endMs: number): void {
    for (let due = this.#due; due !== null && due.atMs <= endMs; due = this.#due) {
      this.nowMs = due.atMs;
      this.#due = null;
      due.run();
    }
    this.nowMs = endMs;
  }
}

let time: Time;
let isBusy: boolean;
let runs: number[];
let pace: Pace;
beforeEach(() => {
  time = new Time();
  isBusy = true;
  runs = [];
  const run = (): boolean => {
    runs.push(time.nowMs);
    return isBusy;
  };
  pace = new Pace(time.clock, { fastMs: 50, slowMs: 250, run });
});

test('it runs often while busy, and at common multiples while idle', () => {
  pace.start();
  time.runUntil(1120);
  assert.deepEqual(runs, [1060, 1110]);
  isBusy = false;
  time.runUntil(2000);
  assert.deepEqual(runs.slice(2), [1160, 1250, 1500, 1750, 2000]);
});

test('a multiple that is nearer than a fast run is left out', () => {
  isBusy = false;
  time.nowMs = 1170;
  pace.start();
  time.runUntil(1600);
  assert.deepEqual(runs, [1220, 1500]);
});

test('hurry brings the next run near, and changes nothing while it is fast', () => {
  isBusy = false;
  pace.start();
  time.runUntil(1260);
  isBusy = true;
  pace.hurry();
  time.runUntil(1300);
  pace.hurry();
  time.runUntil(1309);
  assert.equal(runs.at(-1), 1250);
  time.runUntil(1310);
  assert.equal(runs.at(-1), 1310);
});

test('nothing runs after stop, also when it was stopped inside a run, nor by hurry', () => {
  pace.start();
  pace.stop();
  pace.hurry();
  time.runUntil(5000);
  assert.deepEqual(runs, []);
  pace = new Pace(time.clock, {
    fastMs: 50,
    slowMs: 250,
    run: () => {
      runs.push(time.nowMs);
      pace.stop();
      return true;
    },
  });
  pace.start();
  time.runUntil(9000);
  assert.equal(runs.length, 1);
});
