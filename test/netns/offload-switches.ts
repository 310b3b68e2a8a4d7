/**
 * The configuration switches of the offloads and the sets of combinations that the matrix tests run through: all of them,
 * or a covering subset in which every two switches meet in all four settings.
 */
import { seeded } from './impairments.ts';

/** Keys below `offload` in the configuration. */
export const SWITCHES = ['tso', 'uso', 'gso', 'gro', 'join'] as const;
export type Combination = readonly boolean[];

/** Every combination of `switches` switches. */
export function allCombinations(switches: number): Combination[] {
  return Array.from({ length: 2 ** switches }, (_, bits) =>
    Array.from({ length: switches }, (__, i) => ((bits >> i) & 1) === 1),
  );
}

/**
 * All on, all off, and as many more as it takes until every two switches have met in all four settings. Greedy: of some
 * drawn rows the one that covers most that is new.
 */
export function pairwise(switches: number, seed = 1): Combination[] {
  const random = seeded(seed);
  const rows: Combination[] = [new Array(switches).fill(true), new Array(switches).fill(false)];
  const covered = new Set(rows.flatMap(pairsOf));
  const wanted = switches * (switches - 1) * 2;
  while (covered.size < wanted) {
    const draws = Array.from({ length: 60 }, () => Array.from({ length: switches }, () => random() < 0.5));
    const gain = (row: Combination): number => pairsOf(row).filter((pair) => !covered.has(pair)).length;
    const best = draws.reduce((a, b) => (gain(b) > gain(a) ? b : a));
    rows.push(best);
    for (const pair of pairsOf(best)) covered.add(pair);
  }
  return rows;
}

/** `i j settings` for every two switches of a row. */
export function pairsOf(row: Combination): string[] {
  return row.flatMap((a, i) => row.slice(i + 1).map((b, k) => `${i} ${i + 1 + k} ${a} ${b}`));
}

/** As YAML. Which library seals is no part of a combination, since both make the same bytes: `aes` says which. */
export function offloadConfig(settings: Combination, aes: 'on' | 'off'): string {
  const lines = SWITCHES.map((name, i) => `  ${name}: ${settings[i] ? 'on' : 'off'}`);
  lines.push(`  aes: ${aes}`);
  return `log:\n  level: info\noffload:\n${lines.join('\n')}\n`;
}

/** `tso gso` for what is on. */
export function nameOf(settings: Combination): string {
  return SWITCHES.filter((_, i) => settings[i]).join(' ') || 'none';
}
