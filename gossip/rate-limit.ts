/**
 * Datagrams per second and source address, asked before anything is opened: 200 for addresses of members, 20 for others.
 * A token bucket for each; the table is bounded and forgets the address that was silent longest.
 */

const KNOWN_PER_SECOND = 200;
const UNKNOWN_PER_SECOND = 20;
const MAX_ADDRESSES = 4096;
/** All introductions together that were sealed under the mesh's psk, and any of one address. */
const INTRO_PER_SECOND = 200;
const INTRO_PER_ADDRESS = 5;

interface Bucket {
  tokens: number;
  atMs: number;
}

export class RateLimit {
  /** By address, least recently used first; bounded by MAX_ADDRESSES. */
  readonly #buckets = new Map<string, Bucket>();
  readonly #intros: Bucket = { tokens: INTRO_PER_SECOND, atMs: 0 };

  #take(bucket: Bucket, perSecond: number, nowMs: number): boolean {
    bucket.tokens = Math.min(perSecond, bucket.tokens + ((nowMs - bucket.atMs) * perSecond) / 1000);
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  #keyed(key: string, perSecond: number, nowMs: number): boolean {
    let bucket = this.#buckets.get(key);
    this.#buckets.delete(key);
    bucket ??= { tokens: perSecond, atMs: nowMs };
    for (const [oldest, { atMs }] of this.#buckets) {
      // A second of silence fills any bucket up: then it is as good as none.
      if (nowMs - atMs < 1000 && this.#buckets.size < MAX_ADDRESSES) break;
      this.#buckets.delete(oldest);
    }
    this.#buckets.set(key, bucket);
    return this.#take(bucket, perSecond, nowMs);
  }

  allow(ip: string, known: boolean, nowMs: number): boolean {
    return this.#keyed(ip, known ? KNOWN_PER_SECOND : UNKNOWN_PER_SECOND, nowMs);
  }

  /** Whether an introduction from this address may be opened. */
  allowIntro(ip: string, nowMs: number): boolean {
    return this.#keyed(`intro ${ip}`, INTRO_PER_ADDRESS, nowMs);
  }

  /** Whether the signatures of an introduction that opened may be checked. */
  allowVerified(nowMs: number): boolean {
    return this.#take(this.#intros, INTRO_PER_SECOND, nowMs);
  }
}
