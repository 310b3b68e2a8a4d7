/**
 * The port for Prometheus and health checks: /metrics, /livez, /readyz and /healthz, and the web page at /ui/ where
 * `metrics.page` is on; read-only, on loopback by default.
 * /livez answers whenever the event loop turns; /readyz is 503 with the reasons until the host carries traffic.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { type Endpoint, formatEndpoint } from '../endpoint.ts';
import { WeftError } from '../errors.ts';
import type { AgentView } from './api-types.ts';
import { answer, answerJson, closeServer, createBoundedServer } from './http-answer.ts';
import { METRICS_CONTENT_TYPE, type Metrics } from './metrics.ts';
import { PAGE_PREFIX, Page, refuseNamedHost } from './page.ts';

export interface MetricsServerOptions {
  readonly address: Endpoint;
  readonly view: Pick<AgentView, 'health' | 'page' | 'pageFdb'>;
  readonly metrics: Metrics;
  /** Whether the web page is served too (metrics.page); asked at each request for it. */
  readonly pageOn: () => boolean;
  readonly clock: Clock;
  readonly onInternalError: (error: unknown) => void;
}

export class MetricsServer {
  readonly #server: Server;
  readonly #clock: Clock;

  private constructor(server: Server, clock: Clock) {
    this.#server = server;
    this.#clock = clock;
  }

  /** @throws WeftError E_ADDRESS_IN_USE, E_CONFIG, E_PRIVILEGE */
  static async start(options: MetricsServerOptions): Promise<MetricsServer> {
    const page = new Page(options.view);
    const server = createBoundedServer(
      (request, response) => void dispatch(request, response, page, options),
    );
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(options.address.port, options.address.ip, () => {
          server.off('error', reject);
          resolve();
        });
      });
    } catch (cause) {
      throw explained(cause, formatEndpoint(options.address));
    }
    return new MetricsServer(server, options.clock);
  }

  /** Where it listens; the port is the one the system chose if 0 was asked. */
  get port(): number {
    const bound = this.#server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : 0;
  }

  close(): Promise<void> {
    return closeServer(this.#server, this.#clock);
  }
}

/** Never rejects. */
async function dispatch(
  request: IncomingMessage,
  response: ServerResponse,
  page: Page,
  { view, metrics, pageOn, onInternalError }: MetricsServerOptions,
): Promise<void> {
  try {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return answer(response, 405, 'text/plain', 'only GET and HEAD\n', { allow: 'GET, HEAD' });
    }
    const [path] = (request.url ?? '/').split('?', 1);
    if (path?.startsWith(PAGE_PREFIX) && pageOn()) {
      if (refuseNamedHost(request, response)) return;
      return await page.answer(request, response, new URL(request.url ?? '/', 'http://weft'));
    }
    switch (path) {
      case '/metrics':
        return answer(response, 200, METRICS_CONTENT_TYPE, await metrics.text());
      case '/livez': {
        const health = view.health();
        return answerJson(response, health.live ? 200 : 503, health);
      }
      case '/readyz':
      case '/healthz': {
        const health = view.health();
        return answerJson(response, health.ready ? 200 : 503, health);
      }
      case '/':
        return answer(response, 200, 'text/plain', 'weft: /metrics /livez /readyz\n');
      default:
        return answer(response, 404, 'text/plain', 'weft: there are /metrics, /livez and /readyz\n');
    }
  } catch (error) {
    if (error instanceof WeftError && error.code === 'E_REQUEST')
      return answer(response, 400, 'text/plain', `${error.message}\n`);
    if (error instanceof TypeError && 'code' in error && error.code === 'ERR_INVALID_URL')
      return answer(response, 400, 'text/plain', 'the request target is no path\n');
    onInternalError(error);
    answer(response, 500, 'text/plain', 'the agent failed to answer: its log says why\n');
  }
}

function explained(cause: unknown, address: string): WeftError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error';
  if (code === 'EADDRINUSE') {
    return new WeftError(
      'E_ADDRESS_IN_USE',
      `metrics address ${address} is in use: set metrics.address to another, or to off`,
      { cause },
    );
  }
  if (code === 'EACCES') {
    return new WeftError(
      'E_PRIVILEGE',
      `metrics address ${address} may not be bound: choose a port above 1023`,
      { cause },
    );
  }
  return new WeftError(
    'E_CONFIG',
    `metrics address ${address} cannot be bound (${code}): set metrics.address to one of this host's`,
    { cause },
  );
}
