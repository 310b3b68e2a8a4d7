/**
 * Keys that are over are gone from the memory of a real agent, not only out of use: the test has a session with it as a member
 * whose keys it knows, finds them in /proc/PID/mem while they live, and finds none when they have been retired, by time or by
 * revocation. What cannot be looked for this way is in docs/SECURITY-MODEL.md.
 */
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { systemClock } from '../../agent/clock.ts';
import { readIdentity } from '../../agent/identity/node-identity.ts';
import { boxBeforeNm, keyedHash, sodiumReady, utf8 } from '../../agent/identity/sodium.ts';
import { StateDir } from '../../agent/identity/state-dir.ts';
import { until } from '../../agent/lab/wait.ts';
import { Attacker, targetOf } from '../attacks/attacker.ts';
import { Mesh } from './mesh.ts';

const CHUNK = 1 << 24;
/** So much of a key is enough to know it by: an expanded AES key begins with it. */
const KNOWN_BY = 16;
/** Life of a key here: half as long again as the time after which it is replaced. */
const REKEY_SEC = 5;

let mesh: Mesh;
let victimPid = 0;
before(async () => {
  await sodiumReady;
  mesh = await Mesh.start({
    hosts: 4,
    config: `log:\n  level: info\nsession:\n  rekey_after_sec: ${REKEY_SEC}\n`,
  });
  victimPid = mesh.host(0).pid ?? 0;
});
after(() => mesh?.remove());

/** How often each key is in the writable memory of a process. */
function search(pid: number, keys: readonly Uint8Array[]): number[] {
  const counts = keys.map(() => 0);
  const needles = keys.map((key) => Buffer.from(key.subarray(0, KNOWN_BY)));
  const fd = openSync(`/proc/${pid}/mem`, 'r');
  const chunk = Buffer.alloc(CHUNK);
  try {
    for (const [, from = '', to = ''] of readFileSync(`/proc/${pid}/maps`, 'latin1').matchAll(
      /^([0-9a-f]+)-([0-9a-f]+) rw/gm,
    )) {
      const end = Number.parseInt(to, 16);
      // Chunks overlap, so that a key on the border of two is seen.
      for (let at = Number.parseInt(from, 16); at < end; at += CHUNK - KNOWN_BY) {
        const n = readAt(fd, chunk, at, Math.min(CHUNK, end - at));
        for (const [i, needle] of needles.entries()) counts[i]! += occurrences(chunk.subarray(0, n), needle);
      }
    }
  } finally {
    closeSync(fd);
  }
  return counts;
}

function readAt(fd: number, into: Buffer, at: number, bytes: number): number {
  try {
    return readSync(fd, into, 0, bytes, at);
  } catch {
    // A region that went meanwhile, or that the kernel does not show.
    return 0;
  }
}

function occurrences(haystack: Buffer, needle: Buffer): number {
  let count = 0;
  for (let at = haystack.indexOf(needle); at >= 0; at = haystack.indexOf(needle, at + 1)) count++;
  return count;
}

const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

/** Waits until no key is found any more; the number that is left at the end if it lasts too long. */
async function untilGone(keys: readonly Uint8Array[], timeoutMs: number): Promise<void> {
  let left: number[] = [];
  await until('no key in memory', { timeoutMs, everyMs: 1000 }, () => {
    left = search(victimPid, keys);
    return left.every((count) => count === 0) ? true : null;
  }).catch((error) => assert.fail(`${error}: found ${left.join(', ')} times`));
}

/** A session of a host with the first, made by an attacker that tells its keys. */
async function attackersSession(
  index: number,
  work: (keys: readonly Uint8Array[]) => Promise<void>,
): Promise<void> {
  const { stateDir, node } = mesh.host(index);
  const attacker = new Attacker(node.namespace);
  try {
    const victim = await targetOf(mesh);
    assert.equal(await attacker.asStolen({ stateDir, listen: node.address, victim, waitMs: 10_000 }), true);
    await work((await attacker.sessionKeys()).map(fromHex));
  } finally {
    await attacker.stop();
  }
}

/** What the victim seals its boxes to the fourth host with, and opens those from it with. */
function boxKeys(): Uint8Array[] {
  const theirs = readIdentity(StateDir.open(mesh.host(3).stateDir), systemClock);
  const victim = readIdentity(StateDir.open(mesh.host(0).stateDir), systemClock);
  const shared = boxBeforeNm(victim.keys.dh.publicKey, theirs.keys.dh.secretKey);
  assert.ok(shared);
  const pair = [victim.cert.nodeId, theirs.cert.nodeId] as const;
  return [pair, pair.toReversed()].map((ids) =>
    keyedHash(shared, [utf8('weft1 gossip'), victim.meshId, ...ids]),
  );
}

test('the keys of a session are found while it lives and nowhere in memory when their time is over', async () => {
  await mesh.host(2).stop();
  await attackersSession(2, async (keys) => {
    assert.equal(keys.length, 3);
    const live = await until('live keys', { timeoutMs: 5000, everyMs: 100 }, () => {
      const counts = search(victimPid, keys);
      return counts.every((count) => count > 0) ? counts : null;
    });
    assert.ok(live.every((count) => count > 0));
    await untilGone(keys, REKEY_SEC * 1500 + 30_000);
  });
});

test('the keys of a revoked member, of its session and of its gossip, are gone when it is out', async () => {
  const boxes = boxKeys();
  assert.ok(
    search(victimPid, boxes).every((count) => count > 0),
    'the boxes of a member that was here',
  );
  await mesh.host(3).stop();
  await attackersSession(3, async (keys) => {
    await until('live keys', { timeoutMs: 5000, everyMs: 100 }, () =>
      search(victimPid, keys).every((count) => count > 0) ? true : null,
    );
    await mesh.host(0).weftOk(['revoke', 'node', 'host4', '--yes']);
    await untilGone([...keys, ...boxes], 30_000);
  });
});
