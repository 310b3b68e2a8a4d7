/** How many threads move packets, by setting and cores. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { workerLayout } from '../../agent/datapath/worker-layout.ts';

test('auto is one thread for both directions on one or two cores, else a pair for every four', () => {
  const expected = new Map<number, { single: boolean; pairs: number }>([
    [1, { single: true, pairs: 1 }],
    [2, { single: true, pairs: 1 }],
    [3, { single: false, pairs: 1 }],
    [7, { single: false, pairs: 1 }],
    [8, { single: false, pairs: 2 }],
    [16, { single: false, pairs: 4 }],
    [128, { single: false, pairs: 4 }],
  ]);
  for (const [cores, layout] of expected)
    assert.deepEqual(workerLayout('auto', cores), layout, `${cores} cores`);
});

test('a setting overrides the number of cores', () => {
  assert.deepEqual(workerLayout('single', 64), { single: true, pairs: 1 });
  assert.deepEqual(workerLayout(3, 1), { single: false, pairs: 3 });
});
