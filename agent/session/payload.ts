/**
 * What both handshake messages carry inside Noise: who sends, which start of it this is, and what policy it knows. Zero
 * padding to the size of the message. Called by initiation.ts and responder.ts. Never throws on input.
 *
 *    0      1                 9                 17               25
 *   +------+-----------------+-----------------+-----------------+
 *   | kind | incarnation     | handshake count | policy seq      |
 *   +------+-----------------+-----------------+-----------------+
 *   | policy id (16)                                             |  25
 *   | revocation digest (16)                                     |  41
 *   | reset token (16)                                           |  57
 *   +------------------------------------------------------------+  73
 *   | certificates: as many times as the kind has them:          |
 *   |   u16 length | bytes                                       |
 *   | zero padding                                               |
 *   +------------------------------------------------------------+
 *
 * Kind 1, member: NodeCert, then its admitter's certificate. Kind 2, join: TokenCert. The second message is always of
 * kind 1.
 */
import { getU64, putU64, viewOf } from './u64.ts';

export const PAYLOAD_KIND = { member: 1, join: 2 } as const;
export type PayloadKind = (typeof PAYLOAD_KIND)[keyof typeof PAYLOAD_KIND];

const CERTIFICATES = { 1: 2, 2: 1 } as const;
const FIXED = 73;
const ID = 16;

export interface HandshakePayload {
  readonly kind: PayloadKind;
  readonly incarnation: number;
  readonly counter: number;
  readonly policySeq: number;
  readonly policyId: Uint8Array;
  readonly revocationDigest: Uint8Array;
  readonly resetToken: Uint8Array;
  /** As many as the kind has. */
  readonly certificates: readonly Uint8Array[];
}

/**
 * @param size of the result
 * @throws RangeError when the certificates are not what the kind has, or do not fit: their sizes are limited when signed
 */
export function encodePayload(payload: HandshakePayload, size: number): Uint8Array {
  if (payload.certificates.length !== CERTIFICATES[payload.kind])
    throw new RangeError(
      `${payload.certificates.length} certificates in a handshake of kind ${payload.kind}`,
    );
  const bytes = new Uint8Array(size);
  const view = viewOf(bytes);
  bytes[0] = payload.kind;
  putU64(view, 1, payload.incarnation);
  putU64(view, 9, payload.counter);
  putU64(view, 17, payload.policySeq);
  for (const [i, field] of [payload.policyId, payload.revocationDigest, payload.resetToken].entries()) {
    if (field.length !== ID) throw new RangeError(`handshake field of ${field.length} bytes, not ${ID}`);
    bytes.set(field, 25 + i * ID);
  }
  let at = FIXED;
  for (const certificate of payload.certificates) {
    if (at + 2 + certificate.length > size)
      throw new RangeError('certificates too large for a handshake message');
    view.setUint16(at, certificate.length);
    bytes.set(certificate, at + 2);
    at += 2 + certificate.length;
  }
  return bytes;
}

/** Null for anything malformed, padding that is not zero included. The fields are copies. */
export function decodePayload(bytes: Uint8Array): HandshakePayload | null {
  if (bytes.length < FIXED) return null;
  const kind = bytes[0];
  if (kind !== PAYLOAD_KIND.member && kind !== PAYLOAD_KIND.join) return null;
  const view = viewOf(bytes);
  const incarnation = getU64(view, 1);
  const counter = getU64(view, 9);
  const policySeq = getU64(view, 17);
  if (incarnation === null || counter === null || policySeq === null) return null;
  const certificates: Uint8Array[] = [];
  let at = FIXED;
  for (let i = 0; i < CERTIFICATES[kind]; i++) {
    if (at + 2 > bytes.length) return null;
    const length = view.getUint16(at);
    at += 2;
    if (at + length > bytes.length) return null;
    certificates.push(bytes.slice(at, at + length));
    at += length;
  }
  for (; at < bytes.length; at++) if (bytes[at] !== 0) return null;
  return {
    kind,
    incarnation,
    counter,
    policySeq,
    policyId: bytes.slice(25, 41),
    revocationDigest: bytes.slice(41, 57),
    resetToken: bytes.slice(57, 73),
    certificates,
  };
}
