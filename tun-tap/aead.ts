/**
 * One AEAD key at a time, for control traffic, and the replay window of RFC 6479 in TypeScript: for lanes that are not
 * opened in C, and as the oracle that the C window is tested against.
 */
import { native } from './native-binding.ts';

/**
 * Which library seals AES-256-GCM in this process, in keys made from now on: intel-ipsec-mb where it is installed and its
 * self-test and a comparison with OpenSSL were passed, unless `allowed` is false; else OpenSSL. The bytes are the same.
 * Returns its version, or why OpenSSL does it.
 */
export function useIpsecMb(allowed: boolean): { readonly version?: string; readonly missing?: string } {
  return native.useIpsecMb(Number(allowed));
}

/** Seals under one key. Nonce: 4 zero bytes, then the counter in 8 big-endian bytes. */
export class SealingKey {
  readonly #native;

  /** @param suite 1 ChaCha20-Poly1305, 2 AES-256-GCM @param key 32 bytes, copied */
  constructor(suite: 1 | 2, key: Uint8Array) {
    this.#native = new native.SealingKey(suite, key);
  }

  /** Ciphertext and 16-byte tag. The caller never repeats a counter. */
  seal(counter: number, aad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    return this.#native.seal(counter, aad, plaintext);
  }

  /** Zeroes the key; later calls throw. */
  destroy(): void {
    this.#native.destroy();
  }
}

/** Opens what a SealingKey of the same key sealed. */
export class OpeningKey {
  readonly #native;

  constructor(suite: 1 | 2, key: Uint8Array) {
    this.#native = new native.OpeningKey(suite, key);
  }

  /** The plaintext, or null when the tag does not verify. */
  open(counter: number, aad: Uint8Array, sealed: Uint8Array): Uint8Array | null {
    return this.#native.open(counter, aad, sealed);
  }

  destroy(): void {
    this.#native.destroy();
  }
}

/** Window width in packets. */
export const REPLAY_WINDOW = 8192;
const WORD_BITS = 32;

/** RFC 6479: a ring of words, slid by whole words. Counters are integers below 2^52. */
export class ReplayWindow {
  readonly #bits: number;
  readonly #ring: Uint32Array;
  /** Highest accepted counter + 1. */
  #next = 0;

  /** @param bits a power of two */
  constructor(bits: number = REPLAY_WINDOW) {
    this.#bits = bits;
    this.#ring = new Uint32Array((bits / WORD_BITS) * 2);
  }

  #slot(counter: number): number {
    return Math.floor(counter / WORD_BITS) % this.#ring.length;
  }

  /** True if `counter` could still be accepted. Changes nothing. */
  check(counter: number): boolean {
    if (!(counter >= 0 && counter < 2 ** 52)) return false;
    if (counter >= this.#next) return true;
    if (this.#next - counter > this.#bits) return false;
    return ((this.#ring[this.#slot(counter)]! >>> (counter % WORD_BITS)) & 1) === 0;
  }

  /** Accepts a counter whose packet has been authenticated; false if it is too old or was seen. */
  accept(counter: number): boolean {
    if (!this.check(counter)) return false;
    if (counter >= this.#next) {
      const from = Math.floor(Math.max(this.#next - 1, 0) / WORD_BITS);
      const steps = Math.min(Math.floor(counter / WORD_BITS) - from, this.#ring.length);
      for (let i = 1; i <= steps; i++) this.#ring[(from + i) % this.#ring.length] = 0;
      this.#next = counter + 1;
    }
    this.#ring[this.#slot(counter)]! |= 1 << (counter % WORD_BITS);
    return true;
  }
}
