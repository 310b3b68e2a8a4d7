/**
 * The keys of one peer and when each may be used:
 *
 *   arriving   made as initiator, being installed in the workers; becomes current when it is
 *   next       made as responder; becomes current when a packet opens under it
 *   current    what this host sends with
 *   previous   receives until its rejectAfterMs, because the other side may still be sending with it
 *   retired    displaced from next or previous; receives a little longer, for packets under way
 *
 * Called by peer-session.ts. A key is destroyed exactly when it leaves the ring.
 */
import type { SessionKey } from './session-key.ts';
import { RETIRE_MS, RETIRED_KEYS, UNCONFIRMED_MS } from './timers.ts';

export class KeyRing {
  arriving: SessionKey | null = null;
  next: SessionKey | null = null;
  current: SessionKey | null = null;
  previous: SessionKey | null = null;
  /** bounded by RETIRED_KEYS. */
  readonly #retired: { readonly key: SessionKey; readonly untilMs: number }[] = [];
  #rejectAfterMs: number;

  constructor(rejectAfterMs: number) {
    this.#rejectAfterMs = rejectAfterMs;
  }

  /** Never shorter than it was: a key that is in use must live until the next one is. */
  extend(rejectAfterMs: number): void {
    this.#rejectAfterMs = Math.max(this.#rejectAfterMs, rejectAfterMs);
  }

  #retire(nowMs: number, key: SessionKey | null): void {
    if (key === null) return;
    key.stopSending();
    this.#retired.push({ key, untilMs: Math.min(nowMs + RETIRE_MS, key.createdAtMs + this.#rejectAfterMs) });
    if (this.#retired.length > RETIRED_KEYS) this.#retired.shift()?.key.destroy();
  }

  /** A key made as responder. */
  offer(nowMs: number, key: SessionKey): void {
    this.#retire(nowMs, this.next);
    this.next = key;
  }

  /** A key made as initiator. */
  arrive(nowMs: number, key: SessionKey): void {
    this.#retire(nowMs, this.arriving);
    this.arriving = key;
  }

  /** Sends with `key` from now on. */
  promote(nowMs: number, key: SessionKey): void {
    if (this.arriving === key) this.arriving = null;
    if (this.next === key) this.next = null;
    if (this.current !== null) {
      this.#retire(nowMs, this.previous);
      this.current.stopSending();
      this.previous = this.current;
    }
    this.current = key;
  }

  /** Destroys what has lived its time. True when that was the current key. */
  expire(nowMs: number): boolean {
    const over = (key: SessionKey | null, lifeMs: number): key is SessionKey =>
      key !== null && nowMs - key.createdAtMs >= lifeMs;
    if (over(this.arriving, UNCONFIRMED_MS)) {
      this.arriving.destroy();
      this.arriving = null;
    }
    if (over(this.next, UNCONFIRMED_MS)) {
      this.next.destroy();
      this.next = null;
    }
    if (over(this.previous, this.#rejectAfterMs)) {
      this.previous.destroy();
      this.previous = null;
    }
    while (this.#retired[0] !== undefined && nowMs >= this.#retired[0].untilMs)
      this.#retired.shift()?.key.destroy();
    if (!over(this.current, this.#rejectAfterMs)) return false;
    this.current.destroy();
    this.current = null;
    return true;
  }

  destroy(): void {
    for (const key of [this.arriving, this.next, this.current, this.previous]) key?.destroy();
    for (const { key } of this.#retired.splice(0)) key.destroy();
    this.arriving = null;
    this.next = null;
    this.current = null;
    this.previous = null;
  }
}
