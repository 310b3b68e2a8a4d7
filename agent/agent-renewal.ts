/**
 * Keeps this host's certificate good: from two thirds of its lifetime it asks the admitters that it has sessions with, one
 * after the other; on an admitter it answers such requests. A host that holds the root renews its own. Part of the
 * composition root.
 */
import type { Logger } from 'pino';
import type { Clock, Rng } from './clock.ts';
import type { EventRing } from './control/event-ring.ts';
import { decodeAdmissionReply, encodeRefused } from './identity/admission-reply.ts';
import { BACKDATE_MS } from './identity/genesis.ts';
import { sameBut } from './identity/grant.ts';
import { signNodeCert } from './identity/node-cert.ts';
import { installCertificate, type NodeIdentity } from './identity/node-identity.ts';
import {
  decodeRenewalReply,
  decodeRenewalRequest,
  encodeRenewalReply,
  encodeRenewalRequest,
  lifeMsOf,
  RENEWAL_ASK_BYTES,
  renew,
  renewalDueMs,
} from './identity/renewal.ts';
import { toHex } from './identity/sodium.ts';
import type { StateDir } from './identity/state-dir.ts';
import { TokenBucket } from './session/rate-limit.ts';

export interface RenewalParts {
  readonly identity: NodeIdentity;
  readonly state: StateDir;
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
/** From all members together: each costs signatures. */
const REQUESTS_PER_SECOND = 50;

export class Renewal {
  readonly #p: RenewalParts;
  readonly #rate = new TokenBucket(REQUESTS_PER_SECOND);
  #cancel: () => void = () => {};
  /** What was asked last, in hex, and of whom. */
  #asked: { readonly ask: string; readonly admitter: string } | null = null;
  #turn = 0;
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

  #look(): void {
    const { identity, clock } = this.#p;
    const now = identity.trust.nowMs();
    const dueMs = renewalDueMs(identity.cert);
    if (now >= dueMs) this.#try(now);
    const { expiresMs } = identity.cert;
    const untilMs = now < dueMs ? dueMs - now : (expiresMs - now) / TRIES;
    const waitMs = Math.min(LONGEST_WAIT_MS, Math.max(SHORTEST_WAIT_MS, untilMs));
    this.#cancel();
    this.#cancel = clock.after(waitMs, () => this.#look());
  }

  #try(now: number): void {
    const { identity, rng, admitters, tell } = this.#p;
    if (identity.root !== null) return this.#renewOwn();
    const ends = new Date(identity.cert.expiresMs).toISOString();
    if (identity.cert.expiresMs - now < lifeMsOf(identity.cert) / 6)
      this.#problem = `the certificate ends at ${ends} and no admitter has renewed it: see \`weft peers\` for the first host`;
    const reached = admitters();
    const admitter = reached[this.#turn++ % Math.max(1, reached.length)];
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
    const { cert, root, trust } = identity;
    if (root === null) return;
    const now = trust.nowMs();
    const times = { notBeforeMs: now - BACKDATE_MS, expiresMs: now + lifeMsOf(cert) };
    const next = { ...cert, ...times, generation: cert.generation + 1 };
    this.#install(signNodeCert(next, identity.meshId, root.secretKey), new Uint8Array(0));
  }

  /** A member's message inside its session. */
  message(from: string, isReply: boolean, body: Uint8Array): void {
    if (isReply) return this.#answered(from, body);
    const { identity, clock, tell } = this.#p;
    const request = decodeRenewalRequest(body);
    if (request === null || !this.#rate.take(clock.monotonicMs())) return;
    const { trust, cert: self, keys, root } = identity;
    const parts = { trust, self, signSecretKey: keys.sign.secretKey, rootSecretKey: root?.secretKey ?? null };
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
    if (!reply.admitted) return log.warn({ reason: reply.text }, 'the certificate was not renewed');
    this.#install(reply.cert, reply.admitter);
  }

  /** Nothing is believed of an admitter but what verifies, for these keys and this name, and lasts longer. */
  #install(certBytes: Uint8Array, admitterBytes: Uint8Array): void {
    const { identity, state, log, events, renewed } = this.#p;
    const verdict = identity.trust.verifyNodeCert(certBytes, admitterBytes);
    const cert = verdict.ok ? verdict.cert : null;
    const held = identity.cert;
    if (cert === null || cert.expiresMs <= held.expiresMs || !sameBut(cert, held, 0))
      return log.warn(
        { reason: verdict.ok ? 'it changes more than times' : verdict.reason },
        'a renewed certificate was refused',
      );
    installCertificate(identity, state, cert, certBytes, admitterBytes);
    this.#problem = null;
    const until = new Date(cert.expiresMs).toISOString();
    log.info({ until }, 'certificate renewed');
    events.add('renewal', cert.name, `the certificate is good until ${until}`);
    renewed();
  }
}
