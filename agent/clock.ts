/**
 * Where time and randomness enter the agent. Everything else receives a `Clock` or an `Rng`, so that a test or
 * the simulator can supply its own. `Date.now`, timers and random bytes are named nowhere else in agent/ and gossip/.
 */
import { randomFillSync } from 'node:crypto';

export interface Clock {
  /** Milliseconds of a clock that never goes back and means nothing outside this process. */
  monotonicMs(): number;
  /** Unix time in milliseconds, as the machine believes it. */
  wallMs(): number;
  /** Calls `run` every `intervalMs` until the returned function is called. */
  every(intervalMs: number, run: () => void): () => void;
  /** Calls `run` once after `delayMs` unless the returned function is called before. */
  after(delayMs: number, run: () => void): () => void;
}

export interface Rng {
  /** Fills `into` with random bytes and returns it. */
  fill(into: Uint8Array): Uint8Array;
  /** A float in [0, 1). For jitter and order, not for keys. */
  float(): number;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  every(intervalMs, run) {
    const timer = setInterval(run, intervalMs);
    return () => clearInterval(timer);
  },
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

const word = new Uint32Array(1);

export const systemRng: Rng = {
  fill: (into) => randomFillSync(into),
  float: () => (randomFillSync(word)[0] ?? 0) / 0x1_0000_0000,
};
