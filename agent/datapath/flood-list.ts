/**
 * Who gets a copy of a flooded frame: for each segment a list of slots in the shared tables, at most one entry for each peer.
 * The main thread writes it, transmit workers read it while it changes: an entry is in place before the length that counts it.
 */
import { MAX_SLOTS, S, SEGMENT_STRIDE, type SharedTables } from './shared-tables.ts';

/** Puts a slot on a segment's flood list, or takes it off by moving the last entry into its place. */
export function floodTo(tables: SharedTables, segment: number, slot: number, add: boolean): void {
  const { segments, members } = tables;
  const base = segment * MAX_SLOTS;
  const countAt = segment * SEGMENT_STRIDE + S.MEMBERS;
  const count = segments[countAt]!;
  const at = members.subarray(base, base + count).indexOf(slot);
  if (add && at < 0) {
    members[base + count] = slot;
    Atomics.store(segments, countAt, count + 1);
  } else if (!add && at >= 0) {
    members[base + at] = members[base + count - 1]!;
    Atomics.store(segments, countAt, count - 1);
  }
}
