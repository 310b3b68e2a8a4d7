/**
 * The counters and secrets that must be on disk before they are used: incarnation, reset secret, and the replay guard of
 * handshakes. Part of the composition root.
 */
import type { Rng } from './clock.ts';
import { type Counters, readCounters, writeCounters } from './identity/node-identity.ts';
import { STATE_FILE, type StateDir } from './identity/state-dir.ts';
import type { ReplayEntry } from './session/replay-guard.ts';

const RESET_SECRET_BYTES = 32;

/** This start's incarnation: the last one + 1, synced before it is used. Gossip raises the boot number itself. */
export function nextCounters(state: StateDir): Counters {
  const last = readCounters(state);
  const next = { ...last, incarnation: last.incarnation + 1 };
  writeCounters(state, next);
  return next;
}

/** Makes this start's reset secret and returns it with the one before; peers recognise a reset by the earlier one. */
export function rotateResetSecret(
  state: StateDir,
  rng: Rng,
): { readonly current: Uint8Array; readonly previous: Uint8Array | null } {
  const previous = state.has(STATE_FILE.resetKey)
    ? state.read(STATE_FILE.resetKey, RESET_SECRET_BYTES)
    : null;
  const current = rng.fill(new Uint8Array(RESET_SECRET_BYTES));
  state.write(STATE_FILE.resetKey, current);
  return { current, previous };
}

/** Highest handshake counters seen of each member; an unreadable file only costs protection against very old replays. */
export function loadReplays(state: StateDir): readonly ReplayEntry[] {
  if (!state.has(STATE_FILE.replays)) return [];
  try {
    const value: unknown = JSON.parse(Buffer.from(state.read(STATE_FILE.replays)).toString('utf8'));
    if (!Array.isArray(value)) return [];
    return value.filter(
      (e): e is ReplayEntry =>
        /^[0-9a-f]{64}$/.test(e?.dhPk) &&
        Number.isSafeInteger(e?.incarnation) &&
        Number.isSafeInteger(e?.counter),
    );
  } catch {
    return [];
  }
}

export function saveReplays(state: StateDir, entries: readonly ReplayEntry[]): void {
  state.write(STATE_FILE.replays, `${JSON.stringify(entries)}\n`);
}
