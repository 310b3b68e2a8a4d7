/**
 * What passes between this host and one other: boots, sequence numbers and the replay window, who has whose certificate,
 * at which endpoint it was proved to be, and how often something may be sent. PROTOCOL.md, gossip datagrams: a repeated
 * sequence number is dropped; a datagram that does not echo our boot, or is of an older boot than known, is answered with
 * BOOT and not processed.
 */
import { sameAddress } from './address.ts';
import type { Address } from './types.ts';

const WINDOW = 1024;
/** Certificates that the peer is known to have; the oldest are forgotten and sent again. */
const MAX_ACKED = 2048;
/** Certificates to acknowledge with the next datagram. */
const MAX_PENDING_ACKS = 32;
/** What one peer may have of us in a second. */
const PER_SECOND = {
  bootAnswers: 5,
  digestAnswers: 2,
  served: 64,
  /** Datagrams of records that answer it: fewer than it takes from one address. */
  recordDatagrams: 128,
  doubtTold: 1,
  /** Answers that carry news; they do not count as having told it. */
  newsAnswers: 10,
  /** Signatures checked: records, then accusations. */
  verified: 512,
  accused: 64,
  /** New records of one owner that are taken; an honest one states itself at most once a second, and then leaves. */
  updates: 3,
  /** Lists of statements, each time that digests differ: once more for what could not be taken the first time. */
  compared: 2,
} as const;
type Budget = keyof typeof PER_SECOND;
/** To an endpoint from which nothing authenticated ever came: one attempt in this time. */
const STRANGER_INTERVAL_MS = 5000;
const INTRO_INTERVAL_MS = 1000;
/** The same two digests are talked about once in this time. */
const COMPARE_INTERVAL_MS = 10_000;

/** So many in a second, counted from the first. */
interface Spent {
  used: number;
  sinceMs: number;
}

export class Channel {
  /** Highest boot of the peer that was seen; 0 none. */
  theirBoot = 0;
  /** A box from the peer opened since this start. */
  opened = false;
  #nextSeq = 1;
  #highest = 0;
  /** Bit set of the WINDOW sequence numbers up to #highest; null while none was left out. A large mesh has many channels. */
  #seen: Uint32Array | null = null;
  /** Id prefixes; bounded by MAX_ACKED. */
  #acked: Set<string> | null = null;
  /** Id prefixes; bounded by MAX_PENDING_ACKS. */
  #pendingAcks: string[] | null = null;
  /** What was spent in this second; bounded by the kinds of budget. */
  #spent: Map<Budget, Spent> | null = null;
  /** Where the peer was proved to be: a box came from there, or it answered a ping that went there. */
  #proven: Address | null = null;
  #lastPing: { readonly probe: bigint; readonly to: Address } | null = null;
  #bootRaised = false;
  #judged: Address | null = null;
  #refused = false;
  #comparedPair = '';
  #comparedAtMs = -Infinity;
  #introAtMs = -Infinity;
  #attemptAtMs = -Infinity;

  /** To a peer that this host has met: both know the other's boot and endpoint. */
  static met(theirBoot: number, address: Address | null): Channel {
    const channel = new Channel();
    channel.theirBoot = theirBoot;
    channel.opened = true;
    channel.#proven = address;
    return channel;
  }

  #take(budget: Budget, nowMs: number): boolean {
    this.#spent ??= new Map();
    const spent = this.#spent.get(budget);
    if (spent === undefined || nowMs - spent.sinceMs >= 1000) {
      this.#spent.set(budget, { used: 1, sinceMs: nowMs });
      return true;
    }
    return spent.used++ < PER_SECOND[budget];
  }

  nextSeq(): number {
    return this.#nextSeq++;
  }

  /** A new boot of the peer: its sequence numbers begin again. */
  reboot(boot: number): void {
    this.theirBoot = boot;
    this.#highest = 0;
    this.#seen = null;
    this.#acked = null;
  }

  /** True for a sequence number that is new. */
  accept(seq: number): boolean {
    if (seq < 1) return false;
    if (this.#seen === null) {
      if (seq === this.#highest + 1) {
        this.#highest = seq;
        return true;
      }
      if (seq <= this.#highest) return false;
      this.#seen = new Uint32Array(WINDOW / 32).fill(0xffff_ffff);
    }
    if (seq > this.#highest) {
      for (let s = Math.max(this.#highest + 1, seq - WINDOW + 1); s <= seq; s++) this.#clear(s);
      this.#highest = seq;
    } else if (this.#highest - seq >= WINDOW || this.#has(seq)) {
      return false;
    }
    this.#seen[(seq % WINDOW) >>> 5]! |= 1 << (seq & 31);
    return true;
  }

  #has(seq: number): boolean {
    return (((this.#seen?.[(seq % WINDOW) >>> 5] ?? 0) >>> (seq & 31)) & 1) === 1;
  }

  #clear(seq: number): void {
    if (this.#seen !== null) this.#seen[(seq % WINDOW) >>> 5]! &= ~(1 << (seq & 31));
  }

  hasCredentialOf(prefix: string): boolean {
    return this.#acked?.has(prefix) === true;
  }

  credentialAcked(prefix: string): void {
    this.#acked ??= new Set();
    if (this.#acked.size >= MAX_ACKED)
      for (const oldest of this.#acked) {
        this.#acked.delete(oldest);
        break;
      }
    this.#acked.add(prefix);
  }

  acknowledgeLater(prefix: string): void {
    this.#pendingAcks ??= [];
    if (this.#pendingAcks.length < MAX_PENDING_ACKS && !this.#pendingAcks.includes(prefix))
      this.#pendingAcks.push(prefix);
  }

  /** Up to `most` of the prefixes to acknowledge. */
  takeAcks(most: number): readonly string[] {
    return this.#pendingAcks?.splice(0, Math.max(0, most)) ?? [];
  }

  mayAnswerBoot(nowMs: number): boolean {
    return this.#take('bootAnswers', nowMs);
  }

  /** A digest is answered with up to 16 datagrams. */
  mayAnswerDigest(nowMs: number): boolean {
    return this.#take('digestAnswers', nowMs);
  }

  /** Whether it is time to talk about two digests that differ. */
  mayCompare(nowMs: number, pair: string): boolean {
    if (pair === this.#comparedPair && nowMs - this.#comparedAtMs < COMPARE_INTERVAL_MS) return false;
    if (!this.#take('compared', nowMs)) return false;
    this.#comparedPair = pair;
    this.#comparedAtMs = nowMs;
    return true;
  }

  /** A summary or a request is answered with up to MAX_WANT records. */
  mayServe(nowMs: number): boolean {
    return this.#take('served', nowMs);
  }

  mayGetRecords(nowMs: number): boolean {
    return this.#take('recordDatagrams', nowMs);
  }

  mayTellDoubt(nowMs: number): boolean {
    return this.#take('doubtTold', nowMs);
  }

  mayTakeNews(nowMs: number): boolean {
    return this.#take('newsAnswers', nowMs);
  }

  mayVerify(nowMs: number): boolean {
    return this.#take('verified', nowMs);
  }

  mayAccuse(nowMs: number): boolean {
    return this.#take('accused', nowMs);
  }

  /** Asked of the channel to a record's owner. */
  mayUpdate(nowMs: number): boolean {
    return this.#take('updates', nowMs);
  }

  /** The peer may say once that our boot is behind: one that says so again makes us write and start over for nothing. */
  takeBootRaise(): boolean {
    const first = !this.#bootRaised;
    this.#bootRaised = true;
    return first;
  }

  /** A new box came from the endpoint that the peer states. */
  provenAt(address: Address): void {
    this.#proven = address;
  }

  pinged(probe: bigint, to: Address): void {
    this.#lastPing = { probe, to };
  }

  /** The peer answered a ping, from wherever: it is where the ping went. */
  answered(probe: bigint): void {
    if (this.#lastPing?.probe === probe) this.#proven = this.#lastPing.to;
  }

  isProvenAt(address: Address): boolean {
    return this.#proven !== null && sameAddress(this.#proven, address);
  }

  /** The verdict on an endpoint, asked once while it stays the same. */
  isRefused(address: Address, judge: (address: Address) => boolean): boolean {
    if (this.#judged !== address) {
      this.#judged = address;
      this.#refused = judge(address);
    }
    return this.#refused;
  }

  /** Whether an introduction should go before the next box; `again` for a peer that may have forgotten us. */
  takeIntro(nowMs: number, again: boolean): boolean {
    if ((this.opened && !again) || nowMs - this.#introAtMs < INTRO_INTERVAL_MS) return false;
    this.#introAtMs = nowMs;
    return true;
  }

  /** Whether anything may be sent there now; `excepted` for seeds of the token and the configuration. */
  maySend(nowMs: number, to: Address, excepted: boolean): boolean {
    if (excepted || this.isProvenAt(to)) return true;
    if (nowMs - this.#attemptAtMs < STRANGER_INTERVAL_MS) return false;
    this.#attemptAtMs = nowMs;
    return true;
  }
}
