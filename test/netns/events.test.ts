/** `weft events` of a real agent: what its peers, its network and strangers do shows within seconds. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import type { EventReport } from '../../agent/control/api-types.ts';
import { run } from '../../agent/lab/command.ts';
import { until } from '../../agent/lab/wait.ts';
import { Mesh } from './mesh.ts';
import { inside } from './programs.ts';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start({ hosts: 2 });
});
after(() => mesh?.remove());

async function events(after = 0): Promise<readonly EventReport[]> {
  return JSON.parse(await mesh.host(0).weftOk(['events', '--json', '--after', String(after)])).events;
}

const newest = async (): Promise<number> => (await events()).at(-1)?.seq ?? 0;

/** The first event after `after` that fits. */
function seen(
  what: string,
  after: number,
  fits: (event: EventReport) => boolean,
  timeoutMs = 20_000,
): Promise<EventReport> {
  return until(what, { timeoutMs, everyMs: 200 }, async () => (await events(after)).find(fits) ?? null);
}

test('a start, an admission and a peer that came up are told, in order', async () => {
  const up = await seen('peer-up', 0, ({ type }) => type === 'peer-up');
  const all = await events();
  assert.deepEqual(
    all.map(({ seq }) => seq),
    all.map((_, i) => i + 1),
  );
  assert.equal(up.subject, 'host2');
  const types = all.map(({ type }) => type);
  assert.equal(types[0], 'agent');
  assert.ok(types.indexOf('admitted') < types.indexOf('peer-up'), types.join());
  assert.ok(Math.abs(Date.now() - up.at) < 60_000);
});

test('a path that was measured is told', async () => {
  const measured = await seen('mtu', 0, ({ type }) => type === 'mtu');
  assert.deepEqual(
    [measured.subject, /^path MTU \d+ bytes/.test(measured.text)],
    ['host2', true],
    measured.text,
  );
});

test('people get a line for each event', async () => {
  assert.match(
    await mesh.host(0).weftOk(['events']),
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC {5}1 {2}agent {7}host1 {2}started, version /,
  );
});

test('a stranger who floods the port is a burst of drops', async () => {
  const after = await newest();
  const script = `const s = require('dgram').createSocket('udp4'); let n = 0;
    const t = setInterval(() => { for (let i = 0; i < 20; i++) s.send(Buffer.alloc(40, 9), 7947, '${mesh.host(0).node.address}'); if (++n > 100) { clearInterval(t); s.close(); } }, 10);`;
  await run(inside(mesh.topology.router, [process.execPath, '-e', script]));
  const burst = await seen('drop-burst', after, ({ type }) => type === 'drop-burst');
  assert.equal(burst.subject, 'garbage');
  assert.match(burst.text, /^\d+ dropped on receive within a second/);
});

test('a refused token is told', async () => {
  const file = await mesh.token(['--uses', '1', '--name-prefix', 'web-']);
  const after = await newest();
  const other = mesh.host(1);
  const command = other.command([
    'up',
    '--token-file',
    file,
    '--name',
    'intruder',
    '--underlay',
    other.node.address,
  ]);
  const stranger = command.map((word) =>
    word === other.stateDir
      ? `${other.stateDir}-2`
      : word === other.socketPath
        ? `${other.socketPath}2`
        : word,
  );
  await other.stop();
  assert.notEqual((await run(stranger)).status, 0);
  await seen('refused', after, ({ type }) => type === 'refused');
  other.start(['run']);
  await other.ready();
  await mesh.converged();
});

test('a follower sees a peer go down and come back, and ends with status 3 when the agent ends', async () => {
  const after = await newest();
  const [program = '', ...args] = mesh
    .host(0)
    .command(['events', '--follow', '--json', '--after', String(after)]);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const types = (): string[] =>
    out
      .split('\n')
      // What follows the last newline is not whole yet.
      .slice(0, -1)
      .map((line) => JSON.parse(line) as EventReport & { v: number })
      .map(({ v, type, subject }) => `${v} ${type} ${subject}`);
  await mesh.host(1).kill();
  await until('peer-down', { timeoutMs: 60_000 }, () =>
    types().includes('1 peer-down host2') ? true : null,
  );
  assert.ok(types().some((line) => line === '1 member host2'));
  mesh.host(1).start(['run']);
  await mesh.host(1).ready();
  await until('peer-up', { timeoutMs: 30_000 }, () => (types().includes('1 peer-up host2') ? true : null));
  await mesh.host(0).stop();
  assert.equal(await ended, 3);
  assert.match(err, /^weft: (no agent answers at|the agent at) .*\n$/);
});

test('without an agent the verb ends with 3, with a bad number with 2', async () => {
  const ended = await mesh.host(0).weft(['events']);
  assert.deepEqual([ended.status, ended.out], [3, '']);
  assert.equal((await mesh.host(0).weft(['events', '--after', '-1'])).status, 2);
});
