/**
 * The forwarding database: (segment, MAC) to the port it was last seen at. Two of these exist: the local one, written by
 * the transmit worker (addresses behind this TAP), and the remote one, written by the receive workers (addresses behind
 * peers) and read by the transmit worker. Typed arrays over shared memory; nothing is allocated after the start.
 *
 * Fixed buckets of 8 entries, chosen by a hash of segment and MAC, so that a look-up reads two cache lines and a full
 * bucket is the only reason to evict. An entry:
 *
 *   SEQ | SEGMENT+1 (0: free) | MAC_HI | MAC_LO | PORT | GENERATION | SEEN (seconds) | FLAGS
 *
 * A 48-bit key in two words can tear, so SEQ is a seqlock: odd while a writer is inside, and a reader that saw it change
 * looks again. A writer claims SEQ by compare-exchange, which also keeps two receive workers apart. No thread deletes
 * another's entry: the main thread flushes a peer by raising its generation, which every hit compares.
 *
 * An address that moves too often is claimed by two hosts: it is frozen where it was (fdb-moves.ts). Where it was may be this
 * host, which the remote table then says by the port `here`.
 */
import {
  countMoves,
  type DuplicateRule,
  FDB_FROZEN,
  FDB_STATIC,
  freeze,
  frozenForSec,
  isTooMany,
  movesOf,
  NO_FREEZE,
  rivalOf,
} from './fdb-moves.ts';

export const ENTRY_STRIDE = 8;
const BUCKET_ENTRIES = 8;
const SEQ = 0;
const SEGMENT = 1;
const MAC_HI = 2;
const MAC_LO = 3;
const PORT = 4;
const GENERATION = 5;
const SEEN = 6;
const FLAGS = 7;
/** A reader gives up after so many torn reads and treats the address as unknown. */
const MAX_RETRIES = 16;
/** A writer that was put off the CPU inside an entry is waited for this long at a time, */
const PIN_WAIT_MS = 1;
/** and so often: a thread that died inside is given up. */
const MAX_PIN_TRIES = 2000;

/** What `learn` did. `froze` is the first refusal of a freeze, `frozen` each further one. */
export const LEARN = {
  known: 0,
  added: 1,
  moved: 2,
  evicted: 3,
  conflict: 4,
  full: 5,
  froze: 6,
  frozen: 7,
} as const;

export interface FdbMemory {
  readonly words: Int32Array;
  /** Entries by port, kept by the writers; for fair eviction and bounds. */
  readonly perPort: Int32Array;
}

/** Memory for `entries` addresses, rounded up to a power of two, at `ports` ports. */
export function createFdbMemory(entries: number, ports: number): FdbMemory {
  let buckets = 1;
  while (buckets * BUCKET_ENTRIES < entries) buckets *= 2;
  return {
    words: new Int32Array(new SharedArrayBuffer(buckets * BUCKET_ENTRIES * ENTRY_STRIDE * 4)),
    perPort: new Int32Array(new SharedArrayBuffer(ports * 4)),
  };
}

/** What an FDB holds now, in memory of its own: for asking what a frame would change. */
export function createFdbCopy({ words, perPort }: FdbMemory): FdbMemory {
  return { words: words.slice(), perPort: perPort.slice() };
}

export interface FdbOptions {
  readonly memory: FdbMemory;
  /** By port; an entry learned under an older generation is void. */
  readonly generations: Int32Array;
  readonly ageingSec: number;
  readonly perPortLimit: number;
  readonly duplicates: DuplicateRule;
  /** Addresses behind this host's own TAP, which may claim what is in this table; null: none can. */
  readonly local: Fdb | null;
  /** The port that stands for this host in an entry that is frozen here; -1 without `local`. */
  readonly here: number;
}

/** For a table of one port, whose addresses cannot move. */
export const ONE_PORT = { duplicates: NO_FREEZE, local: null, here: -1 } as const;

export class Fdb {
  readonly #words: Int32Array;
  readonly #perPort: Int32Array;
  readonly #generations: Int32Array;
  readonly #bucketMask: number;
  readonly #ageingSec: number;
  readonly #perPortLimit: number;
  readonly #rule: DuplicateRule;
  readonly #local: Fdb | null;
  readonly #here: number;
  /** Of the entry that the latest successful `lookup` found: FDB_STATIC, FDB_FROZEN, or 0. */
  foundFlags = 0;
  /** Seconds at which it was last seen. */
  foundSeen = 0;

  constructor(options: FdbOptions) {
    this.#words = options.memory.words;
    this.#perPort = options.memory.perPort;
    this.#generations = options.generations;
    this.#ageingSec = options.ageingSec;
    this.#perPortLimit = options.perPortLimit;
    this.#rule = options.duplicates;
    this.#local = options.local;
    this.#here = options.here;
    this.#bucketMask = this.#words.length / (ENTRY_STRIDE * BUCKET_ENTRIES) - 1;
  }

  #bucket(segment: number, hi: number, lo: number): number {
    let h = Math.imul(lo ^ Math.imul(hi + (segment << 16), 0x9e3779b1), 0x85ebca6b);
    h ^= h >>> 15;
    return (h & this.#bucketMask) * BUCKET_ENTRIES * ENTRY_STRIDE;
  }

  /** True if the entry at `at` neither aged out nor was flushed. */
  #isLive(at: number, nowSec: number): boolean {
    const w = this.#words;
    const marks = w[at + FLAGS]! & (FDB_STATIC | FDB_FROZEN);
    if ((marks & FDB_STATIC) !== 0) return true;
    const kept = marks !== 0 && this.#isFrozen(w[at + FLAGS]!, nowSec);
    const fresh = nowSec - w[at + SEEN]! < this.#ageingSec && w[at + PORT] !== this.#here;
    return (kept || fresh) && w[at + GENERATION] === this.#generations[w[at + PORT]!];
  }

  #isFrozen(flags: number, nowSec: number): boolean {
    return frozenForSec(flags, nowSec, this.#rule) > 0;
  }

  /** Port of an address, or -1. Hot path: any thread. */
  lookup(segment: number, hi: number, lo: number, nowSec: number): number {
    const w = this.#words;
    const start = this.#bucket(segment, hi, lo);
    for (let i = 0, at = start; i < BUCKET_ENTRIES; i++, at += ENTRY_STRIDE) {
      // Most entries are another address: only the one that looks right is worth the two fences of the seqlock.
      if (w[at + MAC_LO] !== lo || w[at + MAC_HI] !== hi || w[at + SEGMENT] !== segment + 1) continue;
      for (let tries = 0; tries < MAX_RETRIES; tries++) {
        const seq = Atomics.load(w, at + SEQ);
        const match = w[at + SEGMENT] === segment + 1 && w[at + MAC_HI] === hi && w[at + MAC_LO] === lo;
        const live = match && this.#isLive(at, nowSec);
        const port = w[at + PORT]!;
        const flags = w[at + FLAGS]!;
        const seen = w[at + SEEN]!;
        if ((seq & 1) !== 0 || Atomics.load(w, at + SEQ) !== seq) continue;
        if (!match) break;
        if (!live) return -1;
        this.foundFlags = this.#marksOf(flags, nowSec);
        this.foundSeen = seen;
        return port;
      }
    }
    return -1;
  }

  /** What of an entry's flags holds now. */
  #marksOf(flags: number, nowSec: number): number {
    const marks = flags & (FDB_STATIC | FDB_FROZEN);
    return marks === FDB_FROZEN && !this.#isFrozen(flags, nowSec) ? 0 : marks;
  }

  /** Claims an entry for writing; false when another writer is inside. */
  #claim(at: number): boolean {
    const seq = Atomics.load(this.#words, at + SEQ);
    return (seq & 1) === 0 && Atomics.compareExchange(this.#words, at + SEQ, seq, seq + 1) === seq;
  }

  #release(at: number): void {
    Atomics.add(this.#words, at + SEQ, 1);
  }

  #fill(
    at: number,
    segment: number,
    hi: number,
    lo: number,
    port: number,
    nowSec: number,
    flags: number,
  ): void {
    const w = this.#words;
    if (w[at + SEGMENT] !== 0) Atomics.sub(this.#perPort, w[at + PORT]!, 1);
    w[at + SEGMENT] = segment + 1;
    w[at + MAC_HI] = hi;
    w[at + MAC_LO] = lo;
    w[at + PORT] = port;
    w[at + GENERATION] = this.#generations[port]!;
    w[at + SEEN] = nowSec;
    w[at + FLAGS] = flags;
    Atomics.add(this.#perPort, port, 1);
  }

  /** Offset of the entry of an address in its bucket, or -1. */
  #find(start: number, segment: number, hi: number, lo: number): number {
    const w = this.#words;
    for (let i = 0, at = start; i < BUCKET_ENTRIES; i++, at += ENTRY_STRIDE)
      if (w[at + SEGMENT] === segment + 1 && w[at + MAC_HI] === hi && w[at + MAC_LO] === lo) return at;
    return -1;
  }

  /**
   * Offset to put a new address at: a free or void entry; else, in a full bucket, the oldest entry of the port that
   * holds most (the rule of Open vSwitch: one port that floods loses its own addresses). -1 if only static ones are there.
   */
  #room(start: number, nowSec: number): number {
    const w = this.#words;
    let victim = -1;
    for (let i = 0, at = start; i < BUCKET_ENTRIES; i++, at += ENTRY_STRIDE) {
      if (w[at + SEGMENT] === 0 || !this.#isLive(at, nowSec)) return at;
      if ((w[at + FLAGS]! & FDB_STATIC) !== 0) continue;
      if (victim < 0) victim = at;
      const share = this.#perPort[w[at + PORT]!]! - this.#perPort[w[victim + PORT]!]!;
      if (share > 0 || (share === 0 && w[at + SEEN]! < w[victim + SEEN]!)) victim = at;
    }
    return victim;
  }

  /**
   * Notes that `port` is where an address was seen. Returns a LEARN code: `conflict` for an address that is static at
   * another port and `froze` or `frozen` for one that two hosts claim (nothing changes), `full` when the port has all it may
   * have or another writer is inside. Hot path.
   */
  learn(segment: number, hi: number, lo: number, port: number, nowSec: number): number {
    const w = this.#words;
    const start = this.#bucket(segment, hi, lo);
    const known = this.#find(start, segment, hi, lo);
    if (known >= 0) {
      if ((w[known + FLAGS]! & FDB_STATIC) !== 0)
        return w[known + PORT] === port ? LEARN.known : LEARN.conflict;
      const live = this.#isLive(known, nowSec);
      const same = w[known + PORT] === port && live;
      if (same && w[known + SEEN] === nowSec) return LEARN.known;
      return this.#renew(known, segment, hi, lo, port, nowSec, live);
    }
    if (this.#perPort[port]! >= this.#perPortLimit) return LEARN.full;
    const at = this.#room(start, nowSec);
    if (at < 0) return LEARN.full;
    const evicts = w[at + SEGMENT] !== 0 && this.#isLive(at, nowSec);
    if (!this.#claim(at)) return LEARN.full;
    const pinned = (w[at + FLAGS]! & FDB_STATIC) !== 0; // by another writer, meanwhile
    if (!pinned) this.#fill(at, segment, hi, lo, port, nowSec, this.#firstMark(segment, hi, lo, nowSec));
    this.#release(at);
    if (pinned) return LEARN.full;
    return evicts ? LEARN.evicted : LEARN.added;
  }

  /** An address that has an entry was seen: elsewhere, again after a time, or for the first time in a new second. */
  #renew(
    at: number,
    segment: number,
    hi: number,
    lo: number,
    port: number,
    nowSec: number,
    live: boolean,
  ): number {
    const w = this.#words;
    const flags = w[at + FLAGS]!;
    const place = w[at + PORT]!;
    const same = live && place === port;
    const frozen = live && this.#isFrozen(flags, nowSec);
    if (frozen && !same) return LEARN.frozen;
    if (!this.#claim(at)) return LEARN.full;
    // Asked again inside: another writer may have put another address here, pinned or frozen this one.
    const ours =
      w[at + SEGMENT] === segment + 1 &&
      w[at + MAC_HI] === hi &&
      w[at + MAC_LO] === lo &&
      w[at + PORT] === place &&
      w[at + FLAGS] === flags;
    let code: number = LEARN.full;
    if (ours && frozen) {
      w[at + SEEN] = nowSec;
      code = LEARN.known;
    } else if (ours && same) code = this.#seenAgain(at, segment, hi, lo, port, nowSec);
    else if (ours && live) code = this.#move(at, segment, hi, lo, port, nowSec);
    else if (ours) {
      this.#fill(at, segment, hi, lo, port, nowSec, this.#firstMark(segment, hi, lo, nowSec));
      code = LEARN.added;
    }
    this.#release(at);
    return code;
  }

  /** Another peer claims an address; the claim that is one too many is refused. */
  #move(at: number, segment: number, hi: number, lo: number, port: number, nowSec: number): number {
    const w = this.#words;
    const flags = countMoves(w[at + FLAGS]!, nowSec, 1, this.#rule);
    if (isTooMany(movesOf(flags, nowSec, this.#rule), this.#rule)) {
      w[at + FLAGS] = freeze(nowSec, port);
      return LEARN.froze;
    }
    this.#fill(at, segment, hi, lo, port, nowSec, flags);
    return LEARN.moved;
  }

  /** The peer that has an address shows it again. If this host's own TAP showed it meanwhile, it went there and came back. */
  #seenAgain(at: number, segment: number, hi: number, lo: number, port: number, nowSec: number): number {
    const w = this.#words;
    // A freeze that is over: its seconds would read as new ones some day.
    if ((w[at + FLAGS]! & FDB_FROZEN) !== 0) w[at + FLAGS] = 0;
    if (this.#seenHere(segment, hi, lo, nowSec) <= w[at + SEEN]!) {
      w[at + SEEN] = nowSec;
      return LEARN.known;
    }
    const flags = countMoves(w[at + FLAGS]!, nowSec, 2, this.#rule);
    const moves = movesOf(flags, nowSec, this.#rule);
    w[at + SEEN] = nowSec;
    w[at + FLAGS] = flags;
    if (!isTooMany(moves, this.#rule)) return LEARN.known;
    // An odd number: this host had it first, and the peer's first claim was one move.
    if ((moves & 1) !== 0) this.#fill(at, segment, hi, lo, this.#here, nowSec, freeze(nowSec, port));
    else w[at + FLAGS] = freeze(nowSec, -1);
    return LEARN.froze;
  }

  /** FLAGS of an address that is new here: if this host has it, that is its first move. */
  #firstMark(segment: number, hi: number, lo: number, nowSec: number): number {
    return this.#seenHere(segment, hi, lo, nowSec) < 0 ? 0 : countMoves(0, nowSec, 1, this.#rule);
  }

  /** When an address was last seen behind this host's own TAP; -1: it is not there. */
  #seenHere(segment: number, hi: number, lo: number, nowSec: number): number {
    const local = this.#local;
    return local !== null && local.lookup(segment, hi, lo, nowSec) >= 0 ? local.foundSeen : -1;
  }

  /**
   * Pins an address to a port. False when its bucket has only static entries. Waits for another writer, so it is no part of
   * the hot path.
   */
  pin(segment: number, hi: number, lo: number, port: number, nowSec: number): boolean {
    const w = this.#words;
    const start = this.#bucket(segment, hi, lo);
    for (let tries = 0; tries < MAX_PIN_TRIES; tries++) {
      const known = this.#find(start, segment, hi, lo);
      const at = known >= 0 ? known : this.#room(start, nowSec);
      if (at < 0) return false;
      if (!this.#claim(at)) {
        Atomics.wait(w, at + SEQ, Atomics.load(w, at + SEQ) | 1, PIN_WAIT_MS);
        continue;
      }
      // Asked again inside: another writer may have put this address elsewhere, or pinned another one here.
      const now = this.#find(start, segment, hi, lo);
      const ours = now === at || (now < 0 && (w[at + FLAGS]! & FDB_STATIC) === 0);
      if (ours) this.#fill(at, segment, hi, lo, port, nowSec, FDB_STATIC);
      this.#release(at);
      if (ours) return true;
    }
    return false;
  }

  #isVoid(at: number, nowSec: number, isPresent: (port: number) => boolean): boolean {
    const w = this.#words;
    if (w[at + SEGMENT] === 0) return false;
    const pinned = (w[at + FLAGS]! & FDB_STATIC) !== 0;
    return !(pinned ? isPresent(w[at + PORT]!) : this.#isLive(at, nowSec));
  }

  /** Frees entries that aged out or were flushed, and a removed port's static ones. For the writer's idle moments. */
  sweep(nowSec: number, isPresent: (port: number) => boolean): void {
    const w = this.#words;
    for (let at = 0; at < w.length; at += ENTRY_STRIDE) {
      if (!this.#isVoid(at, nowSec, isPresent) || !this.#claim(at)) continue;
      // Asked again inside: another writer may have freed or filled the entry meanwhile.
      if (this.#isVoid(at, nowSec, isPresent)) {
        Atomics.sub(this.#perPort, w[at + PORT]!, 1);
        w[at + SEGMENT] = 0;
        w[at + FLAGS] = 0;
      }
      this.#release(at);
    }
  }

  /** Every live entry, for display. Any thread; an entry that is being written is left out. */
  list(nowSec: number): FdbEntry[] {
    const w = this.#words;
    const entries: FdbEntry[] = [];
    for (let at = 0; at < w.length; at += ENTRY_STRIDE) {
      const seq = Atomics.load(w, at + SEQ);
      if (w[at + SEGMENT] === 0 || !this.#isLive(at, nowSec)) continue;
      const entry: FdbEntry = {
        segment: w[at + SEGMENT]! - 1,
        macHi: w[at + MAC_HI]!,
        macLo: w[at + MAC_LO]!,
        port: w[at + PORT]!,
        ageSec: nowSec - w[at + SEEN]!,
        isStatic: (w[at + FLAGS]! & FDB_STATIC) !== 0,
        frozenForSec: frozenForSec(w[at + FLAGS]!, nowSec, this.#rule),
        rival: rivalOf(w[at + FLAGS]!),
      };
      if ((seq & 1) === 0 && Atomics.load(w, at + SEQ) === seq) entries.push(entry);
    }
    return entries;
  }
}

export interface FdbEntry {
  /** Position of the segment. */
  readonly segment: number;
  readonly macHi: number;
  readonly macLo: number;
  readonly port: number;
  readonly ageSec: number;
  readonly isStatic: boolean;
  /** Two hosts claim it: it stays here for so long; 0 for any other. */
  readonly frozenForSec: number;
  /** Port that was refused when it froze; -1: this host. Of a frozen entry only. */
  readonly rival: number;
}
