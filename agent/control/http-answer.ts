/**
 * What the control socket and the metrics port have in common: limits on connections and requests, answers in one
 * piece, and quiet handling of whatever is not HTTP. Nothing here throws into the event loop.
 */
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';

/** A client that is slower than this is cut off. */
const REQUEST_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 64;
const MAX_HEADER_BYTES = 8192;
/** How long answers under way may take when the server closes. */
const CLOSE_GRACE_MS = 1000;

/** An HTTP server that survives garbage, slow senders and floods of connections. */
export function createBoundedServer(listener: RequestListener): Server {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: 2000,
    },
    listener,
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.maxRequestsPerSocket = 1000;
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
    const body = JSON.stringify({
      error: { code: 'E_REQUEST', message: 'this is not an HTTP request that weft understands' },
    });
    socket.end(
      `HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
  });
  // Upgrade and CONNECT have no listener: node:http answers or closes them by itself.
  return server;
}

export function answer(
  response: ServerResponse,
  status: number,
  type: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(body);
}

export function answerJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  answer(response, status, 'application/json', `${JSON.stringify(value)}\n`, headers);
}

/** Takes no new connection, lets answers under way finish, then closes. */
export function closeServer(server: Server, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const cancelCutOff = clock.after(CLOSE_GRACE_MS, () => server.closeAllConnections());
    server.close(() => {
      cancelCutOff();
      resolve();
    });
    server.closeIdleConnections();
  });
}
