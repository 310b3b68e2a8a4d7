/**
 * The four unsealed datagrams, as bytes. Big endian; reserved bytes and the lane of an index are 0, anything
 * else is malformed. Sizes are
 * checked in C first and again here. Called by initiation.ts, responder.ts and resets.ts. Never throws on input.
 *
 * First message, exactly 1200 bytes; the Noise part is e, the sealed static key, the sealed payload:
 *
 *    0      1      2             4                      8
 *   +------+------+-------------+----------------------+
 *   | 1    | 0    | 0           | sender index         |
 *   +------+------+-------------+----------------------+  8
 *   | Noise message: 32 + 48 + 1080                    |
 *   +--------------------------------------------------+  1168
 *   | mac1 (16)                                        |
 *   +--------------------------------------------------+  1184
 *   | mac2 (16)                                        |
 *   +--------------------------------------------------+  1200
 *
 * Second message, at most 1200 bytes (weft sends 1200); the Noise part is e and the sealed payload:
 *
 *   +------+------+-------------+----------------------+----------------------+
 *   | 2    | 0    | 0           | sender index         | receiver index       |
 *   +------+------+-------------+----------------------+----------------------+  12
 *   | Noise message: 32 + 16 + payload                                        |
 *   +-------------------------------------------------------------------------+  size - 32
 *   | mac1 (16)                              | mac2 (16)                      |
 *   +-------------------------------------------------------------------------+  size
 *
 * Cookie reply, 64 bytes; receiver index is the sender index of the first message that it answers:
 *
 *   +------+------+-------------+----------------------+
 *   | 3    | 0    | 0           | receiver index       |
 *   +------+------+-------------+----------------------+  8
 *   | nonce (24)                                       |
 *   +--------------------------------------------------+  32
 *   | sealed cookie (16 + 16)                          |
 *   +--------------------------------------------------+  64
 *
 * RESET, 24 bytes; the index is the one that is unknown:
 *
 *   +------+------+-------------+----------------------+
 *   | 5    | 0    | 0           | index                |
 *   +------+------+-------------+----------------------+  8
 *   | token (16)                                       |
 *   +--------------------------------------------------+  24
 */
import { baseIndex } from './keys.ts';
import { TAG_BYTES } from './noise-symmetric.ts';
import { viewOf } from './u64.ts';

const TYPE = { init: 1, response: 2, cookie: 3, reset: 5 } as const;

export const INIT_BYTES = 1200;
export const RESPONSE_MAX_BYTES = 1200;
export const COOKIE_BYTES = 64;
export const RESET_BYTES = 24;
export const MAC_BYTES = 16;

const INIT_HEADER = 8;
const RESPONSE_HEADER = 12;
const MACS = 2 * MAC_BYTES;
const INIT_NOISE = INIT_BYTES - INIT_HEADER - MACS;
/** Plaintext of the first message: less e, static key and tag, and the payload's tag. */
export const INIT_PAYLOAD = INIT_NOISE - 32 - (32 + TAG_BYTES) - TAG_BYTES;
/** Plaintext of the second message as weft sends it. */
export const RESPONSE_PAYLOAD = RESPONSE_MAX_BYTES - RESPONSE_HEADER - MACS - 32 - TAG_BYTES;
const RESPONSE_MIN_BYTES = RESPONSE_HEADER + 32 + TAG_BYTES + MACS;

export interface Init {
  readonly senderIndex: number;
  /** What precedes the Noise message, authenticated with it. */
  readonly header: Uint8Array;
  readonly noise: Uint8Array;
}

export interface Response extends Init {
  readonly receiverIndex: number;
}

function start(size: number, type: number, index: number): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes[0] = type;
  viewOf(bytes).setUint32(4, index);
  return bytes;
}

/** Type, reserved bytes, and an index at 4 whose lane is 0. */
const startsWith = (bytes: Uint8Array, type: number): boolean =>
  bytes[0] === type &&
  bytes[1] === 0 &&
  bytes[2] === 0 &&
  bytes[3] === 0 &&
  isBase(viewOf(bytes).getUint32(4));

const isBase = (index: number): boolean => baseIndex(index) === index;

export const initHeader = (senderIndex: number): Uint8Array => start(INIT_HEADER, TYPE.init, senderIndex);

export function responseHeader(senderIndex: number, receiverIndex: number): Uint8Array {
  const header = start(RESPONSE_HEADER, TYPE.response, senderIndex);
  viewOf(header).setUint32(8, receiverIndex);
  return header;
}

/** A handshake message of either kind; mac1 and mac2 are left zero. */
export function encodeHandshake(header: Uint8Array, noise: Uint8Array): Uint8Array {
  const size = header.length + noise.length + MACS;
  if (size > INIT_BYTES) throw new RangeError(`a handshake message of ${size} bytes`);
  const bytes = new Uint8Array(size);
  bytes.set(header);
  bytes.set(noise, header.length);
  return bytes;
}

export function decodeInit(bytes: Uint8Array): Init | null {
  if (bytes.length !== INIT_BYTES || !startsWith(bytes, TYPE.init)) return null;
  return {
    senderIndex: viewOf(bytes).getUint32(4),
    header: bytes.subarray(0, INIT_HEADER),
    noise: bytes.subarray(INIT_HEADER, INIT_BYTES - MACS),
  };
}

export function decodeResponse(bytes: Uint8Array): Response | null {
  if (bytes.length < RESPONSE_MIN_BYTES || bytes.length > RESPONSE_MAX_BYTES) return null;
  if (!startsWith(bytes, TYPE.response)) return null;
  const view = viewOf(bytes);
  if (!isBase(view.getUint32(8))) return null;
  return {
    senderIndex: view.getUint32(4),
    receiverIndex: view.getUint32(8),
    header: bytes.subarray(0, RESPONSE_HEADER),
    noise: bytes.subarray(RESPONSE_HEADER, bytes.length - MACS),
  };
}

/** What mac1 covers, mac1, what mac2 covers, mac2 of either handshake message. */
export function macFields(bytes: Uint8Array): {
  readonly beforeMac1: Uint8Array;
  readonly mac1: Uint8Array;
  readonly beforeMac2: Uint8Array;
  readonly mac2: Uint8Array;
} {
  const at = bytes.length - MACS;
  return {
    beforeMac1: bytes.subarray(0, at),
    mac1: bytes.subarray(at, at + MAC_BYTES),
    beforeMac2: bytes.subarray(0, at + MAC_BYTES),
    mac2: bytes.subarray(at + MAC_BYTES),
  };
}

export interface CookieReply {
  readonly receiverIndex: number;
  readonly nonce: Uint8Array;
  readonly sealed: Uint8Array;
}

export function encodeCookieReply(reply: CookieReply): Uint8Array {
  const bytes = start(COOKIE_BYTES, TYPE.cookie, reply.receiverIndex);
  bytes.set(reply.nonce, 8);
  bytes.set(reply.sealed, 32);
  return bytes;
}

export function decodeCookieReply(bytes: Uint8Array): CookieReply | null {
  if (bytes.length !== COOKIE_BYTES || !startsWith(bytes, TYPE.cookie)) return null;
  return {
    receiverIndex: viewOf(bytes).getUint32(4),
    nonce: bytes.subarray(8, 32),
    sealed: bytes.subarray(32, COOKIE_BYTES),
  };
}

export interface Reset {
  readonly index: number;
  readonly token: Uint8Array;
}

export function encodeReset(reset: Reset): Uint8Array {
  const bytes = start(RESET_BYTES, TYPE.reset, reset.index);
  bytes.set(reset.token, 8);
  return bytes;
}

export function decodeReset(bytes: Uint8Array): Reset | null {
  if (bytes.length !== RESET_BYTES || !startsWith(bytes, TYPE.reset)) return null;
  return { index: viewOf(bytes).getUint32(4), token: bytes.subarray(8, RESET_BYTES) };
}
