import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeBox,
  decodeInner,
  decodeIntro,
  decodeIntroBody,
  encodeBox,
  encodeInner,
  encodeIntro,
  encodeIntroBody,
  INTRO_BYTES,
  TYPE_BOX,
  TYPE_INTRO,
} from '../../gossip/codec.ts';
import { encodeMessage, MAX_SUMMARY_ENTRIES, MAX_WANT, type Message } from '../../gossip/message.ts';

const hexOf = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((b) => Buffer.from(b).toString('hex'));
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const number53 = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const entry = fc
  .record({ id: hexOf(8), incarnation: number53, seq: fc.nat({ max: 0xffff_ffff }) })
  .map((e) => ({ ...e }));
const ids = fc.array(hexOf(8), { maxLength: MAX_WANT });

const message: fc.Arbitrary<Message> = fc
  .oneof(
    fc.record({ type: fc.constant('ping' as const), probe: u64 }),
    fc.record({ type: fc.constant('ack' as const), probe: u64 }),
    fc.record({ type: fc.constant('pingReq' as const), probe: u64, target: hexOf(32) }),
    fc.record({
      type: fc.constant('record' as const),
      record: fc.uint8Array({ maxLength: 256 }),
      credential: fc.uint8Array({ maxLength: 900 }),
    }),
    fc.record({
      type: fc.constant('suspect' as const),
      accusation: fc.uint8Array({ minLength: 1, maxLength: 256 }),
    }),
    fc.record({ type: fc.constant('boot' as const), mine: number53, yours: number53 }),
    fc.record({
      type: fc.constant('digest' as const),
      buckets: fc.array(u64, { minLength: 16, maxLength: 16 }),
    }),
    fc.record({
      type: fc.constant('summary' as const),
      bucket: fc.nat({ max: 15 }),
      entries: fc.array(entry, { maxLength: MAX_SUMMARY_ENTRIES }),
    }),
    fc.record({ type: fc.constant('want' as const), ids }),
    fc.record({ type: fc.constant('credentialAck' as const), ids }),
    fc.record({ type: fc.constant('refresh' as const), ids }),
    fc.record({
      type: fc.constant('equivocation' as const),
      a: fc.uint8Array({ maxLength: 256 }),
      b: fc.uint8Array({ maxLength: 256 }),
    }),
  )
  .map((m) => ({ ...m }));

test('what is encoded is decoded again, in order', () => {
  fc.assert(
    fc.property(
      number53,
      number53,
      number53,
      fc.array(message, { maxLength: 5 }),
      (boot, seq, echo, messages) => {
        const bytes = encodeInner(boot, seq, echo, messages.map(encodeMessage));
        assert.deepEqual(decodeInner(bytes), { boot, seq, echo, messages });
      },
    ),
  );
});

test('a box that is cut at any byte is refused or holds fewer whole messages', () => {
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 3 }), (messages) => {
      const bytes = encodeInner(1, 2, 3, messages.map(encodeMessage));
      for (let length = 0; length < bytes.length; length++) {
        const inner = decodeInner(bytes.subarray(0, length));
        if (inner === null) continue;
        assert.deepEqual(inner.messages, messages.slice(0, inner.messages.length));
      }
    }),
    { numRuns: 30 },
  );
});

test('garbage never throws, at any length and with any type', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 1300 }),
      fc.constantFrom(TYPE_BOX, TYPE_INTRO, 0, 255),
      (bytes, type) => {
        if (bytes.length > 0) bytes[0] = type;
        decodeBox(bytes);
        decodeIntro(bytes);
        decodeInner(bytes);
        if (bytes.length >= 2) decodeIntroBody(bytes);
      },
    ),
    { numRuns: 1000 },
  );
});

test('an introduction body of any length never throws', () => {
  for (let length = 0; length < 8; length++)
    for (const fill of [0, 1, 255])
      assert.doesNotThrow(() => decodeIntroBody(new Uint8Array(length).fill(fill)));
});

test('the frame of a box is read as it was written and refused when anything about it is off', () => {
  const bytes = encodeBox(
    '11'.repeat(32),
    '22'.repeat(32),
    new Uint8Array(24).fill(3),
    new Uint8Array(60).fill(4),
  );
  const frame = decodeBox(bytes);
  assert.equal(frame?.sender, '11'.repeat(8));
  assert.equal(frame?.receiver, '22'.repeat(8));
  assert.deepEqual(frame?.nonce, new Uint8Array(24).fill(3));
  assert.deepEqual(frame?.box, new Uint8Array(60).fill(4));
  for (const at of [0, 1, 2, 3]) {
    const other = bytes.slice();
    other[at]! ^= 1;
    assert.equal(decodeBox(other), null, `byte ${at}`);
  }
  assert.equal(decodeBox(new Uint8Array(1233).fill(0)), null);
});

test('an introduction is 1200 bytes whatever it holds, and holds no more than fits', () => {
  for (const [record, credential] of [
    [1, 1],
    [224, 900],
    [224, 200],
  ] as const) {
    const body = encodeIntroBody(new Uint8Array(record).fill(5), new Uint8Array(credential).fill(6));
    assert.ok(body !== null);
    const intro = encodeIntro(new Uint8Array(24), new Uint8Array([...new Uint8Array(16), ...body]));
    assert.equal(intro.length, INTRO_BYTES);
    assert.ok(decodeIntro(intro) !== null);
    assert.equal(decodeIntro(intro.subarray(1)), null);
    assert.deepEqual(decodeIntroBody(body), {
      record: new Uint8Array(record).fill(5),
      credential: new Uint8Array(credential).fill(6),
    });
  }
  assert.equal(encodeIntroBody(new Uint8Array(256), new Uint8Array(897)), null);
});

test('a message type of a newer version is skipped, a known one with a wrong body is not', () => {
  const ping = encodeMessage({ type: 'ping', probe: 7n });
  const newer = new Uint8Array([200, 0, 2, 1, 2]);
  assert.deepEqual(decodeInner(encodeInner(1, 1, 1, [newer, ping]))?.messages, [{ type: 'ping', probe: 7n }]);
  const broken = new Uint8Array([1, 0, 2, 1, 2]);
  assert.equal(decodeInner(encodeInner(1, 1, 1, [broken, ping])), null);
});

test('no box is shorter than the one that answers it with BOOT', () => {
  const boot = encodeInner(1, 1, 1, [encodeMessage({ type: 'boot', mine: 1, yours: 2 })]);
  for (const messages of [
    [],
    [{ type: 'ping', probe: 1n }],
    [{ type: 'want', ids: ['00'.repeat(8)] }],
  ] as Message[][])
    assert.ok(encodeInner(1, 1, 1, messages.map(encodeMessage)).length >= boot.length);
});

test('numbers that JavaScript cannot hold exactly are refused', () => {
  const bytes = encodeInner(1, 1, 1, [encodeMessage({ type: 'boot', mine: 1, yours: 2 })]);
  for (const at of [0, 8, 16, 27, 35]) {
    const other = bytes.slice();
    other[at] = 0xff;
    assert.equal(decodeInner(other), null, `byte ${at}`);
  }
  const summary = encodeMessage({
    type: 'summary',
    bucket: 1,
    entries: [{ id: '00'.repeat(8), incarnation: 1, seq: 1 }],
  });
  summary[12] = 0xff;
  assert.equal(decodeInner(encodeInner(1, 1, 1, [summary])), null);
});
