/**
 * How often an address of the FDB moved lately, and when that is taken for two hosts that claim it at once: RFC 7432 §15.1,
 * with the defaults of FRR. All of it is in the FLAGS word of an entry, so it costs no memory and no look elsewhere:
 *
 *   31                    13 12                              2  1        0
 *  +------------------------+--------------------------------+--------+--------+
 *  | seconds, modulo 2^19   | moves since then; frozen: rival | frozen | static |
 *  +------------------------+--------------------------------+--------+--------+
 *
 * The seconds are those of the first move counted, or of the freeze. The rival is the port that was refused, plus 1; 0 is this
 * host. Pure, called by fdb.ts; nothing allocates.
 */

import type { FdbSettings } from './data-plane-types.ts';

/** Never aged, moved or evicted. */
export const FDB_STATIC = 1;
/** Claimed by two hosts at once: stays where it is until the freeze is over. */
export const FDB_FROZEN = 2;
const COUNT_SHIFT = 2;
const COUNT_MASK = 0x7ff;
const STAMP_SHIFT = 13;
const STAMP_MASK = 0x7ffff;

export interface DuplicateRule {
  /** The move that is not made any more. */
  readonly moves: number;
  /** Within this time of the first. */
  readonly windowSec: number;
  /** The address stays where it is for so long; 0: it may move as often as it likes. */
  readonly freezeSec: number;
}

export const duplicateRule = (settings: FdbSettings): DuplicateRule => ({
  moves: settings.duplicateMoves,
  windowSec: settings.duplicateWindowSec,
  freezeSec: settings.duplicateFreezeSec,
});

/** Addresses may move as often as they like. */
export const NO_FREEZE: DuplicateRule = { moves: 0, windowSec: 0, freezeSec: 0 };

const elapsedSec = (flags: number, nowSec: number): number => (nowSec - (flags >>> STAMP_SHIFT)) & STAMP_MASK;

const pack = (nowSec: number, count: number): number =>
  ((nowSec & STAMP_MASK) << STAMP_SHIFT) | (Math.min(count, COUNT_MASK) << COUNT_SHIFT);

/** Seconds that a freeze still lasts; 0 if there is none. */
export function frozenForSec(flags: number, nowSec: number, rule: DuplicateRule): number {
  if ((flags & FDB_FROZEN) === 0) return 0;
  return Math.max(0, rule.freezeSec - elapsedSec(flags, nowSec));
}

/** Moves counted in the window that is open now. */
export function movesOf(flags: number, nowSec: number, rule: DuplicateRule): number {
  if ((flags & FDB_FROZEN) !== 0 || elapsedSec(flags, nowSec) >= rule.windowSec) return 0;
  return (flags >>> COUNT_SHIFT) & COUNT_MASK;
}

/** FLAGS after `more` further moves. */
export function countMoves(flags: number, nowSec: number, more: number, rule: DuplicateRule): number {
  const count = movesOf(flags, nowSec, rule);
  if (count === 0) return pack(nowSec, more);
  return (flags & (STAMP_MASK << STAMP_SHIFT)) | (Math.min(count + more, COUNT_MASK) << COUNT_SHIFT);
}

/** Whether so many moves are one too many. */
export const isTooMany = (moves: number, rule: DuplicateRule): boolean =>
  rule.freezeSec > 0 && moves >= rule.moves;

/** FLAGS of a freeze that begins. @param rival port that is refused; -1: this host */
export const freeze = (nowSec: number, rival: number): number => pack(nowSec, rival + 1) | FDB_FROZEN;

/** Port that a frozen entry was refused to; -1: this host. */
export const rivalOf = (flags: number): number => ((flags >>> COUNT_SHIFT) & COUNT_MASK) - 1;
