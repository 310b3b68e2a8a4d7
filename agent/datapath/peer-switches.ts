/**
 * What the main thread switches for one peer while frames flow, and what the workers have to say of it: words of the shared
 * tables, which a worker looks at with each batch. No command, nothing to wait for. A slot is the peer's place in the tables,
 * below MAX_SLOTS.
 */
import { floodTo } from './flood-list.ts';
import { newestMs } from './peer-counters.ts';
import { MAX_SEGMENTS, P, type SharedTables } from './shared-tables.ts';

export class PeerSwitches {
  readonly #tables: SharedTables;
  readonly #pairs: number;

  constructor(tables: SharedTables, pairs: number) {
    this.#tables = tables;
    this.#pairs = pairs;
  }

  /** As for a peer that is new; every address learned behind the one before is forgotten. Flood lists are not touched. */
  reset(slot: number): void {
    this.setPacketLimit(slot, 0);
    this.setRuns(slot, true);
    this.setSpread(slot, false);
    Atomics.store(this.#tables.peerSuspended, slot, 0);
    // Every address learned behind it, in every thread, at once.
    Atomics.add(this.#tables.peerGeneration, slot, 1);
  }

  /**
   * Takes a silent member off the flood lists and its addresses out of use, or puts all of it back: nothing is forgotten.
   * A frame that wants it is told by takeWanted.
   */
  setSuspended(slot: number, on: boolean): void {
    const bits = this.#tables.peerSegments[slot]!;
    Atomics.store(this.#tables.peerSuspended, slot, on ? 1 : 0);
    for (let i = 0; i < MAX_SEGMENTS; i++) if ((bits & (1 << i)) !== 0) floodTo(this.#tables, i, slot, !on);
  }

  isSuspended(slot: number): boolean {
    return this.#tables.peerSuspended[slot] !== 0;
  }

  /** True once after a frame wanted a peer that has no session or is suspended. */
  takeWanted(slot: number): boolean {
    return Atomics.exchange(this.#tables.peerWanted, slot, 0) !== 0;
  }

  /** Largest inner IP packet for a peer, in bytes; 0: the segment's MTU. Takes effect with the next batch. */
  setPacketLimit(slot: number, bytes: number): void {
    Atomics.store(this.#tables.peerPacketLimit, slot, bytes);
  }

  /** Whether frames to a peer may leave from the pool of sending ports. */
  setSpread(slot: number, on: boolean): void {
    Atomics.store(this.#tables.peerSpread, slot, on ? 1 : 0);
  }

  /** Whether datagrams to a peer may leave several in one message (UDP_SEGMENT). */
  setRuns(slot: number, on: boolean): void {
    Atomics.store(this.#tables.peerSingly, slot, on ? 0 : 1);
  }

  /** True once after the kernel refused a frame to a peer as larger than the underlay interface's MTU. */
  takeTooBig(slot: number): boolean {
    return Atomics.exchange(this.#tables.peerTooBig, slot, 0) !== 0;
  }

  /** When a frame last made, or would have made, an outer IP packet above BIG_PACKET_BYTES, by the workers' clock; 0 never. */
  lastBigTxMs(slot: number): number {
    return newestMs(this.#tables, 'transmit', this.#pairs, slot, P.BIG_MS);
  }

  /** When a frame last went to a peer, by the workers' clock; 0 never. */
  lastTxMs(slot: number): number {
    return newestMs(this.#tables, 'transmit', this.#pairs, slot, P.LAST_MS);
  }
}
