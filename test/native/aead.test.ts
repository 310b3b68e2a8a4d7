/** SealingKey and OpeningKey against node:crypto and the public AES-256-GCM vectors whose nonce is a counter of ours. */
import assert from 'node:assert/strict';
import { type CipherGCMTypes, createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { OpeningKey, SealingKey, useIpsecMb } from 'tun-tap';
import { CIPHERS, HAS_IPSEC_MB, use } from './aes-libraries.ts';

const NAMES = { 1: 'chacha20-poly1305', 2: 'aes-256-gcm' } as const;
const MAX_COUNTER = 2 ** 52 - 1;
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

function nonceOf(counter: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(counter), 4);
  return nonce;
}

/** Both ciphers have the same interface; only Node's types tell them apart. */
const typed = (name: string): 'chacha20-poly1305' => name as 'chacha20-poly1305' & CipherGCMTypes;

function oracle(name: string, key: Uint8Array, counter: number, aad: Uint8Array, plain: Uint8Array): Buffer {
  const cipher = createCipheriv(typed(name), key, nonceOf(counter), { authTagLength: 16 });
  cipher.setAAD(aad, { plaintextLength: plain.length });
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const key32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const counters = fc.oneof(
  fc.maxSafeNat().map((n) => n % (MAX_COUNTER + 1)),
  fc.constantFrom(0, 1, MAX_COUNTER),
);

for (const { suite, library } of CIPHERS) {
  const name = NAMES[suite];

  test(`${name} of ${library} seals as node:crypto does, and each opens what the other sealed`, () => {
    use(library);
    fc.assert(
      fc.property(key32, counters, bytes(64), bytes(2000), (key, counter, aad, plain) => {
        const sealed = new SealingKey(suite, key).seal(counter, aad, plain);
        assert.deepEqual(Buffer.from(sealed), oracle(name, key, counter, aad, plain));
        assert.deepEqual(new OpeningKey(suite, key).open(counter, aad, sealed), Uint8Array.from(plain));
        const decipher = createDecipheriv(typed(name), key, nonceOf(counter), { authTagLength: 16 });
        decipher.setAAD(aad, { plaintextLength: plain.length });
        decipher.setAuthTag(sealed.subarray(-16));
        assert.deepEqual(decipher.update(sealed.subarray(0, -16)), Buffer.from(plain));
        decipher.final();
      }),
    );
  });

  test(`${name} of ${library} opens nothing of which any bit, the counter or the associated data differs`, () => {
    use(library);
    const key = randomBytes(32);
    const aad = randomBytes(16);
    const sealed = new SealingKey(suite, key).seal(7, aad, randomBytes(5));
    const opening = new OpeningKey(suite, key);
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const bent = sealed.slice();
      bent[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(opening.open(7, aad, bent), null, `bit ${bit}`);
    }
    for (let bit = 0; bit < aad.length * 8; bit++) {
      const bent = Uint8Array.from(aad);
      bent[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(opening.open(7, bent, sealed), null, `bit ${bit} of the associated data`);
    }
    assert.equal(opening.open(8, aad, sealed), null);
    assert.equal(new OpeningKey(suite, randomBytes(32)).open(7, aad, sealed), null);
    for (let n = 0; n < sealed.length; n++) assert.equal(opening.open(7, aad, sealed.subarray(0, n)), null);
    assert.equal(opening.open(7, aad, sealed)?.length, 5);
  });
}

for (const { suite, library } of CIPHERS.filter((each) => each.suite === 2)) {
  test(`the nonce is four zero bytes and the counter: AES-256-GCM test cases 13 and 14 of the GCM specification, ${library}`, () => {
    use(library);
    const none = new Uint8Array(0);
    const key = new SealingKey(suite, new Uint8Array(32));
    assert.deepEqual(key.seal(0, none, none), hex('530f8afb c74536b9 a963b4f1 c4cb738b'));
    assert.deepEqual(
      key.seal(0, none, new Uint8Array(16)),
      hex('cea7403d 4d606b6e 074ec5d3 baf39d18 d0d1c8a7 99996bf0 265b98b5 d48ab919'),
    );
  });
}

test('intel-ipsec-mb is used where it is installed, unless it is switched off; then, and elsewhere, the reason is told', () => {
  const { version, missing } = useIpsecMb(true);
  if (HAS_IPSEC_MB) assert.match(version ?? '', /^\d+\.\d+\.\d+$/);
  else assert.match(missing ?? '', /libipsec-mb-dev/);
  assert.deepEqual(useIpsecMb(false), { missing: 'switched off' });
});

test('a key keeps the library that it was made with', () => {
  use('openssl');
  const key = randomBytes(32);
  const before = new SealingKey(2, key);
  useIpsecMb(true);
  const none = new Uint8Array(0);
  assert.deepEqual(new OpeningKey(2, key).open(1, none, before.seal(1, none, key)), Uint8Array.from(key));
  before.destroy();
});

test('a counter is eight big-endian bytes up to its last value', () => {
  const key = hex(`${'00'.repeat(31)}01`);
  const aad = hex('04 02 00 00 12 34 56 7f 00 0f ff ff ff ff ff ff');
  for (const { suite, library } of CIPHERS) {
    use(library);
    assert.deepEqual(
      Buffer.from(new SealingKey(suite, key).seal(MAX_COUNTER, aad, aad)),
      oracle(NAMES[suite], key, MAX_COUNTER, aad, aad),
    );
  }
});

test('a counter, key, suite or length out of range throws and says so', () => {
  const key = new SealingKey(1, new Uint8Array(32));
  const none = new Uint8Array(0);
  const type = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
  for (const counter of [-1, 2 ** 52, Number.MAX_SAFE_INTEGER, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(() => key.seal(counter, none, none), type, `${counter}`);
  for (const size of [0, 16, 31, 33, 64]) assert.throws(() => new SealingKey(1, new Uint8Array(size)), type);
  assert.throws(() => Reflect.construct(SealingKey, [3, new Uint8Array(32)]), type);
  assert.throws(() => Reflect.construct(OpeningKey, [0, new Uint8Array(32)]), type);
  assert.throws(() => key.seal(0, new Uint8Array(65537), none), type);
  assert.throws(() => key.seal(0, none, new Uint8Array(65536 + 17)), type);
  assert.equal(key.seal(0, none, new Uint8Array(65536)).length, 65536 + 16);
});

test('a destroyed key seals and opens nothing more, and may be destroyed again', () => {
  const none = new Uint8Array(0);
  const sealing = new SealingKey(2, new Uint8Array(32));
  const opening = new OpeningKey(2, new Uint8Array(32));
  const sealed = sealing.seal(0, none, none);
  for (const key of [sealing, opening]) {
    key.destroy();
    key.destroy();
  }
  assert.throws(() => sealing.seal(1, none, none), /destroyed/);
  assert.throws(() => opening.open(0, none, sealed), /destroyed/);
});
