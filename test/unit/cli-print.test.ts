import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration } from '../../agent/cli/duration.ts';
import { exitStatusOf, failureLine } from '../../agent/cli/failure.ts';
import {
  type Column,
  clean,
  formatAge,
  formatBytes,
  formatFacts,
  formatRtt,
  formatTable,
} from '../../agent/cli/print.ts';
import { WeftError } from '../../agent/errors.ts';

const ESCAPE = '\u001b';

interface Row {
  readonly name: string;
  readonly count: number;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'NAME', cell: (row) => row.name, colour: (row) => (row.count > 5 ? 'red' : null) },
  { title: 'COUNT', cell: (row) => String(row.count), right: true },
];
const ROWS: readonly Row[] = [
  { name: 'alpha', count: 1 },
  { name: 'b', count: 1000 },
];

test('columns are as wide as their widest cell, numbers stand right', () => {
  assert.equal(
    formatTable(ROWS, COLUMNS, { coloured: false, empty: 'none' }),
    ['NAME   COUNT', 'alpha      1', 'b       1000', ''].join('\n'),
  );
});

test('colour changes no width', () => {
  const coloured = formatTable(ROWS, COLUMNS, { coloured: true, empty: 'none' });
  assert.ok(coloured.includes(`${ESCAPE}[31mb    ${ESCAPE}[0m   1000`));
  assert.equal(
    coloured.replaceAll(new RegExp(`${ESCAPE}\\[\\d+m`, 'g'), ''),
    formatTable(ROWS, COLUMNS, { coloured: false, empty: 'none' }),
  );
});

test('an empty table says so', () => {
  assert.equal(formatTable([], COLUMNS, { coloured: false, empty: 'no peers' }), 'no peers\n');
});

test('control characters of the network never reach the terminal', () => {
  assert.equal(clean('a\u001b[2Jb\nc\u0007\u009b'), 'a?[2Jb?c??');
  const table = formatTable([{ name: 'x\u001b[31m', count: 1 }], COLUMNS, { coloured: false, empty: '' });
  assert.ok(!table.includes(ESCAPE));
});

test('facts stand in one column', () => {
  assert.equal(
    formatFacts(
      [
        ['a', '1'],
        ['long', '2'],
      ],
      false,
    ),
    'a     1\nlong  2\n',
  );
});

test('bytes, ages and round trips have human units', () => {
  assert.deepEqual([0, 1023, 1024, 1_572_864, 200 * 1024 ** 3, 5e18].map(formatBytes), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 MiB',
    '200 GiB',
    '4441 PiB',
  ]);
  assert.deepEqual([0, 999, 61_000, 3_600_000, 273_600_000].map(formatAge), [
    '0s',
    '0s',
    '1m 1s',
    '1h',
    '3d 4h',
  ]);
  assert.deepEqual([0.349, 12.4].map(formatRtt), ['0.35 ms', '12 ms']);
});

test('durations need a unit', () => {
  assert.deepEqual(
    ['90s', '15m', '1h', '7d', '1h30m'].map(parseDuration),
    [90_000, 900_000, 3_600_000, 604_800_000, 5_400_000],
  );
  for (const text of ['', '5', '1w', '-1h', '1.5h', 'h', '1 h', '1h ', '9999999999s']) {
    assert.equal(parseDuration(text), null, text);
  }
});

test('a failure is one line without escape sequences, and its code decides the exit status', () => {
  const known = new WeftError('E_NOT_FOUND', 'there is no \u001b[31mx\nsecond line');
  assert.equal(failureLine(known), 'weft: there is no ?[31mx second line');
  assert.equal(exitStatusOf(known), 5);
  assert.equal(failureLine(new Error('boom\n    at stack')), 'weft: unexpected failure: boom');
  const typed = new WeftError('E_USAGE', 'token file weft1_AbCdEfGhIjKl cannot be read');
  assert.equal(failureLine(typed), 'weft: token file weft_[redacted] cannot be read');
  assert.equal(exitStatusOf('text'), 1);
});
