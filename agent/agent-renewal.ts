/**
 * Keeps this host's certificate good: from two thirds of its lifetime it asks the admitters that it has sessions with, one
 * after the other; on an admitter it answers such requests. A host that holds the root renews its own. What hangs on an
 * older root than the newest is renewed at once. Part of the composition root.
 */
import type { Logger } from 'pino';
import type { LateWrites } from './agent-late.ts';
import type { Clock, Rng } from './clock.ts';
import type { EventRing } from './control/event-ring.ts';
import { decodeAdmissionReply, encodeRefused } from './identity/admission-reply.ts';
import { sameBut } from './identity/grant.ts';
import type { ReadNodeCert } from './identity/node-cert.ts';
import { heldNewestRoot, installCertificate, type NodeIdentity } from './identity/node-identity.ts';
import {
  decodeRenewalReply,
  decodeRenewalRequest,
  encodeRenewalReply,
  encodeRenewalRequest,
  lifeMsOf,
  RENEWAL_ASK_BYTES,
  renew,
  renewalDueMs,
  signByRoot,
} from './identity/renewal.ts';
import { toHex } from './identity/sodium.ts';
import type { StateDir } from './identity/state-dir.ts';
import { TokenBucket } from './session/rate-limit.ts';

export interface RenewalParts {
  readonly identity: NodeIdentity;
  readonly state: StateDir;
  readonly late: LateWrites;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  readonly events: EventRing;
  /** Node ids of members that may admit and whose session is up. */
  readonly admitters: () => readonly string[];
  readonly tell: (id: string, reply: boolean, body: Uint8Array) => void;
  /** A new certificate is in force: others should hear of it. */
  readonly renewed: () => void;
}

/** Between two looks at the clock, which may be set; and between two tries. */
const LONGEST_WAIT_MS = 3_600_000;
const SHORTEST_WAIT_MS = 1000;
/** Tries in what is left of the lifetime. */
const TRIES = 20;
/** When a root is on its way out: the first try, and the longest wait after tries that failed. */
const HURRY_FIRST_MS = 500;
const HURRY_LONGEST_MS = 300_000;
/** From all members together: each costs signatures. */
const REQUESTS_PER_SECOND = 50;

export class Renewal {
  readonly #p: RenewalParts;
  readonly #rate = new TokenBucket(REQUESTS_PER_SECOND);
  #cancel: () => void = () => {};
  /** What was asked last, in hex, and of whom. */
  #asked: { readonly ask: string; readonly admitter: string } | null = null;
  #turn = 0;
  /** Whom to ask before those whose turn it is. */
  #promising: string | null = null;
  /** Of the next try while there is a hurry; 0 when there is none. */
  #hurryMs = 0;
  #problem: string | null = null;

  constructor(parts: RenewalParts) {
    this.#p = parts;
  }

  /** Why the certificate was not renewed in time, for people; null while all is well. */
  get problem(): string | null {
    return this.#problem;
  }

  start(): void {
    this.#look();
  }

  stop(): void {
    this.#cancel();
  }

  /** Another policy is in force: its roots may be others. */
  policyChanged(): void {
    this.#hurryMs = 0;
    this.#look();
  }

  /** An admitter came within reach or has another certificate: while there is a hurry, what it could not do before it may do now. */
  admitterChanged(id: string): void {
    if (this.#hurryMs <= HURRY_FIRST_MS) return;
    this.#promising = id;
    this.#hurryMs = 0;
    this.#look();
  }

  #look(): void {
    const { identity, clock } = this.#p;
    this.#cancel();
    if (this.#isOld) return this.#hurry();
    this.#hurryMs = 0;
    const now = identity.trust.nowMs();
    const dueMs = renewalDueMs(identity.cert);
    if (now >= dueMs) this.#try(now);
    const { expiresMs } = identity.cert;
    const untilMs = now < dueMs ? dueMs - now : (expiresMs - now) / TRIES;
    const waitMs = Math.min(LONGEST_WAIT_MS, Math.max(SHORTEST_WAIT_MS, untilMs));
    this.#cancel = clock.after(waitMs, () => this.#look());
  }

  /** All hosts begin at about the same time: each waits a random time, which doubles. */
  #hurry(): void {
    const { identity, clock, rng } = this.#p;
    const isFirst = this.#hurryMs === 0;
    this.#hurryMs = Math.min(HURRY_LONGEST_MS, Math.max(HURRY_FIRST_MS, this.#hurryMs * 2));
    this.#cancel = clock.after(this.#hurryMs * (0.5 + rng.float()), () => this.#look());
    // The host with the root need not ask, and the others ask for what it has then.
    if (!isFirst || heldNewestRoot(identity) !== null) this.#try(identity.trust.nowMs());
  }

  get #isOld(): boolean {
    const { trust, certBytes, admitterBytes } = this.#p.identity;
    return trust.hangsOnOlderRoot(certBytes, admitterBytes);
  }

  #try(now: number): void {
    const { identity, rng, admitters, tell } = this.#p;
    if (heldNewestRoot(identity) !== null) return this.#renewOwn();
    const ends = new Date(identity.cert.expiresMs).toISOString();
    if (identity.cert.expiresMs - now < lifeMsOf(identity.cert) / 6)
      this.#problem = `the certificate ends at ${ends} and no admitter has renewed it: see \`weft peers\` for the first host`;
    const reached = admitters();
    const promising = reached.find((id) => id === this.#promising);
    this.#promising = null;
    const admitter = promising ?? reached[this.#turn++ % Math.max(1, reached.length)];
    if (admitter === undefined) return;
    const ask = rng.fill(new Uint8Array(RENEWAL_ASK_BYTES));
    this.#asked = { ask: toHex(ask), admitter };
    const { certBytes, admitterBytes } = identity;
    const issuer = admitterBytes.length > 0 ? admitterBytes : certBytes;
    tell(admitter, false, encodeRenewalRequest({ ask, cert: certBytes, admitter: issuer }));
  }

  /** The root signed this host's certificate, and lies here. */
  #renewOwn(): void {
    const { identity } = this.#p;
    const { cert, trust } = identity;
    const root = heldNewestRoot(identity);
    if (root === null) return;
    this.#install(signByRoot(cert, trust, root, lifeMsOf(cert)), new Uint8Array(0));
  }

  /** A member's message inside its session. */
  message(from: string, isReply: boolean, body: Uint8Array): void {
    if (isReply) return this.#answered(from, body);
    const { identity, clock, tell } = this.#p;
    const request = decodeRenewalRequest(body);
    if (request === null || !this.#rate.take(clock.monotonicMs())) return;
    const { trust, cert: self, keys } = identity;
    const parts = { trust, self, signSecretKey: keys.sign.secretKey, root: heldNewestRoot(identity) };
    const reply = trust.mayAdmit(self)
      ? renew(parts, from, request)
      : encodeRefused('notAdmitter', `host ${self.name} admits nobody`);
    tell(from, true, encodeRenewalReply(request.ask, reply));
  }

  #answered(from: string, body: Uint8Array): void {
    const { log } = this.#p;
    const answer = decodeRenewalReply(body);
    const asked = this.#asked;
    if (answer === null || asked === null || asked.admitter !== from || toHex(answer.ask) !== asked.ask)
      return;
    this.#asked = null;
    const reply = decodeAdmissionReply(answer.reply);
    if (reply === null) return;
    if (!reply.admitted && this.#hurryMs > 0) return log.debug({ reason: reply.text }, 'not renewed yet');
    if (!reply.admitted) return log.warn({ reason: reply.text }, 'the certificate was not renewed');
    this.#install(reply.cert, reply.admitter);
  }

  /** Nothing is believed of an admitter but what verifies, for these keys and this name, and lasts longer. */
  #install(certBytes: Uint8Array, admitterBytes: Uint8Array): void {
    const { identity, log } = this.#p;
    const verdict = identity.trust.verifyNodeCert(certBytes, admitterBytes);
    const cert = verdict.ok ? verdict.cert : null;
    const held = identity.cert;
    // An older root may be in a thief's hands: what hangs on it is no way out.
    const isBetter = this.#isOld
      ? !identity.trust.hangsOnOlderRoot(certBytes, admitterBytes)
      : cert !== null && cert.expiresMs > held.expiresMs;
    if (cert === null || !isBetter || !sameBut(cert, held, 0))
      return log.warn(
        { reason: verdict.ok ? 'it changes more than times' : verdict.reason },
        'a renewed certificate was refused',
      );
    this.#putInForce(cert, certBytes, admitterBytes);
  }

  /** A certificate that a root on this host has signed for it, whatever it gives. */
  take(certBytes: Uint8Array): void {
    const verdict = this.#p.identity.trust.verifyNodeCert(certBytes, null);
    if (verdict.ok) this.#putInForce(verdict.cert, certBytes, new Uint8Array(0));
  }

  #putInForce(cert: ReadNodeCert, certBytes: Uint8Array, admitterBytes: Uint8Array): void {
    const { identity, state, late, log, events, renewed } = this.#p;
    try {
      installCertificate(identity, state, cert, certBytes, admitterBytes);
    } catch (error) {
      // The old one stays in force; the next look asks again.
      return late.failed(error);
    }
    this.#problem = null;
    const until = new Date(cert.expiresMs).toISOString();
    log.info({ until }, 'certificate renewed');
    events.add('renewal', cert.name, `the certificate is good until ${until}`);
    renewed();
    this.#look();
  }
}
