/**
 * What a bad network does to packets, decided by a seeded generator: loss one by one and in bursts (Gilbert-Elliott),
 * delay, jitter, holding back (which reorders), duplicates and damage. Pure: time comes in, decisions go out. Used by
 * impairment-relay.ts.
 */

/** Probabilities are per packet, 0 to 1. All default to 0. */
export interface Impairment {
  readonly seed: number;
  readonly delayMs?: number;
  /** Each packet is late by up to this much more, so that packets overtake each other. */
  readonly jitterMs?: number;
  /** This part of the packets is held back by `reorderMs`. */
  readonly reorder?: number;
  readonly reorderMs?: number;
  readonly loss?: number;
  /** Per packet: chance that a burst of losses begins, and that it ends. */
  readonly burst?: { readonly enter: number; readonly leave: number };
  readonly duplicate?: number;
  /** One bit is flipped. */
  readonly corrupt?: number;
}

export type Fate = 'pass' | 'lost' | 'burst-lost';

export interface Decision {
  readonly fate: Fate;
  readonly delayMs: number;
  /** A second copy leaves after this time; null: none. */
  readonly copyAfterMs: number | null;
  /** Which bit of the packet to flip, as a part of its length; null: none. */
  readonly flip: number | null;
}

/** Numbers from 0 up to 1 that depend on the seed alone (mulberry32 by Tommy Ettinger, public domain). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How much later than the first a second copy leaves, at most. */
const COPY_AFTER_MS = 20;

export class Impairments {
  readonly #settings: Impairment;
  readonly #random: () => number;
  #inBurst = false;

  constructor(settings: Impairment) {
    this.#settings = settings;
    this.#random = seeded(settings.seed);
  }

  /** @param mayTouch whether this packet may be copied or damaged; it may always be lost or late */
  decide(mayTouch: boolean): Decision {
    const { loss = 0, burst, delayMs = 0, jitterMs = 0, reorder = 0, reorderMs = 5 } = this.#settings;
    const { duplicate = 0, corrupt = 0 } = this.#settings;
    // Each draw is made for every packet, so that one setting never shifts the decisions of another.
    const draws = Array.from({ length: 8 }, () => this.#random());
    const [burstDraw = 1, lossDraw = 1, jitter = 0, hold = 1, copy = 1, copyAfter = 0, bend = 1, flip = 0] =
      draws;
    if (burst !== undefined) this.#inBurst = burstDraw < (this.#inBurst ? 1 - burst.leave : burst.enter);
    const fate = this.#inBurst ? 'burst-lost' : lossDraw < loss ? 'lost' : 'pass';
    const bent = mayTouch && bend < corrupt;
    return {
      fate,
      delayMs: delayMs + jitter * jitterMs + (hold < reorder ? reorderMs : 0),
      copyAfterMs: mayTouch && !bent && copy < duplicate ? copyAfter * COPY_AFTER_MS : null,
      flip: bent ? flip : null,
    };
  }
}
