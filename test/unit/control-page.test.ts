/** The web page as the agent serves it: on the control socket always, on the metrics address by choice, and read-only on both. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '../../agent/clock.ts';
import { MetricsServer } from '../../agent/control/http-metrics.ts';
import { isPlainHost } from '../../agent/control/page.ts';
import { readPageFiles } from '../../agent/control/page-files.ts';
import type { PageFdbReport, PageReport } from '../../agent/control/page-types.ts';
import { type Served, serveFakeAgent } from './control-fake-agent.ts';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let served: Served;
let metrics: MetricsServer;
let pageOn = false;

before(async () => {
  served = await serveFakeAgent();
  metrics = await MetricsServer.start({
    address: { ip: '127.0.0.1', port: 0 },
    view: served.agent,
    metrics: served.metrics,
    pageOn: () => pageOn,
    clock: systemClock,
    onInternalError: (error) => served.internalErrors.push(error),
  });
});
after(async () => {
  await metrics.close();
  await served.stop();
});

function ask(
  where: 'socket' | 'metrics',
  path: string,
  method = 'GET',
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const to = where === 'socket' ? { socketPath: served.socket } : { host: '127.0.0.1', port: metrics.port };
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...to, path, method, headers, agent: false }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }));
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

test('the page and every file it names come with their type, and a policy that allows nothing of elsewhere', async () => {
  const page = await ask('socket', '/ui/');
  assert.equal(page.status, 200);
  assert.equal(page.headers['content-type'], 'text/html; charset=utf-8');
  assert.doesNotMatch(page.body, /(src|href)="(?!\.\/)/, 'only files next to the page');
  assert.doesNotMatch(page.body, /<style|<script(?![^>]*src=)|\son\w+=|style="/, 'nothing inline');
  const named = [...page.body.matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map(([, name = '']) => name);
  assert.equal(named.length, 3, named.join());
  for (const name of named) {
    const file = await ask('socket', `/ui/${name}`);
    assert.equal(file.status, 200, name);
    assert.match(String(file.headers['content-type']), /^(text\/(javascript|css)|image\/svg\+xml)/);
    assert.equal(Number(file.headers['content-length']), Buffer.byteLength(file.body));
  }
  for (const path of ['/ui/', '/ui/data', '/ui/fdb', '/ui/nothing']) {
    const { headers } = await ask('socket', path);
    const policy = String(headers['content-security-policy']);
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/, path);
    assert.doesNotMatch(policy, /unsafe|https?:|\*/);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['x-frame-options'], 'DENY');
    assert.equal(headers['access-control-allow-origin'], undefined);
  }
});

test('a file that the browser has is not sent again', async () => {
  const first = await ask('socket', '/ui/');
  const etag = String(first.headers.etag);
  assert.match(etag, /^"[\w-]{22}"$/);
  const again = await ask('socket', '/ui/', 'GET', { 'if-none-match': etag });
  assert.deepEqual([again.status, again.body, again.headers.etag], [304, '', etag]);
  assert.equal((await ask('socket', '/ui/', 'GET', { 'if-none-match': '"other"' })).status, 200);
});

test('HEAD is GET without the body, and every other method is refused', async () => {
  const head = await ask('socket', '/ui/', 'HEAD');
  assert.deepEqual([head.status, head.body], [200, '']);
  pageOn = true;
  for (const where of ['socket', 'metrics'] as const)
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])
      for (const path of ['/ui/', '/ui/data', '/ui/fdb']) {
        const { status, headers } = await ask(where, path, method);
        assert.deepEqual([status, headers.allow], [405, 'GET, HEAD'], `${where} ${method} ${path}`);
      }
  pageOn = false;
});

test('no path leads out of the folder', async () => {
  const paths = [
    '/ui/../package.json',
    '/ui/..%2fpackage.json',
    '/ui/%2e%2e/%2e%2e/package.json',
    '/ui/....//package.json',
    '/ui//etc/passwd',
    '/ui/..\\package.json',
    '/ui/model/text.js',
    '/ui/index.html%00.css',
    '/ui/__proto__',
    '/ui',
  ];
  for (const path of paths) {
    const { status, body } = await ask('socket', path);
    assert.equal(status, 404, path);
    assert.doesNotMatch(body, /"dependencies"|root:/);
  }
});

test('the data is what the verbs show, with the events after a number, and never cached', async () => {
  served.agent.ring.add('agent', 'alpha', 'started');
  served.agent.ring.add('peer-up', 'beta', 'up');
  const answer = await ask('socket', '/ui/data?after=1');
  const report = JSON.parse(answer.body) as PageReport;
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.deepEqual(report.peers, served.agent.peers().peers);
  assert.deepEqual(
    report.events.events.map(({ seq }) => seq),
    [2],
  );
  const fdb = JSON.parse((await ask('socket', '/ui/fdb?find=BETA')).body) as PageFdbReport;
  assert.deepEqual([fdb.total, fdb.matching, fdb.entries[0]?.peer], [2, 1, 'beta']);
  for (const bad of ['/ui/data?after=-1', '/ui/data?after=x', `/ui/fdb?find=${'x'.repeat(65)}`])
    assert.equal((await ask('socket', bad)).status, 400, bad);
});

test('another site cannot ask for the data through a browser', async () => {
  for (const path of ['/ui/data', '/ui/fdb'])
    assert.equal((await ask('socket', path, 'GET', { 'sec-fetch-site': 'cross-site' })).status, 403);
  assert.equal((await ask('socket', '/ui/data', 'GET', { 'sec-fetch-site': 'same-origin' })).status, 200);
});

test('the metrics address has the page only where metrics.page is on, and none of the socket with it', async () => {
  pageOn = false;
  for (const path of ['/ui/', '/ui/data', '/ui/fdb'])
    assert.equal((await ask('metrics', path)).status, 404, path);
  pageOn = true;
  for (const path of ['/ui/', '/ui/data', '/ui/fdb'])
    assert.equal((await ask('metrics', path)).status, 200, path);
  for (const path of ['/v1/status', '/v1/tokens', '/ui/../v1/status', '/ui/v1/status'])
    assert.equal((await ask('metrics', path)).status, 404, path);
  assert.equal((await ask('metrics', '/ui/data?after=x')).status, 400);
  pageOn = false;
});

test('on the metrics address a Host that is a name is refused, for it may have been pointed here', async () => {
  pageOn = true;
  for (const host of [
    'evil.example',
    'evil.example:9586',
    '127.0.0.1.evil.example',
    'localhost.evil',
    '[evil]',
  ])
    assert.equal((await ask('metrics', '/ui/data', 'GET', { host })).status, 421, host);
  for (const host of ['127.0.0.1', 'localhost:9586', '[fd00::1]:9586', '10.80.0.1:9586'])
    assert.equal((await ask('metrics', '/ui/data', 'GET', { host })).status, 200, host);
  pageOn = false;
  assert.equal(isPlainHost('fd00::1'), false);
  assert.deepEqual(served.internalErrors, []);
});

test('files of other kinds, folders and what is too large are not served; a page that is not there is said', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-page-'));
  try {
    writeFileSync(join(folder, 'index.html'), 'x');
    writeFileSync(join(folder, 'secret.key'), 'x');
    writeFileSync(join(folder, 'large.js'), Buffer.alloc(2_097_153));
    mkdirSync(join(folder, 'folder.js'));
    symlinkSync('/etc', join(folder, 'etc.css'));
    for (let i = 0; i < 40; i++) writeFileSync(join(folder, `z${i}.css`), 'x');
    const files = readPageFiles(folder);
    assert.deepEqual([...files.keys()].slice(0, 2), ['index.html', 'z0.css']);
    assert.equal(files.size, 32);
  } finally {
    rmSync(folder, { recursive: true });
  }
  assert.equal(readPageFiles(folder).size, 0);
});
