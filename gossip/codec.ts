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

export const TYPE_BOX = 16;
export const TYPE_INTRO = 17;
const VERSION = 1;
export const ID_PREFIX_BYTES = 8;
export const NONCE_BYTES = 24;
export const BOX_HEADER_BYTES = 4 + 2 * ID_PREFIX_BYTES + NONCE_BYTES;
const BOX_TAG_BYTES = 16;
const INNER_HEADER_BYTES = 24;
/** u8 type, u16 length. */
export const MESSAGE_HEADER_BYTES = 3;
export const INTRO_BYTES = 1200;
const INTRO_HEADER_BYTES = 4 + NONCE_BYTES;
const INTRO_TAG_BYTES = 16;

/** WARNING: only append. The numbers are on the wire. */
export const MESSAGE = {
  ping: 1,
  ack: 2,
  pingReq: 3,
  record: 4,
  suspect: 5,
  boot: 6,
  digest: 7,
  summary: 8,
  want: 9,
  credentialAck: 10,
} as const;

export type Message =
  | { readonly type: 'ping'; readonly probe: bigint }
  | { readonly type: 'ack'; readonly probe: bigint }
  /** `target`: whole id. */
  | { readonly type: 'pingReq'; readonly probe: bigint; readonly target: string }
  | { readonly type: 'record'; readonly record: Uint8Array; readonly credential: Uint8Array }
  | { readonly type: 'suspect'; readonly accusation: Uint8Array }
  | { readonly type: 'boot'; readonly mine: number; readonly yours: number }
  | { readonly type: 'digest'; readonly buckets: readonly bigint[] }
  | { readonly type: 'summary'; readonly bucket: number; readonly entries: readonly SummaryEntry[] }
  | { readonly type: 'want'; readonly ids: readonly string[] }
  | { readonly type: 'credentialAck'; readonly ids: readonly string[] };

/** `id`: 16 hex digits, the first 8 bytes. */
export interface SummaryEntry {
  readonly id: string;
  readonly incarnation: number;
  readonly seq: number;
}

export const DIGEST_BUCKETS = 16;
const SUMMARY_ENTRY_BYTES = ID_PREFIX_BYTES + 12;
/** Entries of one summary: what fits a datagram. */
export const MAX_SUMMARY_ENTRIES = 50;
export const MAX_WANT = 64;
const MAX_RECORD = 256;
const MAX_CREDENTIAL = 900;
const MAX_ACCUSATION = 256;

const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

/** The body of one message behind its type and length. */
export function encodeMessage(m: Message): Uint8Array {
  const out = new Uint8Array(MAX_BODY + 3);
  const view = new DataView(out.buffer);
  let at = 3;
  const put = (bytes: Uint8Array): void => {
    out.set(bytes, at);
    at += bytes.length;
  };
  const u64 = (n: number): void => {
    view.setBigUint64(at, BigInt(n));
    at += 8;
  };
  const block = (bytes: Uint8Array): void => {
    view.setUint16(at, bytes.length);
    at += 2;
    put(bytes);
  };
  switch (m.type) {
    case 'ping':
    case 'ack':
    case 'pingReq':
      view.setBigUint64(at, m.probe);
      at += 8;
      if (m.type === 'pingReq') put(unhex(m.target));
      break;
    case 'record':
      block(m.record);
      block(m.credential);
      break;
    case 'suspect':
      put(m.accusation);
      break;
    case 'boot':
      u64(m.mine);
      u64(m.yours);
      break;
    case 'digest':
      for (const bucket of m.buckets) {
        view.setBigUint64(at, bucket);
        at += 8;
      }
      break;
    case 'summary':
      out[at++] = m.bucket;
      for (const entry of m.entries) {
        put(unhex(entry.id));
        u64(entry.incarnation);
        view.setUint32(at, entry.seq);
        at += 4;
      }
      break;
    case 'want':
    case 'credentialAck':
      for (const id of m.ids) put(unhex(id));
      break;
  }
  out[0] = MESSAGE[m.type];
  view.setUint16(1, at - 3);
  return out.slice(0, at);
}

const MAX_BODY = 1232;

/** One message body. Null if it is not exactly one. */
function decodeBody(type: number, body: Uint8Array): Message | null {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const n = body.length;
  const safe = (at: number): number => Number(view.getBigUint64(at));
  switch (type) {
    case MESSAGE.ping:
      return n === 8 ? { type: 'ping', probe: view.getBigUint64(0) } : null;
    case MESSAGE.ack:
      return n === 8 ? { type: 'ack', probe: view.getBigUint64(0) } : null;
    case MESSAGE.pingReq:
      return n === 40
        ? { type: 'pingReq', probe: view.getBigUint64(0), target: hex(body.subarray(8)) }
        : null;
    case MESSAGE.record: {
      const recordBytes = n >= 2 ? view.getUint16(0) : n;
      if (n < 4 + recordBytes || recordBytes > MAX_RECORD) return null;
      const credentialBytes = view.getUint16(2 + recordBytes);
      if (n !== 4 + recordBytes + credentialBytes || credentialBytes > MAX_CREDENTIAL) return null;
      return {
        type: 'record',
        record: body.slice(2, 2 + recordBytes),
        credential: body.slice(4 + recordBytes),
      };
    }
    case MESSAGE.suspect:
      return n > 0 && n <= MAX_ACCUSATION ? { type: 'suspect', accusation: body.slice() } : null;
    case MESSAGE.boot: {
      if (n !== 16 || !Number.isSafeInteger(safe(0)) || !Number.isSafeInteger(safe(8))) return null;
      return { type: 'boot', mine: safe(0), yours: safe(8) };
    }
    case MESSAGE.digest: {
      if (n !== DIGEST_BUCKETS * 8) return null;
      return {
        type: 'digest',
        buckets: Array.from({ length: DIGEST_BUCKETS }, (_, i) => view.getBigUint64(i * 8)),
      };
    }
    case MESSAGE.summary: {
      const count = (n - 1) / SUMMARY_ENTRY_BYTES;
      if (!Number.isInteger(count) || count > MAX_SUMMARY_ENTRIES || body[0]! >= DIGEST_BUCKETS) return null;
      const entries = Array.from({ length: count }, (_, i) => {
        const at = 1 + i * SUMMARY_ENTRY_BYTES;
        return {
          id: hex(body.subarray(at, at + 8)),
          incarnation: safe(at + 8),
          seq: view.getUint32(at + 16),
        };
      });
      return { type: 'summary', bucket: body[0]!, entries };
    }
    case MESSAGE.want:
    case MESSAGE.credentialAck: {
      const count = n / ID_PREFIX_BYTES;
      if (!Number.isInteger(count) || count > MAX_WANT) return null;
      const ids = Array.from({ length: count }, (_, i) => hex(body.subarray(i * 8, i * 8 + 8)));
      return { type: type === MESSAGE.want ? 'want' : 'credentialAck', ids };
    }
    default:
      return null;
  }
}

export interface Inner {
  readonly boot: number;
  readonly seq: number;
  readonly echo: number;
  readonly messages: readonly Message[];
}

/** Bytes that messages may take in one box. */
export const MAX_MESSAGES_BYTES = 1232 - BOX_HEADER_BYTES - BOX_TAG_BYTES - INNER_HEADER_BYTES;

export function encodeInner(
  boot: number,
  seq: number,
  echo: number,
  messages: readonly Uint8Array[],
): Uint8Array {
  const out = new Uint8Array(INNER_HEADER_BYTES + messages.reduce((sum, m) => sum + m.length, 0));
  const view = new DataView(out.buffer);
  for (const [i, n] of [boot, seq, echo].entries()) view.setBigUint64(i * 8, BigInt(n));
  let at = INNER_HEADER_BYTES;
  for (const m of messages) {
    out.set(m, at);
    at += m.length;
  }
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
    if (at + 3 > bytes.length) return null;
    const end = at + 3 + view.getUint16(at + 1);
    if (end > bytes.length) return null;
    const message = decodeBody(bytes[at]!, bytes.subarray(at + 3, end));
    if (message !== null) messages.push(message);
    else if (bytes[at]! <= MESSAGE.credentialAck) return null;
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
