/**
 * Refuses first messages that were seen before, without a clock: (incarnation, handshake counter) must grow for each
 * static key. Not a time stamp, which would lock out a host whose clock once was ahead. Called by responder.ts and initiation.ts.
 */
import { toHex } from '../identity/sodium.ts';

export interface ReplayEntry {
  /** 64 hex digits. */
  readonly dhPk: string;
  readonly incarnation: number;
  readonly counter: number;
}

export class ReplayGuard {
  /** By static key; bounded by the constructor's `max`. Insertion order is order of last use. */
  readonly #last = new Map<string, ReplayEntry>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  /** Takes over entries that `entries` gave; never lowers one. */
  restore(entries: readonly ReplayEntry[]): void {
    for (const { dhPk, incarnation, counter } of entries.slice(-this.#max))
      this.record(new Uint8Array(Buffer.from(dhPk, 'hex')), incarnation, counter);
  }

  isNew(dhPk: Uint8Array, incarnation: number, counter: number): boolean {
    const last = this.#last.get(toHex(dhPk));
    if (last === undefined || incarnation > last.incarnation) return true;
    return incarnation === last.incarnation && counter > last.counter;
  }

  /** Remembers a message that was accepted; an older one changes nothing. */
  record(dhPk: Uint8Array, incarnation: number, counter: number): void {
    if (!this.isNew(dhPk, incarnation, counter)) return;
    const key = toHex(dhPk);
    this.#last.delete(key);
    this.#last.set(key, { dhPk: key, incarnation, counter });
    if (this.#last.size > this.#max) {
      const oldest = this.#last.keys().next().value;
      if (oldest !== undefined) this.#last.delete(oldest);
    }
  }

  /** For the agent to store. */
  entries(): ReplayEntry[] {
    return [...this.#last.values()];
  }
}
