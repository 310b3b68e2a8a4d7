import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from './style-source.ts';

const MODEL = readFileSync(join(ROOT, 'docs/SECURITY-MODEL.md'), 'utf8');

interface Promised {
  readonly promise: string;
  readonly file: string;
  readonly title: string;
}

/** Rows that name a test. */
function promises(markdown: string): Promised[] {
  return [...markdown.matchAll(/^\| (.*?) ?\| `(test\/[^`]+)` \| (.+) \|$/gm)].map(
    ([, promise = '', file = '', title = '']) => ({ promise, file, title }),
  );
}

/** Titles of a test file as they are written; of a template with its fixed parts as they stand. */
function titlesOf(source: string): string[] {
  return [
    ...source.matchAll(/\btest\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g),
  ].map(([, single, double, template]) => (single ?? double ?? template ?? '').replace(/\\(.)/g, '$1'));
}

/** What is wrong with a row; null if nothing is. */
function fault({ file, title }: Promised): string | null {
  const path = join(ROOT, file);
  if (!existsSync(path)) return `${file} is not there`;
  const found = titlesOf(readFileSync(path, 'utf8')).some(
    (written) => written === title || (written.includes('${') && written.includes(title)),
  );
  return found ? null : `${file} has no test '${title}'`;
}

test('each promise of docs/SECURITY-MODEL.md names a test that is there', () => {
  const rows = promises(MODEL);
  assert.ok(rows.length > 50, `${rows.length} rows`);
  assert.deepEqual(
    rows.map(fault).filter((text) => text !== null),
    [],
  );
});

test('no promise stands without a test', () => {
  const headed = MODEL.split(/^## /m).filter((section) => section.includes('| promise | test | title |'));
  assert.ok(headed.length > 3);
  for (const section of headed) {
    const rows = section.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| promise'));
    assert.equal(promises(section).length, rows.length, section.split('\n')[0]);
  }
});

test('the check sees a file, a title and a promise that are not there', () => {
  const [row] = promises('| a | `test/unit/none.test.ts` | b |');
  assert.ok(row);
  assert.match(fault(row) ?? '', /is not there/);
  const here = { ...row, file: 'test/unit/docs-security-model.test.ts' };
  assert.match(fault(here) ?? '', /has no test 'b'/);
  assert.equal(fault({ ...here, title: 'no promise stands without a test' }), null);
  assert.deepEqual(titlesOf("test('a \\'b\\'', () => {});\ntest(`c \u0024{d}: e`, f);"), [
    "a 'b'",
    'c \u0024{d}: e',
  ]);
});

test('README, SECURITY.md and the architecture lead to it', () => {
  for (const file of ['README.md', 'SECURITY.md', 'docs/ARCHITECTURE.md'])
    assert.match(readFileSync(join(ROOT, file), 'utf8'), /SECURITY-MODEL\.md/, file);
});
