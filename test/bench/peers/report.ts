/** The table of one wire, for people; the JSON file has the same and every round. */
import { COLUMNS, medians, ratioOf, type WireResult } from './figures.ts';
import type { System } from './systems.ts';

const NAME_WIDTH = 16;
const CRYPTO_WIDTH = 19;
const COLUMN_WIDTH = 12;

/** Medians, then ratios to the yardstick (more is better in all of them), then what could not be measured. */
export function tableOf(result: WireResult, systems: readonly System[], yardstick: string): string {
  const counts = Object.values(result.rounds).map((rounds) => rounds.length);
  const header = `${'system'.padEnd(NAME_WIDTH)}${'crypto'.padEnd(CRYPTO_WIDTH)}L`;
  const titles = COLUMNS.map(({ title }) => title.padStart(COLUMN_WIDTH)).join('');
  const measured = systems.filter(({ name }) => (result.rounds[name] ?? []).length > 0);
  const rows = measured.map(({ name, crypto, layer }) => {
    const values = medians(result.rounds[name] ?? []);
    const cells = COLUMNS.map(({ column, digits }) => cell(values[column], digits));
    return `${name.padEnd(NAME_WIDTH)}${crypto.padEnd(CRYPTO_WIDTH)}${layer}${cells.join('')}`;
  });
  const compared = COLUMNS.filter(({ better }) => better !== null);
  const ratios = measured
    .filter(({ name }) => name !== yardstick && (result.rounds[yardstick] ?? []).length > 0)
    .map(({ name }) => {
      const cells = COLUMNS.map((meaning) =>
        compared.includes(meaning)
          ? cell(ratioOf(result, name, yardstick, meaning), 2)
          : ''.padStart(COLUMN_WIDTH),
      );
      return `${name.padEnd(NAME_WIDTH)}${''.padEnd(CRYPTO_WIDTH)} ${cells.join('')}`;
    });
  return [
    `wire ${result.wire}, medians of ${Math.max(0, ...counts)}`,
    header + titles,
    ...rows,
    ...(ratios.length > 0 ? [`as a multiple of ${yardstick}, above 1 is better`, ...ratios] : []),
    ...Object.entries(result.missing).map(([name, why]) => `${name}: ${why}`),
  ].join('\n');
}

const cell = (value: number | null, digits: number): string =>
  (value === null ? '-' : value.toFixed(digits)).padStart(COLUMN_WIDTH);
