/**
 * The web page: `/ui/` and its files from memory, `/ui/data` and `/ui/fdb` as JSON. Read-only by construction: GET and HEAD, and
 * of the agent it has nothing but two reports without secrets. Served on the control socket (`weft ui` leads a browser there) and, where
 * `metrics.page` is on, on the metrics address.
 *
 * A browser is kept from lending its hands: nothing of another origin runs or loads in the page (Content-Security-Policy), nobody
 * frames it, other origins may not read it, and on a TCP address a Host that is a name is refused (DNS rebinding).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { WeftError } from '../errors.ts';
import type { AgentView } from './api-types.ts';
import { answer, answerJson } from './http-answer.ts';
import { type PageFile, readPageFiles } from './page-files.ts';

export const PAGE_PREFIX = '/ui/';

/** Characters of a text that the FDB is searched for. */
export const MAX_FIND_CHARACTERS = 64;

export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
};

export class Page {
  readonly #view: Pick<AgentView, 'page' | 'pageFdb'>;
  readonly #read: () => ReadonlyMap<string, PageFile>;
  /** Bounded by MAX_PAGE_FILES; null before the first request. */
  #files: ReadonlyMap<string, PageFile> | null = null;

  constructor(
    view: Pick<AgentView, 'page' | 'pageFdb'>,
    read: () => ReadonlyMap<string, PageFile> = readPageFiles,
  ) {
    this.#view = view;
    this.#read = read;
  }

  /** @throws WeftError E_REQUEST, and what the reports throw */
  async answer(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const { method } = request;
    if (method !== 'GET' && method !== 'HEAD') {
      const error = { code: 'E_REQUEST', message: 'the page is read-only: GET and HEAD' };
      return answerJson(response, 405, { error }, { ...PAGE_HEADERS, allow: 'GET, HEAD' });
    }
    const name = url.pathname.slice(PAGE_PREFIX.length);
    if (name === 'data' || name === 'fdb') {
      if (request.headers['sec-fetch-site'] === 'cross-site')
        return refuse(response, 'asked by another site');
      const report = name === 'data' ? await this.#view.page(afterOf(url)) : this.#view.pageFdb(findOf(url));
      return answerJson(response, 200, report, PAGE_HEADERS);
    }
    this.#answerFile(request, response, name === '' ? 'index.html' : name);
  }

  #answerFile(request: IncomingMessage, response: ServerResponse, name: string): void {
    this.#files ??= this.#read();
    const file = this.#files.get(name);
    if (file === undefined) {
      const why = this.#files.size === 0 ? 'the page was not built: npm run build' : 'there is no such file';
      return answer(response, 404, 'text/plain', `weft: ${why}\n`, PAGE_HEADERS);
    }
    const headers = { ...PAGE_HEADERS, etag: file.etag, 'cache-control': 'no-cache' };
    if (request.headers['if-none-match'] === file.etag) {
      response.writeHead(304, headers);
      response.end();
      return;
    }
    response.writeHead(200, {
      ...headers,
      'content-type': file.type,
      'content-length': file.body.length,
    });
    response.end(file.body);
  }
}

function refuse(response: ServerResponse, why: string): void {
  answerJson(response, 403, { error: { code: 'E_REFUSED', message: why } }, PAGE_HEADERS);
}

/** Answers 421 and true to a Host that is a name: a page of elsewhere could have pointed its name here. */
export function refuseNamedHost(request: IncomingMessage, response: ServerResponse): boolean {
  if (isPlainHost(request.headers.host ?? '')) return false;
  answer(
    response,
    421,
    'text/plain',
    'weft: ask for the page by IP address, or as localhost\n',
    PAGE_HEADERS,
  );
  return true;
}

/** An IP address or localhost, with or without a port. */
export function isPlainHost(host: string): boolean {
  const name = host.replace(/:\d{1,5}$/, '');
  return name === 'localhost' || isIP(name) === 4 || (/^\[.*\]$/.test(name) && isIP(name.slice(1, -1)) === 6);
}

function afterOf(url: URL): number {
  const text = url.searchParams.get('after') ?? '0';
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new WeftError('E_REQUEST', 'after must be a whole number');
}

function findOf(url: URL): string {
  const text = url.searchParams.get('find') ?? '';
  if (text.length <= MAX_FIND_CHARACTERS) return text.toLowerCase();
  throw new WeftError('E_REQUEST', `find must have ${MAX_FIND_CHARACTERS} characters at most`);
}
