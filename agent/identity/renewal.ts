/**
 * A new certificate for a member whose own is two thirds over: asked for inside its session with any admitter, without a
 * token. The admitter changes nothing but issuer, times and generation; keys stay. Called by agent-renewal.ts. Never throws
 * on input.
 *
 *    0       1             9
 *   +-------+-------------+-----------------+-----------------------------+
 *   | 2     | ask[8]      | block NodeCert  | block issuer's certificate  |   request (lane 15, kind request)
 *   +-------+-------------+-----------------+-----------------------------+
 *   +-------+-------------+------------------------------+
 *   | 2     | ask[8]      | admission reply              |                  reply (kind reply)
 *   +-------+-------------+------------------------------+
 *
 * `ask` is random. The first byte says what the message is about: 2 is renewal (1: identity/forwarded.ts).
 */
import { encodeAdmitted, encodeRefused } from './admission-reply.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { ADMITTER_LIFE_MS, BACKDATE_MS } from './genesis.ts';
import { MAX_NODE_CERT_BYTES, NO_ISSUER, type ReadNodeCert, signNodeCert } from './node-cert.ts';
import { equalBytes } from './sodium.ts';
import type { TrustStore } from './trust-store.ts';

const RENEWAL = 2;
export const RENEWAL_ASK_BYTES = 8;
const REPLY_HEADER = 1 + RENEWAL_ASK_BYTES;

/** Whether a message of a member is about renewal. */
export const isRenewal = (body: Uint8Array): boolean => body[0] === RENEWAL;

export interface RenewalRequest {
  readonly ask: Uint8Array;
  readonly cert: Uint8Array;
  /** The issuer's; the certificate once more when a root signed it. */
  readonly admitter: Uint8Array;
}

export function encodeRenewalRequest({ ask, cert, admitter }: RenewalRequest): Uint8Array {
  return new ByteWriter().u8(RENEWAL).bytes(ask).block(cert).block(admitter).finish();
}

export function decodeRenewalRequest(bytes: Uint8Array): RenewalRequest | null {
  const r = new ByteReader(bytes);
  if (r.u8() !== RENEWAL) return null;
  const request = {
    ask: r.bytes(RENEWAL_ASK_BYTES),
    cert: r.block(MAX_NODE_CERT_BYTES),
    admitter: r.block(MAX_NODE_CERT_BYTES),
  };
  return r.done ? request : null;
}

export function encodeRenewalReply(ask: Uint8Array, reply: Uint8Array): Uint8Array {
  return new ByteWriter().u8(RENEWAL).bytes(ask).bytes(reply).finish();
}

export function decodeRenewalReply(
  bytes: Uint8Array,
): { readonly ask: Uint8Array; readonly reply: Uint8Array } | null {
  if (bytes[0] !== RENEWAL || bytes.length <= REPLY_HEADER) return null;
  return { ask: bytes.slice(1, REPLY_HEADER), reply: bytes.slice(REPLY_HEADER) };
}

/** How long a certificate was made to last, without what it is dated back. */
export const lifeMsOf = ({ notBeforeMs, expiresMs }: ReadNodeCert): number =>
  Math.max(0, expiresMs - notBeforeMs - BACKDATE_MS);

/** When renewal begins: two thirds of the lifetime. */
export const renewalDueMs = (cert: ReadNodeCert): number => cert.expiresMs - lifeMsOf(cert) / 3;

export interface RenewalParts {
  readonly trust: TrustStore;
  /** This admitter's own certificate. */
  readonly self: ReadNodeCert;
  readonly signSecretKey: Uint8Array;
  /** Only on a host that holds the root. */
  readonly rootSecretKey: Uint8Array | null;
}

/**
 * An admitter's answer to a member that its session has proved to be `peerId`. A certificate that has ended, or was
 * revoked, is not renewed. What a root signed, another admitter's, is renewed by a root only, and while the right holds.
 */
export function renew(parts: RenewalParts, peerId: string, request: RenewalRequest): Uint8Array {
  const { trust, self, signSecretKey, rootSecretKey } = parts;
  const verdict = trust.verifyNodeCert(request.cert, request.admitter);
  if (!verdict.ok)
    return encodeRefused(verdict.problem === 'revoked' ? 'nodeRevoked' : 'malformed', verdict.reason);
  const { cert } = verdict;
  if (cert.nodeIdHex !== peerId) return encodeRefused('malformed', 'the certificate is that of another host');
  const byRoot = equalBytes(cert.issuerId, NO_ISSUER);
  if (byRoot && (rootSecretKey === null || !trust.mayAdmit(cert)))
    return encodeRefused(
      'rightsNotAllowed',
      'only the root of the mesh renews what it signed, and an admitter only while it is one',
    );
  if (!trust.mayAdmit(self) || !cert.vnis.every((vni) => self.vnis.includes(vni)))
    return encodeRefused(
      'notAdmitter',
      `host ${self.name} does not admit to all segments of the certificate`,
    );
  const now = trust.nowMs();
  if (now < renewalDueMs(cert) - lifeMsOf(cert) / 3)
    return encodeRefused('tooFast', 'the certificate is not half over yet');
  const longestMs = byRoot ? ADMITTER_LIFE_MS : trust.policy.nodeLifeSec * 1000;
  const next = {
    ...cert,
    issuerId: byRoot ? NO_ISSUER : self.record.id.slice(0, 16),
    notBeforeMs: now - BACKDATE_MS,
    expiresMs: now + Math.min(lifeMsOf(cert), longestMs),
    generation: cert.generation + 1,
  };
  const renewed = signNodeCert(next, trust.meshId, byRoot && rootSecretKey ? rootSecretKey : signSecretKey);
  return encodeAdmitted(renewed, trust.policy.bytes, byRoot ? new Uint8Array(0) : self.record.bytes);
}
