/**
 * The right to admit, as certificates: a root signs one with the right for a member, with everything else as it was, or an
 * admitter one without it once the root has ended the right. The member is handed it inside its session (lane 15, kind
 * request) as a pair (identity/cert-pair.ts) and needs to ask for nothing. Called by agent-admitters.ts. Never throws on input.
 *
 * The first byte of a message says what it is about: 3 is a grant (1: identity/forwarded.ts, 2: identity/renewal.ts). There is no
 * answer: the member's own record shows which certificate it has.
 */
import { type CertPair, decodeCertPair, encodeCertPair } from './cert-pair.ts';
import { ADMITTER_LIFE_MS, BACKDATE_MS } from './genesis.ts';
import { CAP, NO_ISSUER, type ReadNodeCert, signNodeCert } from './node-cert.ts';
import { equalBytes } from './sodium.ts';
import type { TrustStore } from './trust-store.ts';

const GRANT = 3;

/** Whether a message of a member is about the right to admit. */
export const isGrant = (body: Uint8Array): boolean => body[0] === GRANT;

export const encodeGrantOffer = (offer: CertPair): Uint8Array => encodeCertPair(GRANT, offer);

export const decodeGrantOffer = (bytes: Uint8Array): CertPair | null => decodeCertPair(GRANT, bytes);

export interface GrantParts {
  readonly trust: TrustStore;
  readonly generation: number;
}

/** The member's certificate with the right to admit, signed by a root. */
export function signGrant(cert: ReadNodeCert, rootSecretKey: Uint8Array, parts: GrantParts): Uint8Array {
  const { trust, generation } = parts;
  const now = trust.nowMs();
  const times = { notBeforeMs: now - BACKDATE_MS, expiresMs: now + ADMITTER_LIFE_MS };
  const next = { ...cert, ...times, caps: cert.caps | CAP.admit, issuerId: NO_ISSUER, generation };
  return signNodeCert(next, trust.meshId, rootSecretKey);
}

/** The same host without the right, signed by an admitter. */
export function signOrdinary(
  cert: ReadNodeCert,
  admitter: ReadNodeCert,
  signSecretKey: Uint8Array,
  parts: GrantParts,
): Uint8Array {
  const { trust, generation } = parts;
  const now = trust.nowMs();
  const times = { notBeforeMs: now - BACKDATE_MS, expiresMs: now + trust.policy.nodeLifeSec * 1000 };
  const caps = cert.caps & ~(CAP.admit | CAP.revoke);
  const issuerId = admitter.record.id.slice(0, 16);
  return signNodeCert({ ...cert, ...times, caps, issuerId, generation }, trust.meshId, signSecretKey);
}

/** Whether two certificates of one host differ in issuer, times and generation only, and in rights by no more than `caps`. */
export function sameBut(a: ReadNodeCert, b: ReadNodeCert, caps: number): boolean {
  const same = a.nodeIdHex === b.nodeIdHex && a.name === b.name && equalBytes(a.tokenId, b.tokenId);
  if (!same || (a.caps ^ b.caps) & ~caps) return false;
  return JSON.stringify([a.vnis, a.addresses]) === JSON.stringify([b.vnis, b.addresses]);
}

/**
 * Why a member does not take the certificate that it was handed; null when it does. Only the right to admit may change: it comes
 * from a root's signature alone, and goes only when a root has ended it, so that no admitter takes it from another.
 */
export function problemOfOffer(trust: TrustStore, held: ReadNodeCert, offer: CertPair): string | null {
  const verdict = trust.verifyNodeCert(offer.cert, offer.issuer);
  if (!verdict.ok) return verdict.reason;
  const { cert } = verdict;
  if (cert.generation <= held.generation) return 'it is not newer than the one that is held';
  const given = trust.mayAdmit(cert);
  const taken = !(cert.caps & CAP.admit) && (held.caps & CAP.admit) !== 0 && !trust.mayAdmit(held);
  if (!given && !taken) return 'no root has given or ended the right to admit';
  const changed = taken ? CAP.admit | CAP.revoke : CAP.admit;
  return sameBut(cert, held, changed) ? null : 'it changes more than the right to admit';
}
