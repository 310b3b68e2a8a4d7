/**
 * A certificate and its issuer's, as members hand them to each other inside a session (identity/grant.ts,
 * identity/receipt-message.ts). Never throws on input.
 *
 *    0       1
 *   +-------+-----------------+-----------------------------+
 *   | about | block NodeCert  | block issuer's certificate  |   the latter empty when a root signed
 *   +-------+-----------------+-----------------------------+
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { MAX_NODE_CERT_BYTES } from './node-cert.ts';

export interface CertPair {
  readonly cert: Uint8Array;
  /** Empty when a root signed. */
  readonly issuer: Uint8Array;
}

export const encodeCertPair = (about: number, { cert, issuer }: CertPair): Uint8Array =>
  new ByteWriter().u8(about).block(cert).block(issuer).finish();

/** Null for anything that is not exactly one pair of the kind. */
export function decodeCertPair(about: number, bytes: Uint8Array): CertPair | null {
  const r = new ByteReader(bytes);
  if (r.u8() !== about) return null;
  const pair = { cert: r.block(MAX_NODE_CERT_BYTES), issuer: r.block(MAX_NODE_CERT_BYTES) };
  return r.done ? pair : null;
}
