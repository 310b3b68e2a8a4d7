import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer, Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '../../agent/clock.ts';
import { ControlServer } from '../../agent/control/server.ts';
import { SocketGate } from '../../agent/control/socket-gate.ts';
import { WeftError } from '../../agent/errors.ts';
import { type Served, serveFakeAgent } from './control-fake-agent.ts';

let served: Served;
before(async () => {
  served = await serveFakeAgent();
});
after(() => served.stop());

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

function ask(
  method: string,
  path: string,
  body?: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const outgoing = request(
      { socketPath: served.socket, method, path, headers: { ...length, ...headers }, agent: false },
      (incoming) => {
        let text = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => {
          text += chunk;
        });
        incoming.on('end', () =>
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Sends bytes as they are; resolves to whatever came back when the connection ended. */
function sendRaw(bytes: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(served.socket, () => socket.end(bytes));
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
  });
}

const errorOf = (answer: Answer): { code: string; message: string } => JSON.parse(answer.text).error;

/** Fails with a WeftError of `code`. */
const failsWith = (code: string) => (error: unknown) => error instanceof WeftError && error.code === code;

const FIELDS: Readonly<Record<string, readonly string[]>> = {
  '/v1/status': [
    'v name mesh address tap mac mtu mode encap vni state uptimeMs'.split(' '),
    'offloads workers rights nice version nodeId endpoint peers members admitter problems warnings'.split(
      ' ',
    ),
  ].flat(),
  '/v1/peers': ['v', 'peers'],
  '/v1/members': ['v', 'members'],
  '/v1/fdb': ['v', 'entries'],
  '/v1/drops': ['v', 'drops'],
  '/v1/vteps': ['v', 'vteps'],
  '/v1/admitters': ['v', 'admitters'],
  '/v1/health': ['v', 'live', 'ready', 'reasons'],
  '/v1/version': ['v', 'version', 'commit', 'node'],
  '/v1/metrics?format=json': ['v', 'metrics'],
};

for (const [path, fields] of Object.entries(FIELDS)) {
  test(`GET ${path} is one JSON object with its promised fields`, async () => {
    const answer = await ask('GET', path);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'application/json');
    const object = JSON.parse(answer.text);
    assert.equal(object.v, 1);
    assert.deepEqual(Object.keys(object).sort(), [...fields].sort());
  });
}

test('the fields of rows that scripts rely on are there', async () => {
  const first = async (path: string, list: string) => JSON.parse((await ask('GET', path)).text)[list][0];
  const has = (row: object, names: string) => {
    for (const name of names.split(' ')) assert.ok(name in row, `${name} is missing`);
  };
  has(
    await first('/v1/peers', 'peers'),
    'name address endpoint state path rttMs pmtu txBytes rxBytes lastHandshakeMs',
  );
  has(await first('/v1/members', 'members'), 'name state incarnation address');
  has(await first('/v1/fdb', 'entries'), 'mac vni peer ageMs static');
});

test('metrics are the exposition text with its content type', async () => {
  const answer = await ask('GET', '/v1/metrics');
  assert.match(String(answer.headers['content-type']), /^text\/plain; version=0\.0\.4/);
  assert.match(answer.text, /^weft_frames_total\{direction="transmit"\} 30$/m);
});

test('a token request reaches the agent as it was meant', async () => {
  const wish = {
    ttlMs: 60_000,
    uses: 3,
    namePrefix: 'web-',
    name: null,
    segment: null,
    ...{ vnis: [], count: 'strict', underlay: [] },
    allow: ['bridge'],
    nodeLifeMs: null,
    seeds: ['alpha=seed.example.com'],
  };
  const answer = await ask('POST', '/v1/tokens', JSON.stringify(wish), {
    'content-type': 'application/json',
  });
  assert.equal(answer.status, 200);
  assert.deepEqual(served.agent.tokenRequests.at(-1), wish);
  assert.equal(JSON.parse(answer.text).token, 'weft1_abcdefgh');
});

test('endpoints are added and removed, and refusals keep their code', async () => {
  const added = await ask('POST', '/v1/vteps', '{"address":"192.0.2.7"}');
  assert.deepEqual(JSON.parse(added.text).vteps, [{ address: '192.0.2.7', vni: 1 }]);
  const removed = await ask('DELETE', '/v1/vteps', '{"address":"192.0.2.7"}');
  assert.deepEqual(JSON.parse(removed.text).vteps, []);
  const absent = await ask('DELETE', '/v1/vteps', '{"address":"192.0.2.7"}');
  assert.deepEqual([absent.status, errorOf(absent).code], [404, 'E_NOT_FOUND']);
  const refused = await ask('POST', '/v1/vteps', '{"address":"203.0.113.1"}');
  assert.deepEqual([refused.status, errorOf(refused).code], [403, 'E_REFUSED']);
});

const BAD_REQUESTS: readonly (readonly [string, string, string, string | undefined, number])[] = [
  ['an unknown path', 'GET', '/v1/nothing', undefined, 404],
  ['a path of the prototype', 'GET', '/constructor', undefined, 404],
  ['a method that the path lacks', 'DELETE', '/v1/status', undefined, 405],
  ['a method of the prototype', 'PROPFIND', '/v1/status', undefined, 405],
  ['a read where an act is needed', 'GET', '/v1/leave', undefined, 405],
  ['no body', 'POST', '/v1/tokens', undefined, 400],
  ['a body that is no JSON', 'POST', '/v1/tokens', '{"ttlMs":', 400],
  ['a body of the wrong type', 'POST', '/v1/tokens', '[]', 400],
  ['a field too many', 'POST', '/v1/tokens', '{"ttlMs":60000,"uses":1,"root":true}', 400],
  ['a number that is none', 'POST', '/v1/tokens', '{"ttlMs":"1h","uses":1}', 400],
  ['a number out of range', 'POST', '/v1/tokens', '{"ttlMs":60000,"uses":0}', 400],
  ['an address that is none', 'POST', '/v1/vteps', '{"address":"example.com"}', 400],
  ['a target that is no path', 'GET', '//[', undefined, 400],
];

for (const [what, method, path, body, status] of BAD_REQUESTS) {
  test(`${what} is answered with ${status} and a JSON error`, async () => {
    const answer = await ask(method, path, body);
    assert.equal(answer.status, status);
    const { code, message } = errorOf(answer);
    assert.match(code, /^E_/);
    assert.ok(message.length > 0 && !message.includes('\n'));
    if (status === 405) assert.match(String(answer.headers.allow), /GET|POST/);
  });
}

test('a body of another type is refused with 415 and a long one with 413', async () => {
  assert.equal((await ask('POST', '/v1/tokens', '{}', { 'content-type': 'text/plain' })).status, 415);
  const long = await ask('POST', '/v1/tokens', `{"x":"${'y'.repeat(20_000)}"}`);
  assert.equal(long.status, 413);
});

test("the agent's own failure is answered without its details and reported inside", async () => {
  served.agent.broken = true;
  const answer = await ask('GET', '/v1/status');
  served.agent.broken = false;
  assert.equal(answer.status, 500);
  assert.equal(errorOf(answer).code, 'E_INTERNAL');
  assert.doesNotMatch(answer.text, /secret detail/);
  assert.match(String(served.internalErrors.pop()), /secret detail/);
});

test('garbage on the socket gets 400 or nothing, and the next question is answered', async () => {
  const httpish = fc
    .array(
      fc.constantFrom(
        'GET ',
        'POST ',
        '/v1/tokens',
        ' HTTP/1.1',
        '\r\n',
        'host: x',
        'content-length: 9',
        '{',
        '\0',
        'é',
      ),
    )
    .map((parts) => Buffer.from(parts.join(''), 'utf8'));
  const garbage = fc.oneof(fc.uint8Array({ maxLength: 300 }), httpish);
  await fc.assert(
    fc.asyncProperty(garbage, async (bytes) => {
      const reply = await sendRaw(bytes);
      assert.match(reply, /^($|HTTP\/1\.1 [2-5]\d\d )/);
    }),
    { numRuns: 200 },
  );
  const oversized = await sendRaw(Buffer.from(`GET / HTTP/1.1\r\nx: ${'y'.repeat(50_000)}\r\n\r\n`));
  assert.match(oversized, /^($|HTTP\/1\.1 4)/);
  assert.equal((await ask('GET', '/v1/status')).status, 200);
  assert.deepEqual(served.internalErrors, []);
});

test('the socket file is 0660', () => {
  assert.equal(statSync(served.socket).mode & 0o777, 0o660);
});

test('a directory in which everybody could put another socket is refused, one like /tmp is not', async () => {
  const open = join(served.folder, 'open');
  mkdirSync(open);
  chmodSync(open, 0o777);
  await assert.rejects(start(join(open, 'weft.sock')), (error: Error) => {
    assert.match(error.message, /writable by everybody/);
    return failsWith('E_CONFIG')(error);
  });
  chmodSync(open, 0o1777);
  await (await start(join(open, 'weft.sock'))).close();
});

test('who is at the other end decides, not only the mode of the file', () => {
  const refused: unknown[] = [];
  const gate = new SocketGate(served.socket, (peer) => void refused.push(peer));
  assert.equal(gate.admits(new Socket()), false, 'a connection of which the kernel says nothing');
  assert.deepEqual([gate.refused, refused], [1, [null]]);
});

const start = (socketPath: string) =>
  ControlServer.start({
    socketPath,
    gate: new SocketGate(socketPath, () => {}),
    view: served.agent,
    metrics: served.metrics,
    clock: systemClock,
    onInternalError: () => undefined,
  });

test('a second agent on a live socket is refused, and the first goes on', async () => {
  await assert.rejects(start(served.socket), failsWith('E_ALREADY_RUNNING'));
  assert.equal((await ask('GET', '/v1/health')).status, 200);
});

test('a socket that a dead agent left behind is taken over, and removed at close', async () => {
  const path = join(served.folder, 'stale.sock');
  // A listener whose file is moved away under it leaves a file at which nobody answers.
  const { rename } = await import('node:fs/promises');
  const dead = createServer();
  await new Promise<void>((resolve) => dead.listen(join(served.folder, 'dead.sock'), resolve));
  await rename(join(served.folder, 'dead.sock'), path);
  await new Promise((resolve) => dead.close(resolve));
  assert.ok(existsSync(path));
  const server = await start(path);
  await server.close();
  assert.ok(!existsSync(path));
});

test('a file, an impossible folder or a long path in the way is one line, and nothing is overwritten', async () => {
  const file = join(served.folder, 'precious');
  writeFileSync(file, 'data');
  await assert.rejects(start(file), failsWith('E_CONFIG'));
  assert.equal(statSync(file).size, 4);
  await assert.rejects(start(join(file, 'weft.sock')), failsWith('E_CONFIG'));
  await assert.rejects(start(join(served.folder, 'x'.repeat(120))), failsWith('E_CONFIG'));
  chmodSync(file, 0o600);
});
