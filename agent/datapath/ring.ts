/**
 * Control datagrams on their way from the receive workers to the main thread: handshakes, lane 15, resets. A bounded
 * ring in shared memory, never a queue that grows: what does not fit is dropped and counted.
 *
 *   writers claim HEAD by compare-exchange, fill the slot, then publish it by setting its STATE to 1
 *
 *      TAIL                HEAD
 *       v                   v
 *   +---+---+---+---+---+---+---+---+      256 slots of 1280 bytes
 *   |   | 1 | 1 | 0 | 1 |   |   |   |      (slot in the middle: claimed, not yet published; the reader waits)
 *   +---+---+---+---+---+---+---+---+
 *
 * Half of the slots are kept for datagrams of live sessions, so that strangers cannot keep members out. The main thread
 * sleeps on SIGNAL; a writer raises it and notifies.
 */

export const RING_SLOTS = 256;
export const RING_SLOT_BYTES = 1280;
const META_WORDS = 16;
const HEAD = 0;
const TAIL = 1;
const SIGNAL = 2;
const FIRST_META = 16;

/** Kind of a slot without a datagram: data of a session came from another address than before. Not on any wire. */
export const SIGHTED = 255;

/** Words of a slot's description. FROM is family, port and four address words. */
export const R = {
  STATE: 0,
  KIND: 1,
  SLOT: 2,
  INDEX: 3,
  COUNTER_LO: 4,
  COUNTER_HI: 5,
  WIRE: 6,
  LENGTH: 7,
  FLAGS: 8,
  FROM: 9,
} as const;

export interface RingMemory {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
}

export function createRing(): RingMemory {
  return {
    words: new Int32Array(new SharedArrayBuffer((FIRST_META + RING_SLOTS * META_WORDS) * 4)),
    bytes: new Uint8Array(new SharedArrayBuffer(RING_SLOTS * RING_SLOT_BYTES)),
  };
}

/** Claims a slot for writing: its number, or -1 when the ring (or a stranger's half of it) is full. Hot path. */
export function ringClaim(ring: RingMemory, ofSession: boolean): number {
  const w = ring.words;
  const limit = ofSession ? RING_SLOTS : RING_SLOTS / 2;
  for (;;) {
    const head = Atomics.load(w, HEAD);
    if (((head - Atomics.load(w, TAIL)) | 0) >= limit) return -1;
    if (Atomics.compareExchange(w, HEAD, head, (head + 1) | 0) === head) return head & (RING_SLOTS - 1);
  }
}

/** Offset of a slot's description in `words`. */
export const ringMeta = (slot: number): number => FIRST_META + slot * META_WORDS;

/** Makes a filled slot visible and wakes the reader. */
export function ringPublish(ring: RingMemory, slot: number): void {
  const w = ring.words;
  Atomics.store(w, ringMeta(slot) + R.STATE, 1);
  Atomics.add(w, SIGNAL, 1);
  Atomics.notify(w, SIGNAL);
}

/** The reader's side: main thread only. */
export class RingReader {
  readonly #ring: RingMemory;

  constructor(ring: RingMemory) {
    this.#ring = ring;
  }

  /** Hands up to `max` datagrams to `take`, which copies what it keeps. Returns how many. */
  drain(max: number, take: (meta: Int32Array, bytes: Uint8Array) => void): number {
    const { words, bytes } = this.#ring;
    let n = 0;
    for (; n < max; n++) {
      const tail = Atomics.load(words, TAIL);
      if (tail === Atomics.load(words, HEAD)) break;
      const slot = tail & (RING_SLOTS - 1);
      const at = ringMeta(slot);
      if (Atomics.load(words, at + R.STATE) !== 1) break;
      const length = words[at + R.LENGTH]!;
      take(
        words.slice(at, at + META_WORDS),
        bytes.slice(slot * RING_SLOT_BYTES, slot * RING_SLOT_BYTES + length),
      );
      Atomics.store(words, at + R.STATE, 0);
      Atomics.store(words, TAIL, (tail + 1) | 0);
    }
    return n;
  }

  /** Value of the signal now; pass it to `raised`. */
  signal(): number {
    return Atomics.load(this.#ring.words, SIGNAL);
  }

  /** Resolves when the signal differs from `seen`; undefined when it already does. */
  raised(seen: number): Promise<unknown> | undefined {
    const wait = Atomics.waitAsync(this.#ring.words, SIGNAL, seen);
    return wait.async ? wait.value : undefined;
  }
}
