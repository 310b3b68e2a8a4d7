/** The short form of `npm run fuzz`: every decoder with some thousand mutated inputs, and a proof that a defect is found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzTarget } from '../fuzz/fuzz.ts';
import { TARGETS } from '../fuzz/targets.ts';

const RUNS = 10_000;

for (const target of TARGETS)
  test(`${target.name}: mutated inputs are read or refused, and nothing else happens`, async () => {
    const { findings, executions } = await fuzzTarget(target, RUNS, 1);
    assert.deepEqual(findings, []);
    assert.ok(executions >= RUNS / (target.costs ?? 1) - 1);
  });

test('a decoder that trips over one byte is found, with the input that shows it', async () => {
  const run = (bytes: Uint8Array): boolean => {
    if (bytes[2] === 0xff) throw new RangeError('tripped');
    return bytes.length > 3;
  };
  const { findings } = await fuzzTarget({ name: 'broken', inputs: [new Uint8Array(8)], run }, RUNS, 1);
  assert.match(findings[0] ?? '', /^tripped: [0-9a-f]{4}ff/);
});
