/**
 * The short form of `npm run scenarios`: four of them, once each. The full table with ten runs is in docs/RELIABILITY.md.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runScenario, summary } from '../scenarios/cli.ts';
import { SCENARIOS } from '../scenarios/table.ts';

for (const number of ['6', '16', '17', '28']) {
  const scenario = SCENARIOS.find((each) => each.number === number);
  if (scenario === undefined) throw new Error(`no scenario ${number}`);
  test(`scenario ${number}, ${scenario.title}: ${scenario.criterion}`, async (t) => {
    const { failures, text } = await runScenario(scenario, 1, 'short');
    t.diagnostic(text);
    assert.deepEqual(failures, []);
  });
}

test('a summary has the median and the largest of each value', () => {
  const runs = [{ ms: 3, lost: 0 }, { ms: 1, lost: 0 }, { ms: 2.25, lost: 0 }, { ms: 9 }];
  assert.equal(summary(runs), 'ms p50 2.3 max 9, lost 0');
});

test('every scenario has a number of its own, a title and a criterion', () => {
  assert.equal(new Set(SCENARIOS.map(({ number }) => number)).size, SCENARIOS.length);
  assert.ok(SCENARIOS.every(({ title, criterion }) => title.length > 5 && criterion.length > 5));
});
