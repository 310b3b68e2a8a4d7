import assert from 'node:assert/strict';
import { test } from 'node:test';
import ts from 'typescript';
import { type Source, sources } from './style-source.ts';

/** Files whose functions run for each frame. */
const HOT_FILES = [
  'capture-ring',
  'fdb-moves',
  'fdb',
  'geneve',
  'inner-packet',
  'internet-checksum',
  'mss-clamp',
  'packet-size',
  'packet-too-big',
  'receive',
  'ring',
  'transmit',
  'trial',
  'vtep-table',
  'vxlan',
].map((name) => `agent/datapath/${name}.ts`);
/** Functions in them that the main thread calls, at set-up, on a command or at a scrape. */
const COLD: Readonly<Record<string, readonly string[]>> = {
  'agent/datapath/capture-ring.ts': ['drain', 'start'],
  'agent/datapath/fdb.ts': ['list'],
  'agent/datapath/ring.ts': ['drain'],
  'agent/datapath/vtep-table.ts': ['set'],
};
/** Functions that make things, wherever they stand. */
const MAKES = /^(constructor|create\w*)$/;

/** Calls that allocate, by name of the method or function. */
const ALLOCATING =
  /^(slice|concat|subarray|map|filter|forEach|reduce|flatMap|from|of|split|join|toString|push|emit|then|BigInt|String|alloc|allocUnsafe|entries|keys|values|bind|apply|call|has|get)$/;

/** What a node does that must not happen for a frame, or null. */
function offence(node: ts.Node): string | null {
  if (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) return 'closure';
  if (ts.isAwaitExpression(node) || ts.isYieldExpression(node)) return 'promise';
  if (ts.isSpreadElement(node) || ts.isSpreadAssignment(node)) return 'spread';
  if (ts.isBigIntLiteral(node)) return 'BigInt';
  if (ts.isTryStatement(node)) return 'try';
  if (ts.isThrowStatement(node)) return 'throw';
  if (ts.isNewExpression(node)) return 'new';
  if (ts.isObjectLiteralExpression(node)) return 'object';
  if (ts.isArrayLiteralExpression(node)) return 'array';
  if (ts.isTemplateExpression(node)) return 'text';
  if (ts.isForOfStatement(node) || ts.isForInStatement(node)) return 'iterator';
  if (ts.isElementAccessExpression(node) && ts.isStringLiteralLike(node.argumentExpression))
    return 'string key';
  if (!ts.isCallExpression(node)) return null;
  const callee = node.expression;
  const name = ts.isPropertyAccessExpression(callee) ? callee.name.text : callee.getText();
  return ALLOCATING.test(name) ? `call of ${name}` : null;
}

/** `path:line function: what` for each offence inside a function that is not cold. */
function offences(source: Source): string[] {
  const cold = COLD[source.path] ?? [];
  const tree = ts.createSourceFile(source.path, source.text, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const search = (node: ts.Node, name: string): void => {
    const what = offence(node);
    if (what !== null) {
      const { line } = tree.getLineAndCharacterOfPosition(node.getStart());
      found.push(`${source.path}:${line + 1} ${name}: ${what}`);
    }
    ts.forEachChild(node, (child) => search(child, name));
  };
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node) || ts.isGetAccessor(node)) {
      const name = node.name?.getText() ?? '';
      const held = !MAKES.test(name) && !cold.includes(name);
      if (held && node.body !== undefined) search(node.body, name);
    } else if (ts.isClassDeclaration(node)) ts.forEachChild(node, visit);
  };
  ts.forEachChild(tree, visit);
  return found;
}

test('nothing in the path of a frame allocates, throws or waits', () => {
  const hot = sources(['agent/datapath']).filter(({ path }) => HOT_FILES.includes(path));
  assert.deepEqual(
    hot.map(({ path }) => path),
    HOT_FILES,
  );
  assert.deepEqual(
    hot.flatMap((source) => offences(source)),
    [],
  );
});

test('every file that calls itself a hot path is held to the rule', () => {
  const marked = sources(['agent/datapath'])
    .filter(({ text }) => /hot path:|called per frame/i.test(text))
    .map(({ path }) => path)
    .filter((path) => !HOT_FILES.includes(path));
  assert.deepEqual(marked, []);
});

test('the rule sees each thing that is banned', () => {
  const bad = [
    'const f = () => 1;',
    'await x;',
    'f(...x);',
    'x = 1n;',
    'try { f(); } catch { g(); }',
    'throw x;',
    'x = new Map();',
    'x = { a: 1 };',
    'x = [1];',
    ['x = `$', '{y}`;'].join(''),
    'for (const y of x) f(y);',
    "x['a'] = 1;",
    'Buffer.from(x);',
    'x.slice(1);',
    'x.subarray(1);',
    'Buffer.concat(x);',
    'x.emit(y);',
    'BigInt(x);',
  ];
  for (const line of bad) {
    const inFunction = { path: 'x.ts', text: `async function hot(x, y, f, g) { ${line} }` };
    assert.ok(offences(inFunction).length > 0, line);
    const inMethod = { path: 'x.ts', text: `class A { async #hot(x, y, f, g) { ${line} } }` };
    assert.ok(offences(inMethod).length > 0, line);
  }
  const good =
    'function hot(x) { const { a } = x; for (let i = 0; i < a.length; i++) a[i]! += 1; return a[0]!; }';
  assert.deepEqual(offences({ path: 'x.ts', text: good }), []);
  assert.deepEqual(offences({ path: 'x.ts', text: 'class A { constructor() { this.x = new Map(); } }' }), []);
});
