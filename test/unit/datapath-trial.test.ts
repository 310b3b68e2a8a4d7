/** Frames to an address that nothing has proven: at most three times what came from there, and home again after that. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FROM_STRIDE, type Transmitter } from 'tun-tap';
import { createSharedTables, type SharedTables } from '../../agent/datapath/shared-tables.ts';
import { CHALLENGE_BYTES, grantTrial, MAX_TRIAL_BYTES, Trials } from '../../agent/datapath/trial.ts';

const SLOT = 5;
const addressOf = (port: number): Int32Array => Int32Array.of(4, port, 0, 0, 0xffff, 0x0a000001);

/** What the native part is told: where the frames of SLOT go; null is home. */
class World {
  readonly tables: SharedTables = createSharedTables(2);
  port: number | null = null;
  readonly trials: Trials;
  constructor() {
    const transmitter: Pick<Transmitter, 'divert' | 'comeBack'> = {
      divert: (_slot, words, at) => {
        this.port = words[at + 1] ?? null;
      },
      comeBack: () => {
        this.port = null;
      },
    };
    this.trials = new Trials(this.tables, transmitter as Transmitter);
  }

  grant(port: number, bytes: number, asks = true): void {
    grantTrial(this.tables, SLOT, addressOf(port), 0, bytes, asks);
    this.trials.follow();
  }

  /** Whether a frame left for the trial address. */
  send(bytes: number): boolean {
    if (!this.trials.isOn(SLOT)) return false;
    if (this.trials.spend(SLOT, bytes)) return true;
    this.trials.end(SLOT);
    return false;
  }
}

test('frames go to the new address at once, and home when three times the bytes are spent', () => {
  const world = new World();
  assert.equal(world.send(200), false, 'nothing was seen there yet');
  world.grant(4000, 200);
  assert.equal(world.port, 4000);
  assert.deepEqual([world.send(200), world.send(200), world.send(200)], [true, true, false]);
  assert.equal(world.port, null);
  assert.equal(world.trials.active, 0);
  world.grant(4000, 200, false);
  assert.equal(world.port, 4000, 'more came from there');
});

test('a frame too large for what came goes home, and so do those after it', () => {
  const world = new World();
  world.grant(4000, 100);
  assert.equal(world.send(1400), false);
  assert.equal(world.send(50), false);
  assert.equal(world.port, null);
});

test('the newest address counts', () => {
  const world = new World();
  world.grant(4000, 200);
  world.grant(5000, 100);
  assert.equal(world.port, 5000);
  assert.equal(world.trials.active, 1);
  assert.deepEqual([world.send(200), world.send(200)], [true, false], 'what the other one had is gone');
});

test('an endpoint that is proven or set ends the trial', () => {
  const world = new World();
  world.grant(4000, 500);
  world.trials.end(SLOT);
  assert.equal(world.port, null);
  assert.equal(world.send(50), false);
  world.trials.follow();
  assert.equal(world.trials.active, 0);
});

test('no more is saved up than the bound', () => {
  const world = new World();
  for (let i = 0; i < 100; i++) world.grant(4000, 60_000);
  assert.equal(world.tables.trialBytes[SLOT], MAX_TRIAL_BYTES);
});

test('whatever comes and goes, an address gets at most three times what it sent, challenges included', () => {
  const step = fc.record({
    isGrant: fc.boolean(),
    port: fc.integer({ min: 1, max: 3 }),
    bytes: fc.integer({ min: 54, max: 1500 }),
    asks: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const world = new World();
      const came = [0, 0, 0, 0];
      const went = [0, 0, 0, 0];
      for (const { isGrant, port, bytes, asks } of steps) {
        if (isGrant) {
          world.grant(port, bytes, asks);
          came[port]! += bytes;
          if (asks) went[port]! += CHALLENGE_BYTES;
        } else if (world.send(bytes)) went[world.port ?? 0]! += bytes;
      }
      assert.equal(went[0], 0);
      for (const port of [1, 2, 3]) assert.ok(went[port]! <= came[port]! * 3, `${went} of ${came}`);
    }),
  );
});

test('a grant that is being written is not read', () => {
  const world = new World();
  grantTrial(world.tables, SLOT, addressOf(4000), 0, 200, true);
  world.tables.trialSeq[SLOT]! += 1;
  world.trials.follow();
  assert.equal(world.port, null);
  grantTrial(world.tables, SLOT, addressOf(5000), 0, 200, true);
  assert.equal(world.tables.trialFrom[SLOT * FROM_STRIDE + 1], 4000, 'nor written by a second one');
});
