/** Sources of the project for the style tests: paths, lines, code without comments and strings, and imports. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export interface Source {
  /** From the repository's root, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** The repository, whether this runs from test/ or dist/test/. */
export const ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(folder: string): string {
  const entries = readdirSync(folder);
  return entries.includes('biome.json') ? folder : findRoot(dirname(folder));
}

/** Every source file with one of the endings under the folders. */
export function sources(folders: readonly string[], endings: readonly string[] = ['.ts']): Source[] {
  return folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true })
      .map((path) => posix.join(folder, String(path)))
      .filter((path) => endings.some((ending) => path.endsWith(ending)))
      .filter((path) => !/(^|\/)(node_modules|dist|build)\//.test(path))
      .sort()
      .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') })),
  );
}

/** The code with comments and the contents of strings blanked, line for line. */
export function codeOf(text: string): string {
  const tree = ts.createSourceFile('x.ts', text, ts.ScriptTarget.Latest, true);
  const blanks: [number, number][] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) {
      blanks.push([node.getStart() + 1, node.getEnd() - 1]);
    } else if (node.kind === ts.SyntaxKind.RegularExpressionLiteral) {
      blanks.push([node.getStart() + 1, node.getEnd() - 1]);
    }
    for (const child of node.getChildren()) visit(child);
    for (const range of [
      ...(ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []),
      ...(ts.getTrailingCommentRanges(text, node.getEnd()) ?? []),
    ]) {
      blanks.push([range.pos, range.end]);
    }
  };
  visit(tree);
  const characters = text.split('');
  for (const [from, to] of blanks) {
    for (let i = from; i < to; i++) if (characters[i] !== '\n') characters[i] = ' ';
  }
  return characters.join('');
}

export interface Import {
  /** As written. */
  readonly from: string;
  /** Path from the root for a relative import, else the package. */
  readonly target: string;
  readonly line: number;
}

/** Static and dynamic imports and re-exports, types included. */
export function importsOf(source: Source): Import[] {
  const tree = ts.createSourceFile(source.path, source.text, ts.ScriptTarget.Latest, true);
  const found: Import[] = [];
  const add = (node: ts.Node | undefined): void => {
    if (node === undefined || !ts.isStringLiteralLike(node)) return;
    const from = node.text;
    const target = from.startsWith('.') ? posix.join(posix.dirname(source.path), from) : from;
    found.push({ from, target, line: tree.getLineAndCharacterOfPosition(node.getStart()).line + 1 });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0]);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** `path:line: what` for each line of code that a pattern matches. */
export function offences(source: Source, patterns: Readonly<Record<string, RegExp>>): string[] {
  const lines = codeOf(source.text).split('\n');
  return lines.flatMap((line, i) =>
    Object.entries(patterns)
      .filter(([, pattern]) => pattern.test(line))
      .map(([what]) => `${source.path}:${i + 1}: ${what}`),
  );
}
