/**
 * Nothing secret leaves an agent but through its sockets under a seal: a mesh at debug level goes through all it can, then its
 * logs, every answer of every verb, the metrics, the page, a bug report, and what /proc shows of each process are searched for
 * every secret that the test knows, in raw bytes, hex, base64 and base64url, whole or in part.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { systemClock } from '../../agent/clock.ts';
import { readIdentity } from '../../agent/identity/node-identity.ts';
import { boxBeforeNm, keyedHash, sodiumReady, utf8 } from '../../agent/identity/sodium.ts';
import { StateDir } from '../../agent/identity/state-dir.ts';
import { parseToken } from '../../agent/identity/token.ts';
import { run } from '../../agent/lab/command.ts';
import type { Host } from '../../agent/lab/host.ts';
import { delay, until } from '../../agent/lab/wait.ts';
import { Attacker, targetOf } from '../attacks/attacker.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { reachable } from './programs.ts';

const REKEY_SEC = 5;
/** So many bytes in a row are no coincidence. */
const WINDOW_BYTES = 12;
const WINDOW_STEP = 4;

const GARBAGE = `import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in (7946, 7947):
    for first in range(256):
        s.sendto(bytes([first]) + os.urandom(1199), (sys.argv[1], port))
`;

/** What leaves in one piece. */
interface Said {
  readonly where: string;
  readonly bytes: Buffer;
}

let mesh: Mesh;
const said: Said[] = []; // bounded by the calls of this file
const secrets = new Map<string, Buffer>(); // bounded by the keys of a small mesh

const note = (where: string, text: string | Buffer): void =>
  void said.push({ where, bytes: Buffer.isBuffer(text) ? text : Buffer.from(text) });

const learn = (name: string, bytes: Uint8Array): void => void secrets.set(name, Buffer.from(bytes));

/** The files that are keys; of a signing key the seed, for its other half is public. */
function learnState(host: Host, when: string): void {
  for (const name of readdirSync(host.stateDir).filter((file) => file.endsWith('.key')))
    learn(`${name} of ${host.name} ${when}`, readFileSync(join(host.stateDir, name)).subarray(0, 32));
}

function learnToken(file: string, name: string): void {
  const text = readFileSync(file, 'utf8').trim();
  const token = parseToken(text, systemClock);
  learn(`seed of ${name}`, token.seed);
  learn(`psk of ${name}`, token.psk);
  learn(`text of ${name}`, Buffer.from(text));
}

/** Keys of the boxes between two hosts. */
function learnBoxes(a: Host, b: Host): void {
  const [one, two] = [a, b].map((host) => readIdentity(StateDir.open(host.stateDir), systemClock));
  assert.ok(one && two);
  const shared = boxBeforeNm(one.keys.dh.publicKey, two.keys.dh.secretKey);
  assert.ok(shared);
  const pair = [one.cert.nodeId, two.cert.nodeId];
  for (const ids of [pair, pair.toReversed()])
    learn(`box of ${a.name} and ${b.name}`, keyedHash(shared, [utf8('weft1 gossip'), one.meshId, ...ids]));
}

async function ask(host: Host, args: readonly string[], input?: string): Promise<void> {
  const ended = await host.weft(args, { timeoutMs: 60_000, ...(input === undefined ? {} : { input }) });
  note(`${host.name}: weft ${args.join(' ')}`, ended.out + ended.err);
}

async function askAll(host: Host, peer: string): Promise<void> {
  for (const verb of ['status', 'peers', 'members', 'fdb', 'policy', 'doctor', 'graph', 'version', 'metrics'])
    for (const json of [[], ['--json']]) await ask(host, [verb, ...json]);
  await ask(host, ['revoke', 'list', '--json']);
  await ask(host, ['vtep', 'list', '--json']);
  await ask(host, ['config', 'show']);
  await ask(host, ['sd']);
  await ask(host, ['ping', peer, '--count', '1']);
  await ask(host, ['trace', 'ff:ff:ff:ff:ff:ff']);
  await ask(host, ['events', '--json']);
  for (const path of ['/v1/events', '/v1/metrics', '/v1/health', '/v1/revocations', '/ui/', '/ui/data'])
    note(`${host.name}: ${path}`, await host.api.getText(path).catch(String));
}

/** Of the processes in a host's namespace. */
async function pidsOf(host: Host): Promise<number[]> {
  const { out } = await run(['ip', 'netns', 'pids', host.node.namespace]);
  return out.trim().split(/\s+/).filter(Boolean).map(Number);
}

/** Argument lists and environments of all processes in the namespace. */
async function noteProcesses(host: Host): Promise<void> {
  for (const pid of await pidsOf(host))
    for (const file of ['cmdline', 'environ']) {
      try {
        note(`${host.name}: ${file} of ${pid}`, readFileSync(`/proc/${pid}/${file}`));
      } catch {
        // A short-lived child has ended.
      }
    }
}

before(async () => {
  await sodiumReady;
  const config = `log:\n  level: debug\n  format: json\nsession:\n  rekey_after_sec: ${REKEY_SEC}\n`;
  mesh = await Mesh.underlay({ hosts: 4, config });
  await mesh.init();
  learnState(mesh.host(0), 'at first');
  await mesh.join(mesh.hosts.slice(1, 3));
  learnToken(join(mesh.folder, 'token-0'), 'the first token');
  await mesh.converged();
});
after(() => mesh?.remove());

/** Where a secret stands, in which form; null if nowhere. */
function leakOf(secret: Buffer, { bytes }: Said, text: string, lower: string): string | null {
  for (let at = 0; at + WINDOW_BYTES <= secret.length; at += WINDOW_STEP) {
    const window = secret.subarray(at, at + WINDOW_BYTES);
    if (bytes.includes(window)) return `raw at ${at}`;
    if (lower.includes(window.toString('hex'))) return `hex at ${at}`;
    if (text.includes(window.toString('base64'))) return `base64 at ${at}`;
    if (text.includes(window.toString('base64url'))) return `base64url at ${at}`;
  }
  return null;
}

function leaks(pieces: readonly Said[]): string[] {
  return pieces.flatMap((piece) => {
    const text = piece.bytes.toString('latin1');
    const lower = text.toLowerCase();
    return [...secrets].flatMap(([name, secret]) => {
      const form = leakOf(secret, piece, text, lower);
      return form === null ? [] : [`${piece.where}: ${name}, ${form}`];
    });
  });
}

test('joins, rekeys, a hand-over, bad input, looking and revoking leave no secret in any output', async () => {
  const [first, second, third, outsider] = [0, 1, 2, 3].map((i) => mesh.host(i)) as [Host, Host, Host, Host];
  for (const host of [first, second, third]) learnState(host, 'joined');
  learnBoxes(first, second);
  learnBoxes(first, third);

  // Bad input: a token that is damaged, one that is used up, garbage at every door.
  const used = await mesh.token();
  learnToken(used, 'a later token');
  const text = readFileSync(used, 'utf8').trim();
  const damaged = join(mesh.folder, 'damaged');
  writeFileSync(damaged, `${text.slice(0, 200)}x${text.slice(201)}`, { mode: 0o600 });
  const up = ['up', '--name', 'host4', '--underlay', outsider.node.address, '--token-file'];
  await ask(outsider, [...up, damaged]);
  await ask(outsider, [...up, '-'], `${text}${text}`);
  await ask(first, ['up', '--token-file', used, '--name', 'host1']);
  await ask(first, ['revoke', 'node', text.slice(0, 60), '--yes']);
  await ask(outsider, [...up, text]);
  await mesh.runOk(1, ['/usr/bin/python3', '-c', GARBAGE, first.node.address]);

  // Data, a capture of it, time for two rekeys, a hand-over.
  await reachable(second.node.namespace, await overlayOf(first));
  const capture = ask(first, ['capture', '--json', '--duration', '3s']);
  await delay(REKEY_SEC * 2000);
  await capture;
  assert.ok((await mesh.metric(0, 'weft_rekeys_total')) > 0, 'there were rekeys');
  for (const host of [first, second]) await noteProcesses(host);
  const before = second.pid ?? 0;
  second.signal('SIGUSR2');
  await until('a successor', { timeoutMs: 30_000 }, async () => {
    const pids = await pidsOf(second);
    return pids.length === 1 &&
      pids[0] !== before &&
      (await second.api.get<{ state: string }>('/v1/status')).state === 'up'
      ? true
      : null;
  });
  learnState(second, 'after the hand-over');
  await noteProcesses(second);

  // A session whose keys this test knows.
  const attacker = new Attacker(third.node.namespace);
  try {
    await third.stop();
    const victim = await targetOf(mesh);
    const isUp = await attacker.asStolen({
      stateDir: third.stateDir,
      listen: third.node.address,
      victim,
      waitMs: 10_000,
    });
    assert.equal(isUp, true);
    for (const [i, key] of (await attacker.sessionKeys()).entries())
      learn(`session key ${i}`, Buffer.from(key, 'hex'));
    await askAll(first, 'host2');
  } finally {
    await attacker.stop();
  }
  await ask(first, ['revoke', 'node', 'host3', '--reason', 'stolen', '--yes']);
  third.start(['run']);
  await askAll(second, 'host1');
  for (const host of [first, second]) {
    const file = join(mesh.folder, `${host.name}.tar.gz`);
    await ask(host, ['bugreport', '--out', file, '--log', host.logPath]);
    note(`${host.name}: bug report`, gunzipSync(readFileSync(file)));
  }
  await first.stop();
  // The successor is nobody's child any more.
  for (const pid of await pidsOf(second)) process.kill(pid, 'SIGTERM');
  for (const host of [first, second, third]) note(`${host.name}: log`, host.log());

  assert.ok(secrets.size >= 20, `${secrets.size} secrets are known`);
  assert.ok(said.length >= 60, `${said.length} outputs were taken`);
  const shown = said.find(({ where }) => where.endsWith('weft config show'));
  assert.match(shown?.bytes.toString() ?? '', /level: debug/, 'the agents were told to log all');
  assert.equal(
    said.filter(({ where, bytes }) => where.endsWith(': log') && bytes.includes('ready')).length,
    3,
  );
  assert.deepEqual(leaks(said), []);
});

test('the same search finds each secret in each form, whole or in part', () => {
  for (const [name, secret] of secrets) {
    const half = secret.subarray(secret.length >> 1);
    const forms = [
      secret,
      Buffer.from(half.toString('hex').toUpperCase()),
      Buffer.from(secret.toString('base64')),
    ];
    for (const form of [...forms, Buffer.from(secret.toString('base64url'))]) {
      const piece = { where: 'here', bytes: Buffer.concat([Buffer.from('x: '), form, Buffer.from('\n')]) };
      assert.ok(
        leaks([piece]).some((leak) => leak.includes(name)),
        name,
      );
    }
  }
});
