/**
 * The memory that C and TypeScript share for one worker: slots for frames and one descriptor for each. native/batch.h
 * says the same to C.
 *
 *   slot:  | headroom 128 | frame, up to 64 KiB + 64 | tailroom 64 |
 */

const SLOT_HEADROOM_BYTES = 128;
export const SLOT_BYTES = SLOT_HEADROOM_BYTES + (65536 + 64) + 64;
export const BATCH_MAX_FRAMES = 256;

/** Int32 words per descriptor. */
export const DESC_STRIDE = 16;

/**
 * Words of a descriptor. MAC addresses are split: HI has the first 16 bits, LO the last 32 as a signed word.
 *
 * Transmit: OFF and LEN are the Ethernet frame in `bytes`; HDR the number of header bytes that the caller wrote directly
 * before OFF; GSO is gso_type | gso_size << 8; CSUM is csum_start | csum_offset << 16 of the virtio-net header.
 *
 * Receive: OFF and LEN are the opened payload (the datagram itself when it was not opened); GSO the receiver index, CSUM and
 * FLOW_HASH the low and high word of the counter. A descriptor may stand for a run of SEGMENTS neighbours of one flow under
 * equal encapsulation headers: OFF and LEN are then the first of them, BYTES the sum of their lengths; WIRE is the sum of
 * sizes on the wire. (These words share memory with the transmit side's addresses.) Before `writeTap` the caller sets OFF
 * and LEN to the (first) inner frame and HDR to WRITE.
 */
export const D = {
  OFF: 0,
  LEN: 1,
  STATUS: 2,
  TUNNEL: 3,
  KIND: 4,
  LANE: 5,
  FLAGS: 6,
  DST_HI: 7,
  DST_LO: 8,
  SRC_HI: 9,
  SRC_LO: 10,
  ETHERTYPE: 11,
  FLOW_HASH: 12,
  HDR: 13,
  GSO: 14,
  CSUM: 15,
  SEGMENTS: 7,
  BYTES: 9,
  WIRE: 10,
} as const;

/** The TAP gave, or may get, a checksum that holds only the pseudo-header sum. */
export const F_NEEDS_CSUM = 1;
/** A sealed peer says that the inner checksum is partial. */
export const F_PARTIAL = 2;
/** Plain receive: recognise and repair what a kernel left unfinished. */
export const F_REPAIR = 4;
/** The sealed header says: sent from the sender's listening socket. */
export const F_FROM_LISTENER = 8;

/** Int32 words per source address: family (4 or 6), port, then 16 bytes (IPv6 or IPv4-mapped) as big-endian words. */
export const FROM_STRIDE = 6;

export interface FrameBatch {
  /** Slots. */
  readonly capacity: number;
  /** Descriptors: one per slot on the way out, many per slot on the way in (UDP_GRO). */
  readonly frames: number;
  readonly bytes: Uint8Array;
  readonly desc: Int32Array;
  readonly from: Int32Array;
}

/** Datagrams that the kernel joins in one message at most (UDP_GRO_CNT_MAX). */
export const GRO_MAX_DATAGRAMS = 64;

/**
 * Allocates a batch of 1 to 256 slots; memory that no frame has touched stays unused. A batch for receiving has
 * GRO_MAX_DATAGRAMS descriptors for each slot: `frames` = capacity * GRO_MAX_DATAGRAMS.
 */
export function createFrameBatch(capacity: number, frames = capacity): FrameBatch {
  if (!Number.isInteger(capacity) || capacity < 1 || capacity > BATCH_MAX_FRAMES)
    throw new RangeError(`a frame batch has 1 to ${BATCH_MAX_FRAMES} frames`);
  return {
    capacity,
    frames,
    bytes: new Uint8Array(capacity * SLOT_BYTES),
    desc: new Int32Array(frames * DESC_STRIDE),
    from: new Int32Array(frames * FROM_STRIDE),
  };
}
