/**
 * A mesh that everybody has met: records and their tables, built once and read by all cores of one process. The simulator
 * starts thousands of members from it; without it each would hold its own copy of every record. Nothing here ever
 * changes: what a core learns later lies in its own roster, above this.
 */
import { RecordIndex } from './digest.ts';
import type { VerifiedRecord } from './types.ts';

export class KnownMesh {
  /** Bounded by the records given. */
  readonly ids: readonly string[];
  readonly records: ReadonlyMap<string, VerifiedRecord>;
  /** Ids by their first 16 digits; bounded by the records. */
  readonly byPrefix: ReadonlyMap<string, string>;
  /** Members of each voter class; bounded by the records. */
  readonly classes = new Map<string, number>();
  /** Bounded by the records. */
  readonly addresses: ReadonlySet<string>;
  readonly index = new RecordIndex();
  /** Boot that every member has, and knows of every other. */
  readonly boot: number;

  constructor(records: readonly VerifiedRecord[], boot: number) {
    this.ids = records.map((r) => r.id);
    this.records = new Map(records.map((r) => [r.id, r]));
    this.byPrefix = new Map(records.map((r) => [r.id.slice(0, 16), r.id]));
    this.addresses = new Set(records.flatMap((r) => (r.address === null ? [] : [r.address.ip])));
    for (const record of records) {
      this.index.set(record);
      const { voterClass } = record;
      if (voterClass !== null) this.classes.set(voterClass, (this.classes.get(voterClass) ?? 0) + 1);
    }
    this.boot = boot;
  }
}
