/**
 * News that rides on other datagrams until it has been sent often enough. Fewest transmissions first, then newest, as
 * memberlist's queue. One item for each subject: newer news about it replaces older.
 */

export interface News {
  /** `record ID`, `suspect ID ACCUSER`, `statement ID` or `equivocation ID`. */
  readonly key: string;
  /** A record has none here: it is read when it is sent. */
  readonly what: /** `isNew`: of a member that was not known here, so that others lack its certificate too. */
    | { readonly recordOf: string; readonly isNew: boolean }
    | { readonly type: 'suspect'; readonly accusation: Uint8Array }
    | { readonly type: 'statement'; readonly statement: Uint8Array }
    | { readonly type: 'equivocation'; readonly a: Uint8Array; readonly b: Uint8Array };
}

export interface Queued extends News {
  readonly transmits: number;
}

/** What became of an item that was offered: `gone` and `stop` mean that it, or all of them, need not be offered again. */
export type Offered = 'sent' | 'skipped' | 'gone' | 'stop';

/** Items kept; the one sent most often goes first. */
const MAX_NEWS = 4096;
const SLACK = 4;

/** News too large for what is left of a datagram that are passed over before the datagram is closed. */
const MAX_SKIPPED = 16;

export class BroadcastQueue {
  /** By key; bounded by MAX_NEWS. */
  readonly #items = new Map<string, Queued>();
  /**
   * The same items by how often they were sent, newest last, with stale ones between them until they are met; bounded by
   * SLACK times the items.
   */
  readonly #levels: Queued[][] = [];

  get size(): number {
    return this.#items.size;
  }

  add(news: News): void {
    if (!this.#items.has(news.key) && this.#items.size >= MAX_NEWS) this.#evict();
    this.#put({ ...news, transmits: 0 });
  }

  #isLive(item: Queued): boolean {
    return this.#items.get(item.key) === item;
  }

  #put(item: Queued): void {
    this.#items.set(item.key, item);
    while (this.#levels.length <= item.transmits) this.#levels.push([]);
    const level = this.#levels[item.transmits]!;
    level.push(item);
    if (level.length > SLACK * this.#items.size + SLACK)
      this.#levels[item.transmits] = level.filter((i) => this.#isLive(i));
  }

  #evict(): void {
    for (const level of this.#levels.toReversed())
      for (const item of level)
        if (this.#isLive(item)) {
          this.#items.delete(item.key);
          return;
        }
  }

  /** Offers items in order until `take` stops it. Items sent `limit` times are dropped; with null, sending does not count. */
  each(limit: number | null, take: (news: Queued) => Offered): void {
    const sent: Queued[] = [];
    let skipsLeft = MAX_SKIPPED;
    const offer = (item: Queued): boolean => {
      const became = take(item);
      if (became === 'sent') sent.push(item);
      if (became === 'gone') this.#items.delete(item.key);
      if (became === 'skipped') skipsLeft -= 1;
      return became !== 'stop' && skipsLeft > 0;
    };
    this.#walk(offer);
    if (limit === null) return;
    for (const item of sent) {
      this.#items.delete(item.key);
      if (item.transmits + 1 < limit) this.#put({ ...item, transmits: item.transmits + 1 });
    }
  }

  /** Fewest transmissions first, then newest, until `offer` returns false. Removes stale items that it meets. */
  #walk(offer: (item: Queued) => boolean): void {
    for (const level of this.#levels)
      for (let i = level.length - 1; i >= 0; i--) {
        const item = level[i]!;
        if (!this.#isLive(item)) level.splice(i, 1);
        else if (!offer(item)) return;
      }
  }
}
