/** The drop table: numbers, labels and directions that counters, metrics and documentation rely on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DROP, DROP_COUNT, DROP_TABLE, dropByLabel } from '../../agent/datapath/drop.ts';
import { T, TOTAL_DROPS, TOTALS_STRIDE } from '../../agent/datapath/shared-tables.ts';

test('numbers are dense from 0, each with one row', () => {
  const numbers = Object.values(DROP);
  assert.deepEqual(
    numbers,
    numbers.map((_, i) => i),
  );
  assert.equal(numbers.length, DROP_COUNT);
  assert.equal(DROP_TABLE.length, DROP_COUNT);
});

test('labels are unique, in snake case, and lead back to their number', () => {
  assert.equal(new Set(DROP_TABLE.map((info) => info.label)).size, DROP_COUNT);
  for (const [number, { label }] of DROP_TABLE.entries()) {
    assert.match(label, /^[a-z]+(_[a-z]+)*$/);
    assert.equal(dropByLabel(label), number);
  }
  assert.equal(dropByLabel('no such label'), 0);
});

test('each label is its name in the table, so that a row cannot slip', () => {
  const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  assert.deepEqual(
    DROP_TABLE.map((info) => info.label),
    Object.keys(DROP).map(snake),
  );
});

test('every reason but none has a direction and one sentence', () => {
  for (const info of DROP_TABLE.slice(1)) {
    assert.ok(info.directions.length >= 1 && new Set(info.directions).size === info.directions.length);
    assert.match(info.why, /^[A-Z].*\.$/, info.label);
    assert.ok(!info.why.includes('\n'));
  }
  assert.deepEqual(DROP_TABLE[0]?.directions, []);
});

test('a worker’s totals hold a counter for each reason, apart from the other totals', () => {
  assert.ok(Math.max(...Object.values(T)) < TOTAL_DROPS);
  assert.ok(TOTAL_DROPS + DROP_COUNT <= TOTALS_STRIDE);
});

test('the labels that scripts rely on are there', () => {
  const promised = 'replay auth garbage vni unknown_vtep mac_spoof rate lane csum not_listening'.split(' ');
  for (const label of promised) assert.ok(dropByLabel(label) > 0, label);
});
