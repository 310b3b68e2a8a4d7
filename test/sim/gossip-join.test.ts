import assert from 'node:assert/strict';
import { test } from 'node:test';
import { World } from './world.ts';

for (const [members, withinMs] of [
  [3, 5000],
  [20, 10_000],
  [100, 20_000],
] as const)
  test(`${members} hosts that join through one seed agree within ${withinMs / 1000} s`, () => {
    const world = new World();
    world.join(members);
    world.run(members * 20);
    const tookMs = world.runUntil(() => world.agree(), withinMs);
    assert.ok(tookMs <= withinMs, `no agreement; drops ${JSON.stringify([...world.drops])}`);
    assert.equal(
      world.history.some((line) => /suspect|dead/.test(line)),
      false,
      'nobody was doubted',
    );
  });
