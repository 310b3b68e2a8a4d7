/**
 * Messages inside a box: u8 type | u16 length | body (big endian). Types above the last known one are skipped by a
 * reader, so that a newer member is understood; a known type with a wrong body makes the whole box unusable.
 *
 *    1 ping           u64 probe                     6 boot            u64 mine | u64 yours
 *    2 ack            u64 probe                     7 digest          16 x u64
 *    3 ping-req       u64 probe | target id 32      8 summary         u8 bucket | n x (id 8 | u64 inc | u32 seq)
 *    4 record         u16 | record | u16 | cred.    9 want            n x id 8
 *    5 suspect        accusation                   10 credential-ack  n x id 8
 *   11 statement        statement                 12 statement-digest  digest 16
 *   13 statement-list   from 8 | to 8 | n x id 8  14 statement-want    n x id 8
 *   15 refresh          n x id 8                  16 equivocation      u16 | record | u16 | record
 *    0 padding        zeros
 */

/** u8 type, u16 length. */
export const MESSAGE_HEADER_BYTES = 3;
export const ID_PREFIX_BYTES = 8;
/** Fills a short box up, so that a BOOT is never larger than what it answers. */
export const PADDING = 0;

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
  statement: 11,
  statementDigest: 12,
  statementList: 13,
  statementWant: 14,
  refresh: 15,
  equivocation: 16,
} as const;
/** Higher ones are skipped. */
export const LAST_MESSAGE = MESSAGE.equivocation;

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
  | { readonly type: 'credentialAck'; readonly ids: readonly string[] }
  | { readonly type: 'statement'; readonly statement: Uint8Array }
  | { readonly type: 'statementDigest'; readonly digest: Uint8Array }
  /** All ids between two, both ends included, that the sender holds. */
  | {
      readonly type: 'statementList';
      readonly from: string;
      readonly to: string;
      readonly ids: readonly string[];
    }
  | { readonly type: 'statementWant'; readonly ids: readonly string[] }
  /** As want, of members whose certificates the asker has. */
  | { readonly type: 'refresh'; readonly ids: readonly string[] }
  /** Two records of one member with one number. */
  | { readonly type: 'equivocation'; readonly a: Uint8Array; readonly b: Uint8Array };

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
export const MAX_RECORD = 256;
export const MAX_CREDENTIAL = 900;
const MAX_ACCUSATION = 256;
export const MAX_STATEMENT = 1100;
const STATEMENT_DIGEST_BYTES = 16;
/** Ids of one list: what fits a datagram. */
export const MAX_LISTED = 128;

export const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
export const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

export const summaryBytes = (entries: number): number =>
  MESSAGE_HEADER_BYTES + 1 + entries * SUMMARY_ENTRY_BYTES;

export const messageBytes = (m: Message): number => MESSAGE_HEADER_BYTES + bodyBytes(m);

function bodyBytes(m: Message): number {
  switch (m.type) {
    case 'ping':
    case 'ack':
      return 8;
    case 'pingReq':
      return 40;
    case 'record':
      return 4 + m.record.length + m.credential.length;
    case 'suspect':
      return m.accusation.length;
    case 'boot':
      return 16;
    case 'digest':
      return m.buckets.length * 8;
    case 'summary':
      return 1 + m.entries.length * SUMMARY_ENTRY_BYTES;
    case 'want':
    case 'credentialAck':
    case 'statementWant':
    case 'refresh':
      return m.ids.length * ID_PREFIX_BYTES;
    case 'equivocation':
      return 4 + m.a.length + m.b.length;
    case 'statement':
      return m.statement.length;
    case 'statementDigest':
      return STATEMENT_DIGEST_BYTES;
    case 'statementList':
      return (2 + m.ids.length) * ID_PREFIX_BYTES;
  }
}

/** One message with its type and length. */
export function encodeMessage(m: Message): Uint8Array {
  const out = new Uint8Array(MESSAGE_HEADER_BYTES + bodyBytes(m));
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
    case 'statement':
      put(m.statement);
      break;
    case 'statementDigest':
      put(m.digest);
      break;
    case 'statementList':
      for (const id of [m.from, m.to, ...m.ids]) put(unhex(id));
      break;
    case 'want':
    case 'credentialAck':
    case 'statementWant':
    case 'refresh':
      for (const id of m.ids) put(unhex(id));
      break;
    case 'equivocation':
      block(m.a);
      block(m.b);
      break;
  }
  out[0] = MESSAGE[m.type];
  view.setUint16(1, at - 3);
  return out;
}

function readIds(body: Uint8Array, most: number): string[] | null {
  const count = body.length / ID_PREFIX_BYTES;
  if (!Number.isInteger(count) || count > most) return null;
  return Array.from({ length: count }, (_, i) => hex(body.subarray(i * 8, i * 8 + 8)));
}

/** One message body. Null if it is not exactly one of its type. */
export function decodeBody(type: number, body: Uint8Array): Message | null {
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
      if (!entries.every((e) => Number.isSafeInteger(e.incarnation))) return null;
      return { type: 'summary', bucket: body[0]!, entries };
    }
    case MESSAGE.want:
    case MESSAGE.refresh:
    case MESSAGE.credentialAck: {
      const ids = readIds(body, MAX_WANT);
      if (ids === null) return null;
      if (type === MESSAGE.want) return { type: 'want', ids };
      return { type: type === MESSAGE.refresh ? 'refresh' : 'credentialAck', ids };
    }
    case MESSAGE.equivocation: {
      const aBytes = n >= 2 ? view.getUint16(0) : n;
      if (n < 4 + aBytes || aBytes > MAX_RECORD) return null;
      const bBytes = view.getUint16(2 + aBytes);
      if (n !== 4 + aBytes + bBytes || bBytes > MAX_RECORD) return null;
      return { type: 'equivocation', a: body.slice(2, 2 + aBytes), b: body.slice(4 + aBytes) };
    }
    case MESSAGE.statement:
      return n > 0 && n <= MAX_STATEMENT ? { type: 'statement', statement: body.slice() } : null;
    case MESSAGE.statementDigest:
      return n === STATEMENT_DIGEST_BYTES ? { type: 'statementDigest', digest: body.slice() } : null;
    case MESSAGE.statementList: {
      const [from, to, ...ids] = readIds(body, MAX_LISTED + 2) ?? [];
      return from === undefined || to === undefined ? null : { type: 'statementList', from, to, ids };
    }
    case MESSAGE.statementWant: {
      const ids = readIds(body, MAX_LISTED);
      return ids === null ? null : { type: 'statementWant', ids };
    }
    default:
      return null;
  }
}
