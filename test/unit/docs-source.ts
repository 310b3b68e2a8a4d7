/** The project's documents, for the tests that compare them with the code. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { ROOT } from './style-source.ts';

export interface Document {
  /** From the repository's root, with slashes. */
  readonly path: string;
  readonly text: string;
}

const TOP = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md'];

export function document(path: string): Document {
  return { path, text: readFileSync(join(ROOT, path), 'utf8') };
}

/** Every Markdown file at the top and under docs/. */
export function documents(): Document[] {
  const below = readdirSync(join(ROOT, 'docs'), { recursive: true })
    .map((path) => posix.join('docs', String(path)))
    .filter((path) => path.endsWith('.md'))
    .sort();
  return [...TOP, ...below].map(document);
}
