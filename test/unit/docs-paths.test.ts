import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { test } from 'node:test';
import { documents } from './docs-source.ts';
import { ROOT } from './style-source.ts';

/** `agent/x/y.ts`, `tun-tap/native/`: whatever begins like a folder of the repository. */
const PATH =
  /(?<![\w./<@-])((?:agent|gossip|tun-tap|test|docs|docker|\.ci)\/[A-Za-z0-9_./*-]*[A-Za-z0-9_/*])/g;
const LINK = /\]\((?!https?:|#)([^)#\s]+)/g;

/** Paths that a document names, from the root. What has a `*` stands for a family and is cut before it. */
function namedPaths(text: string): string[] {
  return [...text.matchAll(PATH)]
    .map(([, path = '']) => path.replace(/[^/]*\*.*$/, ''))
    .filter((path) => !path.startsWith('dist/'));
}

const missing = (file: string, paths: readonly string[]): string[] =>
  paths.filter((path) => !existsSync(join(ROOT, path))).map((path) => `${file} names ${path}`);

test('every path that a document names exists', () => {
  const wrong = documents().flatMap(({ path, text }) => missing(path, namedPaths(text)));
  assert.deepEqual(wrong, []);
});

test('every relative link in a document leads somewhere', () => {
  const wrong = documents().flatMap(({ path, text }) => {
    const targets = [...text.matchAll(LINK)].map(([, target = '']) => posix.join(dirname(path), target));
    return missing(path, targets);
  });
  assert.deepEqual(wrong, []);
});

test('the rule on paths sees a path in text, in code and in a table', () => {
  const text = 'see agent/no.ts, `tun-tap/native/no.c` and | `docs/no.md` |; weft/agent/x is none';
  assert.deepEqual(namedPaths(text), ['agent/no.ts', 'tun-tap/native/no.c', 'docs/no.md']);
});

test('the README is at most 150 lines and gives the two commands first', () => {
  const text = readFileSync(join(ROOT, 'README.md'), 'utf8');
  assert.ok(text.split('\n').length <= 151);
  const [first = ''] = /```\n([^`]*)```/.exec(text)?.slice(1) ?? [];
  assert.match(first, /^npm ci && npm run lab\b.*\nnpm ci && npm test\b/);
});
