/**
 * UDP to TAP: receives a batch, opens what is sealed, and writes what the caller let through. One per receive thread;
 * it alone keeps the replay windows of the lanes that are its own (lane mod workers).
 */
import type { FrameBatch } from './frame-batch.ts';
import { type NativeReceiver, native } from './native-binding.ts';

/** STATUS of a received or written frame. */
export const RECV = {
  OK: 0,
  /** Too short, of an unknown type, or of a size that its type never has. */
  GARBAGE: 1,
  /** No session has the index. */
  UNKNOWN: 2,
  /** Suite, inner or flags differ from the session's. */
  MISMATCH: 3,
  REPLAY: 4,
  /** The tag does not verify. */
  AUTH: 5,
  /** The lane belongs to another worker, or is not accepted. */
  LANE: 6,
  /** A checksum cannot be repaired. */
  CSUM: 7,
  TAP_DOWN: 8,
  TAP_FULL: 9,
  TAP_ERROR: 10,
} as const;

/** What a received datagram is. */
export const KIND = {
  /** Lane 15, opened; its replay window is the caller's. */
  CONTROL: 0,
  VXLAN: 1,
  GENEVE: 2,
  PLAIN: 3,
  HANDSHAKE_INIT: 17,
  HANDSHAKE_RESPONSE: 18,
  COOKIE: 19,
  RESET: 21,
  /** Sealed for an index that nobody has; OFF and LEN are its 16-byte header. */
  UNKNOWN_INDEX: 22,
} as const;

/** Value of D.HDR that makes `writeTap` write a frame. */
export const WRITE = 1;

export interface ReceiveSession {
  /** 28 random bits << 4. */
  readonly index: number;
  readonly suite: 1 | 2;
  readonly inner: 1 | 2;
  /** 16 keys of 32 bytes, by lane; copied. */
  readonly laneKeys: Uint8Array;
  /** Bit n: lane n is accepted. */
  readonly lanes: number;
  /** Written to D.TUNNEL of its frames. */
  readonly tunnel: number;
}

/** Set in a count of descriptors whose batch was full; ahead.h says the same. */
const BATCH_FULL = 1 << 20;

/** For wait-set.ts: what a wait reads into. */
export let nativeReceiver: (receiver: Receiver) => NativeReceiver;

export class Receiver {
  readonly #native: NativeReceiver;
  /** Whether the last batch was full, so that more may wait; else its socket was empty. */
  full = false;

  static {
    nativeReceiver = (receiver) => receiver.#native;
  }

  constructor(
    batch: FrameBatch,
    options: { readonly maxSessions: number; readonly worker: number; readonly workers: number },
  ) {
    this.#native = new native.Receiver(batch, options.maxSessions, options.worker, options.workers);
  }

  /** Accepts datagrams of the session from now on. @throws Error ENOSPC when maxSessions are installed */
  install(session: ReceiveSession): void {
    const { index, suite, inner, laneKeys, lanes, tunnel } = session;
    this.#native.install(index, suite, inner, laneKeys, lanes, tunnel);
  }

  /** Zeroes the session's keys and forgets it. */
  remove(index: number): void {
    this.#native.remove(index);
  }

  /** Whether neighbours of a flow are joined into super-frames, which the TAP must take (`probeSuperFrame`). Default on. */
  setJoining(on: boolean): void {
    this.#native.setJoining(Number(on));
  }

  /** Whether the TAP refused a super-frame (EINVAL); joining is off since then. */
  get joiningRefused(): boolean {
    return this.#native.joiningRefused() !== 0;
  }

  /** Receives one batch of the sealed port. Returns the number of descriptors filled: datagrams, or runs of them. */
  receiveSealed(fd: number): number {
    return this.took(this.#native.receiveSealed(fd));
  }

  /** The same for a plain port, whose datagrams are VXLAN (0) or Geneve (1); read only as far as joining needs. */
  receivePlain(fd: number, geneve: 0 | 1): number {
    return this.took(this.#native.receivePlain(fd, geneve));
  }

  /** The same for a batch that a wait has read ahead, of which it said `word` (wait-set.ts). */
  took(word: number): number {
    this.full = (word & BATCH_FULL) !== 0;
    return word & ~BATCH_FULL;
  }

  /** Writes every frame among the first `count` whose HDR is WRITE. `mtu` is the TAP's, in bytes. Returns those written. */
  writeTap(fd: number, count: number, mtu: number): number {
    return this.#native.writeTap(fd, count, mtu);
  }

  /** Copies at most `max` bytes of a frame's payload to `into` at `at`; returns how many. */
  copyOut(frame: number, into: Uint8Array, at: number, max: number): number {
    return this.#native.copyOut(frame, into, at, max);
  }
}
