import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Served, serveFakeAgent } from './control-fake-agent.ts';

/** The command itself, from source or from dist/, as this test runs. */
const MAIN = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../agent/main.ts' : '../../agent/main.js', import.meta.url),
);
const NODE_ARGS = process.execArgv.filter((arg) => !arg.startsWith('--test'));

let served: Served;
before(async () => {
  served = await serveFakeAgent();
});
after(() => served.stop());

interface Ended {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

function weft(args: readonly string[], options: { readonly closeOutput?: boolean } = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH, WEFT_STATE_DIR: served.folder };
    const child = spawn(process.execPath, [...NODE_ARGS, MAIN, ...args], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    if (options.closeOutput === true) child.stdout.destroy();
    else child.stdout.on('data', (chunk) => (out += chunk));
    child.stderr.on('data', (chunk) => (err += chunk));
    child.on('close', (status) => resolve({ status, out, err }));
  });
}

test('the command answers from a running agent', async () => {
  const { status, out, err } = await weft(['--socket', served.socket, 'status', '--json']);
  assert.deepEqual([status, err], [0, '']);
  assert.equal(JSON.parse(out).name, 'alpha');
});

test('without an agent it says so in one line with the fix and exits 3', async () => {
  const socket = join(served.folder, 'none.sock');
  const { status, out, err } = await weft(['--socket', socket, 'status']);
  assert.deepEqual([status, out], [3, '']);
  assert.equal(err, `weft: no agent answers at ${socket}: start it with \`weft run\` or \`weft up\`\n`);
});

test('a usage error exits 2, help exits 0, version needs no agent', async () => {
  assert.equal((await weft(['frobnicate'])).status, 2);
  assert.equal((await weft(['--help'])).status, 0);
  const version = await weft(['--socket', join(served.folder, 'none.sock'), 'version']);
  assert.match(version.out, /^weft \d+\.\d+\.\d+, node 2\d\./);
});

test('a reader that goes away is no failure', async () => {
  const { status, err } = await weft(['--socket', served.socket, 'metrics'], { closeOutput: true });
  assert.deepEqual([status, err], [0, '']);
});

test('something else on the socket is one line, whatever it says', async () => {
  const path = join(served.folder, 'other.sock');
  const other = createServer((connection) => {
    connection.on('error', () => undefined);
    connection.resume();
    connection.end('SSH-2.0-nonsense\r\n');
  });
  await new Promise<void>((resolve) => other.listen(path, resolve));
  const { status, err } = await weft(['--socket', path, 'peers']);
  await new Promise((resolve) => other.close(resolve));
  assert.equal(status, 3);
  assert.equal(err, `weft: what answers at ${path} is no agent: give the agent's socket with --socket\n`);
});
