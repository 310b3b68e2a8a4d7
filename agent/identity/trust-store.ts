/**
 * Who may say what: the mesh's roots and policy, the admitters they certified, and the checks of every certificate and
 * state record in the order of cost. Input from the network gives a reason, never an exception. What has verified is
 * remembered by object id, so that a record seen again costs a look-up.
 *
 * Times are judged by a floor clock: never earlier than the newest policy a root has signed, so that a machine that
 * wakes in 1970 does not reject its own mesh. No node's or admitter's time raises it.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import { CAP, NO_ISSUER, parseNodeCert, type ReadNodeCert } from './node-cert.ts';
import { parseNodeState, type ReadNodeState } from './node-state.ts';
import { parsePolicy, type SegmentRule, type SignedPolicy } from './policy.ts';
import { recordSignedBy } from './record.ts';
import { equalBytes, toHex } from './sodium.ts';

/** Verified object ids kept; a mesh of thousands fits twice. */
const MAX_VERIFIED = 65536;
/** Admitters known at a time. */
const MAX_ADMITTERS = 256;

export type CertVerdict =
  | { readonly ok: true; readonly cert: ReadNodeCert }
  | { readonly ok: false; readonly reason: string };

export interface TrustSettings {
  readonly meshId: Uint8Array;
  readonly rootPk: Uint8Array;
  readonly policy: SignedPolicy;
}

export class TrustStore {
  readonly meshId: Uint8Array;
  readonly rootPk: Uint8Array;
  readonly #clock: Clock;
  readonly policy: SignedPolicy;
  /** Verified ids of certificates and states with their verdict; bounded by MAX_VERIFIED. */
  readonly #verified = new LRUCache<string, true>({ max: MAX_VERIFIED });
  /** Admitter certificates by the hex of the first 16 bytes of their id; bounded by MAX_ADMITTERS. */
  readonly #admitters = new LRUCache<string, ReadNodeCert>({ max: MAX_ADMITTERS });

  constructor(settings: TrustSettings, clock: Clock) {
    this.meshId = settings.meshId;
    this.rootPk = settings.rootPk;
    this.policy = settings.policy;
    this.#clock = clock;
  }

  /** Unix ms, not earlier than what a root has stated. */
  nowMs(): number {
    return Math.max(this.#clock.wallMs(), this.policy.timeMs);
  }

  segment(vni: number): SegmentRule | undefined {
    return this.policy.segments.find((s) => s.vni === vni);
  }

  /**
   * Verifies a node certificate. `admitterBytes` is the certificate of its issuer, if the sender gave one; it is
   * verified first and remembered.
   */
  verifyNodeCert(bytes: Uint8Array, admitterBytes: Uint8Array | null): CertVerdict {
    if (admitterBytes !== null && admitterBytes.length > 0) this.#learnAdmitter(admitterBytes);
    const cert = parseNodeCert(bytes, this.meshId);
    if (cert === null) return { ok: false, reason: 'not a certificate of this mesh' };
    const byRoot = equalBytes(cert.issuerId, NO_ISSUER);
    const issuer = byRoot ? undefined : this.#admitters.get(toHex(cert.issuerId));
    if (!byRoot && issuer === undefined) return { ok: false, reason: 'its issuer is unknown' };
    const late = this.#timeProblem(cert) ?? (issuer === undefined ? null : this.#timeProblem(issuer));
    if (late !== null) return { ok: false, reason: late };
    if (issuer !== undefined) {
      // An admitter never gives more than ordinary rights: only a root makes admitters.
      if (cert.caps & (CAP.admit | CAP.revoke))
        return { ok: false, reason: 'it claims rights that only a root gives' };
      if (!cert.vnis.every((vni) => issuer.vnis.includes(vni)))
        return { ok: false, reason: 'it claims segments that its issuer does not hold' };
    }
    if (!cert.vnis.every((vni) => this.segment(vni) !== undefined))
      return { ok: false, reason: 'it names a segment that policy does not' };
    const id = toHex(cert.record.id);
    if (this.#verified.has(id)) return { ok: true, cert };
    if (!recordSignedBy(cert.record, issuer?.signPk ?? this.rootPk))
      return { ok: false, reason: 'its signature is wrong' };
    this.#verified.set(id, true);
    if (byRoot && cert.caps & CAP.admit) this.#admitters.set(id.slice(0, 32), cert);
    return { ok: true, cert };
  }

  /** Verifies a state against the certificate it names. Null for anything else. */
  verifyNodeState(bytes: Uint8Array, cert: ReadNodeCert): ReadNodeState | null {
    const state = parseNodeState(bytes, this.meshId);
    if (state === null || !equalBytes(state.nodeId, cert.nodeId)) return null;
    if (!equalBytes(state.certId, cert.record.id.subarray(0, 16))) return null;
    const id = toHex(state.record.id) + toHex(state.record.signature.subarray(0, 8));
    if (this.#verified.has(id)) return state;
    if (!recordSignedBy(state.record, cert.signPk)) return null;
    this.#verified.set(id, true);
    return state;
  }

  #learnAdmitter(bytes: Uint8Array): void {
    const cert = parseNodeCert(bytes, this.meshId);
    if (cert === null || !(cert.caps & CAP.admit) || !equalBytes(cert.issuerId, NO_ISSUER)) return;
    const key = toHex(cert.record.id).slice(0, 32);
    if (this.#admitters.has(key)) return;
    if (recordSignedBy(cert.record, this.rootPk)) this.#admitters.set(key, cert);
  }

  #timeProblem(cert: ReadNodeCert): string | null {
    const now = this.nowMs();
    const leewayMs = this.policy.leewaySec * 1000;
    if (now + leewayMs < cert.notBeforeMs)
      return `certificate of ${cert.name} starts at ${new Date(cert.notBeforeMs).toISOString()}`;
    if (now - leewayMs >= cert.expiresMs)
      return `certificate of ${cert.name} expired at ${new Date(cert.expiresMs).toISOString()}`;
    return null;
  }
}

/** Reads the stored or received policy of a mesh; null when its root did not sign it. */
export const readPolicy = (bytes: Uint8Array, meshId: Uint8Array, rootPk: Uint8Array): SignedPolicy | null =>
  parsePolicy(bytes, meshId, rootPk);
