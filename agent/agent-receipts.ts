/**
 * Who was admitted by whom: an admitter tells the others of each admission at once, and of the latest when it meets one; every
 * host reads the certificates of members. What two admitters gave twice becomes an event. Part of the composition root.
 */
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { GossipNode } from '../gossip/index.ts';
import type { Clock } from './clock.ts';
import type { EventRing } from './control/event-ring.ts';
import type { AdmissionLog, AdmissionRow } from './identity/admission-log.ts';
import { parseNodeCert, type ReadNodeCert } from './identity/node-cert.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import type { ReceiptBook } from './identity/receipt-book.ts';
import {
  decodeReceipt,
  decodeReceiptAnswer,
  encodeReceipt,
  encodeReceiptAnswer,
} from './identity/receipt-message.ts';
import { announcedLength } from './identity/record.ts';
import { toHex } from './identity/sodium.ts';
import type { GossipTrust } from './peer/gossip-trust.ts';
import { TokenBucket } from './session/rate-limit.ts';

export interface ReceiptsParts {
  readonly identity: NodeIdentity;
  readonly book: ReceiptBook;
  readonly admissions: AdmissionLog;
  readonly gossip: GossipNode;
  readonly trust: GossipTrust;
  /** Node ids of members that may admit and whose session is up. */
  readonly admitters: () => readonly string[];
  readonly tell: (id: string, reply: boolean, body: Uint8Array) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRing;
}

const AGAIN_MS = 1000;
/** Between two looks for admitters that were not there before. */
const LOOK_MS = 5000;
/** Messages sent at a time. */
const MAX_BURST = 32;
/** Messages that wait for an answer. */
const MAX_UNANSWERED = 1024;
const TRIES = 10;
/** Of this host's latest admissions, told to an admitter that it meets. */
const MAX_RECENT = 256;
/** Answers remembered, so that who comes and goes is not told again. */
const MAX_ANSWERED = 8192;
/** From all members together: each costs two signatures to check. */
const RECEIPTS_PER_SECOND = 100;

interface Unanswered {
  readonly to: string;
  readonly certId: string;
  readonly body: Uint8Array;
  tries: number;
}

export class Receipts {
  readonly #p: ReceiptsParts;
  readonly #rate = new TokenBucket(RECEIPTS_PER_SECOND);
  /** Oldest first; bounded by MAX_UNANSWERED. */
  #unanswered: Unanswered[] = [];
  /** `node id, certificate id` of what was answered; bounded by MAX_ANSWERED. */
  readonly #answered = new LRUCache<string, true>({ max: MAX_ANSWERED });
  /** Admitters that were there at the last look; bounded by the members. */
  #met: ReadonlySet<string> = new Set();
  #cancel: (() => void)[] = []; // bounded: two timers

  constructor(parts: ReceiptsParts) {
    this.#p = parts;
  }

  start(): void {
    const { clock, gossip, admissions } = this.#p;
    for (const row of admissions.rows()) this.#hear(this.#read(row.cert), row.issuer);
    for (const { id } of gossip.swim.members()) this.member(id);
    this.#cancel = [clock.every(LOOK_MS, () => this.#look())];
  }

  stop(): void {
    for (const cancel of this.#cancel.splice(0)) cancel();
  }

  #read(bytes: Uint8Array): ReadNodeCert | null {
    return parseNodeCert(bytes, this.#p.identity.meshId);
  }

  /** A member came, or has another certificate. */
  member(id: string): void {
    const { gossip, trust } = this.#p;
    const credential = gossip.swim.member(id)?.record.credential;
    if (credential === undefined) return;
    this.#hear(trust.knownCert(credential), credential.subarray(announcedLength(credential)));
  }

  #hear(cert: ReadNodeCert | null, issuer: Uint8Array): void {
    if (cert === null) return;
    const { identity, book, log, events } = this.#p;
    const { overused } = book.hear(cert, issuer, identity.trust.mayAdmit(identity.cert));
    if (overused === null) return;
    const token = toHex(cert.tokenId);
    const text = `has use ${cert.slot} of token ${token} as ${overused.name} has: both stay, revoke what should not be`;
    log.warn({ name: cert.name, other: overused.name, token, slot: cert.slot }, 'a token was overused');
    events.add('overuse', cert.name, text);
  }

  // --- between admitters -----------------------------------------------------------------------------------------------

  /** This host has admitted somebody: the other admitters are told now. */
  admitted(row: AdmissionRow): void {
    this.#hear(this.#read(row.cert), row.issuer);
    for (const to of this.#p.admitters()) this.#enqueue(to, row);
    this.#send();
  }

  /** Tells whoever was not there before of the latest admissions; their tokens may be used there too. */
  #look(): void {
    const { identity, admitters, admissions, book } = this.#p;
    const admits = identity.trust.mayAdmit(identity.cert);
    if (admits) book.keepAll();
    const there = admits ? admitters() : [];
    const now = identity.trust.nowMs();
    const rows = admissions.rows().filter(({ tokenExpiresMs }) => tokenExpiresMs > now);
    for (const to of there)
      if (!this.#met.has(to)) for (const row of rows.slice(-MAX_RECENT)) this.#enqueue(to, row);
    this.#met = new Set(there);
    this.#send();
  }

  #enqueue(to: string, { cert, issuer }: AdmissionRow): void {
    const read = this.#read(cert);
    if (read === null || this.#unanswered.length >= MAX_UNANSWERED) return;
    const certId = toHex(read.record.id).slice(0, 32);
    const known = this.#unanswered.some((u) => u.to === to && u.certId === certId);
    if (known || this.#answered.has(`${to} ${certId}`)) return;
    this.#unanswered.push({ to, certId, body: encodeReceipt({ cert, issuer }), tries: 0 });
  }

  #send(): void {
    const { tell, clock } = this.#p;
    const now = this.#unanswered.slice(0, MAX_BURST);
    for (const message of now) {
      message.tries += 1;
      tell(message.to, false, message.body);
    }
    // Whoever does not answer is met again when its session comes back.
    const rest = now.filter(({ tries }) => tries < TRIES);
    this.#unanswered = [...this.#unanswered.slice(MAX_BURST), ...rest];
    if (this.#unanswered.length === 0 || this.#cancel.length > 1) return;
    const cancel = clock.after(AGAIN_MS, () => {
      this.#cancel = this.#cancel.slice(0, 1);
      this.#send();
    });
    this.#cancel.push(cancel);
  }

  /** A member's message inside its session. */
  message(from: string, isReply: boolean, body: Uint8Array): void {
    if (isReply) return this.#answer(from, body);
    const { identity, tell, clock } = this.#p;
    const receipt = decodeReceipt(body);
    if (receipt === null || !this.#rate.take(clock.monotonicMs())) return;
    const verdict = identity.trust.verifyNodeCert(receipt.cert, receipt.issuer);
    if (!verdict.ok) return;
    this.#hear(verdict.cert, receipt.issuer);
    tell(from, true, encodeReceiptAnswer(verdict.cert.record.id));
  }

  #answer(from: string, body: Uint8Array): void {
    const id = decodeReceiptAnswer(body);
    if (id === null) return;
    const certId = toHex(id);
    const before = this.#unanswered.length;
    this.#unanswered = this.#unanswered.filter((u) => u.to !== from || u.certId !== certId);
    if (this.#unanswered.length < before) this.#answered.set(`${from} ${certId}`, true);
  }
}
