/** Tokens that must not let a host in: each is refused with one plain line and exit status 4, and nothing is left. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Ended } from '../../agent/lab/command.ts';
import type { Host } from '../../agent/lab/host.ts';
import { delay } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { reachable } from './programs.ts';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.underlay({ hosts: 6 });
  await mesh.init();
});
after(() => mesh?.remove());

const UP_TIMEOUT_MS = 40_000;

function up(host: Host, tokenFile: string, name = host.name): Promise<Ended> {
  const args = ['up', '--token-file', tokenFile, '--name', name, '--underlay', host.node.address];
  return host.weft(args, { timeoutMs: UP_TIMEOUT_MS });
}

/** One line, no stack, status 4, and no secret in it. */
function refused(ended: Ended, tokenFile: string, says: RegExp): void {
  const token = readFileSync(tokenFile, 'utf8').trim();
  assert.match(ended.err, says);
  assert.match(ended.err, /^weft: [^\n]+\n$/);
  assert.deepEqual([ended.status, ended.out], [4, '']);
  if (token.length > 20) assert.ok(!ended.err.includes(token));
}

test('a token lets one host in', async () => {
  const file = await mesh.token();
  const host = mesh.host(1);
  host.start(['up', '--token-file', file, '--name', host.name, '--underlay', host.node.address]);
  await host.ready();
  await reachable(mesh.host(0).node.namespace, await overlayOf(host));
  refused(await up(mesh.host(2), file), file, /used/);
});

test('a token that has been used up is refused on a second host, also after the agent restarted', async () => {
  const file = await mesh.token(['--uses', '1']);
  const host = mesh.host(2);
  host.start(['up', '--token-file', file, '--name', host.name, '--underlay', host.node.address]);
  await host.ready();
  await mesh.host(0).kill();
  mesh.host(0).start(['run']);
  await mesh.host(0).ready();
  refused(await up(mesh.host(3), file), file, /used/);
});

test('the host that holds the certificate comes back with a used token', async () => {
  const host = mesh.host(2);
  await host.kill();
  const file = await mesh.token(['--ttl', '1s']);
  await delay(1500);
  host.start(['up', '--token-file', file, '--name', host.name, '--underlay', host.node.address]);
  await host.ready();
});

test('an expired token is refused', async () => {
  const file = await mesh.token(['--ttl', '1s']);
  await delay(2500);
  refused(await up(mesh.host(3), file), file, /expired/);
});

test('a garbled token is refused wherever the damage is', async () => {
  const good = readFileSync(await mesh.token(), 'utf8').trim();
  const flip = (at: number): string =>
    `${good.slice(0, at)}${good[at] === 'A' ? 'B' : 'A'}${good.slice(at + 1)}`;
  const broken = [
    good.slice(0, good.length >> 1),
    good.slice(0, -1),
    `${good}AAAA`,
    'weft1_',
    'weft9_AAAA',
    'not a token',
    '\u0000\u0001\u0002',
    ...[6, 40, good.length >> 1, good.length - 2].map(flip),
  ];
  const file = join(mesh.folder, 'garbled');
  for (const text of broken) {
    writeFileSync(file, text);
    refused(await up(mesh.host(3), file), file, /token/);
  }
});

test('a token of another mesh is refused', async () => {
  // Another mesh on the same address, gone again; its token now leads to the first mesh.
  const other = await Mesh.underlay({ hosts: 2 });
  try {
    await other.init();
    const file = await other.token();
    refused(await up(mesh.host(3), file), file, /mesh/);
  } finally {
    await other.remove();
  }
});

test('a taken name is refused, and the token is not used up by that', async () => {
  const file = await mesh.token();
  refused(await up(mesh.host(4), file, 'host1'), file, /host1/);
  refused(await up(mesh.host(4), file, 'host2'), file, /host2/);
  const host = mesh.host(4);
  host.start(['up', '--token-file', file, '--name', 'host5', '--underlay', host.node.address]);
  await host.ready();
});

test("a name outside the token's prefix is refused", async () => {
  const file = await mesh.token(['--name-prefix', 'web-']);
  refused(await up(mesh.host(5), file), file, /web-/);
});

test('a taken address is refused', async () => {
  const file = await mesh.token();
  const host = mesh.host(5);
  const args = ['up', '--token-file', file, '--name', host.name, '--address', '10.80.0.1/24'];
  const ended = await host.weft([...args, '--underlay', host.node.address], { timeoutMs: UP_TIMEOUT_MS });
  refused(ended, file, /10\.80\.0\.1/);
});
