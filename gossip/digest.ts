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

const hashOf = (r: VerifiedRecord): bigint => fnv(`${r.id} ${r.incarnation} ${r.seq}`);

/** The records of the member table by bucket, with each bucket's digest kept up as they change. */
export class RecordIndex {
  /** By id, for each bucket; together bounded by the member table. */
  readonly #buckets = Array.from({ length: DIGEST_BUCKETS }, () => new Map<string, Indexed>());
  readonly #digests = new Array<bigint>(DIGEST_BUCKETS).fill(0n);

  set(record: VerifiedRecord): void {
    this.delete(record.id);
    const bucket = bucketOf(record.id);
    const hash = hashOf(record);
    this.#buckets[bucket]!.set(record.id, { record, hash });
    this.#digests[bucket]! ^= hash;
  }

  delete(id: string): void {
    const bucket = bucketOf(id);
    const known = this.#buckets[bucket]!.get(id);
    if (known === undefined) return;
    this.#buckets[bucket]!.delete(id);
    this.#digests[bucket]! ^= known.hash;
  }

  /** One digest for each bucket, this host's own record included. */
  digests(own: VerifiedRecord): bigint[] {
    const digests = [...this.#digests];
    digests[bucketOf(own.id)]! ^= hashOf(own);
    return digests;
  }

  /** The records of one bucket, this host's own included. */
  bucket(bucket: number, own: VerifiedRecord): VerifiedRecord[] {
    const records = Array.from(this.#buckets[bucket]!.values(), (i) => i.record);
    if (bucketOf(own.id) === bucket) records.push(own);
    return records;
  }
}

interface Indexed {
  readonly record: VerifiedRecord;
  readonly hash: bigint;
}

/** A bucket's records by number, at most a datagram's worth starting at a random place; `start` in [0, 1). */
export function summaryOf(records: readonly VerifiedRecord[], start: number): SummaryEntry[] {
  const all = records.map(({ id, incarnation, seq }) => ({ id: id.slice(0, 16), incarnation, seq }));
  if (all.length <= MAX_SUMMARY_ENTRIES) return all;
  const from = Math.floor(start * all.length);
  return [...all.slice(from), ...all.slice(0, from)].slice(0, MAX_SUMMARY_ENTRIES);
}
