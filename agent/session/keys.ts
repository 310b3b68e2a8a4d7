/**
 * From the two keys of a handshake to the key of each lane, and the shape of receiver indexes:
 *
 *   u32 index = 28 random bits << 4 | lane          K_lane = H(K_direction, "weft1 lane" || u8 suite || u8 lane)
 *
 * Lanes 0 to 14 belong to transmit workers, lane 15 to control. Called by session-key.ts, indexes.ts, resets.ts.
 */
import { keyedHash, settled, utf8 } from '../identity/sodium.ts';
import { CONTROL_LANE } from './control.ts';
import type { Suite } from './types.ts';

export const LANES = 16;
export const KEY_BYTES = 32;
const LABEL = utf8('weft1 lane');

export function laneKey(direction: Uint8Array, suite: Suite, lane: number): Uint8Array {
  return settled(keyedHash(direction, [LABEL, Uint8Array.of(suite, lane)]));
}

/** All 16 lane keys, one after the other. */
export function allLaneKeys(direction: Uint8Array, suite: Suite): Uint8Array {
  const keys = new Uint8Array(LANES * KEY_BYTES);
  for (let lane = 0; lane < LANES; lane++) {
    const key = laneKey(direction, suite, lane);
    keys.set(key, lane * KEY_BYTES);
    key.fill(0);
  }
  return keys;
}

/** The index without its lane. */
export const baseIndex = (index: number): number => (index & ~(LANES - 1)) >>> 0;

export const laneIndex = (base: number, lane: number): number => (base | lane) >>> 0;

export const controlIndex = (base: number): number => laneIndex(base, CONTROL_LANE);
