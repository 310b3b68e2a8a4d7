/**
 * What the workers counted of one peer, read together. Each worker writes its own row of `peerCounters`, without locks:
 *
 *   row      0            1           2            3
 *         transmit 0   receive 0   transmit 1   receive 1   ...      (commands.ts)
 *   in it    slot 0 | slot 1 | ...                                   PEER_COUNTER_STRIDE doubles each (shared-tables.ts)
 *
 * The main thread asks for every peer twice a second, so nothing here makes an array.
 */
import { receiveRow, transmitRow } from './commands.ts';
import type { Direction, PeerCounters } from './data-plane-types.ts';
import { MAX_SLOTS, P, PEER_COUNTER_STRIDE, type SharedTables } from './shared-tables.ts';

/** Where a peer's counter stands in `peerCounters`. */
function cell(direction: Direction, pair: number, slot: number, field: number): number {
  const row = direction === 'transmit' ? transmitRow(pair) : receiveRow(pair);
  return (row * MAX_SLOTS + slot) * PEER_COUNTER_STRIDE + field;
}

/** The latest of the workers' times in that field, by their clock; 0 never. */
export function newestMs(
  tables: SharedTables,
  direction: Direction,
  pairs: number,
  slot: number,
  field: number,
): number {
  let newest = 0;
  for (let pair = 0; pair < pairs; pair++)
    newest = Math.max(newest, tables.peerCounters[cell(direction, pair, slot, field)]!);
  return newest;
}

function sum(tables: SharedTables, direction: Direction, pairs: number, slot: number, field: number): number {
  let total = 0;
  for (let pair = 0; pair < pairs; pair++) total += tables.peerCounters[cell(direction, pair, slot, field)]!;
  return total;
}

/** All of one peer. `nextCounter` is of the lane that is furthest. */
export function readPeerCounters(tables: SharedTables, pairs: number, slot: number): PeerCounters {
  let nextCounter = 0;
  for (let pair = 0; pair < pairs; pair++)
    nextCounter = Math.max(nextCounter, tables.nextCounter[pair * MAX_SLOTS + slot]!);
  return {
    txFrames: sum(tables, 'transmit', pairs, slot, P.FRAMES),
    txBytes: sum(tables, 'transmit', pairs, slot, P.BYTES),
    lastTxMs: newestMs(tables, 'transmit', pairs, slot, P.LAST_MS),
    rxFrames: sum(tables, 'receive', pairs, slot, P.FRAMES),
    rxBytes: sum(tables, 'receive', pairs, slot, P.BYTES),
    lastRxMs: newestMs(tables, 'receive', pairs, slot, P.LAST_MS),
    nextCounter,
  };
}
