/**
 * The Noise core against the public vectors, and against npm noise-handshake as a second implementation of IK.
 */
import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { createRequire } from 'node:module';
import { before, test } from 'node:test';
import { dhKeyPair, sodiumReady, utf8 } from '../../agent/identity/sodium.ts';
import { Handshake, PATTERNS, type PatternName } from '../../agent/session/noise.ts';
import { NOISE_VECTORS, type NoiseVector } from './noise-cacophony.ts';

before(() => sodiumReady);

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));

function patternOf(vector: NoiseVector): PatternName {
  const name = vector.protocolName.split('_')[1] ?? '';
  assert.ok(Object.hasOwn(PATTERNS, name), name);
  return name as PatternName;
}

function sidesOf(vector: NoiseVector): { initiator: Handshake; responder: Handshake } {
  const pattern = patternOf(vector);
  const psk = (psks: readonly string[] | undefined) => (psks?.[0] === undefined ? {} : { psk: hex(psks[0]) });
  return {
    initiator: new Handshake({
      pattern,
      initiator: true,
      prologue: hex(vector.initPrologue),
      staticKeys: dhKeyPair(hex(vector.initStatic)),
      ephemeralSk: hex(vector.initEphemeral),
      remoteStatic: hex(vector.initRemoteStatic),
      ...psk(vector.initPsks),
    }),
    responder: new Handshake({
      pattern,
      initiator: false,
      prologue: hex(vector.respPrologue),
      staticKeys: dhKeyPair(hex(vector.respStatic)),
      ephemeralSk: hex(vector.respEphemeral),
      ...psk(vector.respPsks),
    }),
  };
}

/** One transport message by OpenSSL, so that not both sides of the check are libsodium. */
function transport(key: Uint8Array, counter: number, plaintext: Uint8Array): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64LE(BigInt(counter), 4);
  const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  return new Uint8Array(Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]));
}

for (const vector of NOISE_VECTORS) {
  test(`agrees with every message of the Cacophony vector ${vector.protocolName}`, () => {
    const { initiator, responder } = sidesOf(vector);
    const [first, second, ...rest] = vector.messages;
    assert.ok(first !== undefined && second !== undefined && rest.length === 4);
    assert.deepEqual(initiator.write(hex(first.payload)), hex(first.ciphertext));
    assert.deepEqual(responder.read(hex(first.ciphertext)), hex(first.payload));
    assert.deepEqual(responder.remoteStatic, dhKeyPair(hex(vector.initStatic)).publicKey);
    assert.deepEqual(responder.write(hex(second.payload)), hex(second.ciphertext));
    assert.deepEqual(initiator.read(hex(second.ciphertext)), hex(second.payload));
    const ours = initiator.finish();
    const theirs = responder.finish();
    assert.deepEqual(ours.handshakeHash, hex(vector.handshakeHash));
    assert.deepEqual(theirs.handshakeHash, hex(vector.handshakeHash));
    assert.deepEqual([ours.send, ours.receive], [theirs.receive, theirs.send]);
    for (const [i, message] of rest.entries()) {
      const key = i % 2 === 0 ? ours.send : ours.receive;
      assert.deepEqual(transport(key, Math.floor(i / 2), hex(message.payload)), hex(message.ciphertext));
    }
  });

  test(`refuses every message of ${vector.protocolName} with one bit turned, and then takes the genuine one`, () => {
    const { initiator, responder } = sidesOf(vector);
    const first = initiator.write(hex('00 11 22 33'));
    assert.ok(first !== null);
    for (let at = 0; at < first.length; at++) {
      const forged = first.slice();
      // The top bit of an X25519 coordinate is ignored by the function, but not by the transcript.
      forged[at]! ^= at === 31 ? 0x80 : 0x01;
      assert.equal(responder.read(forged), null, `byte ${at}`);
      assert.equal(responder.read(first.subarray(0, at)), null, `cut at ${at}`);
    }
    assert.deepEqual(responder.read(first), hex('00 11 22 33'));
    const second = responder.write(hex('44 55'));
    assert.ok(second !== null);
    for (let at = 0; at < second.length; at++) {
      const forged = second.slice();
      forged[at]! ^= 0x10;
      assert.equal(initiator.read(forged), null, `byte ${at}`);
      assert.equal(initiator.read(second.subarray(0, at)), null, `cut at ${at}`);
    }
    assert.deepEqual(initiator.read(second), hex('44 55'));
    assert.deepEqual(initiator.finish().send, responder.finish().receive);
  });
}

test('refuses a low-order ephemeral key instead of throwing', () => {
  const { responder } = sidesOf(NOISE_VECTORS[1]!);
  assert.equal(responder.read(new Uint8Array(200)), null);
});

test('throws when called out of turn', () => {
  const { initiator, responder } = sidesOf(NOISE_VECTORS[1]!);
  assert.throws(() => initiator.read(new Uint8Array(100)), /other side/);
  assert.throws(() => responder.write(new Uint8Array(0)), /other side/);
  assert.throws(() => initiator.finish(), /not complete/);
});

interface SecondOpinion {
  readonly tx: Uint8Array;
  readonly rx: Uint8Array;
  readonly hash: Uint8Array;
  initialise(prologue: Uint8Array, remoteStatic?: Uint8Array): void;
  send(payload: Uint8Array): Uint8Array;
  recv(message: Uint8Array): Uint8Array;
}
type SecondOpinionClass = new (
  pattern: 'IK',
  initiator: boolean,
  keys: { publicKey: Buffer; secretKey: Buffer },
) => SecondOpinion;

test('agrees with npm noise-handshake on IK, in both roles', () => {
  const Second = createRequire(import.meta.url)('noise-handshake') as SecondOpinionClass;
  const pairOf = (fill: number) => dhKeyPair(new Uint8Array(32).fill(fill));
  const prologue = utf8('weft1 and more');
  for (const oursInitiates of [true, false]) {
    const ours = pairOf(3);
    const theirs = pairOf(9);
    const core = new Handshake({
      pattern: 'IK',
      initiator: oursInitiates,
      prologue,
      staticKeys: ours,
      ephemeralSk: new Uint8Array(32).fill(77),
      ...(oursInitiates ? { remoteStatic: theirs.publicKey } : {}),
    });
    const second = new Second('IK', !oursInitiates, {
      publicKey: Buffer.from(theirs.publicKey),
      secretKey: Buffer.from(theirs.secretKey),
    });
    second.initialise(Buffer.from(prologue), oursInitiates ? undefined : Buffer.from(ours.publicKey));
    const hello = Buffer.from('hello');
    const back = Buffer.from('and back');
    if (oursInitiates) {
      assert.deepEqual(Buffer.from(second.recv(Buffer.from(core.write(hello)!))), hello);
      assert.deepEqual(Buffer.from(core.read(second.send(back))!), back);
    } else {
      assert.deepEqual(Buffer.from(core.read(second.send(hello))!), hello);
      assert.deepEqual(Buffer.from(second.recv(Buffer.from(core.write(back)!))), back);
    }
    const keys = core.finish();
    assert.deepEqual(Buffer.from(keys.send), Buffer.from(second.rx));
    assert.deepEqual(Buffer.from(keys.receive), Buffer.from(second.tx));
    assert.deepEqual(Buffer.from(keys.handshakeHash), Buffer.from(second.hash));
  }
});
