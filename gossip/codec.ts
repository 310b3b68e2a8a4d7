/**
 * Bytes of the gossip port (big endian), at most 1232 a datagram.
 *
 * Box, type 16:
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------+---------------+-------------------------------+
 *   |   type = 16   |  version = 1  |               0               |
 *   +---------------+---------------+-------------------------------+
 *   |  sender id, first 8 bytes     |  receiver id, first 8 bytes   |  (8 bytes each)
 *   +-------------------------------+-------------------------------+
 *   |  nonce (24 bytes)             |  box: tag 16, then ciphertext |
 *   +-------------------------------+-------------------------------+
 * inside: u64 sender boot | u64 seq | u64 receiver boot as the sender knows it | messages: u8 type | u16 length | body
 *
 * Introduction, type 17, always 1200 bytes: u8 17 | u8 1 | u16 0 | nonce 24 | sealed{ u16 record | u16 credential | zeros }
 */

import {
  decodeBody,
  hex,
  ID_PREFIX_BYTES,
  LAST_MESSAGE,
  MAX_CREDENTIAL,
  MAX_RECORD,
  MESSAGE_HEADER_BYTES,
  type Message,
  PADDING,
  unhex,
} from './message.ts';

export { encodeMessage, type Message } from './message.ts';

export const TYPE_BOX = 16;
export const TYPE_INTRO = 17;
const VERSION = 1;
export const NONCE_BYTES = 24;
export const BOX_HEADER_BYTES = 4 + 2 * ID_PREFIX_BYTES + NONCE_BYTES;
const BOX_TAG_BYTES = 16;
const INNER_HEADER_BYTES = 24;
export const INTRO_BYTES = 1200;
const INTRO_HEADER_BYTES = 4 + NONCE_BYTES;
const INTRO_TAG_BYTES = 16;

export interface Inner {
  readonly boot: number;
  readonly seq: number;
  readonly echo: number;
  readonly messages: readonly Message[];
}

/** A BOOT message: no box holds less. */
const LEAST_MESSAGES_BYTES = MESSAGE_HEADER_BYTES + 16;

/** Bytes that messages may take in one box. */
export const MAX_MESSAGES_BYTES = 1232 - BOX_HEADER_BYTES - BOX_TAG_BYTES - INNER_HEADER_BYTES;

export function encodeInner(
  boot: number,
  seq: number,
  echo: number,
  messages: readonly Uint8Array[],
): Uint8Array {
  const used = messages.reduce((sum, m) => sum + m.length, 0);
  const padding =
    used < LEAST_MESSAGES_BYTES ? Math.max(MESSAGE_HEADER_BYTES, LEAST_MESSAGES_BYTES - used) : 0;
  const out = new Uint8Array(INNER_HEADER_BYTES + used + padding);
  const view = new DataView(out.buffer);
  for (const [i, n] of [boot, seq, echo].entries()) view.setBigUint64(i * 8, BigInt(n));
  let at = INNER_HEADER_BYTES;
  for (const m of messages) {
    out.set(m, at);
    at += m.length;
  }
  if (padding > 0) view.setUint16(at + 1, padding - MESSAGE_HEADER_BYTES);
  return out;
}

/** What a box held. Null if it is malformed; unknown message types are skipped, so that a newer member is understood. */
export function decodeInner(bytes: Uint8Array): Inner | null {
  if (bytes.length < INNER_HEADER_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [boot, seq, echo] = [0, 8, 16].map((at) => Number(view.getBigUint64(at))) as [number, number, number];
  if (![boot, seq, echo].every(Number.isSafeInteger)) return null;
  const messages: Message[] = [];
  for (let at = INNER_HEADER_BYTES; at < bytes.length; ) {
    if (at + MESSAGE_HEADER_BYTES > bytes.length) return null;
    const end = at + MESSAGE_HEADER_BYTES + view.getUint16(at + 1);
    if (end > bytes.length) return null;
    const message = decodeBody(bytes[at]!, bytes.subarray(at + MESSAGE_HEADER_BYTES, end));
    if (message !== null) messages.push(message);
    else if (bytes[at]! !== PADDING && bytes[at]! <= LAST_MESSAGE) return null;
    at = end;
  }
  return { boot, seq, echo, messages };
}

/** The clear part of a box, and where nonce and box lie. */
export interface BoxFrame {
  readonly sender: string;
  readonly receiver: string;
  readonly nonce: Uint8Array;
  readonly box: Uint8Array;
}

export function encodeBox(sender: string, receiver: string, nonce: Uint8Array, box: Uint8Array): Uint8Array {
  const out = new Uint8Array(BOX_HEADER_BYTES + box.length);
  out[0] = TYPE_BOX;
  out[1] = VERSION;
  out.set(unhex(sender.slice(0, 16)), 4);
  out.set(unhex(receiver.slice(0, 16)), 12);
  out.set(nonce, 20);
  out.set(box, BOX_HEADER_BYTES);
  return out;
}

export function decodeBox(bytes: Uint8Array): BoxFrame | null {
  const least = BOX_HEADER_BYTES + BOX_TAG_BYTES + INNER_HEADER_BYTES;
  if (bytes.length < least || bytes.length > 1232 || bytes[0] !== TYPE_BOX || bytes[1] !== VERSION)
    return null;
  if (bytes[2] !== 0 || bytes[3] !== 0) return null;
  return {
    sender: hex(bytes.subarray(4, 12)),
    receiver: hex(bytes.subarray(12, 20)),
    nonce: bytes.slice(20, BOX_HEADER_BYTES),
    box: bytes.slice(BOX_HEADER_BYTES),
  };
}

/** The plaintext of an introduction, padded. Null if record and credential do not fit. */
export function encodeIntroBody(record: Uint8Array, credential: Uint8Array): Uint8Array | null {
  const out = new Uint8Array(INTRO_BYTES - INTRO_HEADER_BYTES - INTRO_TAG_BYTES);
  if (record.length + credential.length + 4 > out.length) return null;
  const view = new DataView(out.buffer);
  view.setUint16(0, record.length);
  out.set(record, 2);
  view.setUint16(2 + record.length, credential.length);
  out.set(credential, 4 + record.length);
  return out;
}

export function decodeIntroBody(
  body: Uint8Array,
): { readonly record: Uint8Array; readonly credential: Uint8Array } | null {
  if (body.length < 4) return null;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const recordBytes = view.getUint16(0);
  if (recordBytes > MAX_RECORD || 4 + recordBytes > body.length) return null;
  const credentialBytes = view.getUint16(2 + recordBytes);
  if (credentialBytes > MAX_CREDENTIAL || 4 + recordBytes + credentialBytes > body.length) return null;
  const at = 4 + recordBytes;
  return { record: body.slice(2, 2 + recordBytes), credential: body.slice(at, at + credentialBytes) };
}

export function encodeIntro(nonce: Uint8Array, sealed: Uint8Array): Uint8Array {
  const out = new Uint8Array(INTRO_HEADER_BYTES + sealed.length);
  out[0] = TYPE_INTRO;
  out[1] = VERSION;
  out.set(nonce, 4);
  out.set(sealed, INTRO_HEADER_BYTES);
  return out;
}

export function decodeIntro(
  bytes: Uint8Array,
): { readonly nonce: Uint8Array; readonly sealed: Uint8Array } | null {
  if (bytes.length !== INTRO_BYTES || bytes[0] !== TYPE_INTRO || bytes[1] !== VERSION) return null;
  if (bytes[2] !== 0 || bytes[3] !== 0) return null;
  return { nonce: bytes.slice(4, INTRO_HEADER_BYTES), sealed: bytes.slice(INTRO_HEADER_BYTES) };
}
