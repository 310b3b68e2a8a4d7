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

/** Timers of this length and more wait for the next multiple of GRID_MS, */
const COARSE_MS = 200;
/** so that an idle process wakes up once for all that are due about then. */
const GRID_MS = 20;
/** What is due at one time. */
interface Due {
  readonly runs: Set<() => void>;
  readonly timer: NodeJS.Timeout;
}

/** By the time when; bounded by the timers of a process. */
const dueAt = new Map<number, Due>();

/** Not before `atMs`, and at most GRID_MS later. */
function atGrid(atMs: number, run: () => void): () => void {
  const key = Math.ceil(atMs / GRID_MS) * GRID_MS;
  let due = dueAt.get(key);
  if (due === undefined) {
    due = { runs: new Set(), timer: setTimeout(() => ring(key), Math.ceil(key - performance.now())) };
    dueAt.set(key, due);
  }
  const mine = due;
  // A function of its own for each timer: one may be waiting twice.
  const once = (): void => run();
  mine.runs.add(once);
  return () => {
    // The last one takes the timer along: a cancelled wait must not keep a process alive.
    if (!mine.runs.delete(once) || mine.runs.size > 0) return;
    clearTimeout(mine.timer);
    if (dueAt.get(key) === mine) dueAt.delete(key);
  };
}

function ring(key: number): void {
  const due = dueAt.get(key);
  dueAt.delete(key);
  for (const run of due?.runs ?? []) {
    due?.runs.delete(run);
    run();
  }
}

/** At the multiples of `intervalMs`: what has one interval comes together. The first comes after half of it at least. */
function everyMultiple(intervalMs: number, run: () => void): () => void {
  let cancel = (): void => {};
  const arm = (fromMs: number): void => {
    cancel = atGrid((Math.floor(fromMs / intervalMs) + 1) * intervalMs, () => {
      arm(performance.now());
      run();
    });
  };
  arm(performance.now() + intervalMs / 2);
  return () => cancel();
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  every(intervalMs, run) {
    if (intervalMs >= COARSE_MS) return everyMultiple(intervalMs, run);
    const timer = setInterval(run, intervalMs);
    return () => clearInterval(timer);
  },
  after(delayMs, run) {
    if (delayMs >= COARSE_MS) return atGrid(performance.now() + delayMs, run);
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

const word = new Uint32Array(1);

export const systemRng: Rng = {
  fill: (into) => randomFillSync(into),
  float: () => (randomFillSync(word)[0] ?? 0) / 0x1_0000_0000,
};
