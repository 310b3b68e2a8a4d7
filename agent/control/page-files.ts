/**
 * The built web page (dist/ui) in memory: read once, at the first request, from the folder next to the agent's own code; looked up by
 * its name there and nothing else, so that no path of a request ever reaches the file system. Called by page.ts.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface PageFile {
  readonly type: string;
  readonly body: Buffer;
  /** Of the content, in quotes. */
  readonly etag: string;
}

/** The page has six; more is a folder that is something else. */
export const MAX_PAGE_FILES = 32;
export const MAX_PAGE_FILE_BYTES = 2_097_152;

/** dist/ui, seen from dist/agent/control. */
const BUILT = fileURLToPath(new URL('../../ui/', import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

/** Files by name; empty when the page was not built. */
export function readPageFiles(folder: string = BUILT): ReadonlyMap<string, PageFile> {
  const files = new Map<string, PageFile>(); // bounded by MAX_PAGE_FILES
  for (const name of namesIn(folder)) {
    const type = TYPES[extname(name)];
    const path = join(folder, name);
    if (type === undefined || files.size >= MAX_PAGE_FILES) continue;
    const facts = statSync(path);
    if (!facts.isFile() || facts.size > MAX_PAGE_FILE_BYTES) continue;
    const body = readFileSync(path);
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
    files.set(name, { type, body, etag });
  }
  return files;
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
