import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ApiClient } from '../../agent/cli/client.ts';

const folder = mkdtempSync(join(tmpdir(), 'weft-client-'));
after(() => rmSync(folder, { recursive: true }));

/** A server that does `talk` with each connection while `during` runs. */
async function against(
  talk: (socket: Socket) => void,
  during: (path: string) => Promise<void>,
): Promise<void> {
  const sockets: Socket[] = []; // bounded by the test
  const path = join(folder, 's.sock');
  const server: Server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined).resume();
    talk(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await during(path);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

const http = (status: string, body: string): string =>
  `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`;

test('an agent that never answers is given up', async () => {
  await against(
    () => undefined,
    (path) => assert.rejects(new ApiClient(path, 50).get('/v1/status'), { code: 'E_TIMEOUT' }),
  );
});

test('an answer that breaks off is a failure in one line', async () => {
  await against(
    (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"v":'),
    (path) => assert.rejects(new ApiClient(path).get('/v1/status'), { name: 'WeftError' }),
  );
});

test('an answer that is no JSON is a failure in one line', async () => {
  await against(
    (socket) => socket.end(http('200 OK', 'hello')),
    (path) => assert.rejects(new ApiClient(path).get('/v1/status'), { name: 'WeftError' }),
  );
});

test('an error of another version keeps its message under a code that this version knows', async () => {
  await against(
    (socket) => socket.end(http('409 Conflict', '{"error":{"code":"E_NEWER","message":"not now"}}')),
    (path) =>
      assert.rejects(new ApiClient(path).get('/v1/status'), { code: 'E_INTERNAL', message: 'not now' }),
  );
  await against(
    (socket) => socket.end(http('500 Oops', 'null')),
    (path) =>
      assert.rejects(new ApiClient(path).get('/v1/status'), { message: /status 500: is it another version/ }),
  );
});

test('a socket that this user may not open is a matter of privilege', async (context) => {
  if (process.getuid?.() !== 0) context.diagnostic('not root: the mode of the file decides');
  await against(
    () => undefined,
    async (path) => {
      chmodSync(path, 0);
      const { seteuid } = process;
      const wasRoot = process.getuid?.() === 0;
      if (wasRoot) chmodSync(folder, 0o755);
      if (wasRoot) seteuid?.(65534);
      try {
        await assert.rejects(new ApiClient(path).get('/v1/status'), { code: 'E_PRIVILEGE' });
      } finally {
        if (wasRoot) seteuid?.(0);
      }
    },
  );
});
