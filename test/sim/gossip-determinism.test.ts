import assert from 'node:assert/strict';
import { test } from 'node:test';
import { World } from './world.ts';

function run(seed: number): World {
  const world = new World({ seed, loss: 0.05 });
  world.join(20);
  world.at(12_000, () => world.crash(3));
  world.at(20_000, () => world.start(3, [0]));
  world.run(30_000);
  return world;
}

test('the same seed gives the same run, another seed another', () => {
  const [a, b, c] = [run(7), run(7), run(8)];
  assert.equal(a.digest, b.digest);
  assert.deepEqual(a.history, b.history);
  assert.equal(a.datagrams, b.datagrams);
  assert.notEqual(a.digest, c.digest);
});

test('300 hosts that join through one seed agree in 60 s, simulated in under 10 s', () => {
  const world = new World({ seed: 11 });
  const startedMs = performance.now();
  world.join(300, 50);
  world.run(15_000);
  const tookMs = world.runUntil(() => world.agree(), 60_000);
  const wallMs = performance.now() - startedMs;
  console.log(
    `300 hosts agreed after ${(tookMs + 15_000) / 1000} s, ${world.datagrams} datagrams, ${Math.round(wallMs)} ms`,
  );
  assert.ok(tookMs < Infinity, JSON.stringify([...world.drops]));
  assert.ok(wallMs < 10_000, `${Math.round(wallMs)} ms`);
});
