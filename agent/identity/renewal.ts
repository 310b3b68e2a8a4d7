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
import {
  MAX_NODE_CERT_BYTES,
  NO_ISSUER,
  type NodeCert,
  type ReadNodeCert,
  signNodeCert,
} from './node-cert.ts';
import { equalBytes, type KeyPair } from './sodium.ts';
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
  /** Where a root lies: it renews what roots signed. */
  readonly root: KeyPair | null;
}

/** A certificate that a root signs: the same grant with other times. Called for this host's own, and for other admitters. */
export function signByRoot(cert: NodeCert, trust: TrustStore, root: KeyPair, lifeMs: number): Uint8Array {
  const now = trust.nowMs();
  const times = { notBeforeMs: now - BACKDATE_MS, expiresMs: now + lifeMs };
  const next = { ...cert, ...times, issuerId: NO_ISSUER, generation: cert.generation + 1 };
  return signNodeCert(next, trust.meshId, root.secretKey);
}

/**
 * An admitter's answer to a member that its session has proved to be `peerId`. A certificate that has ended, or was
 * revoked, is not renewed. What a root signed, another admitter's, is renewed only where a root lies, and while the right
 * holds. What hangs on an older root may be renewed at any time, as soon as this admitter itself hangs on the newest.
 */
export function renew(parts: RenewalParts, peerId: string, request: RenewalRequest): Uint8Array {
  const { trust, self, signSecretKey, root } = parts;
  const verdict = trust.verifyNodeCert(request.cert, request.admitter);
  if (!verdict.ok)
    return encodeRefused(verdict.problem === 'revoked' ? 'nodeRevoked' : 'malformed', verdict.reason);
  const { cert } = verdict;
  if (cert.nodeIdHex !== peerId) return encodeRefused('malformed', 'the certificate is that of another host');
  const ofRoot = equalBytes(cert.issuerId, NO_ISSUER);
  if (ofRoot && (root === null || !trust.mayAdmit(cert)))
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
  if (now < renewalDueMs(cert) - lifeMsOf(cert) / 3) {
    if (!trust.hangsOnOlderRoot(request.cert, request.admitter))
      return encodeRefused('tooFast', 'the certificate is not half over yet');
    if (trust.hangsOnOlderRoot(self.record.bytes, null))
      return encodeRefused('tooFast', `host ${self.name} has no certificate of the new root yet`);
  }
  if (ofRoot && root !== null)
    return encodeAdmitted(
      signByRoot(cert, trust, root, Math.min(lifeMsOf(cert), ADMITTER_LIFE_MS)),
      trust.policy.bytes,
      new Uint8Array(0),
    );
  const renewed = signNodeCert(
    {
      ...cert,
      issuerId: self.record.id.slice(0, 16),
      notBeforeMs: now - BACKDATE_MS,
      expiresMs: now + Math.min(lifeMsOf(cert), trust.policy.nodeLifeSec * 1000),
      generation: cert.generation + 1,
    },
    trust.meshId,
    signSecretKey,
  );
  return encodeAdmitted(renewed, trust.policy.bytes, self.record.bytes);
}
