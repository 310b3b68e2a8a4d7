/**
 * Token buckets in virtual time: one for all, and one per address in a bounded table. Called by responder.ts and resets.ts.
 */
import { ipToBytes } from '../endpoint.ts';
import { ADDRESS_BURST, ADDRESS_PER_SECOND, MAX_ADDRESSES } from './timers.ts';

export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #atMs = 0;

  constructor(perSecond: number, burst: number = perSecond) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
  }

  available(nowMs: number): number {
    this.#tokens = Math.min(
      this.#burst,
      this.#tokens + (Math.max(0, nowMs - this.#atMs) * this.#perSecond) / 1000,
    );
    this.#atMs = nowMs;
    return this.#tokens;
  }

  /** Takes `count` if that leaves at least `reserve`. */
  take(nowMs: number, count = 1, reserve = 0): boolean {
    if (this.available(nowMs) < count + reserve) return false;
    this.#tokens -= count;
    return true;
  }
}

/** An IPv4 address, or the /64 of an IPv6 one: what one customer of a network can choose freely counts once. */
function limitKey(ip: string): string {
  return ip.includes(':') ? Buffer.from(ipToBytes(ip).subarray(0, 8)).toString('hex') : ip;
}

/** 20 per second with a burst of 5 for each address; the address longest unheard of is forgotten first. */
export class AddressLimiter {
  /** By address; bounded by MAX_ADDRESSES. Insertion order is order of last use. */
  readonly #buckets = new Map<string, TokenBucket>();

  take(nowMs: number, ip: string): boolean {
    const key = limitKey(ip);
    const bucket = this.#buckets.get(key) ?? new TokenBucket(ADDRESS_PER_SECOND, ADDRESS_BURST);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > MAX_ADDRESSES) {
      const oldest = this.#buckets.keys().next().value;
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return bucket.take(nowMs);
  }

  get size(): number {
    return this.#buckets.size;
  }
}
