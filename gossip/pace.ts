/**
 * A timer that runs often while something is under way and seldom otherwise: an idle agent should hardly wake up. Seldom
 * means at multiples of `slowMs` of the clock, so that all timers of one process wake it together. Used by node.ts and by
 * the agent's composition root; whoever starts something calls `hurry`.
 */
import type { Clock } from './types.ts';

export interface PaceOptions {
  readonly fastMs: number;
  readonly slowMs: number;
  /** Says whether something is under way. */
  readonly run: () => boolean;
}

export class Pace {
  readonly #clock: Clock;
  readonly #o: PaceOptions;
  #cancel: (() => void) | null = null;
  #isFast = false;

  constructor(clock: Clock, options: PaceOptions) {
    this.#clock = clock;
    this.#o = options;
  }

  start(): void {
    this.#arm(true);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  /** Something began: the next run comes soon. Nothing happens before `start` and after `stop`. */
  hurry(): void {
    if (this.#cancel === null || this.#isFast) return;
    this.#cancel();
    this.#arm(true);
  }

  #arm(isFast: boolean): void {
    const { fastMs, slowMs } = this.#o;
    this.#isFast = isFast;
    const toMultiple = slowMs - (this.#clock.monotonicMs() % slowMs);
    const slow = toMultiple < fastMs ? toMultiple + slowMs : toMultiple;
    this.#cancel = this.#clock.after(isFast ? fastMs : slow, () => {
      const isBusy = this.#o.run();
      // `run` may have stopped it.
      if (this.#cancel !== null) this.#arm(isBusy);
    });
  }
}
