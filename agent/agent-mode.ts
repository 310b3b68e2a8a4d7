/**
 * Sealed or plain, as policy says now. A segment that this host has had sealed becomes plain for it only if its own
 * configuration allows that: else it exchanges no frames at all and says so. What a host joined as plain needs no word.
 * Part of the composition root.
 */
import type { Config } from './config/schema.ts';
import type { SegmentRule } from './identity/policy.ts';
import { STATE_FILE, type StateDir } from './identity/state-dir.ts';

export interface Place {
  /** What the data path is built from. */
  readonly segment: SegmentRule;
  /** Why no frame goes in or out, for people; null where they do. */
  readonly closed: string | null;
}

/** @throws WeftError E_STATE for a damaged file */
export function placeOf(rule: SegmentRule, config: Config, state: StateDir): Place {
  const wasSealed = sealedOnes(state);
  if (rule.mode === 'sealed') {
    if (!wasSealed.includes(rule.vni))
      state.write(STATE_FILE.sealed, `${JSON.stringify([...wasSealed, rule.vni])}\n`);
    return { segment: rule, closed: null };
  }
  if (!wasSealed.includes(rule.vni) || config.allowPlain.includes(rule.vni))
    return { segment: rule, closed: null };
  // As a sealed segment in which nobody ever gets a key.
  return {
    segment: { ...rule, mode: 'sealed' },
    closed: `segment ${rule.vni} was made plain by policy, and allow_plain of this host does not name it: no frame goes in or out; add it and restart, or have it sealed again`,
  };
}

/** Segments that this host has had sealed. */
function sealedOnes(state: StateDir): number[] {
  if (!state.has(STATE_FILE.sealed)) return [];
  try {
    const value: unknown = JSON.parse(Buffer.from(state.read(STATE_FILE.sealed)).toString('utf8'));
    if (Array.isArray(value) && value.every(Number.isSafeInteger)) return value;
  } catch {
    // Said below: it must not be taken for a host that never had anything sealed.
  }
  throw state.damaged(STATE_FILE.sealed, 'is damaged');
}

/** Whether what the data path was built from is not what policy says any more; the suite changes without a rebuild. */
export const needsRebuild = (built: SegmentRule, now: SegmentRule): boolean =>
  built.mode !== now.mode || built.encap !== now.encap || built.mtuBytes !== now.mtuBytes;
