/**
 * What an admitter answers inside the join session:
 *
 *   u8 1 | block NodeCert | block Policy | block admitter certificate      admitted
 *   u8 2 | u8 code | u16 length, UTF-8 text of at most 300 bytes           refused
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { MAX_RECORD_BYTES } from './record.ts';
import { utf8 } from './sodium.ts';

/** Reasons of a refusal. Only append: the numbers are on the wire. */
export const REFUSAL = {
  malformed: 1,
  wrongMesh: 2,
  tokenSignature: 3,
  tokenExpired: 4,
  tokenNotYetValid: 5,
  tokenUsedUp: 6,
  nameNotAllowed: 7,
  nameTaken: 8,
  addressTaken: 9,
  addressOutside: 10,
  segmentNotAllowed: 11,
  rightsNotAllowed: 12,
  keyInUse: 13,
  tooFast: 14,
  notAdmitter: 15,
  noAddressLeft: 16,
  admitterUnreachable: 17,
  tokenRevoked: 18,
  nodeRevoked: 19,
  underlayNotAllowed: 20,
} as const;

export type RefusalCode = keyof typeof REFUSAL;

export type AdmissionReply =
  | {
      readonly admitted: true;
      readonly cert: Uint8Array;
      readonly policy: Uint8Array;
      readonly admitter: Uint8Array;
    }
  | { readonly admitted: false; readonly code: number; readonly text: string };

const MAX_TEXT = 300;

export function encodeAdmitted(cert: Uint8Array, policy: Uint8Array, admitter: Uint8Array): Uint8Array {
  return new ByteWriter().u8(1).block(cert).block(policy).block(admitter).finish();
}

export function encodeRefused(code: RefusalCode, text: string): Uint8Array {
  return new ByteWriter().u8(2).u8(REFUSAL[code]).block(utf8(text).slice(0, MAX_TEXT)).finish();
}

/** Null for anything that is neither. */
export function decodeAdmissionReply(bytes: Uint8Array): AdmissionReply | null {
  const r = new ByteReader(bytes);
  const kind = r.u8();
  if (kind === 1) {
    const cert = r.block(MAX_RECORD_BYTES);
    const policy = r.block(MAX_RECORD_BYTES);
    const admitter = r.block(MAX_RECORD_BYTES);
    return r.done ? { admitted: true, cert, policy, admitter } : null;
  }
  if (kind !== 2) return null;
  const code = r.u8();
  const text = new TextDecoder().decode(r.block(MAX_TEXT)).replace(/[^\x20-\x7e]/g, '?');
  return r.done ? { admitted: false, code, text } : null;
}

/** The code of a refusal; null for anything else. */
export function refusalOf(bytes: Uint8Array): number | null {
  const reply = decodeAdmissionReply(bytes);
  return reply === null || reply.admitted ? null : reply.code;
}
