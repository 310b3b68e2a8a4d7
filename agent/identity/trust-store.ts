/**
 * Who may say what: the mesh's roots and policy, the admitters they certified, and the checks of every certificate and
 * state record in the order of cost. Input from the network gives a reason, never an exception. What has verified is
 * remembered by object id and signature, so that a record seen again costs a look-up.
 *
 * Times are judged by a floor clock: never earlier than the newest policy a root has signed or this version, so that a
 * machine that wakes in 1970 does not reject its own mesh. No node's or admitter's time raises it, and a policy dated more
 * than a day ahead of a clock that may be right does not either. A clock that is set back, or ahead by more than a month,
 * while this process runs is not followed: no member is put out because an operator or NTP erred.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import { CAP, NO_ISSUER, parseNodeCert, type ReadNodeCert } from './node-cert.ts';
import { parseNodeState, type ReadNodeState } from './node-state.ts';
import { newestRoot, type SegmentRule, type SignedPolicy } from './policy.ts';
import { type RawRecord, recordSignedBy } from './record.ts';
import type { ReadRevocation } from './revocation.ts';
import { RevocationSet } from './revocation-set.ts';
import { equalBytes, hash, toHex } from './sodium.ts';

/** Verified object ids kept; a mesh of thousands fits twice. */
const MAX_VERIFIED = 65536;
/** Admitters known at a time. */
const MAX_ADMITTERS = 256;
/** No clock that is right stands before this version was made: 2026-11-01. */
const MADE_MS = Date.UTC(2026, 10, 1);
/** How far a clock may be set ahead at run time and be believed: longer sleeps are rare. */
const MAX_JUMP_MS = 31 * 86400_000;
/** How far ahead of a clock that may be right a root's time is believed. */
const MAX_AHEAD_MS = 86400_000;

/** `reason` is for people. */
export type CertVerdict =
  | { readonly ok: true; readonly cert: ReadNodeCert }
  | { readonly ok: false; readonly problem: CertProblem; readonly reason: string };

export type CertProblem =
  | 'malformed'
  | 'unknownIssuer'
  | 'notYetValid'
  | 'expired'
  | 'revoked'
  | 'rights'
  | 'segment'
  | 'signature';

export interface TrustSettings {
  readonly meshId: Uint8Array;
  readonly policy: SignedPolicy;
  /** Empty if not given. */
  readonly revocations?: RevocationSet;
}

const no = (problem: CertProblem, reason: string): CertVerdict => ({ ok: false, problem, reason });

const utc = (ms: number): string => new Date(ms).toISOString();

/** `host a was revoked at ...: reason`, for people. */
export function revokedText(cert: ReadNodeCert, { kind, timeMs, reason, label }: ReadRevocation): string {
  if (kind === 'grant')
    return `host ${cert.name} was certified by ${label}, which may admit nobody since ${utc(timeMs)}`;
  const by = kind === 'node' ? '' : ` with its ${kind}${kind === 'token' ? ` ${label}` : ''}`;
  return `host ${cert.name} was revoked${by} at ${utc(timeMs)}${reason === '' ? '' : `: ${reason}`}`;
}

/** With the signature: a record that verified, passed on with another signature, would be refused by everybody else. */
const verifiedKey = (record: RawRecord): string => toHex(hash(record.id, record.signature)).slice(0, 32);

export class TrustStore {
  readonly meshId: Uint8Array;
  readonly #clock: Clock;
  #policy: SignedPolicy;
  /** A moment at which the machine's clock was believed. */
  #anchor: { readonly wallMs: number; readonly monotonicMs: number };
  #suspect = false;
  readonly revocations: RevocationSet;
  /** Certificates and states whose signature verified; bounded by MAX_VERIFIED. */
  readonly #verified = new LRUCache<string, true>({ max: MAX_VERIFIED });
  /** Admitter certificates by the hex of the first 16 bytes of their id; bounded by MAX_ADMITTERS. */
  readonly #admitters = new LRUCache<string, ReadNodeCert>({ max: MAX_ADMITTERS });

  constructor(settings: TrustSettings, clock: Clock) {
    this.meshId = settings.meshId;
    this.#policy = settings.policy;
    this.revocations = settings.revocations ?? new RevocationSet();
    this.revocations.judge(settings.policy);
    this.#clock = clock;
    this.#anchor = { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() };
  }

  get policy(): SignedPolicy {
    return this.#policy;
  }

  /** The keys that sign certificates, tokens and revocations. */
  get roots(): readonly Uint8Array[] {
    return this.#policy.roots;
  }

  /** From now on this policy counts; what it is to the one before was judged (policy-chain.ts). */
  takePolicy(policy: SignedPolicy): void {
    this.#policy = policy;
    // What verified under a root that is none any more must be looked at again.
    this.#verified.clear();
    this.#admitters.clear();
    this.revocations.judge(policy);
  }

  /** Whether a root stands behind what names no issuer: it signed, or policy adopted the certificate. */
  #signedByRoot(record: RawRecord): boolean {
    if (this.#policy.roots.some((root) => recordSignedBy(record, root))) return true;
    return this.#policy.adopted.some((id) => equalBytes(id, record.id.subarray(0, id.length)));
  }

  /**
   * Whether a good certificate hangs on another root than the newest, itself or by its issuer: then it is to be renewed,
   * for the older roots are on their way out.
   */
  hangsOnOlderRoot(bytes: Uint8Array, admitterBytes: Uint8Array | null): boolean {
    const verdict = this.verifyNodeCert(bytes, admitterBytes);
    if (!verdict.ok) return false;
    const { cert } = verdict;
    const top = equalBytes(cert.issuerId, NO_ISSUER) ? cert : this.#admitters.get(toHex(cert.issuerId));
    return top !== undefined && !recordSignedBy(top.record, newestRoot(this.#policy));
  }

  /**
   * The machine's clock, unless it was set far ahead, or back, while this process ran: then the time goes on as it did. A
   * machine that slept wakes up later, but not by months; one that never had the time may jump to it.
   */
  #wallMs(): number {
    const wall = this.#clock.wallMs();
    const monotonic = this.#clock.monotonicMs();
    const expected = this.#anchor.wallMs + monotonic - this.#anchor.monotonicMs;
    const backMs = this.policy.leewaySec * 1000;
    this.#suspect =
      this.#anchor.wallMs >= MADE_MS && (wall > expected + MAX_JUMP_MS || wall < expected - backMs);
    // Whole, as a wall clock's: it goes into records.
    if (this.#suspect) return Math.floor(expected);
    this.#anchor = { wallMs: wall, monotonicMs: monotonic };
    return wall;
  }

  /** Whether the machine's clock was set to a time that cannot be right, as of the last look. */
  get clockSuspect(): boolean {
    return this.#suspect;
  }

  /** Unix ms, not earlier than what a root has stated. */
  nowMs(): number {
    const wall = this.#wallMs();
    if (wall >= MADE_MS && this.policy.timeMs > wall + MAX_AHEAD_MS) return wall;
    return Math.max(wall, this.policy.timeMs, MADE_MS);
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
    if (cert === null) return no('malformed', 'not a certificate of this mesh');
    const byRoot = equalBytes(cert.issuerId, NO_ISSUER);
    const issuer = byRoot ? undefined : this.#admitters.get(toHex(cert.issuerId));
    if (!byRoot && issuer === undefined) return no('unknownIssuer', 'its issuer is unknown');
    const revoked = this.revocations.against(cert, issuer);
    if (revoked !== null) return no('revoked', revokedText(cert, revoked));
    const late = this.#timeProblem(cert) ?? (issuer === undefined ? null : this.#timeProblem(issuer));
    if (late !== null) return late;
    if (issuer !== undefined) {
      // An admitter never gives more than ordinary rights: only a root makes admitters.
      if (cert.caps & (CAP.admit | CAP.revoke))
        return no('rights', 'it claims rights that only a root gives');
      if (!cert.vnis.every((vni) => issuer.vnis.includes(vni)))
        return no('segment', 'it claims segments that its issuer does not hold');
    }
    if (!cert.vnis.every((vni) => this.segment(vni) !== undefined))
      return no('segment', 'it names a segment that policy does not');
    const key = verifiedKey(cert.record);
    if (this.#verified.has(key)) return { ok: true, cert };
    const signed =
      issuer === undefined ? this.#signedByRoot(cert.record) : recordSignedBy(cert.record, issuer.signPk);
    if (!signed) return no('signature', byRoot ? 'no root of this mesh signed it' : 'its signature is wrong');
    this.#verified.set(key, true);
    if (byRoot && cert.caps & CAP.admit) this.#admitters.set(toHex(cert.record.id).slice(0, 32), cert);
    return { ok: true, cert };
  }

  /** What ends a certificate of this mesh, whatever its times; null if nothing does or it is none. */
  revocationOf(bytes: Uint8Array, admitterBytes: Uint8Array | null): ReadRevocation | null {
    if (admitterBytes !== null && admitterBytes.length > 0) this.#learnAdmitter(admitterBytes);
    const cert = parseNodeCert(bytes, this.meshId);
    return cert === null ? null : this.revocations.against(cert, this.#admitters.get(toHex(cert.issuerId)));
  }

  /** Whether a certificate that verified gives the right to admit, which no root has ended since. */
  mayAdmit(cert: ReadNodeCert): boolean {
    return (cert.caps & CAP.admit) !== 0 && this.revocations.grantEnd(cert).length === 0;
  }

  /** Certificates with the right to admit that were ever seen and verified, good or not. */
  knownAdmitters(): readonly ReadNodeCert[] {
    return [...this.#admitters.values()];
  }

  /** The certificate with which an admitter signed this one, if it was ever seen; none for what a root signed. */
  issuerOf(cert: ReadNodeCert): ReadNodeCert | null {
    return this.#admitters.get(toHex(cert.issuerId)) ?? null;
  }

  /** Verifies a state against the certificate it names. Null for anything else. */
  verifyNodeState(bytes: Uint8Array, cert: ReadNodeCert): ReadNodeState | null {
    const state = parseNodeState(bytes, this.meshId);
    if (state === null || !equalBytes(state.nodeId, cert.nodeId)) return null;
    if (!equalBytes(state.certId, cert.record.id.subarray(0, 16))) return null;
    if (this.nowMs() - this.policy.leewaySec * 1000 >= state.validUntilMs) return null;
    const key = verifiedKey(state.record);
    if (this.#verified.has(key)) return state;
    if (!recordSignedBy(state.record, cert.signPk)) return null;
    this.#verified.set(key, true);
    return state;
  }

  #learnAdmitter(bytes: Uint8Array): void {
    const cert = parseNodeCert(bytes, this.meshId);
    if (cert === null || !(cert.caps & CAP.admit) || !equalBytes(cert.issuerId, NO_ISSUER)) return;
    const key = toHex(cert.record.id).slice(0, 32);
    if (this.#admitters.has(key)) return;
    if (this.#signedByRoot(cert.record)) this.#admitters.set(key, cert);
  }

  #timeProblem(cert: ReadNodeCert): CertVerdict | null {
    const now = this.nowMs();
    const leewayMs = this.policy.leewaySec * 1000;
    if (now + leewayMs < cert.notBeforeMs)
      return no('notYetValid', `certificate of ${cert.name} starts at ${utc(cert.notBeforeMs)}`);
    if (now - leewayMs >= cert.expiresMs)
      return no('expired', `certificate of ${cert.name} expired at ${utc(cert.expiresMs)}`);
    return null;
  }
}
