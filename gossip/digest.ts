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

/** Weak, so bounded by the records that are held. */
const hashes = new WeakMap<VerifiedRecord, bigint>();

function hashOf(r: VerifiedRecord): bigint {
  let hash = hashes.get(r);
  if (hash === undefined) {
    hash = fnv(`${r.id} ${r.incarnation} ${r.seq}`);
    hashes.set(r, hash);
  }
  return hash;
}

/** The records of the member table by bucket, with each bucket's digest kept up as they change. */
export class RecordIndex {
  /** By id, for each bucket that has any; together bounded by the member table. */
  readonly #buckets: (Map<string, VerifiedRecord> | undefined)[] = [];
  readonly #digests: bigint[];
  /** An index that is only read: all of it counts but for what was set or deleted here. */
  readonly #below: RecordIndex | null;
  /** Ids that hide what lies below; bounded by the index below. */
  readonly #hidden = new Set<string>();

  constructor(below: RecordIndex | null = null) {
    this.#below = below;
    this.#digests = below === null ? new Array<bigint>(DIGEST_BUCKETS).fill(0n) : [...below.#digests];
  }

  set(record: VerifiedRecord): void {
    this.delete(record.id);
    const bucket = bucketOf(record.id);
    this.#buckets[bucket] ??= new Map();
    this.#buckets[bucket].set(record.id, record);
    this.#digests[bucket]! ^= hashOf(record);
  }

  delete(id: string): void {
    const bucket = bucketOf(id);
    const known = this.#buckets[bucket]?.get(id) ?? this.#seenBelow(bucket, id);
    if (known === undefined) return;
    if (this.#buckets[bucket]?.delete(id) !== true) this.#hidden.add(id);
    this.#digests[bucket]! ^= hashOf(known);
  }

  #seenBelow(bucket: number, id: string): VerifiedRecord | undefined {
    return this.#below === null || this.#hidden.has(id) ? undefined : this.#below.#buckets[bucket]?.get(id);
  }

  /** One digest for each bucket, this host's own record included. */
  digests(own: VerifiedRecord): bigint[] {
    const digests = [...this.#digests];
    digests[bucketOf(own.id)]! ^= hashOf(own);
    return digests;
  }

  /** The records of one bucket, this host's own included. */
  bucket(bucket: number, own: VerifiedRecord): VerifiedRecord[] {
    const records = [...(this.#buckets[bucket]?.values() ?? [])];
    for (const record of this.#below === null ? [] : (this.#below.#buckets[bucket]?.values() ?? []))
      if (!this.#hidden.has(record.id)) records.push(record);
    if (bucketOf(own.id) === bucket) records.push(own);
    return records;
  }
}

/** A bucket's records by number, at most a datagram's worth starting at a random place; `start` in [0, 1). */
export function summaryOf(records: readonly VerifiedRecord[], start: number): SummaryEntry[] {
  const all = records.map(({ id, incarnation, seq }) => ({ id: id.slice(0, 16), incarnation, seq }));
  if (all.length <= MAX_SUMMARY_ENTRIES) return all;
  const from = Math.floor(start * all.length);
  return [...all.slice(from), ...all.slice(0, from)].slice(0, MAX_SUMMARY_ENTRIES);
}
