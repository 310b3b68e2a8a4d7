/**
 * Which pairs of directions take frames from the TAP. Pairs beyond the first have sending ports of their own, and lanes:
 * two lanes from one port would be joined on the way (UDP_GRO) and meet a worker that keeps the window of only one of them.
 * While some peer takes packets from the listening port alone (a NAT on the way), the first pair sends everything and the
 * queues of the others are off. Called by data-plane.ts at its start and with each sweep.
 */
import { MAX_SLOTS, PEER_PLAIN, PEER_PRESENT, type SharedTables } from './shared-tables.ts';
import type { WorkerPool } from './worker-pool.ts';

export class TapQueues {
  readonly #pool: WorkerPool;
  readonly #tables: SharedTables;
  readonly #pairs: number;
  #on = true;

  constructor(pool: WorkerPool, tables: SharedTables, pairs: number) {
    this.#pool = pool;
    this.#tables = tables;
    this.#pairs = pairs;
  }

  /** Opens or closes the queues of the pairs beyond the first, as the peers allow. */
  async follow(): Promise<void> {
    await this.turn(this.#allSpread());
  }

  /** Rejects with what the kernel says; the next call tries again. */
  async turn(on: boolean): Promise<void> {
    if (on === this.#on) return;
    for (let pair = 1; pair < this.#pairs; pair++)
      await this.#pool.broadcast({ op: 'tapQueue', on }, 'transmit', pair);
    this.#on = on;
  }

  /** Whether every peer may be reached from the pool of sending ports. */
  #allSpread(): boolean {
    const { peerFlags, peerSpread } = this.#tables;
    for (let slot = 0; slot < MAX_SLOTS; slot++) {
      const flags = peerFlags[slot]!;
      if ((flags & PEER_PRESENT) !== 0 && (flags & PEER_PLAIN) === 0 && peerSpread[slot] !== 1) return false;
    }
    return true;
  }
}
