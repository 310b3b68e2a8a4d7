/**
 * Whether the other side still answers: when to probe, when to keep alive, how long anything has been unanswered, and the
 * smoothed round trip (RFC 6298 §2, alpha 1/8). Pure bookkeeping, called by peer-session.ts.
 */
import { CONFIRM_PROBE_MS, KEEPALIVE_MS, PROBE_MS, URGENT_PROBE_MS } from './timers.ts';

const OUTSTANDING = 4;

export class Liveness {
  #lastRxMs = Number.NEGATIVE_INFINITY;
  #lastTxMs = Number.NEGATIVE_INFINITY;
  /** When the first of what is unanswered was sent. */
  #waitingSinceMs: number | null = null;
  #lastProbeMs = Number.NEGATIVE_INFINITY;
  #confirmGapMs = CONFIRM_PROBE_MS;
  /** bounded by OUTSTANDING. */
  readonly #probes: { readonly id: string; readonly sentAtMs: number }[] = [];
  #smoothedMs: number | null = null;

  get lastRxMs(): number {
    return this.#lastRxMs;
  }

  get smoothedMs(): number | null {
    return this.#smoothedMs;
  }

  /** Something authenticated came. */
  received(nowMs: number): void {
    this.#lastRxMs = Math.max(this.#lastRxMs, nowMs);
    if (this.#waitingSinceMs !== null && nowMs >= this.#waitingSinceMs) this.#waitingSinceMs = null;
  }

  /** Something was sent; `expectsAnswer` for data and probes. */
  sent(nowMs: number, expectsAnswer: boolean): void {
    this.#lastTxMs = Math.max(this.#lastTxMs, nowMs);
    if (expectsAnswer && this.#waitingSinceMs === null && nowMs > this.#lastRxMs)
      this.#waitingSinceMs = nowMs;
  }

  /** Begins the quick probes that make the other side use a new key. */
  keyChanged(): void {
    this.#confirmGapMs = CONFIRM_PROBE_MS;
    this.#lastProbeMs = Number.NEGATIVE_INFINITY;
  }

  /** @param confirmed the other side has used the current key */
  probeDue(nowMs: number, confirmed: boolean): boolean {
    const waiting = this.#waitingSinceMs !== null && nowMs - this.#waitingSinceMs >= URGENT_PROBE_MS;
    const gap = !confirmed ? this.#confirmGapMs : waiting ? URGENT_PROBE_MS : PROBE_MS;
    return nowMs - this.#lastProbeMs >= gap;
  }

  probeSent(nowMs: number, id: string, confirmed: boolean): void {
    if (!confirmed && Number.isFinite(this.#lastProbeMs))
      this.#confirmGapMs = Math.min(this.#confirmGapMs * 2, URGENT_PROBE_MS);
    this.#lastProbeMs = nowMs;
    this.#probes.push({ id, sentAtMs: nowMs });
    if (this.#probes.length > OUTSTANDING) this.#probes.shift();
    this.sent(nowMs, true);
  }

  /** The smoothed round trip after the ack of a probe, or null for one that is not awaited. */
  acked(nowMs: number, id: string): number | null {
    const at = this.#probes.findIndex((probe) => probe.id === id);
    const probe = this.#probes[at];
    if (probe === undefined) return null;
    this.#probes.splice(at, 1);
    const sample = nowMs - probe.sentAtMs;
    this.#smoothedMs =
      this.#smoothedMs === null ? sample : this.#smoothedMs + (sample - this.#smoothedMs) / 8;
    return this.#smoothedMs;
  }

  keepaliveDue(nowMs: number): boolean {
    return nowMs - this.#lastTxMs >= KEEPALIVE_MS;
  }

  unansweredMs(nowMs: number): number {
    return this.#waitingSinceMs === null ? 0 : nowMs - this.#waitingSinceMs;
  }
}
