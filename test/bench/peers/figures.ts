/**
 * What is measured of an overlay, medians over rounds, ratios to the yardstick of the same run, and the comparison with an
 * earlier run. Absolute figures of two machines, or of one at two times, are never compared: only ratios are.
 */

/** One round of one system; null: could not be measured. */
export interface Figures {
  readonly tcp1Gbps: number | null;
  readonly tcp4Gbps: number | null;
  /** CPU time of all agents of the overlay per byte that TCP x1 delivered. */
  readonly agentNsPerByte: number | null;
  /** The same of the whole machine, load programs included. */
  readonly totalNsPerByte: number | null;
  /** The highest offered rate of which at most 0.5 % is lost. */
  readonly noDrop64Kpps: number | null;
  readonly udp64Kpps: number | null;
  readonly noDrop1300Kpps: number | null;
  readonly udp1300Kpps: number | null;
  readonly rttUs: number | null;
  /** Of the larger agent. */
  readonly rssMb: number | null;
  /** CPU time that the hypervisor gave to others during the TCP run. */
  readonly stealPercent: number | null;
}
export type Column = keyof Figures;

export interface ColumnMeaning {
  readonly column: Column;
  readonly title: string;
  readonly digits: number;
  /** Whether more is better or less; null: not compared. */
  readonly better: 'more' | 'less' | null;
}

export const COLUMNS: readonly ColumnMeaning[] = [
  { column: 'tcp1Gbps', title: 'TCPx1 Gb/s', digits: 2, better: 'more' },
  { column: 'tcp4Gbps', title: 'TCPx4 Gb/s', digits: 2, better: 'more' },
  { column: 'agentNsPerByte', title: 'agent ns/B', digits: 2, better: null },
  { column: 'totalNsPerByte', title: 'total ns/B', digits: 2, better: 'less' },
  { column: 'noDrop64Kpps', title: '64B no-drop', digits: 1, better: 'more' },
  { column: 'udp64Kpps', title: '64B kpps', digits: 1, better: 'more' },
  { column: 'noDrop1300Kpps', title: '1300B no-dr', digits: 1, better: 'more' },
  { column: 'udp1300Kpps', title: '1300B kpps', digits: 1, better: 'more' },
  { column: 'rttUs', title: 'RTT us', digits: 0, better: 'less' },
  { column: 'rssMb', title: 'RSS MB', digits: 0, better: null },
  { column: 'stealPercent', title: 'steal %', digits: 1, better: null },
];

/** Middle of the values that are there; the mean of the two middle ones of an even number; null of none. */
export function median(values: readonly (number | null)[]): number | null {
  const sorted = values.filter((value) => value !== null).sort((x, y) => x - y);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) return null;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** Median of each column over the rounds. */
export function medians(rounds: readonly Figures[]): Figures {
  const entries = COLUMNS.map(({ column }) => [column, median(rounds.map((round) => round[column]))]);
  return Object.fromEntries(entries) as Figures;
}

/** One wire of one run. */
export interface WireResult {
  readonly wire: string;
  /** By system. */
  readonly rounds: Readonly<Record<string, readonly Figures[]>>;
  /** Systems that were asked for, and why they have no figures. */
  readonly missing: Readonly<Record<string, string>>;
}

export interface RunResult {
  readonly machine: Readonly<Record<string, string | number>>;
  readonly wires: readonly WireResult[];
}

/** Ratio of a system's median to the yardstick's, oriented so that more is better; null where either is missing or 0. */
export function ratioOf(
  result: WireResult,
  system: string,
  yardstick: string,
  meaning: ColumnMeaning,
): number | null {
  const own = medians(result.rounds[system] ?? [])[meaning.column];
  const base = medians(result.rounds[yardstick] ?? [])[meaning.column];
  if (own === null || base === null || own === 0 || base === 0) return null;
  return meaning.better === 'less' ? base / own : own / base;
}

/** The largest drop that is not a failure. */
export const ALLOWED_DROP = 0.1;

/**
 * One line for each ratio of `systems` that fell by more than 10 % against an earlier run, and for each that the earlier
 * run has and this one lacks. Empty: no worse.
 */
export function drops(
  now: RunResult,
  base: RunResult,
  systems: readonly string[],
  yardstick: string,
): string[] {
  const lines: string[] = [];
  for (const before of base.wires) {
    const after = now.wires.find(({ wire }) => wire === before.wire);
    if (after === undefined) continue;
    for (const system of systems) {
      for (const meaning of COLUMNS.filter(({ better }) => better !== null)) {
        const was = ratioOf(before, system, yardstick, meaning);
        if (was === null) continue;
        const is = ratioOf(after, system, yardstick, meaning);
        const where = `wire ${before.wire}, ${system}, ${meaning.title}`;
        if (is === null) lines.push(`${where}: was ${was.toFixed(3)} of ${yardstick}, is missing`);
        else if (is < was * (1 - ALLOWED_DROP))
          lines.push(`${where}: was ${was.toFixed(3)} of ${yardstick}, is ${is.toFixed(3)}`);
      }
    }
  }
  return lines;
}

/** True if some wire is in both runs: without that nothing has been compared. */
export const comparable = (now: RunResult, base: RunResult): boolean =>
  base.wires.some(({ wire }) => now.wires.some((other) => other.wire === wire));
