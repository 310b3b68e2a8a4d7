import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as s from '../../agent/identity/sodium.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const some = (byte: number, size = 32): Uint8Array => new Uint8Array(size).fill(byte);

before(() => s.sodiumReady);

test('the hash is BLAKE2b-256, its parts joined', () => {
  const abc = hex('bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319');
  assert.deepEqual(s.hash(s.utf8('abc')), abc);
  assert.deepEqual(s.hash(s.utf8('a'), s.utf8(''), s.utf8('bc')), abc);
});

test('a keyed hash depends on its key and its size is part of it', () => {
  const of = (key: Uint8Array | null, size: number): string =>
    s.toHex(s.keyedHash(key, [s.utf8('abc')], size));
  const all = [of(null, 32), of(some(1), 32), of(some(2), 32), of(some(1), 16), of(some(1), 64)];
  assert.deepEqual(
    all.map((h) => h.length / 2),
    [32, 32, 32, 16, 64],
  );
  assert.equal(new Set(all.map((h) => h.slice(0, 32))).size, all.length);
});

test('signatures are those of RFC 8032', () => {
  const keys = s.signingKeyPair(hex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb'));
  assert.deepEqual(keys.publicKey, hex('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c'));
  const signature = hex(
    `92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
     085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00`,
  );
  assert.deepEqual(s.sign(hex('72'), keys.secretKey), signature);
  assert.ok(s.verifySignature(signature, hex('72'), keys.publicKey));
});

test('the forgery that verifies everything under the identity point is refused', () => {
  // R = identity, S = 0: S*B = R + h*A holds for every message when A is the identity.
  const identity = hex(`01${'00'.repeat(31)}`);
  const forged = s.concat(identity, some(0));
  for (const text of ['', 'weft', 'anything at all'])
    assert.equal(s.verifySignature(forged, s.utf8(text), identity), false);
});

test('no small-order or non-canonical key verifies anything', () => {
  const points = [
    '0100000000000000000000000000000000000000000000000000000000000000',
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0000000000000000000000000000000000000000000000000000000000000080',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ];
  for (const point of points)
    for (const r of points)
      assert.equal(s.verifySignature(s.concat(hex(r), some(0)), s.utf8('x'), hex(point)), false, point);
});

test('a signature whose S has the group order added is refused', () => {
  const keys = s.signingKeyPair(some(7));
  const message = s.utf8('weft');
  const good = s.sign(message, keys.secretKey);
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const value = BigInt(`0x${Buffer.from(good.slice(32)).reverse().toString('hex')}`) + order;
  const bad = s.concat(good.slice(0, 32), hex(value.toString(16).padStart(64, '0')).reverse());
  assert.ok(s.verifySignature(good, message, keys.publicKey));
  assert.equal(s.verifySignature(bad, message, keys.publicKey), false);
});

test('keys and signatures of a wrong length are false, not an exception', () => {
  const keys = s.signingKeyPair(some(7));
  const signature = s.sign(s.utf8('x'), keys.secretKey);
  assert.equal(s.verifySignature(signature.slice(1), s.utf8('x'), keys.publicKey), false);
  assert.equal(s.verifySignature(signature, s.utf8('x'), keys.publicKey.slice(1)), false);
  assert.equal(s.verifySignature(new Uint8Array(0), s.utf8('x'), new Uint8Array(0)), false);
});

test('X25519 is that of RFC 7748, and gives nothing with a low-order key', () => {
  const k = hex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4');
  const u = hex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c');
  const product = hex('c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552');
  assert.deepEqual(s.x25519(k, u), product);
  const alice = s.dhKeyPair(some(8));
  const bob = s.dhKeyPair(some(9));
  assert.deepEqual(s.x25519(alice.secretKey, bob.publicKey), s.x25519(bob.secretKey, alice.publicKey));
  for (const low of [some(0), hex(`01${'00'.repeat(31)}`)]) {
    assert.equal(s.x25519(bob.secretKey, low), null);
    assert.equal(s.boxBeforeNm(low, bob.secretKey), null);
  }
  assert.equal(s.x25519(bob.secretKey, some(1, 31)), null);
});

test('each AEAD opens what it sealed and nothing else', () => {
  const key = some(3);
  const aad = s.utf8('header');
  const text = s.utf8('a frame');
  const aeads = [
    {
      sealed: s.chachaSeal(text, aad, some(1, 12), key),
      open: (c: Uint8Array, k = key, a = aad) => s.chachaOpen(c, a, some(1, 12), k),
    },
    {
      sealed: s.xchachaSealWith(text, aad, some(1, 24), key),
      open: (c: Uint8Array, k = key, a = aad) => s.xchachaOpenWith(c, a, some(1, 24), k),
    },
  ];
  for (const { sealed, open } of aeads) {
    assert.deepEqual(open(sealed), text);
    assert.equal(open(sealed, some(4)), null);
    assert.equal(open(sealed, key, s.utf8('Header')), null);
    for (let i = 0; i < sealed.length; i++) {
      assert.equal(open(sealed.map((b, at) => (at === i ? b ^ 1 : b))), null);
      assert.equal(open(sealed.slice(0, i)), null);
    }
  }
});

test('a box opens for its partner only, and garbage of any length does not', () => {
  const [a, b, c] = [s.dhKeyPair(some(1)), s.dhKeyPair(some(2)), s.dhKeyPair(some(5))];
  const [ab, ba, cb] = [
    s.boxBeforeNm(b.publicKey, a.secretKey),
    s.boxBeforeNm(a.publicKey, b.secretKey),
    s.boxBeforeNm(b.publicKey, c.secretKey),
  ];
  assert.ok(ab !== null && ba !== null && cb !== null);
  const box = s.boxSeal(s.utf8('ping'), some(1, 24), ab);
  assert.deepEqual(s.boxOpen(box, some(1, 24), ba), s.utf8('ping'));
  assert.equal(s.boxOpen(box, some(1, 24), cb), null);
  for (let size = 0; size < 40; size++) assert.equal(s.boxOpen(some(size, size), some(1, 24), ba), null);
  for (let size = 0; size < 40; size++) assert.equal(s.xchachaOpen(some(size, size), some(1, 24), ba), null);
});

test('bytes are compared whole', () => {
  assert.ok(s.equalBytes(some(1), some(1)) && s.equalBytes(new Uint8Array(0), new Uint8Array(0)));
  assert.ok(!s.equalBytes(some(1), some(1, 31)));
  assert.ok(!s.equalBytes(some(1), s.concat(some(1, 31), some(2, 1))));
});

test('zeroing leaves nothing', () => {
  const key = some(9);
  s.zero(key);
  assert.deepEqual(key, some(0));
});
