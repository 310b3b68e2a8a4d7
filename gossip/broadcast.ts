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
  readonly transmits: number;
}

/** What became of an item that was offered: `gone` and `stop` mean that it, or all of them, need not be offered again. */
export type Offered = 'sent' | 'skipped' | 'gone' | 'stop';

/** Items kept; the one sent most often goes first. */
const MAX_NEWS = 4096;

export class BroadcastQueue {
  /** By key; bounded by MAX_NEWS. */
  readonly #items = new Map<string, Queued>();
  /** The same items by how often they were sent, oldest first; together bounded by MAX_NEWS. */
  readonly #levels: Map<string, Queued>[] = [];

  get size(): number {
    return this.#items.size;
  }

  add(news: News): void {
    this.remove(news.key);
    if (this.#items.size >= MAX_NEWS) this.#evict();
    this.#put({ ...news, transmits: 0 });
  }

  remove(key: string): void {
    const item = this.#items.get(key);
    if (item === undefined) return;
    this.#items.delete(key);
    this.#levels[item.transmits]?.delete(key);
  }

  #put(item: Queued): void {
    this.#items.set(item.key, item);
    while (this.#levels.length <= item.transmits) this.#levels.push(new Map());
    this.#levels[item.transmits]?.set(item.key, item);
  }

  #evict(): void {
    for (const level of this.#levels.toReversed()) for (const key of level.keys()) return this.remove(key);
  }

  /** Offers items in order until `take` stops it. Items sent `limit` times are dropped. */
  each(limit: number, take: (news: News) => Offered): void {
    const sent: Queued[] = [];
    for (const level of this.#levels) if (!this.#offer(level, take, sent)) break;
    for (const item of sent) {
      this.remove(item.key);
      if (item.transmits + 1 < limit) this.#put({ ...item, transmits: item.transmits + 1 });
    }
  }

  /** False if `take` stopped it. */
  #offer(level: ReadonlyMap<string, Queued>, take: (news: News) => Offered, sent: Queued[]): boolean {
    for (const item of [...level.values()].reverse()) {
      const became = take(item);
      if (became === 'stop') return false;
      if (became === 'gone') this.remove(item.key);
      if (became === 'sent') sent.push(item);
    }
    return true;
  }
}
