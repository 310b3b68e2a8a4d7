/**
 * members.bin: the records and certificates of the members that were known last, so that a restart needs no seed. What
 * is in it was signed by its owners and is verified again when it is read; a damaged file is set aside, not trusted and
 * not fatal, for everything in it can be learned again.
 *
 *   magic "weft1 members\n" | for each member: u16 length, record | u16 length, credential
 */
import type { SavedMember } from '../../gossip/index.ts';
import { concat, utf8 } from '../identity/sodium.ts';
import { STATE_FILE, type StateDir } from '../identity/state-dir.ts';

const MAGIC = utf8('weft1 members\n');
const MAX_SAVED = 4096;

function block(bytes: Uint8Array): Uint8Array {
  return concat(new Uint8Array([bytes.length >> 8, bytes.length & 0xff]), bytes);
}

export function saveMembers(state: StateDir, members: readonly SavedMember[]): void {
  const parts = members.slice(0, MAX_SAVED).flatMap((m) => [block(m.record), block(m.credential)]);
  state.write(STATE_FILE.members, concat(MAGIC, ...parts));
}

/** What could be read; `damaged` says that something could not. */
export function loadMembers(state: StateDir): { readonly members: SavedMember[]; readonly damaged: boolean } {
  if (!state.has(STATE_FILE.members)) return { members: [], damaged: false };
  const bytes = state.read(STATE_FILE.members);
  const members: SavedMember[] = [];
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) return { members, damaged: true };
  let at = MAGIC.length;
  const take = (): Uint8Array | null => {
    if (at + 2 > bytes.length) return null;
    const end = at + 2 + ((bytes[at]! << 8) | bytes[at + 1]!);
    if (end > bytes.length) return null;
    const part = bytes.slice(at + 2, end);
    at = end;
    return part;
  };
  while (at < bytes.length && members.length < MAX_SAVED) {
    const record = take();
    const credential = take();
    if (record === null || credential === null) return { members, damaged: true };
    members.push({ record, credential });
  }
  return { members, damaged: false };
}
