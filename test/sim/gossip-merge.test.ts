/**
 * Merging records against the plainest model, the highest number of all that came: in any order and with copies. So merging is
 * commutative, associative and idempotent. Seeded; the case is in each message.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeBox, encodeInner } from '../../gossip/codec.ts';
import { encodeMessage } from '../../gossip/message.ts';
import type { VerifiedRecord } from '../../gossip/types.ts';
import { idOf, ipOf, makeRecord, SeededRng, sealerOf } from './cheap-parts.ts';
import { World } from './world.ts';

const CASES = 25;
/** A member's record is taken so often only. */
const GAP_MS = 1100;
const ORDERS = 3;
const MAX_RECORDS = 8;
const GOSSIP_PORT = 7946;

function settled(): World {
  const world = new World();
  world.join(2);
  world.run(15_000);
  assert.ok(world.agree());
  return world;
}

/** From host 1 to host 0, as a genuine member passes records on. */
function pass(world: World, records: readonly VerifiedRecord[]): void {
  const messages = records.map(({ bytes, credential }) =>
    encodeMessage({ type: 'record', record: bytes, credential }),
  );
  const inner = encodeInner(
    world.host(1).disk.boot,
    world.swim(1).member(idOf(0))?.channel.nextSeq() ?? 1,
    world.host(0).disk.boot,
    messages,
  );
  const nonce = new Uint8Array(24);
  const box = sealerOf(idOf(1)).seal(idOf(0), new Uint8Array(32), nonce, inner);
  assert.ok(box !== null);
  world.deliver(0, encodeBox(idOf(1), idOf(0), nonce, box), { ip: ipOf(1), port: GOSSIP_PORT });
}

test('records in any order and with copies leave the one with the highest number', () => {
  const world = settled();
  const rng = new SeededRng(7);
  const below = (n: number): number => Math.floor(rng.float() * n);
  for (let number = 0; number < CASES; number++) {
    const count = 1 + below(MAX_RECORDS);
    const numbers = Array.from({ length: count }, () => ({ incarnation: 1 + below(5), seq: below(3) }));
    const highest = numbers.reduce((a, b) => (compare(a, b) < 0 ? b : a));
    for (let order = 0; order < ORDERS; order++) {
      // Another member for each order: what it had before shall not matter.
      const id = idOf(100 + number * ORDERS + order);
      const queue = shuffled([...numbers, ...numbers.slice(0, below(count + 1))], below).map(
        ({ incarnation, seq }) =>
          // A leave is the last that a host says under an incarnation.
          makeRecord(id, incarnation, seq, seq === 2 ? 'left' : 'alive'),
      );
      for (const record of queue) {
        pass(world, [record]);
        world.run(GAP_MS);
      }
      const kept = world.swim(0).member(id)?.record;
      const what = `case ${number}, order ${order}`;
      assert.deepEqual([kept?.incarnation, kept?.seq], [highest.incarnation, highest.seq], what);
    }
  }
});

const compare = (
  a: { readonly incarnation: number; readonly seq: number },
  b: { readonly incarnation: number; readonly seq: number },
): number => a.incarnation - b.incarnation || a.seq - b.seq;

function shuffled<T>(items: readonly T[], below: (n: number) => number): T[] {
  const mixed = [...items];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = below(i + 1);
    const [a, b] = [mixed[i], mixed[j]];
    if (a !== undefined && b !== undefined) [mixed[i], mixed[j]] = [b, a];
  }
  return mixed;
}
