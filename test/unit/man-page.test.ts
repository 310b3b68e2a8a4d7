import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildProgram } from '../../agent/cli/cli.ts';
import { flatten, treeOf } from '../../agent/cli/command-tree.ts';
import { processIo } from '../../agent/cli/context.ts';
import { manPage } from '../../agent/cli/man-page.ts';
import { ROOT } from './style-source.ts';

const FILE = join(ROOT, 'docs/weft.8');
const stop = (): Promise<never> => Promise.reject(new Error('not here'));
const tree = treeOf(buildProgram({ init: stop, up: stop, run: stop, lab: stop }, processIo).program);

test('docs/weft.8 is what the command line says (WEFT_WRITE_DOCS=1 writes it)', () => {
  const page = manPage(tree);
  if (process.env.WEFT_WRITE_DOCS === '1') writeFileSync(FILE, page);
  assert.equal(readFileSync(FILE, 'utf8'), page);
});

test('every verb has its section and every option its paragraph', () => {
  const page = manPage(tree)
    .replaceAll('\\-', '-')
    .replaceAll(/\\f[BIR]/g, '');
  for (const { path, children, options } of flatten(tree).slice(1)) {
    if (children.length > 0) continue;
    assert.ok(page.includes(`.SS "${path.slice(1).join(' ')}"`), path.join(' '));
    for (const { long } of options) assert.ok(page.includes(long), long);
  }
});

test('no text of a verb can become a request of troff', () => {
  const requests = ['.\\"', '.TH', '.SH', '.SS', '.TP', '.PP', '.nf', '.fi'];
  for (const line of manPage(tree).split('\n')) {
    if (/^[.']/.test(line))
      assert.ok(
        requests.some((request) => line.startsWith(request)),
        line,
      );
  }
});
