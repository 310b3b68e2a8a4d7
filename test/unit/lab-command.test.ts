/** The command line of children of our own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

const MODULE = new URL('../../agent/lab/command.js', import.meta.url).href;
const PROGRAM = `import { WEFT } from '${MODULE}'; console.log(JSON.stringify(WEFT));`;

test('children get the flags of node, but never a program given as text: it would start itself without end', () => {
  for (const given of [
    ['-e', PROGRAM],
    ['--eval', PROGRAM],
  ]) {
    const argv = ['--input-type=module', '--stack-trace-limit=7', ...given];
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    const [node, ...rest] = JSON.parse(stdout);
    assert.equal(node, process.execPath);
    assert.deepEqual(rest.slice(0, -1), ['--stack-trace-limit=7']);
    assert.match(rest.at(-1), /agent\/main\.js$/);
  }
});
