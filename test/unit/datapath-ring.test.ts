/** The ring of control datagrams: its bound, the half that strangers may use, order, and waking the reader. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  createRing,
  R,
  RING_SLOT_BYTES,
  RING_SLOTS,
  type RingMemory,
  RingReader,
  ringClaim,
  ringMeta,
  ringPublish,
} from '../../agent/datapath/ring.ts';

/** Claims and fills a slot with a marked datagram. */
function fill(ring: RingMemory, ofSession: boolean, mark: number, length = 8): number {
  const slot = ringClaim(ring, ofSession);
  if (slot < 0) return -1;
  const at = ringMeta(slot);
  ring.words[at + R.INDEX] = mark;
  ring.words[at + R.LENGTH] = length;
  ring.bytes.fill(mark & 0xff, slot * RING_SLOT_BYTES, slot * RING_SLOT_BYTES + length);
  return slot;
}

function write(ring: RingMemory, ofSession: boolean, mark: number, length = 8): boolean {
  const slot = fill(ring, ofSession, mark, length);
  if (slot >= 0) ringPublish(ring, slot);
  return slot >= 0;
}

function marks(reader: RingReader, max = RING_SLOTS): number[] {
  const out: number[] = [];
  reader.drain(max, (meta, bytes) => {
    assert.ok(bytes.every((byte) => byte === (meta[R.INDEX]! & 0xff)));
    assert.equal(bytes.length, meta[R.LENGTH]);
    out.push(meta[R.INDEX]!);
  });
  return out;
}

test('a full ring refuses, and takes again what the reader made room for', () => {
  const ring = createRing();
  const reader = new RingReader(ring);
  for (let i = 0; i < RING_SLOTS; i++) assert.ok(write(ring, true, i));
  assert.equal(write(ring, true, 999), false);
  assert.deepEqual(marks(reader, 3), [0, 1, 2]);
  for (let i = 0; i < 3; i++) assert.ok(write(ring, true, 1000 + i));
  assert.equal(write(ring, true, 999), false);
  assert.equal(marks(reader).length, RING_SLOTS);
  assert.deepEqual(marks(reader), []);
});

test('strangers fill half of the ring and leave the other to members', () => {
  const ring = createRing();
  for (let i = 0; i < RING_SLOTS / 2; i++) assert.ok(write(ring, false, i));
  assert.equal(write(ring, false, 999), false);
  for (let i = 0; i < RING_SLOTS / 2; i++) assert.ok(write(ring, true, i));
  assert.equal(write(ring, true, 999), false);
  assert.equal(marks(new RingReader(ring), 1).length, 1);
  assert.equal(write(ring, false, 999), false);
});

test('a slot that is claimed and not yet published holds the reader back, in order', () => {
  const ring = createRing();
  const reader = new RingReader(ring);
  write(ring, true, 1);
  const slow = fill(ring, true, 2);
  write(ring, true, 3);
  assert.deepEqual(marks(reader), [1]);
  ringPublish(ring, slow);
  assert.deepEqual(marks(reader), [2, 3]);
});

test('a datagram of the largest size is read whole', () => {
  const ring = createRing();
  write(ring, true, 7, RING_SLOT_BYTES);
  assert.deepEqual(marks(new RingReader(ring)), [7]);
});

test('the reader is woken by a publication, and does not sleep on one it has missed', async () => {
  const ring = createRing();
  const reader = new RingReader(ring);
  const seen = reader.signal();
  const sleeping = reader.raised(seen);
  assert.ok(sleeping instanceof Promise);
  write(ring, true, 1);
  assert.equal(await sleeping, 'ok');
  assert.equal(reader.raised(seen), undefined);
  assert.ok(reader.raised(reader.signal()) instanceof Promise);
  write(ring, true, 2);
});

test('any mix of writers and drains is a bounded queue, also where its counters wrap', () => {
  const step: fc.Arbitrary<{ write: boolean; times: number } | { drain: number }> = fc.oneof(
    fc.record({ write: fc.boolean(), times: fc.nat(200) }),
    fc.record({ drain: fc.nat(300) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.constantFrom(0, 0x7fffff80, -100), (steps, start) => {
      const ring = createRing();
      ring.words[0] = start;
      ring.words[1] = start;
      const reader = new RingReader(ring);
      const model: number[] = [];
      let mark = 0;
      for (const one of steps) {
        if ('drain' in one) {
          assert.deepEqual(marks(reader, one.drain), model.splice(0, one.drain));
          continue;
        }
        for (let i = 0; i < one.times; i++) {
          const room: boolean = model.length < (one.write ? RING_SLOTS : RING_SLOTS / 2);
          assert.equal(write(ring, one.write, ++mark), room);
          if (room) model.push(mark);
        }
      }
      assert.deepEqual(marks(reader), model);
    }),
  );
});
