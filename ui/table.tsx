/** A table that can be searched and ordered by each column, and draws at most so many rows until more are asked for. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { type Cell, type Order, ROW_STEP, shownRows } from './model/rows.ts';

export interface Column<T> {
  readonly title: string;
  /** What it is ordered and searched by. */
  readonly value: (row: T) => Cell;
  /** What is shown; the value if it is not here. */
  readonly cell?: (row: T) => ComponentChildren;
  readonly number?: boolean;
}

interface Props<T> {
  readonly caption: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
  readonly order: Order;
  readonly classOf?: (row: T) => string;
  readonly empty: string;
  /** Set where the agent searches. */
  readonly onFind?: (find: string) => void;
  /** Rows there are beyond those given. */
  readonly beyond?: number;
}

export function Table<T>(props: Props<T>) {
  const { caption, columns, rows, keyOf, classOf, empty, onFind, beyond = 0 } = props;
  const [find, setFind] = useState('');
  const [order, setOrder] = useState(props.order);
  const [limit, setLimit] = useState(ROW_STEP);
  const values = (row: T): Cell[] => columns.map(({ value }) => value(row));
  const shown = shownRows(rows, values, { find: onFind === undefined ? find : '', order, limit });
  const search = (text: string): void => {
    setFind(text);
    setLimit(ROW_STEP);
    onFind?.(text);
  };
  return (
    <div class="table">
      <div class="tools">
        <label>
          Search{' '}
          <input
            type="search"
            class="find"
            maxLength={64}
            value={find}
            aria-label={`Search ${caption}`}
            onInput={(event) => search(event.currentTarget.value)}
          />
        </label>
        <span class="count" role="status">
          {shown.rows.length} of {shown.matching + beyond}
        </span>
      </div>
      <div class="scroll">
        <table>
          <caption>{caption}</caption>
          <thead>
            <tr>
              {columns.map(({ title, number }, i) => {
                const sorted = order.column === i ? (order.down ? 'descending' : 'ascending') : 'none';
                return (
                  <th key={title} scope="col" aria-sort={sorted} class={number ? 'number' : ''}>
                    <button
                      type="button"
                      onClick={() =>
                        setOrder({ column: i, down: order.column === i ? !order.down : number === true })
                      }
                    >
                      {title}
                    </button>
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody>
            {shown.rows.map((row) => (
              <tr key={keyOf(row)} class={classOf?.(row) ?? ''}>
                {columns.map(({ title, value, cell, number }) => (
                  <td key={title} class={number ? 'number' : ''}>
                    {cell === undefined ? (value(row) ?? '–') : cell(row)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
        {shown.rows.length === 0 && <p class="empty">{find === '' ? empty : 'Nothing matches.'}</p>}
      </div>
      {shown.matching > shown.rows.length && (
        <button type="button" class="more" onClick={() => setLimit(limit + ROW_STEP)}>
          Show {Math.min(ROW_STEP, shown.matching - shown.rows.length)} more
        </button>
      )}
      {beyond > 0 && <p class="empty">{beyond} more are not shown: search for a MAC or a host.</p>}
    </div>
  );
}
