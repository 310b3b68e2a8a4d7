import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { Actions } from '../../agent/cli/actions.ts';
import { buildProgram } from '../../agent/cli/cli.ts';
import { flatten, treeOf } from '../../agent/cli/command-tree.ts';
import { completionScript, SHELLS } from '../../agent/cli/completion.ts';
import { processIo } from '../../agent/cli/context.ts';

const NONE: Actions = {
  init: () => Promise.reject(new Error('not here')),
  up: () => Promise.resolve(),
  run: () => Promise.resolve(),
  lab: () => Promise.resolve(0),
};
const tree = treeOf(buildProgram(NONE, processIo).program);

/** What bash offers for a line whose last word is under the cursor. */
function offered(line: string): string[] {
  const words = line.split(' ');
  const script = `${completionScript('bash', tree)}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${words.length - 1}
_weft 2>/dev/null
printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).split('\n').filter(Boolean);
}

test('bash offers verbs, sub-verbs, options and their values', () => {
  assert.deepEqual(offered('weft tok'), ['token']);
  assert.deepEqual(offered('weft token '), ['create', '-h', '--help']);
  assert.deepEqual(offered('weft token create --us'), ['--uses']);
  assert.deepEqual(offered('weft init --mode '), ['sealed', 'plain']);
  assert.deepEqual(offered('weft init --encap ge'), ['geneve']);
  assert.deepEqual(offered('weft completion f'), ['fish']);
  assert.deepEqual(offered('weft config s').sort(), ['schema', 'show']);
  assert.deepEqual(offered('weft token create --uses '), [], 'a number is not guessed');
});

test('the value of an option is not taken for a verb, and files are offered where a file is meant', () => {
  assert.deepEqual(offered('weft --state token st'), ['status']);
  assert.ok(offered('weft --config /etc/hos').includes('/etc/hosts'));
  assert.ok(offered('weft --state /et').includes('/etc'));
});

test('every verb and option is in the script of every shell', () => {
  for (const shell of SHELLS) {
    const script = completionScript(shell, tree);
    for (const { path, options } of flatten(tree)) {
      assert.ok(script.includes(path.at(-1) ?? ''), `${shell}: ${path.join(' ')}`);
      for (const { long } of options) assert.ok(script.includes(long.slice(2)), `${shell}: ${long}`);
    }
  }
});
