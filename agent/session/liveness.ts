/**
 * Whether the other side still answers: when to probe, when to keep alive, how long anything has been unanswered, and the
 * smoothed round trip (RFC 6298 §2, alpha 1/8), and how many probes are lost. Pure bookkeeping, called by peer-session.ts.
 */
import { CONFIRM_PROBE_MS, IDLE_PROBE_MS, KEEPALIVE_MS, PROBE_MS, URGENT_PROBE_MS } from './timers.ts';

const OUTSTANDING = 4;
/** Probes that the loss is a share of: one bit each. */
const LOSS_WINDOW = 32;
/** A probe without an answer for so long counts as lost. */
const LOST_AFTER_MS = 3000;

export class Liveness {
  #lastRxMs = Number.NEGATIVE_INFINITY;
  #lastTxMs = Number.NEGATIVE_INFINITY;
  /** When the newest frame of data was sent. */
  #lastFrameMs = Number.NEGATIVE_INFINITY;
  /** When the first of what is unanswered was sent. */
  #waitingSinceMs: number | null = null;
  #lastProbeMs = Number.NEGATIVE_INFINITY;
  #confirmGapMs = CONFIRM_PROBE_MS;
  /** bounded by OUTSTANDING. */
  readonly #probes: { readonly id: string; readonly sentAtMs: number; lost: boolean }[] = [];
  #smoothedMs: number | null = null;
  /** Newest probes by age, one bit each: 1 for one that was not answered. */
  #lostBits = 0;
  #settled = 0;

  get lastRxMs(): number {
    return this.#lastRxMs;
  }

  get smoothedMs(): number | null {
    return this.#smoothedMs;
  }

  /** Share of the newest probes that was not answered, 0 to 1; null before the first is settled. */
  get loss(): number | null {
    if (this.#settled === 0) return null;
    let lost = 0;
    for (let bits = this.#lostBits; bits !== 0; bits >>>= 1) lost += bits & 1;
    return lost / this.#settled;
  }

  #settle(lost: 0 | 1): void {
    this.#lostBits = ((this.#lostBits << 1) | lost) >>> 0;
    this.#settled = Math.min(LOSS_WINDOW, this.#settled + 1);
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

  /** A frame of data was sent. */
  frameSent(nowMs: number): void {
    this.#lastFrameMs = Math.max(this.#lastFrameMs, nowMs);
  }

  /** Begins the quick probes that make the other side use a new key. */
  keyChanged(): void {
    this.#confirmGapMs = CONFIRM_PROBE_MS;
    this.#lastProbeMs = Number.NEGATIVE_INFINITY;
  }

  /** @param confirmed the other side has used the current key */
  probeDue(nowMs: number, confirmed: boolean): boolean {
    const waiting = this.#waitingSinceMs !== null && nowMs - this.#waitingSinceMs >= URGENT_PROBE_MS;
    const calm = nowMs - this.#lastFrameMs < IDLE_PROBE_MS ? PROBE_MS : IDLE_PROBE_MS;
    const gap = !confirmed ? this.#confirmGapMs : waiting ? URGENT_PROBE_MS : calm;
    return nowMs - this.#lastProbeMs >= gap;
  }

  /** Somebody else doubts the peer: whether it may be asked now. */
  askDue(nowMs: number): boolean {
    return nowMs - this.#lastProbeMs >= URGENT_PROBE_MS;
  }

  probeSent(nowMs: number, id: string, confirmed: boolean): void {
    if (!confirmed && Number.isFinite(this.#lastProbeMs))
      this.#confirmGapMs = Math.min(this.#confirmGapMs * 2, URGENT_PROBE_MS);
    this.#lastProbeMs = nowMs;
    this.#probes.push({ id, sentAtMs: nowMs, lost: false });
    for (const [at, probe] of this.#probes.entries()) {
      const gone = at === 0 && this.#probes.length > OUTSTANDING;
      if (probe.lost || (!gone && nowMs - probe.sentAtMs < LOST_AFTER_MS)) continue;
      probe.lost = true;
      this.#settle(1);
    }
    if (this.#probes.length > OUTSTANDING) this.#probes.shift();
    this.sent(nowMs, true);
  }

  /** The smoothed round trip after the ack of a probe, or null for one that is not awaited. */
  acked(nowMs: number, id: string): number | null {
    const at = this.#probes.findIndex((probe) => probe.id === id);
    const probe = this.#probes[at];
    if (probe === undefined) return null;
    this.#probes.splice(at, 1);
    if (!probe.lost) this.#settle(0);
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
