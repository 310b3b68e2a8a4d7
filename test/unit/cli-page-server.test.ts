/** The loopback port of `weft ui`: who may come in, and what gets through to the control socket. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PageServer } from '../../agent/cli/page-server.ts';
import { systemRng } from '../../agent/clock.ts';
import { type Served, serveFakeAgent } from './control-fake-agent.ts';

let served: Served;
let server: PageServer;
let url: URL;

before(async () => {
  served = await serveFakeAgent();
  server = await PageServer.start({ socketPath: served.socket, port: 0, rng: systemRng });
  url = new URL(server.url);
});
after(async () => {
  await server.close();
  await served.stop();
});

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
}

function ask(
  path: string,
  {
    method = 'GET',
    headers = {},
    at = url,
  }: { method?: string; headers?: Record<string, string>; at?: URL } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: at.hostname, port: at.port, path, method, headers, agent: false },
      (answer) => {
        let body = '';
        answer.setEncoding('utf8').on('data', (text: string) => {
          body += text;
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body, headers: answer.headers }));
      },
    );
    outgoing.on('error', reject);
    outgoing.end(method === 'POST' ? '{}' : undefined);
  });
}

test('the URL is of loopback and holds 24 random characters, others each time', async () => {
  assert.match(server.url, /^http:\/\/127\.0\.0\.1:\d+\/[\w-]{24}\/$/);
  const other = await PageServer.start({ socketPath: served.socket, port: 0, rng: systemRng });
  assert.notEqual(new URL(other.url).pathname, url.pathname);
  await other.close();
});

test('with the token the page and its data come as the agent serves them', async () => {
  const page = await ask(url.pathname);
  assert.equal(page.status, 200);
  assert.match(page.body, /<div id="app">/);
  assert.match(String(page.headers['content-security-policy']), /default-src 'none'/);
  const etag = String(page.headers.etag);
  assert.equal((await ask(url.pathname, { headers: { 'if-none-match': etag } })).status, 304);
  const data = await ask(`${url.pathname}data?after=0`);
  assert.equal(JSON.parse(data.body).status.name, 'alpha');
  assert.equal((await ask(`${url.pathname}data`, { method: 'HEAD' })).body, '');
});

test('without the token, or with a wrong one, nothing is there', async () => {
  const wrong = `/${'A'.repeat(24)}/`;
  const paths = [
    '/',
    '/ui/',
    '/ui/data',
    '/v1/status',
    wrong,
    `${wrong}data`,
    url.pathname.slice(0, -1),
    '//',
  ];
  for (const path of paths) assert.equal((await ask(path)).status, 404, path);
  assert.equal((await ask(`${url.pathname.slice(0, -2)}/data`)).status, 404);
});

test('nothing but the page is reached through it, however a path climbs', async () => {
  const climbs = [
    '../v1/status',
    '%2e%2e/v1/status',
    '..%2fv1/status',
    'x/../../v1/status',
    '..\\v1/status',
    './../v1/peers',
  ];
  for (const path of [...climbs, 'v1/status', 'nothing.js'])
    assert.equal((await ask(`${url.pathname}${path}`)).status, 404, path);
});

test('methods that could change something are refused before the agent hears of them', async () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])
    assert.equal((await ask(`${url.pathname}data`, { method })).status, 405, method);
  assert.equal(served.agent.tokenRequests.length, 0);
});

test('a Host that is not this server is refused, with the token too', async () => {
  for (const host of ['evil.example', `evil.example:${url.port}`, '127.0.0.1', '127.0.0.1:1'])
    assert.equal((await ask(`${url.pathname}data`, { headers: { host } })).status, 421, host);
  assert.equal(
    (await ask(`${url.pathname}data`, { headers: { host: `localhost:${url.port}` } })).status,
    200,
  );
});

test('the agent sees no header of the browser but the two that it needs, and the browser no cookie', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-ui-'));
  const seen: IncomingMessage[] = []; // bounded by the test
  const agent: Server = createServer((incoming, response) => {
    seen.push(incoming);
    response.setHeader('set-cookie', 'a=b');
    response.end('ok');
  });
  const socketPath = join(folder, 's');
  await new Promise<void>((resolve) => void agent.listen(socketPath, resolve));
  const page = await PageServer.start({ socketPath, port: 0, rng: systemRng });
  const at = new URL(page.url);
  const headers = { cookie: 'x=y', authorization: 'z', 'if-none-match': '"a"', 'sec-fetch-site': 'none' };
  const answer = await ask(`${at.pathname}data?after=3`, { at, headers });
  assert.equal(answer.headers['set-cookie'], undefined);
  assert.deepEqual([seen[0]?.method, seen[0]?.url], ['GET', '/ui/data?after=3']);
  assert.deepEqual(Object.keys(seen[0]?.headers ?? {}).sort(), [
    'connection',
    'host',
    'if-none-match',
    'sec-fetch-site',
  ]);
  await page.close();
  await new Promise((resolve) => void agent.close(resolve));
  rmSync(folder, { recursive: true });
});

test('without an agent the page says so, and a port that is taken is one line', async () => {
  const page = await PageServer.start({ socketPath: '/nonexistent/weft.sock', port: 0, rng: systemRng });
  const at = new URL(page.url);
  const answer = await ask(`${at.pathname}data`, { at });
  assert.equal(answer.status, 503);
  assert.match(answer.body, /no agent answers/);
  await assert.rejects(
    PageServer.start({ socketPath: served.socket, port: Number(at.port), rng: systemRng }),
    /cannot be bound \(EADDRINUSE\): choose another with --port/,
  );
  await page.close();
});
