/**
 * Frames on their way from the workers to `weft capture` on the main thread: a bounded ring in shared memory that loses what does
 * not fit and counts it. Workers look at ON once per batch and come here only while somebody captures.
 *
 *   words:  HEAD | TAIL | LOST | ON | SNAP | ... | slot 0: STATE KIND DIRECTION PEER DROP VNI LENGTH ORIGINAL SEGMENTS 0 FROM x6 | slot 1 ...
 *   bytes:  slot 0, SLOT_BYTES | slot 1 | ...         times: milliseconds of the workers' clock, by slot
 *
 * hot path: writers claim HEAD by compare-exchange, fill the slot, then publish it by its STATE; the reader frees it.
 */

export const CAPTURE_SLOTS = 1024;
export const CAPTURE_SLOT_BYTES = 2048;
/** What is shown of a datagram that was not opened: its payload is ciphertext, or was destroyed by trying. */
const SEALED_HEADER_BYTES = 16;
const META_WORDS = 16;
const FIRST_META = 16;
const HEAD = 0;
const TAIL = 1;
const LOST = 2;
const ON = 3;
const SNAP = 4;

/** Words of a slot's description. FROM is family, port and four address words, of datagrams only. */
export const C = {
  STATE: 0,
  KIND: 1,
  DIRECTION: 2,
  PEER: 3,
  DROP: 4,
  VNI: 5,
  LENGTH: 6,
  ORIGINAL: 7,
  SEGMENTS: 8,
  FROM: 10,
} as const;

/** KIND of a record: an inner frame, or a datagram that was dropped before there was one. */
export const CAPTURED = { frame: 0, datagram: 1 } as const;
export const OUTWARD = 0;
export const INWARD = 1;

export interface CaptureMemory {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly times: Float64Array;
}

export function createCaptureRing(): CaptureMemory {
  return {
    words: new Int32Array(new SharedArrayBuffer((FIRST_META + CAPTURE_SLOTS * META_WORDS) * 4)),
    bytes: new Uint8Array(new SharedArrayBuffer(CAPTURE_SLOTS * CAPTURE_SLOT_BYTES)),
    times: new Float64Array(new SharedArrayBuffer(CAPTURE_SLOTS * 8)),
  };
}

/** Whether somebody captures. Once per batch. */
export const isCapturing = (memory: CaptureMemory): boolean => Atomics.load(memory.words, ON) === 1;

/** Claims a slot: its number, or -1 when the ring is full, which is counted. */
export function captureClaim(memory: CaptureMemory): number {
  const w = memory.words;
  for (;;) {
    const head = Atomics.load(w, HEAD);
    if (((head - Atomics.load(w, TAIL)) | 0) >= CAPTURE_SLOTS) {
      Atomics.add(w, LOST, 1);
      return -1;
    }
    if (Atomics.compareExchange(w, HEAD, head, (head + 1) | 0) === head) return head & (CAPTURE_SLOTS - 1);
  }
}

/** Offset of a slot's description in `words`. */
export const captureMeta = (slot: number): number => FIRST_META + slot * META_WORDS;

/** Copies `length` bytes at `off`, cut to what is wanted, into a claimed slot. */
export function captureBytes(
  memory: CaptureMemory,
  slot: number,
  kind: number,
  bytes: Uint8Array,
  off: number,
  length: number,
): void {
  const most = kind === CAPTURED.frame ? memory.words[SNAP]! : SEALED_HEADER_BYTES;
  const held = Math.min(length, most);
  const to = slot * CAPTURE_SLOT_BYTES;
  for (let i = 0; i < held; i++) memory.bytes[to + i] = bytes[off + i]!;
  const meta = captureMeta(slot);
  memory.words[meta + C.KIND] = kind;
  memory.words[meta + C.LENGTH] = held;
  memory.words[meta + C.ORIGINAL] = length;
}

/** Makes a filled slot visible. */
export function capturePublish(memory: CaptureMemory, slot: number): void {
  Atomics.store(memory.words, captureMeta(slot) + C.STATE, 1);
}

/** The reader's side: main thread only. */
export class CaptureReader {
  readonly #memory: CaptureMemory;

  constructor(memory: CaptureMemory) {
    this.#memory = memory;
  }

  /** @param snapBytes of each frame; at most CAPTURE_SLOT_BYTES are kept */
  start(snapBytes: number): void {
    const w = this.#memory.words;
    this.drain(CAPTURE_SLOTS, () => {});
    Atomics.store(w, LOST, 0);
    Atomics.store(w, SNAP, Math.min(snapBytes, CAPTURE_SLOT_BYTES));
    Atomics.store(w, ON, 1);
  }

  stop(): void {
    Atomics.store(this.#memory.words, ON, 0);
  }

  /** Records that found no room since the start. */
  get lost(): number {
    return Atomics.load(this.#memory.words, LOST);
  }

  /** Hands up to `max` records to `take`, as copies. Returns how many. */
  drain(max: number, take: (meta: Int32Array, bytes: Uint8Array, timeMs: number) => void): number {
    const { words, bytes, times } = this.#memory;
    let n = 0;
    for (; n < max; n++) {
      const tail = Atomics.load(words, TAIL);
      if (tail === Atomics.load(words, HEAD)) break;
      const slot = tail & (CAPTURE_SLOTS - 1);
      const at = captureMeta(slot);
      if (Atomics.load(words, at + C.STATE) !== 1) break;
      const from = slot * CAPTURE_SLOT_BYTES;
      take(words.slice(at, at + META_WORDS), bytes.slice(from, from + words[at + C.LENGTH]!), times[slot]!);
      Atomics.store(words, at + C.STATE, 0);
      Atomics.store(words, TAIL, (tail + 1) | 0);
    }
    return n;
  }
}
