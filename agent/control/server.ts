/**
 * The control socket: HTTP/1.1 and JSON on a Unix socket, `/v1/...`, the only door of the CLI, and the web page at `/ui/`. Shapes are in
 * api-types.ts. Whom socket-gate.ts admits may do everything here; others get 403. Garbage gets an answer of JSON
 * `{error: {code, message}}` and never harms the agent.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import { type ErrorCode, WeftError } from '../errors.ts';
import { buildVersion } from '../version.ts';
import type { AgentView, ErrorReport, VersionReport } from './api-types.ts';
import { streamCapture } from './capture-stream.ts';
import { answer, answerJson, closeServer, createBoundedServer } from './http-answer.ts';
import { METRICS_CONTENT_TYPE, type Metrics } from './metrics.ts';
import { PAGE_PREFIX, Page } from './page.ts';
import {
  BodyError,
  readAdmitterRequest,
  readPingRequest,
  readPolicyRequest,
  readRecoverRequest,
  readRevokeRequest,
  readRotateRequest,
  readTokenRequest,
  readTraceRequest,
  readVtepRequest,
} from './requests.ts';
import { listenOnSocket } from './socket-file.ts';
import type { SocketGate } from './socket-gate.ts';

export interface ControlServerOptions {
  readonly socketPath: string;
  readonly gate: SocketGate;
  readonly view: AgentView;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Told of failures that are the agent's own fault; the caller got E_INTERNAL. */
  readonly onInternalError: (error: unknown) => void;
}

/** How long somebody who may ask nothing may keep a connection. */
const STRANGER_TIMEOUT_MS = 1000;

type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => unknown;
/** Handlers by path, then method. A handler returns the JSON to answer, or undefined if it has answered. */
type Routes = Readonly<Record<string, Readonly<Record<string, Handler>>>>;

const STATUS_OF_CODE: Partial<Record<ErrorCode, number>> = {
  E_REQUEST: 400,
  E_USAGE: 400,
  E_CONFIG: 400,
  E_PRIVILEGE: 403,
  E_REFUSED: 403,
  E_TOKEN: 403,
  E_NOT_FOUND: 404,
  E_ADDRESS_IN_USE: 409,
  E_TIMEOUT: 504,
  E_UNREACHABLE: 504,
};

export class ControlServer {
  readonly #server: Server;
  readonly #clock: Clock;

  private constructor(server: Server, clock: Clock) {
    this.#server = server;
    this.#clock = clock;
  }

  /** @throws WeftError E_ALREADY_RUNNING, E_CONFIG, E_PRIVILEGE */
  static async start(options: ControlServerOptions): Promise<ControlServer> {
    const routes = routesOf(options);
    const page = new Page(options.view);
    const strangers = new WeakSet<Socket>(); // bounded by the connections
    const server = createBoundedServer((request, response) => {
      if (strangers.has(request.socket)) return answerRefusal(response, STRANGER);
      void dispatch(routes, page, request, response, options.onInternalError);
    });
    server.on('connection', (socket: Socket) => {
      if (options.gate.admits(socket)) return;
      strangers.add(socket);
      socket.once(
        'close',
        options.clock.after(STRANGER_TIMEOUT_MS, () => socket.destroy()),
      );
    });
    await listenOnSocket(server, options.socketPath);
    return new ControlServer(server, options.clock);
  }

  /** Lets answers under way finish and removes the socket file. */
  close(): Promise<void> {
    return closeServer(this.#server, this.#clock);
  }
}

function routesOf({ view, metrics }: ControlServerOptions): Routes {
  return {
    '/v1/status': { GET: () => view.status() },
    '/v1/peers': { GET: () => view.peers() },
    '/v1/members': { GET: () => view.members() },
    '/v1/fdb': { GET: () => view.fdb() },
    '/v1/drops': { GET: () => view.drops() },
    '/v1/health': { GET: () => view.health() },
    '/v1/version': { GET: version },
    '/v1/events': {
      GET: (_request, _response, url) => view.events(numberOf(url, 'after'), numberOf(url, 'wait')),
    },
    '/v1/metrics': {
      async GET(_request, response, url) {
        if (url.searchParams.get('format') === 'json') return metrics.json();
        answer(response, 200, METRICS_CONTENT_TYPE, await metrics.text());
      },
    },
    '/v1/capture': {
      GET: (_request, response, url) => streamCapture(view, response, numberOf(url, 'snap')),
    },
    '/v1/vteps': {
      GET: () => view.vteps(),
      POST: async (request) => view.addVtep(await readVtepRequest(request)),
      DELETE: async (request) => view.removeVtep(await readVtepRequest(request)),
    },
    '/v1/tokens': { POST: async (request) => view.createToken(await readTokenRequest(request)) },
    '/v1/ping': { POST: async (request) => view.ping(await readPingRequest(request)) },
    '/v1/trace': { POST: async (request) => view.trace(await readTraceRequest(request)) },
    '/v1/policy': {
      GET: () => view.policy(),
      POST: async (request) => view.setPolicy(await readPolicyRequest(request)),
    },
    '/v1/roots': { GET: () => view.roots() },
    '/v1/roots/rotate': { POST: async (request) => view.rotateRoot(await readRotateRequest(request)) },
    '/v1/roots/recover': { POST: async (request) => view.recoverRoot(await readRecoverRequest(request)) },
    '/v1/revocations': {
      GET: () => view.revocations(),
      POST: async (request) => view.revoke(await readRevokeRequest(request)),
    },
    '/v1/admitters': {
      GET: () => view.admitters(),
      POST: async (request) => view.addAdmitter(await readAdmitterRequest(request)),
      DELETE: async (request) => view.removeAdmitter(await readAdmitterRequest(request)),
    },
    '/v1/reload': { POST: () => view.reload() },
    '/v1/leave': { POST: () => view.leave() },
  };
}

/** A whole number of the query; 0 when it is not there. @throws WeftError E_REQUEST */
function numberOf(url: URL, name: string): number {
  const text = url.searchParams.get(name) ?? '0';
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new WeftError('E_REQUEST', `${name} must be a whole number`);
}

function version(): VersionReport {
  return { v: 1, ...buildVersion(), node: process.versions.node };
}

/** Never rejects. */
async function dispatch(
  routes: Routes,
  page: Page,
  request: IncomingMessage,
  response: ServerResponse,
  onInternalError: (error: unknown) => void,
): Promise<void> {
  try {
    const url = new URL(request.url ?? '/', 'http://weft');
    if (url.pathname.startsWith(PAGE_PREFIX)) return await page.answer(request, response, url);
    const handler = route(routes, request.method ?? '', url.pathname);
    if (typeof handler !== 'function') return answerRefusal(response, handler);
    const value: unknown = await handler(request, response, url);
    if (value !== undefined) answerJson(response, 200, value);
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === null) onInternalError(error);
    answerRefusal(response, refusal ?? INTERNAL);
  }
}

function route(routes: Routes, method: string, path: string): Handler | Refusal {
  const methods = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (methods === undefined) return { status: 404, code: 'E_NOT_FOUND', message: `there is no ${path} here` };
  const name = method === 'HEAD' ? 'GET' : method;
  const handler = Object.hasOwn(methods, name) ? methods[name] : undefined;
  const allow = Object.keys(methods).join(', ');
  return handler ?? { status: 405, code: 'E_REQUEST', message: `${path} takes ${allow}`, headers: { allow } };
}

const STRANGER: Refusal = {
  status: 403,
  code: 'E_PRIVILEGE',
  message: "this user may not use the agent's socket: run as root, or join the socket's group",
  headers: { connection: 'close' },
};

const INTERNAL: Refusal = {
  status: 500,
  code: 'E_INTERNAL',
  message: 'the agent failed to answer: its log says why',
};

interface Refusal {
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function answerRefusal(response: ServerResponse, { status, code, message, headers }: Refusal): void {
  const report: ErrorReport = { error: { code, message } };
  answerJson(response, status, report, headers);
}

/** What the caller is told of a failed request, or null if the failure is the agent's own. */
function refusalOf(error: unknown): Refusal | null {
  if (error instanceof BodyError) {
    const { status, code, message } = error;
    return { status, code, message, headers: { connection: 'close' } };
  }
  if (error instanceof WeftError) {
    return { status: STATUS_OF_CODE[error.code] ?? 500, code: error.code, message: error.message };
  }
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ERR_INVALID_URL') {
    return { status: 400, code: 'E_REQUEST', message: 'the request target is no path' };
  }
  // The client went away while sending: nobody reads this.
  return code === 'ECONNRESET' ? { status: 400, code: 'E_REQUEST', message: 'the request broke off' } : null;
}
