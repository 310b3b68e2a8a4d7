/**
 * The memory that the main thread and the workers share: peers, segments, counters. All of it is allocated once. Every
 * cell has one writer, named at its constant; readers need no lock. Arrays of structures would put a peer's fields side
 * by side; here each field is an array of its own, so that a scrape walks memory in order.
 */
import { FROM_STRIDE } from 'tun-tap';

/** Peers and plain endpoints, by slot. */
export const MAX_SLOTS = 1024;
/** In the FDB of addresses behind peers: behind this host itself, although peers claim it (fdb-moves.ts). */
export const HERE_SLOT = MAX_SLOTS;
/** Segments (VNIs) on this host. */
export const MAX_SEGMENTS = 16;
/** Pairs of directions, each with its own lane (PROTOCOL: lanes 0 to 14). */
export const MAX_PAIRS = 15;

/** Flags of a slot; written by the main thread. */
export const PEER_PRESENT = 1;
export const PEER_BRIDGE = 2;
export const PEER_PLAIN = 4;

/** Words of a segment; written by the main thread. */
export const SEGMENT_STRIDE = 8;
export const S = {
  VNI: 0,
  USED: 1,
  SEALED: 2,
  GENEVE: 3,
  MTU: 4,
  OWN_MAC_HI: 5,
  OWN_MAC_LO: 6,
  MEMBERS: 7,
} as const;

/** Per-slot counters of one worker; written by that worker. */
export const PEER_COUNTER_STRIDE = 4;
/** BIG_MS: when a transmit worker last sent, or wanted to send, more than BIG_PACKET_BYTES of outer IP packet. */
export const P = { FRAMES: 0, BYTES: 1, LAST_MS: 2, BIG_MS: 3 } as const;
/** Outer IP packets above this may meet a path that does not carry them; every path must carry this much (PROTOCOL.md). */
export const BIG_PACKET_BYTES = 1200;

/** Totals of one worker; written by that worker. Drops follow at TOTAL_DROPS. */
export const T = {
  FRAMES: 0,
  FRAME_BYTES: 1,
  PACKETS: 2,
  PACKET_BYTES: 3,
  FLOOD_UNKNOWN: 4,
  FLOOD_BROADCAST: 5,
  FLOOD_MULTICAST: 6,
  MOVES: 7,
  EVICTIONS: 8,
  CONTROL_PACKETS: 9,
  CONTROL_BYTES: 10,
  PLAIN_PACKETS: 11,
  PLAIN_BYTES: 12,
  TOO_BIG_ANSWERS: 13,
  MSS_CLAMPED: 14,
  /** Transmit row: sockets on which the kernel refused UDP_SEGMENT. Receive row: 1 when the TAP refused a super-frame. */
  REFUSED: 15,
  FREEZES: 16,
  HANDSHAKE_PACKETS: 17,
  HANDSHAKE_BYTES: 18,
  LEARNED: 19,
  NOT_LEARNED: 20,
} as const;
export const TOTAL_DROPS = 24;
export const TOTALS_STRIDE = 128;

export interface SharedTables {
  /** Flags by slot. */
  readonly peerFlags: Int32Array;
  /** By slot, HERE_SLOT included; raised by the main thread to forget every address learned behind the peer. */
  readonly peerGeneration: Int32Array;
  /** By slot; set by a transmit worker that had a frame and no session, cleared by the main thread. */
  readonly peerWanted: Int32Array;
  /** By slot; largest inner IP packet that fits the path to the peer, in bytes; 0: the segment's MTU. Written by the main thread. */
  readonly peerPacketLimit: Int32Array;
  /** By slot; 1: frames to the peer may leave from the pool of sending ports. Written by the main thread. */
  readonly peerSpread: Int32Array;
  /** By slot, as FrameBatch.from: where packets of the peer's listening port come from; port 0: nowhere yet. Written by the main thread. */
  readonly peerFrom: Int32Array;
  /**
   * A peer's address that nothing has proven yet (trial.ts). By slot: the address as FrameBatch.from, the bytes that may still go
   * there, and a number that is odd while the address is being written; and one word that counts grants. Written by receive
   * workers; transmit workers take bytes.
   */
  readonly trialFrom: Int32Array;
  readonly trialBytes: Int32Array;
  readonly trialSeq: Int32Array;
  readonly trialSignal: Int32Array;
  /** By slot; 1: the path to the peer swallows what leaves as one message of several datagrams. Written by the main thread. */
  readonly peerSingly: Int32Array;
  /**
   * By slot; 1: what was learned behind the peer is not used, for nobody hears it. Nothing is forgotten. Written by the main
   * thread.
   */
  readonly peerSuspended: Int32Array;
  /** By slot; set by a transmit worker when the kernel said EMSGSIZE, cleared by the main thread. */
  readonly peerTooBig: Int32Array;
  /** Bit n of slot s: the peer holds the segment at position n. */
  readonly peerSegments: Int32Array;
  readonly segments: Int32Array;
  /** By segment position, then index: slots that BUM frames are replicated to. */
  readonly members: Int32Array;
  /** By worker, slot, field. */
  readonly peerCounters: Float64Array;
  /** By worker, field. */
  readonly totals: Float64Array;
  /** By pair, slot: next counter of the transmit key. */
  readonly nextCounter: Float64Array;
}

const ints = (n: number): Int32Array => new Int32Array(new SharedArrayBuffer(n * 4));
const doubles = (n: number): Float64Array => new Float64Array(new SharedArrayBuffer(n * 8));

/** @param rows of counters: two for each pair of directions */
export function createSharedTables(rows: number): SharedTables {
  return {
    peerFlags: ints(MAX_SLOTS),
    peerGeneration: ints(MAX_SLOTS + 1),
    peerWanted: ints(MAX_SLOTS),
    peerPacketLimit: ints(MAX_SLOTS),
    peerSpread: ints(MAX_SLOTS),
    peerFrom: ints(MAX_SLOTS * FROM_STRIDE),
    trialFrom: ints(MAX_SLOTS * FROM_STRIDE),
    trialBytes: ints(MAX_SLOTS),
    trialSeq: ints(MAX_SLOTS),
    trialSignal: ints(1),
    peerSingly: ints(MAX_SLOTS),
    peerSuspended: ints(MAX_SLOTS),
    peerTooBig: ints(MAX_SLOTS),
    peerSegments: ints(MAX_SLOTS),
    segments: ints(MAX_SEGMENTS * SEGMENT_STRIDE),
    members: ints(MAX_SEGMENTS * MAX_SLOTS),
    peerCounters: doubles(rows * MAX_SLOTS * PEER_COUNTER_STRIDE),
    totals: doubles(rows * TOTALS_STRIDE),
    nextCounter: doubles((rows / 2) * MAX_SLOTS),
  };
}

/** Position of a VNI among the segments; -1 if this host does not have it. Hot path. */
export function segmentOf(tables: SharedTables, vni: number): number {
  const words = tables.segments;
  for (let i = 0, at = 0; i < MAX_SEGMENTS; i++, at += SEGMENT_STRIDE)
    if (words[at + S.USED] === 1 && words[at + S.VNI] === vni) return i;
  return -1;
}
