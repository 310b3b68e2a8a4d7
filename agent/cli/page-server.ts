/**
 * The web page on a loopback port: what `weft ui` stands for. Passes GET and HEAD below `/TOKEN/` on to `/ui/` of the control socket
 * and nothing else, so that neither another user of this machine, who does not know the token, nor a web page of elsewhere
 * reaches the socket through it. Never passes on a method that changes something, a body, or a header but If-None-Match.
 */
import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { Rng } from '../clock.ts';
import { WeftError } from '../errors.ts';

export interface PageServerOptions {
  readonly socketPath: string;
  /** 0: one that the system chooses. */
  readonly port: number;
  readonly rng: Rng;
}

const ADDRESS = '127.0.0.1';
const TOKEN_BYTES = 18;
const ANSWER_MS = 10_000;
export const MAX_PAGE_CONNECTIONS = 32;
/** Of the agent's answer; connection headers are this server's own. */
const PASSED = new Set([
  'content-type',
  'content-length',
  'etag',
  'cache-control',
  'content-security-policy',
  'x-content-type-options',
  'x-frame-options',
  'referrer-policy',
  'cross-origin-resource-policy',
  'cross-origin-opener-policy',
]); // bounded by this list

export class PageServer {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  /** @throws WeftError E_ADDRESS_IN_USE, E_PRIVILEGE */
  static async start({ socketPath, port, rng }: PageServerOptions): Promise<PageServer> {
    const token = Buffer.from(rng.fill(new Uint8Array(TOKEN_BYTES))).toString('base64url');
    const gate = { token, socketPath, hosts: [] as string[] }; // bounded by the two names below
    const server = createServer({ maxHeaderSize: 8192, requestTimeout: ANSWER_MS }, (incoming, response) =>
      pass(incoming, response, gate),
    );
    server.maxConnections = MAX_PAGE_CONNECTIONS;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) => reject(explained(cause, port)));
      server.listen(port, ADDRESS, resolve);
    });
    const bound = server.address();
    const actual = typeof bound === 'object' && bound !== null ? bound.port : port;
    gate.hosts.push(`${ADDRESS}:${actual}`, `localhost:${actual}`);
    return new PageServer(server, `http://${ADDRESS}:${actual}/${token}/`);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

interface Gate {
  readonly token: string;
  readonly socketPath: string;
  /** What a browser that was given the URL calls this server. */
  readonly hosts: readonly string[];
}

function pass(incoming: IncomingMessage, response: ServerResponse, gate: Gate): void {
  const { method = '', url = '/' } = incoming;
  if (!gate.hosts.includes(incoming.headers.host ?? '')) return end(response, 421, 'not this host');
  const [, given = '', rest = ''] = /^\/([^/?]*)\/([^#]*)$/.exec(url) ?? [];
  if (!sameToken(given, gate.token))
    return end(response, 404, 'not here: use the URL that `weft ui` printed');
  if (method !== 'GET' && method !== 'HEAD')
    return end(response, 405, 'the page is read-only: GET and HEAD', { allow: 'GET, HEAD' });
  // A path that climbs would leave /ui/ once the agent resolves it.
  if (/%2e|%2f|%5c|\\|(^|\/)\.\.?(\/|\?|$)/i.test(rest)) return end(response, 404, 'there is no such file');
  const match = incoming.headers['if-none-match'];
  const headers = match === undefined ? {} : { 'if-none-match': match };
  const site = incoming.headers['sec-fetch-site'];
  const outgoing = request(
    {
      socketPath: gate.socketPath,
      method,
      path: `/ui/${rest}`,
      headers: { host: 'weft', ...headers, ...(typeof site === 'string' && { 'sec-fetch-site': site }) },
      agent: false,
      timeout: ANSWER_MS,
    },
    (answer) => {
      const kept = Object.entries(answer.headers).filter(([name]) => PASSED.has(name));
      response.writeHead(answer.statusCode ?? 502, Object.fromEntries(kept));
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    },
  );
  outgoing.on('timeout', () => outgoing.destroy(new Error('timeout')));
  outgoing.on('error', () => end(response, 503, `no agent answers at ${gate.socketPath}`));
  response.on('close', () => outgoing.destroy());
  outgoing.end();
}

function sameToken(given: string, token: string): boolean {
  const a = Buffer.from(given);
  const b = Buffer.from(token);
  return a.length === b.length && timingSafeEqual(a, b);
}

function end(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return void response.destroy();
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'",
    ...headers,
  });
  response.end(`weft: ${text}\n`);
}

function explained(cause: NodeJS.ErrnoException, port: number): WeftError {
  if (cause.code === 'EACCES')
    return new WeftError('E_PRIVILEGE', `port ${port} may not be bound: choose one above 1023`, { cause });
  return new WeftError(
    'E_ADDRESS_IN_USE',
    `port ${port} of 127.0.0.1 cannot be bound (${cause.code}): choose another with --port`,
    { cause },
  );
}
