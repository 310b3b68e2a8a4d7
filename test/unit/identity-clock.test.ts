/** T13: a clock of 1970, a year back, an hour or ten years ahead, at start and while the agent runs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '../../agent/identity/bytes.ts';
import type { ReadNodeCert } from '../../agent/identity/node-cert.ts';
import type { TrustStore } from '../../agent/identity/trust-store.ts';
import { DAY_MS, HOUR_MS, NOW_MS, World } from './identity-world.ts';

const YEAR_MS = 365 * DAY_MS;

function mesh() {
  const world = new World();
  const cert = world.ask(world.token()).cert as ReadNodeCert;
  const verdict = (store: TrustStore): string => {
    const found = store.verifyNodeCert(cert.record.bytes, world.mesh.cert);
    return found.ok ? 'ok' : found.problem;
  };
  return { world, verdict };
}

const CLOCKS = [
  ['1970', 10_000],
  ['a year back', NOW_MS - YEAR_MS],
  ['an hour ahead', NOW_MS + HOUR_MS],
  ['ten years ahead', NOW_MS + 10 * YEAR_MS],
] as const;

for (const [name, wall] of CLOCKS) {
  test(`T13 at start, ${name}: the floor counts, and only a clock that is years ahead refuses`, () => {
    const { world, verdict } = mesh();
    world.clock.wall = wall;
    assert.equal(verdict(world.store()), wall > NOW_MS + YEAR_MS ? 'expired' : 'ok');
  });

  test(`T13 at run time, ${name}: members stay`, () => {
    const { world, verdict } = mesh();
    const store = world.store();
    assert.equal(verdict(store), 'ok');
    world.clock.wall = wall;
    assert.equal(verdict(store), 'ok');
    assert.equal(store.clockSuspect, name !== 'an hour ahead');
    world.clock.pass(DAY_MS);
    assert.equal(verdict(store), 'ok', 'and a day later');
    assert.ok(Math.abs(store.nowMs() - NOW_MS - DAY_MS) <= HOUR_MS);
    world.clock.pass(30 * DAY_MS);
    assert.equal(verdict(store), 'expired', 'but not for ever: the time goes on');
    world.clock.wall = store.nowMs();
    store.nowMs();
    assert.equal(store.clockSuspect, false, 'a clock that is right again is followed');
  });
}

test('T13: a machine without the time follows its clock as soon as that can be right', () => {
  const { world, verdict } = mesh();
  world.clock.wall = 10_000;
  const store = world.store();
  assert.equal(store.nowMs(), NOW_MS);
  world.clock.wall = NOW_MS + 10 * DAY_MS;
  assert.equal(store.nowMs(), NOW_MS + 10 * DAY_MS);
  assert.equal(verdict(store), 'ok');
});

test('T13: the time of a host whose clock was set back is whole, and goes into its records', () => {
  const { world } = mesh();
  const store = world.store();
  const nowMs = store.nowMs();
  // A monotonic clock has fractions.
  world.clock.pass(1000.3125);
  world.clock.wall = NOW_MS - HOUR_MS;
  assert.equal(store.nowMs(), Math.floor(nowMs + 1000.3125));
  assert.ok(store.clockSuspect);
  assert.equal(new ByteWriter().u64(store.nowMs()).finish().length, 8);
});
