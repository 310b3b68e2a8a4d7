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

/** Processor time, since the wall clock also counts what else the machine does. Measured: 17 s on a busy machine. */
const MOST_CPU_MS = 30_000;

test('300 hosts that join through one seed within 15 s agree 15 s later', (t) => {
  const world = new World({ seed: 11 });
  const before = process.cpuUsage();
  world.join(300, 50);
  world.run(15_000);
  const tookMs = world.runUntil(() => world.agree(), 15_000);
  const cpuMs = process.cpuUsage(before).user / 1000;
  t.diagnostic(
    `agreed after ${tookMs / 1000} s, ${world.datagrams} datagrams, ${Math.round(cpuMs)} ms of CPU`,
  );
  assert.ok(tookMs < Infinity, JSON.stringify([...world.drops]));
  assert.ok(
    world.history.every((line) => !/dead/.test(line)),
    'nobody was declared dead',
  );
  assert.ok(cpuMs < MOST_CPU_MS, `${Math.round(cpuMs)} ms`);
});
