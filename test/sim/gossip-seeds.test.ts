import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runScenario, tellFailure } from './scenario.ts';

const SEEDS = 200;

test(`${SEEDS} seeded runs with crashes, pauses, cuts, partitions, clocks, loss, copies and delays keep every invariant`, (t) => {
  let [datagrams, most, deaths, slowestMs] = [0, 0, 0, 0];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const outcome = runScenario(seed);
    assert.equal(outcome.failure, null, tellFailure(outcome));
    datagrams += outcome.datagrams;
    most = Math.max(most, outcome.mostPerSecond);
    deaths += outcome.deaths;
    slowestMs = Math.max(slowestMs, outcome.agreedAfterMs);
  }
  t.diagnostic(
    `${datagrams} datagrams, at most ${most} of one host in a second, ${deaths} deaths, agreed at most ${slowestMs / 1000} s after the last fault`,
  );
  assert.ok(deaths > SEEDS, 'the faults are strong enough to kill');
});

test('a core that declares hosts dead too soon is caught, with the datagrams and the command to see it again', () => {
  const failed = [1, 2, 3, 4, 5]
    .map((seed) => runScenario(seed, { suspicionMult: 1 }))
    .find((o) => o.failure !== null);
  assert.ok(failed !== undefined, 'none of the seeds noticed');
  const text = tellFailure(failed);
  assert.match(text, /declared \d+ dead after \d+ ms with \d accusers, not \d+ ms/);
  assert.match(text, /\d+ > \d+ .*suspect\(/);
  assert.match(text, new RegExp(`npm run sim -- --seeds 1 --seed ${failed.seed}$`));
});

test('the same seed is the same run', () => {
  assert.deepEqual(runScenario(77), runScenario(77));
});
