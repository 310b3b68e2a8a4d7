/**
 * The symmetric half of the Noise Protocol Framework, revision 34, §5.2, for 25519_ChaChaPoly_BLAKE2b: HASHLEN 64, BLOCKLEN
 * 128, temp_k and Split keys cut to 32 bytes. Called by noise.ts only. Never keeps a key after `wipe`.
 */
import { chachaOpen, chachaSeal, keyedHash, settled, zero } from '../identity/sodium.ts';

export const HASH_BYTES = 64;
export const TAG_BYTES = 16;
const BLOCK_BYTES = 128;
const KEY_BYTES = 32;

const blake2b = (...parts: readonly Uint8Array[]): Uint8Array => keyedHash(null, parts, HASH_BYTES);

/** HMAC of RFC 2104 over BLAKE2b-512. The key is at most one hash long. */
function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const inner = new Uint8Array(BLOCK_BYTES).fill(0x36);
  const outer = new Uint8Array(BLOCK_BYTES).fill(0x5c);
  for (const [i, byte] of key.entries()) {
    inner[i]! ^= byte;
    outer[i]! ^= byte;
  }
  const digest = blake2b(inner, ...parts);
  const out = settled(blake2b(outer, digest));
  for (const secret of [inner, outer, digest]) zero(secret);
  return out;
}

/** HKDF of Noise §4.3, as `count` outputs of HASHLEN. */
function hkdf(chainingKey: Uint8Array, input: Uint8Array, count: number): Uint8Array[] {
  const prk = hmac(chainingKey, input);
  const out: Uint8Array[] = [];
  let previous: Uint8Array = new Uint8Array(0);
  for (let i = 1; i <= count; i++) {
    previous = hmac(prk, previous, Uint8Array.of(i));
    out.push(previous);
  }
  zero(prk);
  return out;
}

/** The first 32 bytes in their own memory; the rest is zeroed. */
function cut(output: Uint8Array): Uint8Array {
  const key = settled(output.subarray(0, KEY_BYTES));
  zero(output);
  return key;
}

export class SymmetricState {
  #chainingKey: Uint8Array;
  #hash: Uint8Array;
  #key: Uint8Array | null = null;
  #nonce = 0;

  /** @param protocolName ASCII of `Noise_..._BLAKE2b` */
  constructor(protocolName: Uint8Array) {
    this.#hash = new Uint8Array(HASH_BYTES);
    if (protocolName.length <= HASH_BYTES) this.#hash.set(protocolName);
    else this.#hash = blake2b(protocolName);
    this.#chainingKey = this.#hash.slice();
  }

  /** An independent copy: what is done to it does not touch this one. */
  clone(): SymmetricState {
    const copy = new SymmetricState(new Uint8Array(0));
    copy.#chainingKey = settled(this.#chainingKey.slice());
    copy.#hash = this.#hash.slice();
    copy.#key = this.#key === null ? null : settled(this.#key.slice());
    copy.#nonce = this.#nonce;
    return copy;
  }

  /** Zeroes everything secret. */
  wipe(): void {
    zero(this.#chainingKey);
    if (this.#key !== null) zero(this.#key);
    this.#key = null;
  }

  get hash(): Uint8Array {
    return this.#hash.slice();
  }

  get hasKey(): boolean {
    return this.#key !== null;
  }

  mixHash(data: Uint8Array): void {
    this.#hash = blake2b(this.#hash, data);
  }

  mixKey(input: Uint8Array): void {
    const [chainingKey, key] = hkdf(this.#chainingKey, input, 2);
    this.wipe();
    this.#chainingKey = chainingKey!;
    this.#setKey(key!);
  }

  mixKeyAndHash(input: Uint8Array): void {
    const [chainingKey, hash, key] = hkdf(this.#chainingKey, input, 3);
    this.wipe();
    this.#chainingKey = chainingKey!;
    this.mixHash(hash!);
    zero(hash!);
    this.#setKey(key!);
  }

  #setKey(output: Uint8Array): void {
    this.#key = cut(output);
    this.#nonce = 0;
  }

  /** Noise §12.3: 32 zero bits, then n in little-endian. A handshake never has more than a few. */
  #nextNonce(): Uint8Array {
    const nonce = new Uint8Array(12);
    new DataView(nonce.buffer).setUint32(4, this.#nonce++, true);
    return nonce;
  }

  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const out =
      this.#key === null
        ? plaintext.slice()
        : chachaSeal(plaintext, this.#hash, this.#nextNonce(), this.#key);
    this.mixHash(out);
    return out;
  }

  /** Null when the tag does not verify; the state is then of no further use (noise.ts works on a clone). */
  decryptAndHash(data: Uint8Array): Uint8Array | null {
    if (this.#key === null) {
      this.mixHash(data);
      return data.slice();
    }
    if (data.length < TAG_BYTES) return null;
    const plaintext = chachaOpen(data, this.#hash, this.#nextNonce(), this.#key);
    if (plaintext !== null) this.mixHash(data);
    return plaintext;
  }

  /** Two 32-byte keys: initiator to responder, responder to initiator. */
  split(): readonly [Uint8Array, Uint8Array] {
    const [first, second] = hkdf(this.#chainingKey, new Uint8Array(0), 2);
    return [cut(first!), cut(second!)];
  }
}
