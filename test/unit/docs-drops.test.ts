import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DROP_TABLE } from '../../agent/datapath/drop.ts';
import { document } from './docs-source.ts';

test('docs/OPERATIONS.md lists every drop reason with its direction and meaning', () => {
  const [, section = ''] = document('docs/OPERATIONS.md').text.split('## Drop reasons\n');
  const rows = [...section.matchAll(/^\| `.*$/gm)].map(([row]) => row);
  const expected = DROP_TABLE.slice(1).map(
    ({ label, directions, why }) => `| \`${label}\` | ${directions.join(', ')} | ${why} |`,
  );
  assert.deepEqual(rows, expected);
});
