/**
 * Anti-entropy without sending everything: members fall into 16 buckets by the first hex digit of their id, and a bucket's
 * digest is the XOR of a 64-bit hash of each (id, incarnation, seq). Two hosts with equal digests have equal records.
 * Records are signed by their owners, so the hash need not resist an attacker: who lies only hurts what it says itself.
 */
import { DIGEST_BUCKETS, MAX_SUMMARY_ENTRIES, type SummaryEntry } from './message.ts';
import type { VerifiedRecord } from './types.ts';

const MASK = (1n << 64n) - 1n;

/** FNV-1a, 64 bit. */
function fnv(text: string): bigint {
  let h = 0xcbf29ce484222325n;
  for (let i = 0; i < text.length; i++) h = ((h ^ BigInt(text.charCodeAt(i))) * 0x100000001b3n) & MASK;
  return h;
}

export const bucketOf = (id: string): number => Number.parseInt(id[0] ?? '0', 16);

/** Hashes of records that are still held; weak, so bounded by them. */
const hashes = new WeakMap<VerifiedRecord, bigint>();

function hashOf(record: VerifiedRecord): bigint {
  let hash = hashes.get(record);
  if (hash === undefined) {
    hash = fnv(`${record.id} ${record.incarnation} ${record.seq}`);
    hashes.set(record, hash);
  }
  return hash;
}

export function digestOf(records: Iterable<VerifiedRecord>): bigint[] {
  const buckets = new Array<bigint>(DIGEST_BUCKETS).fill(0n);
  for (const record of records) {
    const bucket = bucketOf(record.id);
    buckets[bucket] = buckets[bucket]! ^ hashOf(record);
  }
  return buckets;
}

/** What this host has in one bucket, in id order, at most a datagram's worth starting at a random place. */
export function summaryOf(records: Iterable<VerifiedRecord>, bucket: number, start: number): SummaryEntry[] {
  const all: SummaryEntry[] = [];
  for (const { id, incarnation, seq } of records)
    if (bucketOf(id) === bucket) all.push({ id: id.slice(0, 16), incarnation, seq });
  if (all.length <= MAX_SUMMARY_ENTRIES) return all;
  const from = Math.floor(start * all.length);
  return [...all.slice(from), ...all.slice(0, from)].slice(0, MAX_SUMMARY_ENTRIES);
}
