/** Codecs of the session layer: round trips, every truncation, garbage, known bytes, derived keys, limits. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { keyedHash, sodiumReady, toHex } from '../../agent/identity/sodium.ts';
import {
  CONTROL,
  type ControlKind,
  decodeControl,
  encodeControl,
  encodeProbeAck,
  MAX_CONTROL_BODY,
  seenByAck,
} from '../../agent/session/control.ts';
import { CookieJar, MacKeys } from '../../agent/session/cookie.ts';
import { allLaneKeys, baseIndex, controlIndex, laneKey } from '../../agent/session/keys.ts';
import {
  decodeCookieReply,
  decodeInit,
  decodeReset,
  decodeResponse,
  encodeCookieReply,
  encodeHandshake,
  encodeReset,
  INIT_PAYLOAD,
  initHeader,
  macFields,
  RESPONSE_PAYLOAD,
  responseHeader,
} from '../../agent/session/messages.ts';
import { decodePayload, encodePayload, type HandshakePayload } from '../../agent/session/payload.ts';
import { AddressLimiter, TokenBucket } from '../../agent/session/rate-limit.ts';
import { ReplayGuard } from '../../agent/session/replay-guard.ts';
import { MAX_ADDRESSES } from '../../agent/session/timers.ts';
import { seededRng } from './session-world.ts';

before(() => sodiumReady);

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
const bytesOf = (size: number) => fc.uint8Array({ minLength: size, maxLength: size });
const index = fc.nat(0x0fff_ffff).map((n) => (n << 4) >>> 0);
const u64 = fc.maxSafeNat();

const payload: fc.Arbitrary<HandshakePayload> = fc
  .record({
    kind: fc.constantFrom(1 as const, 2 as const),
    incarnation: u64,
    counter: u64,
    policySeq: u64,
    policyId: bytesOf(16),
    revocationDigest: bytesOf(16),
    resetToken: bytesOf(16),
    certificates: fc.array(fc.uint8Array({ maxLength: 448 }), { minLength: 2, maxLength: 2 }),
  })
  .map((p) => ({ ...p, certificates: p.kind === 1 ? p.certificates : p.certificates.slice(1) }));

test('handshake payloads read back as they were written, in both messages', () => {
  fc.assert(
    fc.property(payload, fc.constantFrom(INIT_PAYLOAD, RESPONSE_PAYLOAD), (given, size) => {
      const bytes = encodePayload(given, size);
      assert.equal(bytes.length, size);
      assert.deepEqual(decodePayload(bytes), given);
    }),
  );
});

test('the largest certificates fit into the first message, and larger ones are a programming error', () => {
  const given = {
    kind: 1 as const,
    incarnation: 1,
    counter: 1,
    policySeq: 1,
    policyId: new Uint8Array(16),
    revocationDigest: new Uint8Array(16),
    resetToken: new Uint8Array(16),
    certificates: [new Uint8Array(448), new Uint8Array(448)],
  };
  assert.equal(encodePayload(given, INIT_PAYLOAD).length, 1064);
  const large = { ...given, certificates: [new Uint8Array(600), new Uint8Array(448)] };
  assert.throws(() => encodePayload(large, INIT_PAYLOAD), RangeError);
  assert.throws(() => encodePayload({ ...given, certificates: [] }, INIT_PAYLOAD), RangeError);
  assert.throws(() => encodePayload({ ...given, policyId: new Uint8Array(32) }, INIT_PAYLOAD), RangeError);
});

test('a handshake payload has these bytes', () => {
  const bytes = encodePayload(
    {
      kind: 2,
      incarnation: 3,
      counter: 0x1_0000_0002,
      policySeq: 5,
      policyId: new Uint8Array(16).fill(0xaa),
      revocationDigest: new Uint8Array(16).fill(0xbb),
      resetToken: new Uint8Array(16).fill(0xcc),
      certificates: [hex('01 02 03')],
    },
    80,
  );
  const expected = `02  00000000 00000003  00000001 00000002  00000000 00000005
    aaaaaaaa aaaaaaaa aaaaaaaa aaaaaaaa  bbbbbbbb bbbbbbbb bbbbbbbb bbbbbbbb  cccccccc cccccccc cccccccc cccccccc
    0003 010203 0000`;
  assert.equal(toHex(bytes), toHex(hex(expected)));
});

test('a payload cut anywhere, with padding that is not zero, or with a counter from 2^53 on, is refused', () => {
  fc.assert(
    fc.property(payload, (given) => {
      const bytes = encodePayload(given, INIT_PAYLOAD);
      const end = 73 + given.certificates.reduce((sum, certificate) => sum + 2 + certificate.length, 0);
      for (let at = 0; at < end; at += 7) assert.equal(decodePayload(bytes.subarray(0, at)), null);
      const dirty = bytes.slice();
      dirty[INIT_PAYLOAD - 1]! ^= 1;
      if (end < INIT_PAYLOAD) assert.equal(decodePayload(dirty), null);
      const huge = bytes.slice();
      huge[9] = 0x20;
      huge.fill(0, 10, 17);
      assert.equal(decodePayload(huge), null);
    }),
    { numRuns: 50 },
  );
});

test('the four datagrams read back as they were written, and only in their size', () => {
  fc.assert(
    fc.property(index, index, bytesOf(1160), bytesOf(24), bytesOf(32), (a, b, noise, nonce, sealed) => {
      const init = encodeHandshake(initHeader(a), noise);
      assert.equal(init.length, 1200);
      assert.deepEqual(decodeInit(init), { senderIndex: a, header: initHeader(a), noise });
      const answer = noise.subarray(0, 1156);
      const response = encodeHandshake(responseHeader(a, b), answer);
      const expected = { senderIndex: a, receiverIndex: b, header: responseHeader(a, b), noise: answer };
      assert.deepEqual(decodeResponse(response), expected);
      const cookie = encodeCookieReply({ receiverIndex: a, nonce, sealed });
      assert.deepEqual(decodeCookieReply(cookie), { receiverIndex: a, nonce, sealed });
      const reset = encodeReset({ index: a, token: nonce.subarray(0, 16) });
      assert.deepEqual(decodeReset(reset), { index: a, token: nonce.subarray(0, 16) });
      for (const bytes of [init, cookie, reset])
        for (const decode of [decodeInit, decodeCookieReply, decodeReset]) {
          assert.equal(decode(bytes.subarray(1)), null);
          assert.equal(decode(new Uint8Array([...bytes, 0])), null);
        }
    }),
    { numRuns: 50 },
  );
  const noise = new Uint8Array(1160);
  assert.throws(() => encodeHandshake(responseHeader(16, 32), noise), RangeError);
});

test('reserved bytes and lanes in an index are refused', () => {
  const reset = encodeReset({ index: 0x20, token: new Uint8Array(16) });
  for (const [at, value] of [
    [0, 6],
    [1, 1],
    [2, 1],
    [3, 1],
    [7, 0x21],
  ] as const) {
    const bytes = reset.slice();
    bytes[at] = value;
    assert.equal(decodeReset(bytes), null);
  }
});

test('no decoder throws on garbage', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1300 }), (bytes) => {
      for (const decode of [
        decodeInit,
        decodeResponse,
        decodeCookieReply,
        decodeReset,
        decodePayload,
        decodeControl,
      ])
        decode(bytes);
    }),
    { numRuns: 1000 },
  );
});

const CONTROL_BODIES: readonly [ControlKind, number | null][] = [
  [CONTROL.keepalive, 0],
  [CONTROL.probe, 8],
  [CONTROL.probeAck, 28],
  [CONTROL.challenge, 8],
  [CONTROL.response, 8],
  [CONTROL.request, null],
  [CONTROL.reply, null],
  [CONTROL.relay, null],
];

test('control messages of every kind read back, padded to any size and cut to their length', () => {
  for (const [kind, exact] of CONTROL_BODIES)
    fc.assert(
      fc.property(bytesOf(exact ?? 700), fc.integer({ min: 0, max: 1400 }), (body, size) => {
        const bytes = encodeControl(kind, body, size);
        assert.equal(bytes.length, Math.max(4 + body.length, 32, size - 32));
        assert.deepEqual(decodeControl(bytes), { kind, body });
        assert.deepEqual(decodeControl(bytes.subarray(0, 4 + body.length)), { kind, body });
        for (let at = 0; at < 4 + body.length; at += 11)
          assert.equal(decodeControl(bytes.subarray(0, at)), null);
      }),
      { numRuns: 20 },
    );
});

test("a probe's answer says from where the probe came, in both families", () => {
  for (const from of [
    { ip: '192.0.2.7', port: 7947 },
    { ip: '2001:db8::7', port: 65_535 },
  ]) {
    const body = encodeProbeAck(new Uint8Array(8).fill(7), 1200, from);
    assert.deepEqual(seenByAck(body), from);
    assert.equal(
      encodeControl(CONTROL.probeAck, body).length,
      32,
      'the answer is no larger than the smallest probe',
    );
  }
});

test('control messages of unknown kinds, wrong lengths or dirty padding are refused', () => {
  assert.equal(decodeControl(hex('08 00 0000')), null);
  assert.equal(decodeControl(hex('00 01 0000')), null);
  assert.equal(decodeControl(hex('00 00 0001 00')), null);
  assert.equal(decodeControl(hex('01 00 0007 00000000000000')), null);
  assert.equal(decodeControl(hex('00 00 0000 01')), null);
  assert.deepEqual(decodeControl(hex('00 00 0000 00'))?.kind, 0);
  assert.throws(() => encodeControl(CONTROL.probe, new Uint8Array(7)), RangeError);
  assert.throws(() => encodeControl(CONTROL.request, new Uint8Array(MAX_CONTROL_BODY + 1)), RangeError);
});

test('lane keys differ by lane, suite and direction, and the set of all is each of them', () => {
  const direction = new Uint8Array(32).fill(1);
  const all = allLaneKeys(direction, 2);
  const seen = new Set<string>();
  for (let lane = 0; lane < 16; lane++) {
    const key = laneKey(direction, 2, lane);
    const label = new Uint8Array([...new TextEncoder().encode('weft1 lane'), 2, lane]);
    assert.deepEqual(key, keyedHash(direction, [label]));
    assert.deepEqual(all.subarray(lane * 32, lane * 32 + 32), key);
    seen.add(toHex(key));
    seen.add(toHex(laneKey(direction, 1, lane)));
    seen.add(toHex(laneKey(new Uint8Array(32).fill(2), 2, lane)));
  }
  assert.equal(seen.size, 48);
  assert.equal(controlIndex(0xffff_fff0), 0xffff_ffff);
  assert.equal(baseIndex(0xffff_ffff), 0xffff_fff0);
});

test('mac1 is bound to psk and receiver, mac2 to address and time', () => {
  const rng = seededRng(1);
  const message = encodeHandshake(initHeader(16), rng.fill(new Uint8Array(1160)));
  const psk = new Uint8Array(32).fill(1);
  const receiver = new Uint8Array(32).fill(2);
  const keys = new MacKeys(psk, receiver);
  const jar = new CookieJar(rng);
  const from = { ip: '192.0.2.1', port: 7947 };
  keys.stamp(message, jar.cookieFor(0, from));
  assert.ok(keys.mac1Valid(message));
  assert.ok(!new MacKeys(psk, new Uint8Array(32)).mac1Valid(message));
  assert.ok(!new MacKeys(new Uint8Array(32), receiver).mac1Valid(message));
  assert.ok(jar.mac2Valid(119_999, from, message));
  assert.ok(!jar.mac2Valid(119_999, { ...from, port: 7948 }, message));
  assert.ok(!jar.mac2Valid(119_999, { ...from, ip: '192.0.2.2' }, message));
  assert.ok(!jar.mac2Valid(120_000, from, message), 'the secret is made anew');
  macFields(message).mac2.fill(0);
  assert.ok(!jar.mac2Valid(120_001, from, message));
});

test('a bucket refills at its rate and keeps its reserve', () => {
  const bucket = new TokenBucket(10, 5);
  for (let i = 0; i < 5; i++) assert.ok(bucket.take(1000));
  assert.ok(!bucket.take(1000));
  assert.ok(!bucket.take(1099));
  assert.ok(bucket.take(1200));
  assert.ok(!bucket.take(1500, 1, 4));
  assert.ok(bucket.take(1500, 1, 2));
});

test('the table of addresses stays within its bound, and an IPv6 network of 64 bits counts once', () => {
  const limiter = new AddressLimiter();
  for (let i = 0; i < MAX_ADDRESSES + 500; i++) limiter.take(0, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  assert.equal(limiter.size, MAX_ADDRESSES);
  const results = [1, 2, 3, 4, 5, 6].map((host) => limiter.take(0, `2001:db8::${host}`));
  assert.deepEqual(results, [true, true, true, true, true, false]);
  assert.ok(limiter.take(0, '2001:db8:0:1::1'));
});

test('the replay guard takes what is newer, forgets the longest unused, and survives being stored', () => {
  const guard = new ReplayGuard(2);
  const [a, b, c] = [1, 2, 3].map((fill) => new Uint8Array(32).fill(fill)) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  guard.record(a, 5, 10);
  assert.ok(!guard.isNew(a, 5, 10) && !guard.isNew(a, 5, 9) && !guard.isNew(a, 4, 99));
  assert.ok(guard.isNew(a, 5, 11) && guard.isNew(a, 6, 0));
  guard.record(a, 4, 99);
  assert.ok(!guard.isNew(a, 5, 10), 'an older one changes nothing');
  const restored = new ReplayGuard(2);
  restored.restore(guard.entries());
  assert.ok(!restored.isNew(a, 5, 10) && restored.isNew(a, 5, 11));
  guard.record(b, 1, 1);
  guard.record(c, 1, 1);
  assert.ok(guard.isNew(a, 1, 1) && !guard.isNew(b, 1, 1));
});
