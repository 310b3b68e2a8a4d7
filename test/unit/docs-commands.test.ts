/** Every `weft` command of the documents is one that this version understands: verb, options, values that have a choice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Actions } from '../../agent/cli/actions.ts';
import { buildProgram } from '../../agent/cli/cli.ts';
import { type CommandNode, flatten, treeOf } from '../../agent/cli/command-tree.ts';
import { processIo } from '../../agent/cli/context.ts';
import { ELSEWHERE } from '../netns/docs/elsewhere.ts';
import { commandDocuments, commandsOf, isPartOf, simpleCommands, variants, wasTyped } from './docs-lines.ts';
import type { Document } from './docs-source.ts';

const NEVER = (): never => {
  throw new Error('not run here');
};
const NONE: Actions = { init: NEVER, up: NEVER, run: NEVER, lab: NEVER };
const program = treeOf(buildProgram(NONE, processIo).program);
const byPath = new Map(flatten(program).map((node) => [node.path.join(' '), node]));

interface Found {
  readonly place: string;
  /** What follows `weft`, up to where the shell goes on with something else. */
  readonly words: readonly string[];
}

/** Wherever `weft` stands as a program: first, or behind another that starts it. */
function weftCommandsOf(document: Document): Found[] {
  return commandsOf(document).flatMap(({ place, text }) =>
    simpleCommands(text).flatMap((command) => {
      const [, words] = /^(?:runuser .* -- |docker exec \w+ )?weft ((?:[a-z]|--).*)$/.exec(command) ?? [];
      return words === undefined ? [] : [{ place, words: words.replace(/ > .*$/, '').split(' ') }];
    }),
  );
}

/** What is wrong with a command; null if nothing is. */
function wrong({ place, words }: Found): string | null {
  let node: CommandNode = program;
  const options = (): CommandNode['options'] => [...node.options, ...program.options];
  for (let i = 0; i < words.length; i++) {
    const word = (words[i] ?? '').replace(/^\[|\]$/g, '');
    if (word.startsWith('--')) {
      const [name = '', given] = word.split('=');
      const option = options().find(({ long }) => long === name.split('|')[0]);
      if (option === undefined) return `${place}: no option ${name} of ${node.path.join(' ')}`;
      if (option.value !== null && given === undefined) {
        const value = words[++i] ?? '';
        if (option.choices.length > 0 && /^[a-z]+$/.test(value) && !option.choices.includes(value))
          return `${place}: ${name} takes ${option.choices}`;
      }
      continue;
    }
    if (node.children.length === 0) continue;
    const [verb = ''] = word.split('|');
    const child = byPath.get([...node.path, verb].join(' '));
    // Capitals stand for a verb in general.
    if (child === undefined) return /^[A-Z]|^\.\.\.$/.test(verb) ? null : `${place}: no verb ${verb}`;
    node = child;
  }
  return null;
}

test('every weft command in a document has a verb and options of this version', () => {
  const found = commandDocuments().flatMap(weftCommandsOf);
  assert.ok(found.length > 150, `${found.length} commands`);
  assert.deepEqual(
    found.map(wrong).filter((line) => line !== null),
    [],
  );
});

test('the rule sees a verb, an option and a choice that do not exist', () => {
  const of = (line: string): (string | null)[] =>
    weftCommandsOf({ path: 'x', text: `\`\`\`\n${line}\n\`\`\`\n` }).map(wrong);
  assert.match(of('weft fly')[0] ?? '', /no verb fly/);
  assert.match(of('npm ci && weft ping beta --hops 3')[0] ?? '', /no option --hops/);
  assert.match(of('weft init --mode open')[0] ?? '', /--mode takes/);
  assert.match(of('runuser -u weft -- weft token make')[0] ?? '', /no verb make/);
  assert.deepEqual(of('weft token create --ttl 1h --out FILE   # a token'), [null]);
  assert.deepEqual(of('ping 10.80.0.1'), []);
});

test('commands are found in blocks without a language and in backquotes, and nowhere else', () => {
  const text = [
    '```\nweft run &   # stays\ndocker run -d \\\n  weft\n\n```',
    '```yaml\nweft run\n```',
    '```\n  [ weft0 ]  a picture\nweft run\n```',
    'Say `weft\nping HOST`, `a \\| b`, `weft.lane` or `weft capture \\| tshark`.',
  ].join('\n');
  assert.deepEqual(
    commandsOf({ path: 'x', text }).map((command) => `${command.kind}: ${command.text}`),
    [
      'line: weft run &',
      'line: docker run -d weft',
      'mention: weft ping HOST',
      'mention: weft capture | tshark',
    ],
  );
});

test('a line is typed as it stands and in all its forms; a mention is a part of what is typed, from its program on', () => {
  assert.deepEqual(simpleCommands('npm ci && weft fdb | head &'), ['npm ci', 'weft fdb', 'head']);
  assert.deepEqual(variants('weft a [--b c] d'), ['weft a d', 'weft a --b c d']);
  assert.ok(wasTyped({ kind: 'line', text: 'weft a [--b]' }, ['cd x && weft a', 'weft a --b']));
  assert.ok(!wasTyped({ kind: 'line', text: 'weft a [--b]' }, ['weft a --b']));
  assert.ok(!wasTyped({ kind: 'line', text: 'weft a' }, ['weft a --b']));
  assert.ok(wasTyped({ kind: 'mention', text: 'weft a HOST [--c]' }, ['weft a x --b']));
  for (const [mention, typed] of [
    ['weft a --b', 'weft a'],
    ['weft b a', 'weft a b'],
    ['weft a', 'npx weft a'],
    ['weft a HOST', 'weft a'],
  ] as const)
    assert.ok(!isPartOf(mention, typed), `${mention} in ${typed}`);
});

// The walk through the documents types none of these: here they fail at once, there after half an hour.
test('every npm script of the documents has a row that says which file runs it', () => {
  const npm = commandDocuments()
    .flatMap(commandsOf)
    .filter(({ text }) => /\bnpm run /.test(text));
  assert.ok(npm.length > 10, `${npm.length} commands`);
  const without = npm.filter(
    ({ text }) => !ELSEWHERE.has(text) && !simpleCommands(text).every((command) => ELSEWHERE.has(command)),
  );
  assert.deepEqual(
    without.map(({ place }) => place),
    [],
  );
});
