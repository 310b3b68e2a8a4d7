/**
 * How long a doubted member has to speak up: Lifeguard's dynamic suspicion (arXiv 1707.00788), in the formulas of
 * memberlist. Pure functions and one record per doubted member.
 */

/** Shortest and longest suspicion in ms; memberlist util.go suspicionTimeout. */
export function suspicionBounds(
  mult: number,
  maxMult: number,
  members: number,
  probeIntervalMs: number,
): { readonly minMs: number; readonly maxMs: number } {
  const minMs = mult * Math.max(1, Math.log10(Math.max(1, members))) * probeIntervalMs;
  return { minMs, maxMs: minMs * maxMult };
}

/** Confirmations that shorten a suspicion to its minimum; none where nobody else could confirm. */
export function expectedConfirmations(mult: number, members: number): number {
  const k = mult - 2;
  return members - 2 < k ? 0 : k;
}

/**
 * Milliseconds that a suspicion lasts with `confirmations` of `expected` accusers beside the first:
 * max - log(c + 1) / log(k + 1) * (max - min), never below min; memberlist suspicion.go remainingSuspicionTime.
 */
export function suspicionMs(expected: number, confirmations: number, minMs: number, maxMs: number): number {
  if (expected < 1) return minMs;
  const fraction = Math.log(confirmations + 1) / Math.log(expected + 1);
  return Math.max(minMs, maxMs - fraction * (maxMs - minMs));
}

/** Accusers remembered for one suspicion. */
const MAX_ACCUSERS = 16;

export class Suspicion {
  /** The first accusation, for the accused to hear. */
  readonly accusation: Uint8Array;
  readonly startedAtMs: number;
  /** Who doubts; bounded by MAX_ACCUSERS. */
  readonly #accusers = new Set<string>();

  constructor(accusation: Uint8Array, accuser: string, nowMs: number) {
    this.accusation = accusation;
    this.startedAtMs = nowMs;
    this.#accusers.add(accuser);
  }

  /** True if the accuser is new: one vote each. */
  confirm(accuser: string): boolean {
    if (this.#accusers.has(accuser) || this.#accusers.size >= MAX_ACCUSERS) return false;
    this.#accusers.add(accuser);
    return true;
  }

  get confirmations(): number {
    return this.#accusers.size - 1;
  }
}
