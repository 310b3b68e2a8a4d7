/**
 * State machines as fuzz targets: the bytes of an input are commands. Those that are optimised run beside the plainest model of
 * what they do; what is merged is merged in other orders and with copies, and must come out the same; two session managers are
 * driven through a network that loses, repeats, cuts and forges, and must find each other again when it is over.
 */
import assert from 'node:assert/strict';
import { ReplayWindow } from 'tun-tap';
import type { ReadRevocation } from '../../agent/identity/revocation.ts';
import { RevocationSet } from '../../agent/identity/revocation-set.ts';
import { toHex } from '../../agent/identity/sodium.ts';
import { ReplayGuard } from '../../agent/session/replay-guard.ts';
import { Channel } from '../../gossip/channel.ts';
import { seeded } from '../netns/impairments.ts';
import { type Host, pair, type World } from '../unit/session-world.ts';
import * as material from '../vector/wire-doc-material.ts';
import type { Target } from './target.ts';

/** Accepts each number once, if it is not more than `width` - 1 below the highest. */
class PlainWindow {
  readonly #seen = new Set<number>();
  readonly #width: number;
  #highest = -1;

  constructor(width: number) {
    this.#width = width;
  }

  accept(n: number): boolean {
    if (this.#seen.has(n) || n + this.#width <= this.#highest) return false;
    this.#seen.add(n);
    this.#highest = Math.max(this.#highest, n);
    return true;
  }
}

/** Numbers near each other, near the borders of windows, and far away. */
function* numbersOf(b: Uint8Array, width: number): Generator<number> {
  let at = width;
  for (let i = 0; i + 1 < b.length; i += 2) {
    const step = (b[i + 1] ?? 0) - 128;
    const kind = (b[i] ?? 0) & 7;
    if (kind < 4) at += step;
    else if (kind < 6) at += (step >> 7 || 1) * (width - (step & 7));
    else at += step * width;
    at = Math.max(1, at);
    yield at;
  }
}

const SEQUENCES = [
  Uint8Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? 0 : 129)),
  Uint8Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? i % 8 : (i * 37) & 255)),
];

/** @param width what of the numbers below the highest is still told apart */
function againstModel(name: string, width: number, make: () => { accept(n: number): boolean }): Target {
  const run = (b: Uint8Array): boolean => {
    const window = make();
    const model = new PlainWindow(width);
    let accepted = false;
    for (const n of numbersOf(b, width)) {
      const want = model.accept(n);
      assert.equal(window.accept(n), want, `number ${n}`);
      accepted ||= want;
    }
    return accepted;
  };
  return { name, inputs: SEQUENCES, run };
}

const keys = [1, 2, 3].map((n) => new Uint8Array(32).fill(n));

/** Handshake counters of three members against a map of the highest. */
const guard: Target = {
  name: 'replay guard against its model',
  inputs: [Uint8Array.from([0, 1, 1, 1, 1, 2, 2, 9, 9, 0, 1, 1])],
  run(b) {
    const tested = new ReplayGuard(8);
    const highest = new Map<number, readonly [number, number]>();
    for (let i = 0; i + 2 < b.length; i += 3) {
      const who = (b[i] ?? 0) % keys.length;
      const [incarnation, counter] = [b[i + 1] ?? 0, b[i + 2] ?? 0];
      const [a, c] = highest.get(who) ?? [-1, -1];
      const isNew = incarnation > a || (incarnation === a && counter > c);
      const key = keys[who] ?? new Uint8Array(32);
      assert.equal(tested.isNew(key, incarnation, counter), isNew);
      tested.record(key, incarnation, counter);
      if (isNew) highest.set(who, [incarnation, counter]);
      // On disk and back again: nothing is lowered.
      if ((b[i] ?? 0) > 200) tested.restore(tested.entries().reverse());
    }
    return highest.size > 0;
  },
};

const NODES = ['x', 'y', 'z'].map((name) => material.some(`node ${name}`, 32));
/** What roots and hosts say of three hosts; `id` stands for the hash of the statement. */
const STATEMENTS: readonly ReadRevocation[] = NODES.flatMap((target, t) =>
  [null, ...NODES].flatMap((signerNode, s) =>
    [0, 1].map(
      (n): ReadRevocation => ({
        kind: n === 0 ? 'node' : 'admitter',
        target,
        timeMs: 0,
        label: '',
        reason: '',
        keep: [],
        signerNode,
        root: null,
        signerId: (signerNode ?? new Uint8Array(16)).slice(0, 16),
        bytes: new Uint8Array(0),
        record: {
          id: material.some(`statement ${t} ${s} ${n}`, 32),
          body: new Uint8Array(0),
          bytes: new Uint8Array(0),
          signature: new Uint8Array(64),
          toBeSigned: new Uint8Array(0),
        },
      }),
    ),
  ),
);

function setOf(order: readonly ReadRevocation[]): RevocationSet {
  const set = new RevocationSet();
  for (const statement of order) set.add(statement);
  return set;
}

const said = (set: RevocationSet): string[] =>
  set
    .all()
    .map((r) => toHex(r.record.id))
    .sort();

/** Revocations in any order, in two halves that are joined, and twice. */
const merge: Target = {
  name: 'merge of revocations',
  inputs: [Uint8Array.from([0, 3, 9, 14, 22]), Uint8Array.from([23, 1, 1, 8, 0, 5])],
  run(b) {
    const picked = [...b.subarray(0, 12)].flatMap((n) => STATEMENTS[n % STATEMENTS.length] ?? []);
    const forward = setOf(picked);
    const backward = setOf(picked.toReversed());
    assert.deepEqual(said(backward), said(forward), 'commutative');
    assert.deepEqual(backward.digest, forward.digest);
    const cut = (b[12] ?? 0) % (picked.length + 1);
    const halves = [setOf(picked.slice(cut)), setOf(picked.slice(0, cut))];
    assert.deepEqual(said(setOf(halves.flatMap((half) => half.all()))), said(forward), 'associative');
    assert.deepEqual(said(setOf([...forward.all(), ...picked])), said(forward), 'idempotent');
    return picked.length > 0;
  },
  costs: 10,
};

/** Longer than any key, so that what is left of the faults is over. */
const CALM_MS = 30_000;
const STEP_MS = 250;

/** Whether data comes through once nothing disturbs it, though one side may not know yet that the other forgot it. */
function arrives(world: World, from: Host, to: Host): boolean {
  for (let waitedMs = 0; waitedMs < CALM_MS; waitedMs += STEP_MS) {
    const word = `calm ${waitedMs}`;
    from.connect(to);
    from.sendData(to, word);
    world.run(STEP_MS);
    if (to.delivered.includes(word)) return true;
  }
  return false;
}

/** Commands to two hosts and the network between them. */
function drive(b: Uint8Array): boolean {
  const { world, a, b: other } = pair(b.length === 0 ? 1 : (b[0] ?? 1));
  const random = seeded(b.length);
  const hosts: readonly Host[] = [a, other];
  const captured: { readonly to: Host; readonly from: Host; readonly bytes: Uint8Array }[] = [];
  world.tap = (from, to, bytes) => {
    const receiver = hosts.find((host) => host.listens(to));
    if (receiver !== undefined && captured.length < 64)
      captured.push({ from, to: receiver, bytes: bytes.slice() });
    return true;
  };
  a.connect(other);
  for (let i = 1; i + 1 < Math.min(b.length, 42); i += 2) {
    const [command, value] = [b[i] ?? 0, b[i + 1] ?? 0];
    const host = hosts[command & 1] ?? a;
    const peer = host === a ? other : a;
    const old = captured[value % Math.max(1, captured.length)];
    switch ((command >> 1) % 9) {
      case 0:
        world.run(value * 4);
        break;
      case 1:
        world.run(value * 40);
        break;
      case 2:
        host.connect(peer);
        break;
      case 3:
        host.carryOut(host.manager.forget(world.nowMs, peer.keys.id));
        break;
      case 4:
        host.sendData(peer, `${i}`);
        break;
      case 5:
        if (old !== undefined) old.to.receive(old.from.endpoint, old.bytes.slice());
        break;
      case 6:
        if (old !== undefined) {
          const forged = old.bytes.slice();
          forged[Math.floor(random() * forged.length)]! ^= 1 << (value & 7);
          old.to.receive(old.from.endpoint, forged);
        }
        break;
      case 7:
        world.faults.loss = (value & 3) / 4;
        world.faults.duplicate = ((value >> 2) & 3) / 4;
        break;
      default:
        // What came before may also come from elsewhere.
        if (old !== undefined) old.to.receive({ ip: '10.0.0.9', port: 1 + value }, old.bytes.slice());
    }
  }
  world.faults.loss = 0;
  for (const host of hosts) {
    host.connect(host === a ? other : a);
    assert.ok(host.manager.replayEntries().length <= 1, 'only the peer is remembered');
  }
  for (const [from, to] of [
    [a, other],
    [other, a],
  ] as const)
    assert.ok(arrives(world, from, to), `nothing arrives any more at ${to.endpoint.ip}`);
  return true;
}

export const MACHINE_TARGETS: readonly Target[] = [
  againstModel('replay window of a lane against its model', 8192, () => new ReplayWindow()),
  againstModel('sequence window of gossip against its model', 1024, () => new Channel()),
  guard,
  merge,
  {
    name: 'sessions under commands',
    inputs: SEQUENCES.map((s) => s.map((n, i) => (i % 2 === 0 ? n * 5 : n))),
    run: drive,
    costs: 2000,
    slowMs: 2000,
  },
];
