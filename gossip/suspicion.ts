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
/** Of these, of one voter class: more would not shorten the time, and shall not keep others out. */
const MAX_OF_CLASS = 4;

export class Suspicion {
  /** The first accusation, for the accused to hear. */
  readonly accusation: Uint8Array;
  readonly startedAtMs: number;
  /** When the doubted one was first and last asked by this host, before its time is over. */
  askedFirstMs: number | null = null;
  askedLastMs = -Infinity;
  /** Who doubts, and the voter class of each; bounded by MAX_ACCUSERS. */
  readonly #accusers = new Map<string, string | null>();

  constructor(accusation: Uint8Array, accuser: string, voterClass: string | null, nowMs: number) {
    this.accusation = accusation;
    this.startedAtMs = nowMs;
    this.#accusers.set(accuser, voterClass);
  }

  /** True if the accuser is new and may count. */
  confirm(accuser: string, voterClass: string | null): boolean {
    if (this.#accusers.has(accuser) || this.#accusers.size >= MAX_ACCUSERS) return false;
    let same = 0;
    if (voterClass !== null) for (const known of this.#accusers.values()) if (known === voterClass) same += 1;
    if (same >= MAX_OF_CLASS) return false;
    this.#accusers.set(accuser, voterClass);
    return true;
  }

  isAccusedBy(id: string): boolean {
    return this.#accusers.has(id);
  }

  /** One vote each, but one for all of a class together that `isMany` does not say is half of the mesh. */
  votes(isMany: (voterClass: string) => boolean): number {
    if (this.#accusers.size === 1) return 1;
    const few = new Set<string>(); // bounded by MAX_ACCUSERS
    let votes = 0;
    for (const voterClass of this.#accusers.values()) {
      if (voterClass === null || isMany(voterClass)) votes += 1;
      else few.add(voterClass);
    }
    return votes + few.size;
  }
}
