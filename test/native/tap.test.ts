/** Runs tap-in-namespace.ts where its interfaces trouble nobody: in a network namespace that ends with the process. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const FILE = fileURLToPath(new URL(`./tap-in-namespace${extension}`, import.meta.url));

test('a TAP keeps its promises: settings, errors, frames both ways, repairs', (t) => {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const nodeArgs = process.execArgv.filter((arg) => !arg.startsWith('--test'));
  const run = spawnSync('unshare', ['--net', process.execPath, ...nodeArgs, FILE], { env, encoding: 'utf8' });
  assert.equal(run.status, 0, `${run.stdout}\n${run.stderr}`);
  const passed = /^(?:#|ℹ) pass (\d+)$/m.exec(run.stdout)?.[1];
  t.diagnostic(`${passed} checks`);
  assert.ok(Number(passed) >= 10, run.stdout);
});
