import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf, offences, type Source, sources } from './style-source.ts';

const MAX_LINES = 500;
const PRODUCT = ['agent', 'gossip', 'tun-tap'];
const PAGE = 'ui';

/** Time and randomness come in through Clock and Rng, settings through config; ending the process is main's. */
const OUTSIDE_WORLD: Readonly<Record<string, RegExp>> = {
  'Date.now': /\bDate\.now\b|\bnew Date\(\s*\)/,
  timer: /\b(setTimeout|setInterval)\b/,
  'performance.now': /\bperformance\.now\b/,
  hrtime: /\bprocess\.hrtime\b/,
  'Math.random': /\bMath\.random\b/,
  'random bytes':
    /\b(randomBytes|randomFillSync|randomUUID|getRandomValues|randombytes_buf|randombytes_random)\b/,
  'process.env': /\bprocess\.env\b/,
  'process.exit': /\bprocess\.exit\b/,
};
/** Where each may stand: the door through which it enters. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  'Date.now': ['agent/clock.ts'],
  timer: ['agent/clock.ts'],
  'performance.now': ['agent/clock.ts'],
  'random bytes': ['agent/clock.ts'],
  'process.env': [
    'agent/main.ts',
    'agent/cli/context.ts',
    // What the service manager and a predecessor say.
    'agent/agent-service.ts',
    'agent/agent-successor.ts',
    'tun-tap/native-binding.ts',
  ],
  'process.exit': ['agent/main.ts'],
};

const TYPES: Readonly<Record<string, RegExp>> = {
  any: /(:|<|\bas|\||,|=)\s*any\b(?!\()/,
  enum: /^\s*(export\s+)?(declare\s+)?(const\s+)?enum\s/,
  namespace: /^\s*(export\s+)?(declare\s+)?namespace\s/,
};
const SILENCERS = /@ts-(ignore|expect-error|nocheck)|biome-ignore|eslint-disable|\b(TODO|FIXME|XXX)\b/;

function worldOffences(source: Source): string[] {
  return offences(source, OUTSIDE_WORLD).filter((line) => {
    const [, what = ''] = line.split(/:\d+: /);
    return !DOORS[what]?.includes(source.path);
  });
}

/** Fields that grow must say what bounds them: on their line or in the comment above it. */
function unbounded(source: Source): string[] {
  const code = codeOf(source.text).split('\n');
  const lines = source.text.split('\n');
  const field = /^\s*(private |readonly |static )*#?\w+(\s*:[^=]*)?\s*=\s*new (Map|Set|WeakMap|LRUCache)\b/;
  return code.flatMap((line, i) => {
    if (!field.test(line) || /new WeakMap/.test(line)) return [];
    const near = lines.slice(Math.max(0, i - 3), i + 2).join('\n');
    return /bounded by|at most/i.test(near) ? [] : [`${source.path}:${i + 1}: no bound named`];
  });
}

test('no source file is longer than 500 lines', () => {
  const long = sources([...PRODUCT, PAGE, 'test'], ['.ts', '.tsx', '.c', '.h', '.mjs'])
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > MAX_LINES);
  assert.deepEqual(long, []);
});

test('every source file starts by saying what it does', () => {
  const silent = sources([...PRODUCT, PAGE], ['.ts', '.tsx'])
    .filter(({ path }) => !path.endsWith('.test.ts'))
    .filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text));
  assert.deepEqual(
    silent.map(({ path }) => path),
    [],
  );
});

test('time, randomness, environment and exit enter at their doors only', () => {
  const inside = sources(PRODUCT).filter(({ path }) => !path.endsWith('.test.ts'));
  assert.deepEqual(inside.flatMap(worldOffences), []);
});

test('the rule on time, randomness and environment sees each of them, and no comment or text', () => {
  const bad = [
    'const t = Date.now();',
    'const d = new Date();',
    'setTimeout(run, 5);',
    'const stop = setInterval(run, 5);',
    'const r = Math.random();',
    'const m = performance.now();',
    'const b = randomBytes(16);',
    'const e = process.env.HOME;',
    'process.exit(1);',
    'const h = process.hrtime.bigint();',
  ];
  for (const text of bad) assert.equal(worldOffences({ path: 'gossip/x.ts', text }).length, 1, text);
  const good = [
    "log('Date.now');",
    '// setTimeout(run, 5)',
    '/* Math.random() */',
    'const t = clock.wallMs();',
  ];
  for (const text of good) assert.deepEqual(worldOffences({ path: 'gossip/x.ts', text }), [], text);
  assert.deepEqual(worldOffences({ path: 'agent/clock.ts', text: 'const t = Date.now();' }), []);
});

test('no any, enum or namespace', () => {
  assert.deepEqual(
    sources([...PRODUCT, PAGE, 'test'], ['.ts', '.tsx']).flatMap((source) => offences(source, TYPES)),
    [],
  );
});

test('the rule on types sees any, enum and namespace', () => {
  const bad = [
    'let x: any = 1;',
    'f(x as any);',
    'const a: Array<any> = [];',
    'enum A { B }',
    'export const enum A { B }',
    'namespace N {}',
  ];
  for (const text of bad) assert.equal(offences({ path: 'x.ts', text }, TYPES).length, 1, text);
  assert.deepEqual(
    offences({ path: 'x.ts', text: "const any = 1; // enum: any\nfoo('as any');" }, TYPES),
    [],
  );
});

test('nothing silences the compiler or the linter, and nothing is left to be done', () => {
  const silenced = (text: string): boolean => SILENCERS.test(text);
  assert.ok(silenced(`// @ts-${'ignore'}`) && silenced(`// biome-${'ignore'} x`) && silenced(`// TO${'DO'}`));
  const found = sources([...PRODUCT, PAGE, 'test'], ['.ts', '.tsx', '.c', '.h', '.mjs'])
    .filter(({ path }) => !path.includes('style-form.test'))
    .filter(({ text }) => silenced(text));
  assert.deepEqual(
    found.map(({ path }) => path),
    [],
  );
});

test('every map and set names what bounds it', () => {
  assert.deepEqual(sources(['agent', 'gossip']).flatMap(unbounded), []);
});

test('the rule on bounds sees a map without one', () => {
  const path = 'gossip/x.ts';
  for (const bad of ['  readonly #seen = new Map<string, number>();', '  #ids: Set<string> = new Set();']) {
    assert.equal(unbounded({ path, text: `class A {\n${bad}\n}` }).length, 1, bad);
  }
  const good = '  readonly #seen = new Map<string, number>(); // bounded by MAX_SEEN';
  assert.deepEqual(unbounded({ path, text: `class A {\n${good}\n}` }), []);
});
