/** Every `weft` command of the documents is one that this version understands: verb, options, values that have a choice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Actions } from '../../agent/cli/actions.ts';
import { buildProgram } from '../../agent/cli/cli.ts';
import { type CommandNode, flatten, treeOf } from '../../agent/cli/command-tree.ts';
import { processIo } from '../../agent/cli/context.ts';
import { type Document, documents } from './docs-source.ts';

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

/** Commands in fenced blocks, wherever `weft` stands as a program, and in backquotes where one stands first. */
function commandsOf({ path, text }: Document): Found[] {
  const fenced = [...text.matchAll(/^```\w*\n(.*?)^```/gms)].flatMap(([, block = '']) =>
    block.replaceAll('\\\n', ' ').split('\n'),
  );
  const quoted = [...text.replaceAll(/^```.*?^```/gms, '').matchAll(/`(weft [^`]+)`/g)].map(
    ([, line = '']) => line,
  );
  return [...fenced, ...quoted].flatMap((line) => {
    const at = /(?:^|&& |; |-- |\| |exec (?:-T )?\w+ )weft ((?:[a-z]|--)[^#|>&;]*)/.exec(line.trim());
    const [first = ''] = at === null ? [] : [at[1] ?? ''];
    return at === null ? [] : [{ place: `${path}: ${line.trim()}`, words: first.trim().split(/\s+/) }];
  });
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
  const found = documents()
    .filter(({ path }) => path !== 'CHANGELOG.md' && !path.startsWith('docs/adr/'))
    .flatMap(commandsOf);
  assert.ok(found.length > 60, `${found.length} commands`);
  assert.deepEqual(
    found.map(wrong).filter((line) => line !== null),
    [],
  );
});

test('the rule sees a verb, an option and a choice that do not exist', () => {
  const of = (line: string): (string | null)[] =>
    commandsOf({ path: 'x', text: `\`\`\`\n${line}\n\`\`\`\n` }).map(wrong);
  assert.match(of('weft fly')[0] ?? '', /no verb fly/);
  assert.match(of('npm ci && weft ping beta --hops 3')[0] ?? '', /no option --hops/);
  assert.match(of('weft init --mode open')[0] ?? '', /--mode takes/);
  assert.match(of('runuser -u weft -- weft token make')[0] ?? '', /no verb make/);
  assert.deepEqual(of('weft token create --ttl 1h --out FILE   # a token'), [null]);
  assert.deepEqual(of('ping 10.80.0.1'), []);
});
