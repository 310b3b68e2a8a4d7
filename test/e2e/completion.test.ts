/** What real shells make of the completion scripts. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { run, WEFT } from '../../agent/lab/command.ts';
import { expectOk } from '../netns/mesh.ts';

const folder = mkdtempSync(join(tmpdir(), 'weft-completion-'));
after(() => rmSync(folder, { recursive: true }));

async function scriptOf(shell: string): Promise<string> {
  const file = join(folder, `weft.${shell}`);
  writeFileSync(file, expectOk(['weft completion', shell], await run([...WEFT, 'completion', shell])));
  return file;
}

async function outputOf(command: readonly string[]): Promise<string> {
  const ended = await run(command, { env: { HOME: folder, TERM: 'dumb' } });
  assert.equal(ended.err, '');
  return expectOk(command, ended);
}

test('fish offers verbs with their meaning, options and values', async () => {
  const file = await scriptOf('fish');
  const offered = async (line: string): Promise<string> =>
    outputOf(['fish', '--no-config', '-c', `source ${file}; complete -C '${line}'`]);
  assert.match(await offered('weft tok'), /^token\tlet other hosts join$/m);
  assert.match(await offered('weft token '), /^create\tsign a token$/m);
  assert.doesNotMatch(await offered('weft token '), /^status\t/m);
  assert.match(await offered('weft init --mode '), /^plain\t.*\nsealed\t.*\n$/);
  assert.match(await offered('weft --state token sta'), /^status\t/m);
  assert.match(await offered('weft --config /etc/hostna'), /\/etc\/hostname/);
});

test('zsh loads the script and offers the same', async () => {
  const file = await scriptOf('zsh');
  await outputOf(['zsh', '-f', '-n', file]);
  const offered = (words: string): Promise<string> =>
    outputOf([
      'zsh',
      '-f',
      '-c',
      `compdef() { :; }; _describe() { print -l -- $list }; _files() { print files }; compadd() { shift; print -l -- "$@" }
       source ${file}; words=(${words}); CURRENT=\${#words}; _weft`,
    ]);
  assert.match(await offered('weft ""'), /^token:let other hosts join$/m);
  assert.match(await offered('weft token ""'), /^create:sign a token$/m);
  assert.equal(await offered('weft init --mode ""'), 'sealed\nplain\n');
  assert.equal(await offered('weft --config ""'), 'files\n');
  assert.match(await offered('weft --state token ""'), /^status:/m);
});

test('an unknown shell is a usage error', async () => {
  assert.equal((await run([...WEFT, 'completion', 'csh'])).status, 2);
});
