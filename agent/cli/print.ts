/**
 * What people read: aligned tables, human units, colour on terminals. Text from the network is stripped of control
 * characters here, so that a name can never drive the terminal.
 */

export type Colour = 'green' | 'yellow' | 'red' | 'dim' | 'bold';

const CODES: Readonly<Record<Colour, number>> = { green: 32, yellow: 33, red: 31, dim: 2, bold: 1 };

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
  /** Numbers are read from the right. */
  readonly right?: boolean;
  readonly colour?: (row: Row) => Colour | null;
}

/** Text without control characters. */
export function clean(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}

export function paint(text: string, colour: Colour | null, coloured: boolean): string {
  return coloured && colour !== null ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text;
}

/** Lines of an aligned table with its titles; `empty` instead when there are no rows. */
export function formatTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  options: { readonly coloured: boolean; readonly empty: string },
): string {
  if (rows.length === 0) return `${options.empty}\n`;
  const cells = rows.map((row) => columns.map((column) => clean(column.cell(row))));
  const widths = columns.map((column, i) =>
    Math.max(column.title.length, ...cells.map((line) => line[i]?.length ?? 0)),
  );
  const fit = (text: string, i: number): string =>
    columns[i]?.right === true ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0);
  const head = columns
    .map((column, i) => fit(column.title, i))
    .join('  ')
    .trimEnd();
  const body = rows.map((row, r) =>
    columns
      .map((column, i) => paint(fit(cells[r]?.[i] ?? '', i), column.colour?.(row) ?? null, options.coloured))
      .join('  ')
      .trimEnd(),
  );
  return `${[paint(head, 'bold', options.coloured), ...body].join('\n')}\n`;
}

/** `label  value` lines with the values in one column. */
export function formatFacts(facts: readonly (readonly [string, string])[], coloured: boolean): string {
  const width = Math.max(...facts.map(([label]) => label.length));
  const lines = facts.map(([label, value]) => `${paint(label.padEnd(width), 'dim', coloured)}  ${value}`);
  return `${lines.join('\n')}\n`;
}

/** `1.5 MiB`; below 1 KiB `512 B`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** The two largest units: `3d 4h`, `12m 5s`, `7s`. Under a second `0s`. */
export function formatAge(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const parts: [number, string][] = [
    [Math.floor(seconds / 86400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first === -1) return '0s';
  const shown = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return shown.map(([count, unit]) => `${count}${unit}`).join(' ');
}

/** `0.35 ms`, `12 ms`. */
export function formatRtt(ms: number): string {
  return `${ms < 10 ? ms.toFixed(2) : Math.round(ms)} ms`;
}

/** A dash for what is not known. */
export function orDash<T>(value: T | null, format: (value: T) => string = String): string {
  return value === null ? '-' : format(value);
}
