/** What a table shows: rows that hold a text, in order of a column, cut to what a browser draws at once. Pure. */

export type Cell = string | number | null;

export interface Order {
  readonly column: number;
  readonly down: boolean;
}

export interface Shown<T> {
  readonly rows: readonly T[];
  readonly matching: number;
}

/** Rows drawn at first, and with each `more`. */
export const ROW_STEP = 100;

/**
 * @param values what a row is ordered and searched by, column by column; numbers order as numbers, null comes last
 */
export function shownRows<T>(
  all: readonly T[],
  values: (row: T) => readonly Cell[],
  { find, order, limit }: { readonly find: string; readonly order: Order; readonly limit: number },
): Shown<T> {
  const wanted = find.trim().toLowerCase();
  const keyed = all
    .map((row) => ({ row, cells: values(row) }))
    .filter(
      ({ cells }) =>
        wanted === '' ||
        cells.some((cell) =>
          String(cell ?? '')
            .toLowerCase()
            .includes(wanted),
        ),
    );
  keyed.sort((a, b) => compare(a.cells[order.column] ?? null, b.cells[order.column] ?? null, order.down));
  return { rows: keyed.slice(0, limit).map(({ row }) => row), matching: keyed.length };
}

function compare(a: Cell, b: Cell, down: boolean): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  const up = typeof a === 'number' && typeof b === 'number' ? a - b : a < b ? -1 : Number(a > b);
  return down ? -up : up;
}
