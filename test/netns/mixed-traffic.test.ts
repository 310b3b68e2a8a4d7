/**
 * Everything at once through a bad network: TCP, UDP and UDP super-frames both ways between two sealed agents, the relay in
 * between with 1 % loss, reordering, duplicates and damage, new keys every 5 s. Nothing damaged or doubled comes out, and
 * the replay window refuses the relay's copies and nothing else. 30 s; with WEFT_SOAK_SEC (`npm run soak`) as long as said.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { delay } from '../../agent/lab/wait.ts';
import type { RelayCounters } from './impairment-relay.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { reachable } from './programs.ts';
import { Relay } from './relay.ts';
import { type Transfer, type TransferReport, transfer } from './traffic.ts';

const SECONDS = Number(process.env.WEFT_SOAK_SEC ?? 30);
const REKEY_SEC = 5;
const SEALED_PORT = 7947;
const SEALED_TYPE = 4;
/** A damaged counter may look like an old one, so the header is spared: what is damaged has a wrong tag and nothing else. */
const SEALED_HEADER_BYTES = 16;
const TIMEOUT_MS = SECONDS * 1000 + 150_000;
const IMPAIRMENT = {
  seed: 404,
  loss: 0.01,
  reorder: 0.02,
  reorderMs: 3,
  duplicate: 0.01,
  corrupt: 0.002,
} as const;

interface Tally {
  transfers: number;
  bytes: number;
  resent: number;
  corrupted: number;
  duplicates: number;
}

let mesh: Mesh;
let relay: Relay;
let ends: { readonly namespace: string; readonly addresses: readonly string[] }[];
before(async () => {
  mesh = await Mesh.start({
    hosts: 2,
    config: `log:\n  level: info\nsession:\n  rekey_after_sec: ${REKEY_SEC}\n`,
  });
  const touch = { touchPort: SEALED_PORT, touchType: SEALED_TYPE, touchFrom: SEALED_HEADER_BYTES };
  relay = await Relay.start(mesh.topology, IMPAIRMENT, touch);
  ends = [];
  for (const [i, host] of mesh.hosts.entries()) {
    const v6 = `fd80::${i + 1}`;
    await mesh.runOk(i, ['ip', 'address', 'add', `${v6}/64`, 'dev', 'weft0', 'nodad']);
    ends.push({ namespace: host.node.namespace, addresses: [await overlayOf(host), v6] });
  }
  for (const address of ends[1]!.addresses) await reachable(ends[0]!.namespace, address, 20_000);
});
after(async () => {
  await relay?.stop();
  await mesh?.remove();
});

const both = async (name: string, labels = {}): Promise<number> =>
  (await mesh.metric(0, name, labels)) + (await mesh.metric(1, name, labels));

/** One transfer after another of a kind, one way, until the time is up. */
async function repeat(kind: number, way: number, untilMs: number, tally: Tally): Promise<void> {
  const [from, to] = [ends[way]!, ends[1 - way]!];
  for (let round = 0; performance.now() < untilMs; round++) {
    const common = {
      from: from.namespace,
      to: to.namespace,
      address: to.addresses[round % 2]!,
      port: 9100 + kind * 2 + way,
      seed: round * 10 + kind,
      timeoutMs: TIMEOUT_MS,
    };
    const kinds: readonly Transfer[] = [
      { ...common, kind: 'tcp', bytes: 4_000_000 },
      { ...common, kind: 'udp', bytes: 400_000 },
      { ...common, kind: 'udp', bytes: 2_000_000, extra: 20 },
    ];
    count(tally, await transfer(kinds[kind]!));
  }
}

function count(tally: Tally, { sent, received }: TransferReport): void {
  assert.deepEqual([received.bytes, received.digest], [sent.bytes, sent.digest]);
  tally.transfers++;
  tally.bytes += received.bytes;
  tally.resent += sent.resent ?? 0;
  tally.corrupted += received.corrupted ?? 0;
  tally.duplicates += received.duplicates ?? 0;
}

function refused(actual: number, made: number, swallowed: number, what: string): void {
  assert.ok(
    actual <= made && actual >= made - swallowed,
    `${what}: ${actual} of ${made}, ${swallowed} swallowed`,
  );
}

/** The relay's counters when nothing waits in it any more. */
async function settled(): Promise<RelayCounters> {
  await delay(500);
  return relay.counters();
}

test(`mixed traffic for ${SECONDS} s: nothing damaged, nothing doubled, no false replay`, async (t) => {
  const dropped = (reason: string): Promise<number> =>
    both('weft_dropped_frames_total', { direction: 'receive', reason });
  const tally: Tally = { transfers: 0, bytes: 0, resent: 0, corrupted: 0, duplicates: 0 };
  const startMs = performance.now();
  const untilMs = startMs + SECONDS * 1000;
  const streams = [0, 1, 2].flatMap((kind) => [0, 1].map((way) => repeat(kind, way, untilMs, tally)));
  await Promise.all(streams);
  const seconds = (performance.now() - startMs) / 1000;

  // What is under way comes in without being touched; then both sides are counted.
  await relay.impair(false);
  const relayed = await settled();
  const [replay, auth, lost] = [
    await dropped('replay'),
    await dropped('auth'),
    await both('weft_udp_socket_drops_total'),
  ];
  const rekeys = await both('weft_handshakes_total', { result: 'ok' });
  t.diagnostic(JSON.stringify({ seconds, tally, relayed, replay, auth, lost, rekeys }));

  assert.deepEqual([tally.corrupted, tally.duplicates], [0, 0]);
  assert.ok(tally.transfers > SECONDS / 5 && tally.bytes > SECONDS * 100_000, JSON.stringify(tally));
  const share = relayed.lost / relayed.received;
  assert.ok(share > 0.007 && share < 0.013, `${share} lost`);
  assert.ok(relayed.reordered > relayed.received / 200 && relayed.duplicated > 50, JSON.stringify(relayed));
  // What a full buffer swallows on this machine was never refused by an agent.
  const swallowed = relayed.overflow + relayed.failed + lost;
  refused(replay, relayed.duplicated, swallowed, 'each copy is refused once, and nothing else is');
  refused(auth, relayed.corrupted, swallowed, 'what is damaged is refused, and nothing else is');
  assert.ok(rekeys >= Math.floor(seconds / (REKEY_SEC + 3)), `${rekeys} handshakes in ${seconds} s`);
});
