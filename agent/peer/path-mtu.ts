/**
 * The path MTU towards one peer: datagram packetization layer path MTU discovery (RFC 8899), sans-IO, with the quicker
 * timers of PROTOCOL.md. agent-path.ts asks every tick which sizes to probe, sends them, and says what became of them.
 * Sizes are outer IP packets in bytes, headers included; times are Clock.monotonicMs. It trusts no ICMP.
 *
 *            begin                 a probe acknowledged: the size holds at once
 *   off ---------------> search -------------------------------------------------> settled
 *                          ^    no size between the largest that passed and the        |
 *                          |    least that did not                                     |
 *                          +--- 3 probes of the current size missed, though small  ----+
 *                          |    ones are answered: BASE at once                        |
 *                          +--- every 30 s: is one byte more possible? <---------------+
 *
 * Data leaves in runs: many datagrams in one message that the kernel, the NIC or, on virtual links, the far end cuts. A
 * middlebox on a virtual link may judge the whole run by its length. So the current size is asked as data goes, two probes in
 * one message; when that is missed, runs are off for the peer until a run of probes has come through again.
 *
 * A search asks several sizes at a time, so that it costs few round trips, and ends exact to the byte. A size counts as
 * too large only if something smaller came through meanwhile: a dead path says nothing about sizes.
 */

/** What every path must carry; below it the path counts as down. */
export const BASE_BYTES = 1200;
/** A probe that any path carries: it shows that only size is the trouble. */
export const FLOOR_BYTES = 128;
export const CONFIRM_MS = 200;
export const MAX_MISSES = 3;
export const RAISE_MS = 30_000;
/** Large packets within this time: they are going to the peer. Longer than a sender's pause after a loss. */
export const BIG_ACTIVE_MS = 3_000;
/** Sizes asked at a time: two rounds are enough between BASE and 1500 bytes, 18 x 18 sizes. */
export const FAN = 18;
/** A probe under way; an answer later than this no longer counts. */
const ANSWER_LIFE_MS = 3_000;
/** Probes under way; the oldest goes first. */
export const MAX_OUTSTANDING = 128;
/** Less than the tick of whoever calls, so that each tick may ask again. */
const MIN_GAP_MS = 45;
const MAX_GAP_MS = 1_000;
/** Tries of BASE without an answer, while FLOOR is answered, after which the path is too small. */
const SMALL_TRIES = 4;

interface Candidate {
  tries: number;
  /** Nothing at all was answered when it was last due. */
  silent: boolean;
  readonly firstMs: number;
  lastMs: number;
}

interface Outstanding {
  /** One, or those of a run, any of which will do. */
  readonly ids: readonly string[];
  /** A run while runs are off: its loss says nothing about the size. */
  readonly trial: boolean;
  readonly sizeBytes: number;
  readonly sentAtMs: number;
  missed: boolean;
}

/** What to send: one probe of this size, or a run of two. */
export interface ProbeWanted {
  readonly sizeBytes: number;
  readonly run: boolean;
}

export class PathMtu {
  readonly counters = { sent: 0, lost: 0 };
  #max = 0;
  /** The largest size that holds; null before the first answer. */
  #current: number | null = null;
  /** The least size that does not pass. */
  #high = 0;
  #state: 'off' | 'search' | 'settled' = 'off';
  /** By size; bounded by FAN + 3. */
  readonly #candidates = new Map<number, Candidate>();
  /** bounded by MAX_OUTSTANDING. */
  #outstanding: Outstanding[] = [];
  #fanned = false;
  #misses = 0;
  /** When the first of them was sent. */
  #missedSinceMs = 0;
  #confirmedMs = Number.NEGATIVE_INFINITY;
  #raiseAtMs = 0;
  /** When the latest of the answered probes was sent. */
  #heardMs = Number.NEGATIVE_INFINITY;
  #smoothedMs: number | null = null;
  #varianceMs = 0;
  #tooSmall = false;
  /** The first search, which found no size yet that does not pass. */
  #fresh = false;
  #runs = true;
  /** A run came through since runs were last switched. */
  #runsProven = false;
  #runTries = 0;
  #runTrialMs = Number.NEGATIVE_INFINITY;

  /** Whether data may leave in runs. */
  get runs(): boolean {
    return this.#runs;
  }

  /**
   * The largest outer IP packet known to pass, which data must keep to; null until it is known. A first search says nothing
   * until it has found a size that does not pass, by when its other answers are in: a sender that was told of BASE, or a TCP
   * connection clamped to it, would keep to that long after the search has found more.
   */
  get bytes(): number | null {
    return this.#fresh ? null : this.#current;
  }

  /** Small packets pass and BASE_BYTES do not. */
  get tooSmall(): boolean {
    return this.#tooSmall;
  }

  /** Something is measured at this moment, or waits for its answer. */
  get isBusy(): boolean {
    if (this.#state === 'off') return false;
    const isTried = this.#runs ? !this.#runsProven : this.#runTries < MAX_MISSES;
    return this.#state === 'search' || this.#misses > 0 || this.#outstanding.length > 0 || isTried;
  }

  get settled(): boolean {
    return this.#state === 'settled';
  }

  /** A session came up, or its endpoint moved: nothing is known. @param maxBytes MTU of the underlay interface */
  begin(nowMs: number, maxBytes: number): void {
    this.end();
    this.#max = maxBytes;
    this.#high = maxBytes + 1;
    this.#state = 'search';
    this.#fresh = true;
    if (maxBytes > BASE_BYTES) this.#want(nowMs, maxBytes);
    this.#want(nowMs, BASE_BYTES);
    if (maxBytes < BASE_BYTES) this.#tooSmall = true;
  }

  /** The session ended. */
  end(): void {
    this.#state = 'off';
    this.#current = null;
    this.#candidates.clear();
    this.#outstanding = [];
    this.#fanned = false;
    this.#misses = 0;
    this.#confirmedMs = Number.NEGATIVE_INFINITY;
    this.#heardMs = Number.NEGATIVE_INFINITY;
    this.#smoothedMs = null;
    this.#varianceMs = 0;
    this.#tooSmall = false;
    this.#fresh = false;
    this.#switchRuns(true);
  }

  #switchRuns(on: boolean): void {
    this.#runs = on;
    this.#runsProven = false;
    this.#runTries = 0;
    this.#runTrialMs = Number.NEGATIVE_INFINITY;
  }

  /** The MTU of the underlay interface, whenever it was read: larger is searched at once, smaller holds at once. */
  resize(nowMs: number, maxBytes: number): void {
    if (this.#state === 'off' || maxBytes === this.#max) return;
    const grew = maxBytes > this.#max;
    this.#max = maxBytes;
    if (maxBytes < BASE_BYTES) this.#tooSmall = true;
    this.#high = maxBytes + 1;
    this.#dropFrom(this.#high);
    if (this.#current !== null && this.#current > maxBytes) this.#fall(nowMs, maxBytes + 1);
    else if (grew) this.#search(nowMs);
  }

  /** The kernel would not send a probe of this size: it exceeds the interface. */
  refused(nowMs: number, sizeBytes: number): void {
    if (this.#state === 'off' || sizeBytes <= BASE_BYTES) return;
    this.#high = Math.min(this.#high, sizeBytes);
    this.#dropFrom(sizeBytes);
    if (this.#current !== null && this.#current >= sizeBytes) this.#fall(nowMs, sizeBytes);
  }

  /** The kernel refused a frame that should have fitted. */
  tooBig(nowMs: number): void {
    if (this.#state !== 'off' && this.#current !== null && this.#current > BASE_BYTES)
      this.#fall(nowMs, this.#high);
  }

  /** @returns what to probe now; `sent` or `refused` follows for each @param lastBigMs when a large packet last went to the peer */
  tick(nowMs: number, lastBigMs: number | null): ProbeWanted[] {
    if (this.#state === 'off') return [];
    this.#expire(nowMs);
    if (this.#misses >= MAX_MISSES) this.#missed(nowMs);
    const wanted: ProbeWanted[] = [];
    if (this.#state === 'settled' && nowMs >= this.#raiseAtMs) this.#raise(nowMs);
    if (this.#confirmDue(nowMs, lastBigMs)) {
      this.#confirmedMs = nowMs;
      wanted.push({ sizeBytes: this.#current ?? BASE_BYTES, run: this.#runs && this.#state === 'settled' });
      // Is it the size, or does nothing come through?
      if (this.#misses > 0) wanted.push({ sizeBytes: FLOOR_BYTES, run: false });
    }
    if (this.#runTrialDue(nowMs)) wanted.push({ sizeBytes: this.#current ?? BASE_BYTES, run: true });
    if (this.#state === 'search') this.#askCandidates(nowMs, wanted);
    return wanted;
  }

  /** The current size is asked often while it matters: large packets go, a search compares with it, or it was missed. */
  #confirmDue(nowMs: number, lastBigMs: number | null): boolean {
    const current = this.#current;
    if (current === null || this.#candidates.has(current)) return false;
    const active = lastBigMs !== null && nowMs - lastBigMs < BIG_ACTIVE_MS;
    const often = active || this.#state === 'search' || this.#misses > 0 || this.#unanswered(current);
    const unproven = this.#runs && !this.#runsProven;
    return nowMs - this.#confirmedMs >= (often || unproven ? CONFIRM_MS : RAISE_MS);
  }

  /** Three runs soon after they were switched off, then one every RAISE_MS. */
  #runTrialDue(nowMs: number): boolean {
    if (this.#runs || this.#state !== 'settled' || this.#current === null) return false;
    if (nowMs - this.#runTrialMs < (this.#runTries < MAX_MISSES ? CONFIRM_MS : RAISE_MS)) return false;
    this.#runTrialMs = nowMs;
    this.#runTries++;
    return true;
  }

  #unanswered(sizeBytes: number): boolean {
    return this.#outstanding.some((probe) => probe.sizeBytes === sizeBytes && !probe.trial);
  }

  /** The current size no longer comes through; perhaps nothing does. */
  #missed(nowMs: number): void {
    const current = this.#current ?? BASE_BYTES;
    if (current > BASE_BYTES) {
      // Asked once more in the search: loss alone must not cost a byte.
      if (this.#heardMs >= this.#missedSinceMs) return this.#fall(nowMs, current + 1);
      // Nothing at all was answered: a busy host, or a dead path. The next miss is judged anew.
      this.#misses = MAX_MISSES - 1;
      this.#missedSinceMs = nowMs;
      return;
    }
    this.#misses = 0;
    this.#switchRuns(false);
    this.#state = 'search';
    this.#want(nowMs, BASE_BYTES);
  }

  /** @param ids of the probe, or of those in a run */
  sent(nowMs: number, sizeBytes: number, ids: readonly string[]): void {
    this.counters.sent += ids.length;
    const trial = ids.length > 1 && !this.#runs;
    this.#outstanding.push({ ids, trial, sizeBytes, sentAtMs: nowMs, missed: false });
    if (this.#outstanding.length > MAX_OUTSTANDING) this.#outstanding.shift();
  }

  /** @returns false for an answer that is not awaited */
  acked(nowMs: number, id: string): boolean {
    const at = this.#outstanding.findIndex((probe) => probe.ids.includes(id));
    const probe = this.#outstanding[at];
    if (probe === undefined) return false;
    this.#outstanding.splice(at, 1);
    this.#measure(nowMs - probe.sentAtMs);
    this.#heardMs = Math.max(this.#heardMs, probe.sentAtMs);
    if (probe.ids.length > 1 && probe.trial === !this.#runs) {
      if (!this.#runs) this.#switchRuns(true);
      this.#runsProven = true;
    }
    this.#passed(nowMs, probe.sizeBytes);
    return true;
  }

  /** RFC 6298 §2. */
  #measure(sampleMs: number): void {
    if (this.#smoothedMs === null) {
      this.#smoothedMs = sampleMs;
      this.#varianceMs = sampleMs / 2;
      return;
    }
    this.#varianceMs += (Math.abs(this.#smoothedMs - sampleMs) - this.#varianceMs) / 4;
    this.#smoothedMs += (sampleMs - this.#smoothedMs) / 8;
  }

  /** After this long an answer is late. */
  #patienceMs(leastMs: number): number {
    const expected = this.#smoothedMs === null ? CONFIRM_MS : this.#smoothedMs + 4 * this.#varianceMs;
    return Math.min(MAX_GAP_MS, Math.max(leastMs, expected));
  }

  #passed(nowMs: number, sizeBytes: number): void {
    if (sizeBytes < BASE_BYTES) {
      const base = this.#candidates.get(BASE_BYTES);
      if (base !== undefined && base.tries >= SMALL_TRIES && this.#heardMs >= base.firstMs)
        this.#tooSmall = true;
      return;
    }
    // An answer from before the interface became smaller.
    if (sizeBytes > this.#max) return;
    this.#tooSmall = false;
    if (this.#current === null || sizeBytes >= this.#current) this.#misses = 0;
    if (this.#current === null || sizeBytes > this.#current) {
      this.#current = sizeBytes;
      this.#confirmedMs = nowMs;
    }
    if (this.#high <= sizeBytes) this.#high = this.#max + 1;
    for (const size of this.#candidates.keys()) if (size <= sizeBytes) this.#candidates.delete(size);
    if (this.#state === 'settled' && sizeBytes + 1 < this.#high && sizeBytes === this.#current)
      this.#search(nowMs);
    this.#next(nowMs);
  }

  /** Marks what is late, and counts misses of the current size. */
  #expire(nowMs: number): void {
    const patience = this.#patienceMs(CONFIRM_MS);
    for (const probe of this.#outstanding) {
      if (probe.missed || nowMs - probe.sentAtMs < patience) continue;
      probe.missed = true;
      this.counters.lost += probe.ids.length;
      if (probe.sizeBytes !== this.#current || probe.trial) continue;
      if (this.#misses++ === 0) this.#missedSinceMs = probe.sentAtMs;
    }
    this.#outstanding = this.#outstanding.filter((probe) => nowMs - probe.sentAtMs < ANSWER_LIFE_MS);
  }

  /** Down to BASE at once, then upward from there; `high` is known not to pass. */
  #fall(nowMs: number, high: number): void {
    this.#switchRuns(false);
    this.#fresh = false;
    this.#current = BASE_BYTES;
    this.#misses = 0;
    this.#high = Math.max(high, BASE_BYTES + 1);
    this.#candidates.clear();
    this.#state = 'search';
    this.#want(nowMs, BASE_BYTES);
    this.#spread(nowMs);
  }

  /** Asks whether a larger size passes by now; ends at once if one byte more does not. */
  #raise(nowMs: number): void {
    const low = this.#current ?? BASE_BYTES;
    this.#raiseAtMs = nowMs + RAISE_MS;
    if (low >= this.#max) return;
    this.#high = this.#max + 1;
    this.#state = 'search';
    this.#fanned = true;
    this.#want(nowMs, low + 1);
    this.#want(nowMs, this.#max);
    this.#confirmedMs = Number.NEGATIVE_INFINITY;
  }

  #search(nowMs: number): void {
    this.#state = 'search';
    this.#candidates.clear();
    if (this.#current === null) this.#want(nowMs, BASE_BYTES);
    this.#spread(nowMs);
  }

  #want(nowMs: number, sizeBytes: number): void {
    if (!this.#candidates.has(sizeBytes))
      this.#candidates.set(sizeBytes, {
        tries: 0,
        silent: false,
        firstMs: nowMs,
        lastMs: Number.NEGATIVE_INFINITY,
      });
  }

  /** Up to FAN sizes, evenly between what passes and what does not. */
  #spread(nowMs: number): void {
    const low = this.#current ?? BASE_BYTES;
    const gap = this.#high - low - 1;
    const count = Math.min(FAN, gap);
    this.#fanned = true;
    // What the answers are compared with.
    if (count > 0) this.#confirmedMs = Number.NEGATIVE_INFINITY;
    for (let i = 1; i <= count; i++) this.#want(nowMs, low + Math.ceil((gap * i) / count));
  }

  #dropFrom(sizeBytes: number): void {
    for (const size of this.#candidates.keys())
      if (size >= sizeBytes && size > BASE_BYTES) this.#candidates.delete(size);
  }

  /** Goes on with a narrower search, or ends it. */
  #next(nowMs: number): void {
    if (this.#state !== 'search' || this.#candidates.size > 0) return;
    this.#spread(nowMs);
    if (this.#candidates.size > 0) return;
    this.#state = 'settled';
    this.#fresh = false;
    this.#raiseAtMs = nowMs + RAISE_MS;
  }

  #askCandidates(nowMs: number, wanted: ProbeWanted[]): void {
    const gap = this.#patienceMs(MIN_GAP_MS);
    for (const [size, candidate] of [...this.#candidates]) {
      if (nowMs - candidate.lastMs < (candidate.tries > MAX_MISSES ? MAX_GAP_MS : gap)) continue;
      const heard = this.#heardMs >= candidate.firstMs;
      // Tries into silence do not count once the path answers.
      if (!heard) candidate.silent = true;
      else if (candidate.silent) {
        candidate.silent = false;
        candidate.tries = 0;
      }
      if (size > BASE_BYTES && heard && candidate.tries >= MAX_MISSES) {
        this.#high = Math.min(this.#high, size);
        this.#dropFrom(size);
        this.#fresh = false;
        continue;
      }
      // The first size of a search was not answered while another was: ask those between too.
      if (size > BASE_BYTES && heard && candidate.tries === 1 && !this.#fanned) this.#spread(nowMs);
      if (!this.#candidates.has(size)) continue;
      candidate.tries++;
      candidate.lastMs = nowMs;
      wanted.push({ sizeBytes: size, run: false });
      if (size === BASE_BYTES && candidate.tries >= SMALL_TRIES)
        wanted.push({ sizeBytes: FLOOR_BYTES, run: false });
    }
    this.#next(nowMs);
  }
}
