import assert from 'node:assert/strict';
import { test } from 'node:test';
import ts from 'typescript';
import { document } from './docs-source.ts';
import { sources } from './style-source.ts';

interface Row {
  readonly value: number;
  readonly name: string;
  readonly folder: string;
}

function rowsOf(text: string): Row[] {
  return [...text.matchAll(/^\|[^|]*\| ([\d,]+) \| `(\w+)` \| `([^`]+)` \|/gm)].map(
    ([, value = '', name = '', folder = '']) => ({ value: Number(value.replaceAll(',', '')), name, folder }),
  );
}

const limits = rowsOf(document('docs/LIMITS.md').text);

const OPERATIONS: Readonly<Record<number, (a: number, b: number) => number>> = {
  [ts.SyntaxKind.PlusToken]: (a, b) => a + b,
  [ts.SyntaxKind.MinusToken]: (a, b) => a - b,
  [ts.SyntaxKind.AsteriskToken]: (a, b) => a * b,
  [ts.SyntaxKind.SlashToken]: (a, b) => a / b,
  [ts.SyntaxKind.AsteriskAsteriskToken]: (a, b) => a ** b,
  [ts.SyntaxKind.LessThanLessThanToken]: (a, b) => a * 2 ** b,
};

/** The value of a constant or property of a TypeScript file, if it is arithmetic on numbers and such constants. */
function numberOf(text: string, name: string): number | null {
  const tree = ts.createSourceFile('x.ts', text, ts.ScriptTarget.Latest, true);
  const expressions = new Map<string, ts.Expression>();
  const collect = (node: ts.Node): void => {
    const named = ts.isVariableDeclaration(node) || ts.isPropertyAssignment(node);
    if (named && ts.isIdentifier(node.name) && node.initializer !== undefined) {
      if (!expressions.has(node.name.text)) expressions.set(node.name.text, node.initializer);
    }
    ts.forEachChild(node, collect);
  };
  collect(tree);
  const evaluate = (node: ts.Expression | undefined): number => {
    if (node === undefined) return Number.NaN;
    if (ts.isNumericLiteral(node)) return Number(node.text);
    if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node)) return evaluate(node.expression);
    if (ts.isIdentifier(node)) return evaluate(expressions.get(node.text));
    if (!ts.isBinaryExpression(node)) return Number.NaN;
    const apply = OPERATIONS[node.operatorToken.kind];
    return apply === undefined ? Number.NaN : apply(evaluate(node.left), evaluate(node.right));
  };
  const value = evaluate(expressions.get(name));
  return Number.isNaN(value) ? null : value;
}

function macroOf(text: string, name: string): number | null {
  const match = new RegExp(`^#define ${name}\\s+(\\d+)`, 'm').exec(text);
  return match === null ? null : Number(match[1]);
}

/** Every value that the folder's files give the constant. */
function actual({ folder, name }: Row): number[] {
  return sources([folder], ['.ts', '.c', '.h'])
    .filter(({ path, text }) => !path.endsWith('.test.ts') && text.includes(name))
    .map(({ path, text }) => (path.endsWith('.ts') ? numberOf(text, name) : macroOf(text, name)))
    .filter((value) => value !== null);
}

test('every constant of docs/LIMITS.md exists with the value given there', () => {
  assert.ok(limits.length > 50);
  const wrong = limits
    .map((row) => ({ ...row, actual: actual(row) }))
    .filter((row) => !row.actual.includes(row.value))
    .map((row) => `${row.folder}: ${row.name} is [${row.actual}], the document says ${row.value}`);
  assert.deepEqual(wrong, []);
});

test('every constant that a `bounded by` names is in docs/LIMITS.md', () => {
  const listed = new Set(limits.map(({ name }) => name));
  const missing = sources(['agent', 'gossip'])
    .filter(({ path }) => !path.startsWith('agent/lab/'))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/bounded by (?:\w+\.)?([A-Z]+_[A-Z_]+)\b/gi)]
        .filter(([, name = '']) => name === name.toUpperCase())
        .filter(([, name = '']) => !listed.has(name))
        .map(([, name]) => `${path}: ${name}`),
    );
  assert.deepEqual(missing, []);
});

test('the arithmetic of the check is that of the language', () => {
  const text = 'const A = 2 ** 10;\nconst B = { c: (A + 24) * 2 - 8 / 2, d: 1 << 4 };\nconst E = f();';
  assert.deepEqual(
    ['A', 'c', 'd', 'E', 'F'].map((name) => numberOf(text, name)),
    [1024, 2092, 16, null, null],
  );
  assert.equal(macroOf('#define N 12 /* x */\n', 'N'), 12);
  assert.equal(macroOf('#define NN 12\n', 'N'), null);
});
