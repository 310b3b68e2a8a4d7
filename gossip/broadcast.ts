/**
 * News that rides on other datagrams until it has been sent often enough. Fewest transmissions first, then newest, as
 * memberlist's queue. One item for each subject: newer news about it replaces older.
 */

export interface News {
  /** `record ID` or `suspect ID ACCUSER`. */
  readonly key: string;
  /** Id of the member whose record this is; null for an accusation. */
  readonly recordOf: string | null;
  /** An accusation's bytes; empty for a record, whose bytes are read when it is sent. */
  readonly bytes: Uint8Array;
}

interface Queued extends News {
  transmits: number;
  readonly order: number;
}

/** Items kept; the one sent most often goes first. */
const MAX_NEWS = 4096;

export class BroadcastQueue {
  /** By key; bounded by MAX_NEWS. */
  readonly #items = new Map<string, Queued>();
  #order = 0;

  get size(): number {
    return this.#items.size;
  }

  add(news: News): void {
    this.#items.delete(news.key);
    if (this.#items.size >= MAX_NEWS) {
      let worst: Queued | null = null;
      for (const item of this.#items.values())
        if (worst === null || item.transmits > worst.transmits) worst = item;
      if (worst !== null) this.#items.delete(worst.key);
    }
    this.#items.set(news.key, { ...news, transmits: 0, order: this.#order++ });
  }

  remove(key: string): void {
    this.#items.delete(key);
  }

  /** Offers items in order; `take` returns true for what went into a datagram. Items sent `limit` times are dropped. */
  each(limit: number, take: (news: News) => boolean): void {
    if (this.#items.size === 0) return;
    const items = [...this.#items.values()].sort((a, b) => a.transmits - b.transmits || b.order - a.order);
    for (const item of items) if (take(item) && ++item.transmits >= limit) this.#items.delete(item.key);
  }
}
