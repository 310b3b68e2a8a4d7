/**
 * The one adapter over libsodium-wrappers for signatures, hashing and boxes. Await `sodiumReady` once at start; all
 * other functions are synchronous. One hash everywhere: BLAKE2b, 256 bit unless said (PROTOCOL.md).
 */
import sodium from 'libsodium-wrappers';

export const sodiumReady: Promise<void> = sodium.ready.then(zeroWhatIsFreed);

/** The library's memory, which it exports for its own use: arguments and results of every call pass through it. */
interface SodiumMemory {
  readonly HEAPU8: Uint8Array;
  _malloc: (bytes: number) => number;
  _free: (at: number) => void;
}

const isMemory = (value: unknown): value is SodiumMemory =>
  typeof value === 'object' &&
  value !== null &&
  ['_malloc', '_free'].every((name) => typeof Reflect.get(value, name) === 'function') &&
  Reflect.get(value, 'HEAPU8') instanceof Uint8Array;

/** The library frees what it copied of a key, a seed or a plaintext as it is; from now on it frees zeros. */
function zeroWhatIsFreed(): void {
  const memory: unknown = Reflect.get(sodium, 'libsodium');
  if (!isMemory(memory)) throw new Error('libsodium-wrappers: its memory is not where it was in 0.8');
  const { _malloc: malloc, _free: free } = memory;
  const sizes = new Map<number, number>(); // bounded by what one call allocates
  memory._malloc = (bytes) => {
    const at = malloc(bytes);
    sizes.set(at, bytes);
    return at;
  };
  memory._free = (at) => {
    memory.HEAPU8.fill(0, at, at + (sizes.get(at) ?? 0));
    sizes.delete(at);
    free(at);
  };
}

export interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

/** The concatenation of `parts` in one new array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const encoder = new TextEncoder();
export const utf8 = (text: string): Uint8Array => encoder.encode(text);

/** BLAKE2b of `parts`, `size` bytes (16 to 64), keyed if `key` is given (16 to 64 bytes). */
export function keyedHash(key: Uint8Array | null, parts: readonly Uint8Array[], size = 32): Uint8Array {
  const message = concat(...parts);
  const digest = sodium.crypto_generichash(size, message, key);
  message.fill(0);
  return digest;
}

/** H("", ...): BLAKE2b-256. */
export const hash = (...parts: readonly Uint8Array[]): Uint8Array => keyedHash(null, parts);

/** An Ed25519 key pair from a 32-byte seed; the secret key is seed and public key, 64 bytes. */
export function signingKeyPair(seed: Uint8Array): KeyPair {
  const pair = sodium.crypto_sign_seed_keypair(seed);
  return { publicKey: pair.publicKey, secretKey: pair.privateKey };
}

export const sign = (message: Uint8Array, secretKey: Uint8Array): Uint8Array =>
  sodium.crypto_sign_detached(message, secretKey);

/** False for a wrong signature, a small-order or non-canonical key, a malleated S (libsodium checks all three). */
export function verifySignature(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== 64 || publicKey.length !== 32) return false;
  return sodium.crypto_sign_verify_detached(signature, message, publicKey);
}

/** An X25519 key pair from 32 random bytes. */
export function dhKeyPair(secretKey: Uint8Array): KeyPair {
  return { secretKey, publicKey: sodium.crypto_scalarmult_base(secretKey) };
}

/** Shared key of two X25519 keys as crypto_box derives it; null for a low-order public key. */
export function boxBeforeNm(publicKey: Uint8Array, secretKey: Uint8Array): Uint8Array | null {
  try {
    return sodium.crypto_box_beforenm(publicKey, secretKey);
  } catch {
    return null;
  }
}

export const boxSeal = (plaintext: Uint8Array, nonce24: Uint8Array, key: Uint8Array): Uint8Array =>
  sodium.crypto_box_easy_afternm(plaintext, nonce24, key);

/** The plaintext, or null when the tag does not verify. */
export function boxOpen(box: Uint8Array, nonce24: Uint8Array, key: Uint8Array): Uint8Array | null {
  try {
    return sodium.crypto_box_open_easy_afternm(box, nonce24, key);
  } catch {
    return null;
  }
}

/** XChaCha20-Poly1305 without associated data. */
export const xchachaSeal = (plaintext: Uint8Array, nonce24: Uint8Array, key: Uint8Array): Uint8Array =>
  sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, null, null, nonce24, key);

/** The plaintext, or null when the tag does not verify. */
export function xchachaOpen(sealed: Uint8Array, nonce24: Uint8Array, key: Uint8Array): Uint8Array | null {
  try {
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, sealed, null, nonce24, key);
  } catch {
    return null;
  }
}

/** Equal content, in time that depends on the length only. */
export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && (a.length === 0 || sodium.memcmp(a, b));

export const zero = (bytes: Uint8Array): void => {
  bytes.fill(0);
};

/**
 * A secret in memory of its own; where it was is zeroed. V8 keeps short arrays in its heap, whose collector copies them and
 * leaves the old copy: only what lies outside can be zeroed for good.
 */
export function settled(secret: Uint8Array): Uint8Array {
  const own = new Uint8Array(new ArrayBuffer(secret.length));
  own.set(secret);
  zero(secret);
  return own;
}

export const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** X25519 of a secret and a public key; null for a low-order public key. */
export function x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null {
  try {
    return sodium.crypto_scalarmult(secretKey, publicKey);
  } catch {
    return null;
  }
}

/** ChaCha20-Poly1305 of RFC 8439: ciphertext and tag. */
export const chachaSeal = (
  plaintext: Uint8Array,
  aad: Uint8Array,
  nonce12: Uint8Array,
  key: Uint8Array,
): Uint8Array => sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, aad, null, nonce12, key);

/** The plaintext, or null when the tag does not verify. */
export function chachaOpen(
  sealed: Uint8Array,
  aad: Uint8Array,
  nonce12: Uint8Array,
  key: Uint8Array,
): Uint8Array | null {
  try {
    return sodium.crypto_aead_chacha20poly1305_ietf_decrypt(null, sealed, aad, nonce12, key);
  } catch {
    return null;
  }
}

/** XChaCha20-Poly1305 with associated data. */
export const xchachaSealWith = (
  plaintext: Uint8Array,
  aad: Uint8Array,
  nonce24: Uint8Array,
  key: Uint8Array,
): Uint8Array => sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, aad, null, nonce24, key);

/** The plaintext, or null when the tag does not verify. */
export function xchachaOpenWith(
  sealed: Uint8Array,
  aad: Uint8Array,
  nonce24: Uint8Array,
  key: Uint8Array,
): Uint8Array | null {
  try {
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, sealed, aad, nonce24, key);
  } catch {
    return null;
  }
}
