/**
 * The envelope of every signed statement. A record is verified as it was received and never re-encoded; it is named by
 * a hash of what was signed, without the signature, so that no second signature makes it another object.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------+---------------+---------------+---------------+
 *   |  magic 0x4C   |  version = 1  |     type      |   flags = 0   |
 *   +---------------+---------------+---------------+---------------+
 *   |          body length          |  body ...                     |
 *   +-------------------------------+                               +
 *   |                          signature (64 bytes)                 |
 *   +---------------------------------------------------------------+
 *
 * signature = Ed25519("weft/v1/" typeName 0x00 || mesh_id || header || body); object id = BLAKE2b-256 of the same bytes.
 * A body ends with extensions `u8 tag (bit 7: critical) | u16 length | value`, tags ascending: an unknown critical one
 * refuses the record, an unknown other one is skipped.
 */
import type { ByteReader } from './bytes.ts';
import { concat, hash, sign, utf8, verifySignature } from './sodium.ts';

export const RECORD_TYPE = {
  policy: 1,
  tokenCert: 2,
  nodeRequest: 3,
  nodeCert: 4,
  revocation: 5,
  nodeState: 6,
  suspicion: 8,
} as const;

export type RecordName = keyof typeof RECORD_TYPE;

/** The name in the signed prefix. */
const TYPE_NAME: Record<RecordName, string> = {
  policy: 'Policy',
  tokenCert: 'TokenCert',
  nodeRequest: 'NodeRequest',
  nodeCert: 'NodeCert',
  revocation: 'Revocation',
  nodeState: 'NodeState',
  suspicion: 'Suspicion',
};

const MAGIC = 0x4c;
const VERSION = 1;
const HEADER_BYTES = 6;
const SIGNATURE_BYTES = 64;
export const MAX_RECORD_BYTES = 2048;

/** A record whose framing is right and whose signature has not been looked at. */
export interface RawRecord {
  readonly bytes: Uint8Array;
  readonly body: Uint8Array;
  /** BLAKE2b-256 of what was signed. */
  readonly id: Uint8Array;
  readonly toBeSigned: Uint8Array;
  readonly signature: Uint8Array;
}

function signedBytes(name: RecordName, meshId: Uint8Array, headerAndBody: Uint8Array): Uint8Array {
  return concat(utf8(`weft/v1/${TYPE_NAME[name]}\0`), meshId, headerAndBody);
}

/** Frames and signs a body. */
export function signRecord(
  name: RecordName,
  meshId: Uint8Array,
  body: Uint8Array,
  secretKey: Uint8Array,
): Uint8Array {
  const header = new Uint8Array([MAGIC, VERSION, RECORD_TYPE[name], 0, body.length >> 8, body.length & 0xff]);
  const headerAndBody = concat(header, body);
  if (headerAndBody.length + SIGNATURE_BYTES > MAX_RECORD_BYTES)
    throw new RangeError(`${TYPE_NAME[name]} is larger than ${MAX_RECORD_BYTES} bytes`);
  return concat(headerAndBody, sign(signedBytes(name, meshId, headerAndBody), secretKey));
}

/** Checks the frame. Null for anything but one whole record of the type. */
export function parseRecord(name: RecordName, meshId: Uint8Array, bytes: Uint8Array): RawRecord | null {
  if (bytes.length < HEADER_BYTES + SIGNATURE_BYTES || bytes.length > MAX_RECORD_BYTES) return null;
  const bodyLength = (bytes[4]! << 8) | bytes[5]!;
  const end = HEADER_BYTES + bodyLength;
  if (bytes[0] !== MAGIC || bytes[1] !== VERSION || bytes[2] !== RECORD_TYPE[name] || bytes[3] !== 0)
    return null;
  if (bytes.length !== end + SIGNATURE_BYTES) return null;
  const toBeSigned = signedBytes(name, meshId, bytes.subarray(0, end));
  return {
    bytes,
    body: bytes.slice(HEADER_BYTES, end),
    id: hash(toBeSigned),
    toBeSigned,
    signature: bytes.slice(end),
  };
}

/** Whether `publicKey` signed the record as received. */
export const recordSignedBy = (record: RawRecord, publicKey: Uint8Array): boolean =>
  verifySignature(record.signature, record.toBeSigned, publicKey);

/** The length that the first bytes of a record announce; 0 if they announce none. Records may stand one after another. */
export function announcedLength(bytes: Uint8Array): number {
  if (bytes.length < HEADER_BYTES || bytes[0] !== MAGIC) return 0;
  return HEADER_BYTES + ((bytes[4]! << 8) | bytes[5]!) + SIGNATURE_BYTES;
}

/**
 * Reads the extensions that end a body: the values of those that are `known`, by tag. Null if one is unknown and critical,
 * repeated, or out of order.
 */
export function readExtensions(
  reader: ByteReader,
  known: readonly number[],
): ReadonlyMap<number, Uint8Array> | null {
  const values = new Map<number, Uint8Array>(); // bounded by `known`
  let previous = -1;
  while (reader.remaining > 0) {
    const tag = reader.u8();
    const order = tag & 0x7f;
    const isKnown = known.includes(tag);
    if ((tag & 0x80 && !isKnown) || order <= previous) return null;
    previous = order;
    const value = reader.block(MAX_RECORD_BYTES);
    if (isKnown) values.set(tag, value);
  }
  return reader.done ? values : null;
}

/** The same for a record that has none yet. */
export const skipExtensions = (reader: ByteReader): boolean => readExtensions(reader, []) !== null;
