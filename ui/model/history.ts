/** The last minutes of throughput for the chart: three columns of equal length, oldest first. Pure. */
import type { Rate } from './rates.ts';

/** Ten minutes of a report each second. */
export const MAX_SAMPLES = 600;

export interface History {
  /** Unix seconds. */
  readonly at: readonly number[];
  /** Bits a second. */
  readonly tx: readonly number[];
  readonly rx: readonly number[];
}

export const NO_HISTORY: History = { at: [], tx: [], rx: [] };

/** With one more sample; the oldest goes when there are MAX_SAMPLES. */
export function withSample(history: History, atMs: number, rate: Rate): History {
  const more = (column: readonly number[], value: number): number[] => [...column, value].slice(-MAX_SAMPLES);
  return {
    at: more(history.at, atMs / 1000),
    tx: more(history.tx, rate.tx * 8),
    rx: more(history.rx, rate.rx * 8),
  };
}
