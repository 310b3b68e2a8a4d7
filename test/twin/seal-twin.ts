/**
 * The sealed datagram by node:crypto: the oracle of what tun-tap seals and opens.
 *
 *    0                   1                   2                   3
 *   +-------+-------+-------+-------+
 *   | type 4| suite | inner | flags |   inner 0 control, 1 VXLAN, 2 Geneve
 *   +-------+-------+-------+-------+
 *   | receiver index, lowest 4 bits: lane |   28 random bits << 4 | lane
 *   +-------------------------------+
 *   | counter (8 bytes)             |   everything so far is the associated data
 *   +-------------------------------+
 *   | ciphertext ... | tag (16)     |
 *
 * Big endian. Nonce: four zero bytes and the counter. Suite 1 is ChaCha20-Poly1305 (RFC 8439), 2 AES-256-GCM (SP 800-38D).
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';

export const SEALED_TYPE = 4;
export const HEADER_BYTES = 16;
export const TAG_BYTES = 16;
const MAX_COUNTER = 2 ** 52;

export interface SealedHeader {
  readonly suite: 1 | 2;
  readonly inner: number;
  readonly flags: number;
  /** With the lane in its lowest 4 bits. */
  readonly index: number;
  readonly counter: number;
}

export interface Opened {
  readonly header: SealedHeader;
  readonly plaintext: Uint8Array;
}

export function sealTwin(header: SealedHeader, key: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const aad = headerBytes(header);
  const nonce = nonceOf(aad);
  const options = { authTagLength: TAG_BYTES };
  const cipher =
    header.suite === 1
      ? createCipheriv('chacha20-poly1305', key, nonce, options)
      : createCipheriv('aes-256-gcm', key, nonce, options);
  cipher.setAAD(aad, { plaintextLength: plaintext.length });
  return Uint8Array.from(Buffer.concat([aad, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]));
}

/** Null: not a sealed datagram, or its tag does not verify under this key. */
export function openTwin(datagram: Uint8Array, key: Uint8Array): Opened | null {
  const header = readHeader(datagram);
  if (header === null) return null;
  const aad = datagram.subarray(0, HEADER_BYTES);
  const nonce = nonceOf(aad);
  const options = { authTagLength: TAG_BYTES };
  const decipher =
    header.suite === 1
      ? createDecipheriv('chacha20-poly1305', key, nonce, options)
      : createDecipheriv('aes-256-gcm', key, nonce, options);
  const sealed = datagram.subarray(HEADER_BYTES, datagram.length - TAG_BYTES);
  decipher.setAAD(aad, { plaintextLength: sealed.length });
  decipher.setAuthTag(datagram.subarray(datagram.length - TAG_BYTES));
  const plaintext = decipher.update(sealed);
  try {
    decipher.final();
  } catch {
    return null;
  }
  return { header, plaintext: Uint8Array.from(plaintext) };
}

export function headerBytes(header: SealedHeader): Uint8Array {
  const out = Buffer.alloc(HEADER_BYTES);
  out.set([SEALED_TYPE, header.suite, header.inner, header.flags]);
  out.writeUInt32BE(header.index >>> 0, 4);
  out.writeBigUInt64BE(BigInt(header.counter), 8);
  return Uint8Array.from(out);
}

function readHeader(datagram: Uint8Array): SealedHeader | null {
  if (datagram.length < HEADER_BYTES + TAG_BYTES || datagram[0] !== SEALED_TYPE) return null;
  const view = Buffer.from(datagram.buffer, datagram.byteOffset, HEADER_BYTES);
  const suite = view[1];
  const counter = view.readBigUInt64BE(8);
  if ((suite !== 1 && suite !== 2) || counter >= BigInt(MAX_COUNTER)) return null;
  return {
    suite,
    inner: view[2]!,
    flags: view[3]!,
    index: view.readUInt32BE(4),
    counter: Number(counter),
  };
}

/** Four zero bytes, then the counter of the header. */
function nonceOf(aad: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(12);
  nonce.set(aad.subarray(8, 16), 4);
  return nonce;
}
