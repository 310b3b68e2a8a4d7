/**
 * T1, T2, T3, T6 and T14 of the attack table: attackers who hold a token, an old one, a copy of a request, and a
 * mesh that lost its root. Real agents, the attacker's own programs.
 */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CHILD_ENV } from '../../agent/lab/command.ts';
import { Host } from '../../agent/lab/host.ts';
import { delay, until } from '../../agent/lab/wait.ts';
import { Mesh } from '../netns/mesh.ts';
import { Attacker, drops, targetOf } from './attacker.ts';

const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.underlay({ hosts: 8, recovery: true });
  await mesh.init();
});
after(() => mesh?.remove());

const up = (host: Host, file: string): string[] => [
  ...['up', '--token-file', file, '--name', host.name],
  ...['--underlay', host.node.address],
];

test('T1: a stolen token is refused after its end, also on a machine whose clock says otherwise', async () => {
  const file = await mesh.token(['--ttl', '1s']);
  await delay(2500);
  const late = new Host(mesh.host(1).node, mesh.folder, mesh.configPath, {
    ...CHILD_ENV,
    LD_PRELOAD: FAKETIME,
    FAKETIME: '-60s',
    DONT_FAKE_MONOTONIC: '1',
  });
  const ended = await late.weft(up(late, file), { timeoutMs: 60_000 });
  assert.match(ended.err, /^weft: refused: the token expired at/);
  assert.equal(ended.status, 4);
});

test('T2: of two thieves who use a one-use token at the same moment one gets in', async () => {
  const file = await mesh.token(['--uses', '1']);
  const thieves = [mesh.host(1), mesh.host(2)];
  for (const thief of thieves) thief.start(up(thief, file));
  const outcomes = await Promise.all(
    thieves.map((thief) =>
      until(`outcome of ${thief.name}`, { timeoutMs: 60_000 }, async () => {
        if (thief.exitStatus !== null) return thief.exitStatus;
        const status = await thief.api.get<{ state: string }>('/v1/status').catch(() => null);
        return status?.state === 'up' ? 'up' : null;
      }),
    ),
  );
  assert.deepEqual([...outcomes].map(String).sort(), ['4', 'up']);
  const loser = thieves[outcomes.indexOf(4)];
  assert.match(loser?.logTail(1) ?? '', /used up: 1 of 1/);
});

test('T3: a back-dated certificate that the stolen token signed is no membership', async () => {
  const file = await mesh.token(['--ttl', '1s', '--uses', '5']);
  const token = readFileSync(file, 'utf8').trim();
  const victim = await targetOf(mesh);
  await delay(1500);
  const before = await drops(mesh, 0, 'auth');
  const attacker = new Attacker(mesh.host(3).node.namespace);
  try {
    const listen = mesh.host(3).node.address;
    assert.equal(await attacker.asForged({ token, listen, victim, waitMs: 3000 }), false);
  } finally {
    await attacker.stop();
  }
  // Its messages were genuine up to the certificate.
  assert.ok((await drops(mesh, 0, 'auth')) > before, 'the certificate itself was refused');
  assert.ok((await mesh.host(0).members()).every(({ name }) => name !== 'intruder'));
});

test('T6: a copied request gets the same certificate and no second slot; another host cannot use it', async () => {
  const file = await mesh.token(['--uses', '1']);
  const token = readFileSync(file, 'utf8').trim();
  const stateDir = join(mesh.folder, 'owner');
  const copy = join(mesh.folder, 'copy');
  const attempt = { token, name: 'owner', listen: mesh.host(4).node.address };
  const attacker = new Attacker(mesh.host(4).node.namespace);
  try {
    await attacker.prepare({ ...attempt, stateDir });
    cpSync(stateDir, copy, { recursive: true });
    const first = await attacker.finish({ ...attempt, stateDir });
    assert.match(first, /^[0-9a-f]+$/);
    assert.equal(await attacker.finish({ ...attempt, stateDir: copy }), first);
    // The same request beside other keys: it is not signed by who sends it.
    const thief = join(mesh.folder, 'thief');
    await attacker.prepare({ ...attempt, stateDir: thief });
    assert.match(await attacker.finish({ ...attempt, stateDir: thief }), /used up/);
  } finally {
    await attacker.stop();
  }
});

test('T14: without the root nobody makes tokens, and those that were made still admit', async () => {
  const file = await mesh.token(['--uses', '1']);
  assert.equal(await mesh.host(0).stop(), 0);
  rmSync(join(mesh.host(0).stateDir, 'mesh-root.key'));
  mesh.host(0).start(['run']);
  await mesh.host(0).ready();
  const ended = await mesh.host(0).weft(['token', 'create']);
  assert.equal(ended.status, 4);
  assert.match(ended.err, /does not hold the root/);
  const host = mesh.host(5);
  host.start(up(host, file));
  await host.ready();
  await until('the newcomer', { timeoutMs: 15_000 }, async () =>
    (await mesh.host(0).stateOf(host.name)) === 'alive' ? true : null,
  );
});

test('T14: with the recovery key another host is the root, and the mesh goes on', async () => {
  const [founder, saviour, newcomer] = [mesh.host(0), mesh.host(5), mesh.host(7)];
  const alive = async (host: typeof saviour): Promise<string> =>
    (await host.members())
      .flatMap(({ name, state }) => (state === 'alive' ? name : []))
      .sort()
      .join();
  const running = await until('one view of both', { timeoutMs: 15_000 }, async () => {
    const seen = await alive(saviour);
    return seen === (await alive(founder)) ? seen : null;
  });
  await saviour.weftOk(['root', 'recover', '--key-file', mesh.recoveryPath]);
  const file = join(mesh.folder, 'token-of-the-new-root');
  await saviour.weftOk(['token', 'create', '--out', file]);
  newcomer.start(up(newcomer, file));
  await newcomer.ready();
  for (const host of [founder, saviour])
    await until(`the newcomer at ${host.name}`, { timeoutMs: 20_000 }, async () =>
      (await host.stateOf(newcomer.name)) === 'alive' ? true : null,
    );
  assert.equal(await alive(saviour), [...running.split(','), newcomer.name].sort().join());
});
