import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Plan, type PlanOptions } from './plan.ts';

const calm: PlanOptions = {
  members: 100,
  seconds: 0,
  seed: 1,
  loss: 0,
  duplicated: 0,
  delayed: 0,
  crashes: 0,
  partition: null,
  partitionSeconds: 90,
  join: false,
};

/** What `npm run sim` measures at 1,000 and 10,000 hosts, at a size that fits each test run. */
const PLANS: readonly (readonly [string, Partial<PlanOptions>])[] = [
  ['two crashes among 400 idle hosts', { members: 400, crashes: 2 }],
  ['60 s at 10 % loss among 200 hosts', { members: 200, seconds: 60, loss: 0.1 }],
  ['a partition in two halves', { partition: 50 }],
  ['a tenth cut off', { partition: 10 }],
  ['40 hosts that join through one', { members: 40, join: true }],
];

for (const [name, options] of PLANS)
  test(`${name}: every gate is kept`, (t) => {
    const plan = new Plan({ ...calm, ...options }, (line) => t.diagnostic(line));
    plan.run();
    assert.deepEqual(plan.missed, []);
  });

test('a gate that is missed is named', () => {
  const lines: string[] = [];
  const plan = new Plan({ ...calm, members: 20, seconds: 40 }, (line) => lines.push(line));
  plan.world.reaches = (_from, to) => to !== 3;
  plan.run();
  assert.ok(plan.missed.includes('deaths of hosts that live, in 40 s at 0 % loss'), plan.missed.join());
  assert.match(lines.join('\n'), /^MISS deaths of hosts that live/m);
});
