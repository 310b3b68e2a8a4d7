/**
 * One member's signed doubt about another, at a given incarnation. It is a vote that shortens a timer, never a verdict;
 * the doubted member answers with a higher incarnation. Body:
 *
 *   accuser id[32] | target id[32] | u64 target incarnation | extensions
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { parseRecord, recordSignedBy, signRecord, skipExtensions } from './record.ts';

export interface SuspicionRecord {
  readonly accuserId: Uint8Array;
  readonly targetId: Uint8Array;
  readonly targetIncarnation: number;
}

export function signSuspicion(s: SuspicionRecord, meshId: Uint8Array, signSecretKey: Uint8Array): Uint8Array {
  const body = new ByteWriter().bytes(s.accuserId).bytes(s.targetId).u64(s.targetIncarnation).finish();
  return signRecord('suspicion', meshId, body, signSecretKey);
}

export interface ReadSuspicion extends SuspicionRecord {
  signedBy(signPk: Uint8Array): boolean;
}

/** Null if it is no suspicion of this mesh. */
export function parseSuspicion(bytes: Uint8Array, meshId: Uint8Array): ReadSuspicion | null {
  const record = parseRecord('suspicion', meshId, bytes);
  if (record === null) return null;
  const r = new ByteReader(record.body);
  const read = { accuserId: r.bytes(32), targetId: r.bytes(32), targetIncarnation: r.u64() };
  if (!skipExtensions(r)) return null;
  return { ...read, signedBy: (signPk) => recordSignedBy(record, signPk) };
}
