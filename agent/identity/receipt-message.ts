/**
 * An admission that one admitter tells the others of, before gossip does (lane 15, kind request), again until the answer (kind
 * reply) says that it came. It is believed for its signature, not for who brings it. Called by agent-receipts.ts. Never throws on
 * input.
 *
 * The receipt is a pair (identity/cert-pair.ts), the answer:
 *
 *    0       1
 *   +-------+------------------------+
 *   | 4     | certificate id[16]     |
 *   +-------+------------------------+
 *
 * The first byte says what the message is about: 4 is a receipt.
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { type CertPair, decodeCertPair, encodeCertPair } from './cert-pair.ts';

const RECEIPT = 4;
const ID_BYTES = 16;

/** Whether a message of a member is about an admission that another admitter gave. */
export const isReceipt = (body: Uint8Array): boolean => body[0] === RECEIPT;

export const encodeReceipt = (receipt: CertPair): Uint8Array => encodeCertPair(RECEIPT, receipt);

export const decodeReceipt = (bytes: Uint8Array): CertPair | null => decodeCertPair(RECEIPT, bytes);

export const encodeReceiptAnswer = (certId: Uint8Array): Uint8Array =>
  new ByteWriter().u8(RECEIPT).bytes(certId.subarray(0, ID_BYTES)).finish();

/** The first bytes of the id of the certificate that has come. */
export function decodeReceiptAnswer(bytes: Uint8Array): Uint8Array | null {
  const r = new ByteReader(bytes);
  if (r.u8() !== RECEIPT) return null;
  const id = r.bytes(ID_BYTES);
  return r.done ? id : null;
}
