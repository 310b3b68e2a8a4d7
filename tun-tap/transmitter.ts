/**
 * TAP to UDP: drains the TAP into a batch, then seals and sends the entries that the caller made of it. One per
 * transmit thread. A tunnel is a numbered destination: an endpoint and, when sealed, a key with its own counter.
 */
import type { FrameBatch } from './frame-batch.ts';
import { type NativeTransmitter, native } from './native-binding.ts';

/** Int32 words per send entry. */
export const E_STRIDE = 6;
/**
 * Words of an entry: frame of the batch, tunnel, socket of the pool. `send` fills the rest: what became of it, and how many
 * datagrams and bytes (without outer IP and UDP headers) it took.
 */
export const E = { FRAME: 0, TUNNEL: 1, SOCKET: 2, STATUS: 3, PACKETS: 4, BYTES: 5 } as const;

/** What became of an entry. */
export const SEND = {
  OK: 0,
  /** No key or no endpoint. */
  NO_TUNNEL: 1,
  /** The key has sealed 2^52 packets. */
  EXHAUSTED: 2,
  /** EMSGSIZE: larger than the interface's MTU. */
  TOO_BIG: 3,
  /** EAGAIN or ENOBUFS, three times. */
  BUSY: 4,
  UNREACHABLE: 5,
  /** EPERM: a local firewall. */
  REFUSED: 6,
  ERROR: 7,
  /** The checksum to complete lies outside the frame. */
  CSUM: 8,
  /** A super-frame that cannot be cut: its headers contradict each other, or its datagrams are larger than the path takes. */
  SPLIT: 9,
} as const;

export interface SealedTunnel {
  /** Receiver index with the lane in its lowest 4 bits, u32. */
  readonly index: number;
  /** 1 ChaCha20-Poly1305, 2 AES-256-GCM. */
  readonly suite: 1 | 2;
  /** 1 VXLAN, 2 Geneve. */
  readonly inner: 1 | 2;
  /** 32 bytes, of this lane alone; copied. */
  readonly key: Uint8Array;
  /** Header flags: bit 0 for the listening socket. */
  readonly flags: number;
}

const NOWHERE = new Int32Array(0);

/** For wait-set.ts: what a wait reads into. */
export let nativeTransmitter: (transmitter: Transmitter) => NativeTransmitter;

export class Transmitter {
  readonly #native: NativeTransmitter;
  /** By tunnel: the next counter of its current key, exact up to 2^52. */
  readonly counters: Float64Array;

  static {
    nativeTransmitter = (transmitter) => transmitter.#native;
  }

  /**
   * @param counters memory for the counters, `maxTunnels` long; pass a shared one to read it from another thread
   * @param limits by tunnel: the largest inner IP packet in bytes, 0 for no limit; TCP super-frames are cut to fit it
   * @param singly by tunnel: 1 where no two datagrams may leave as one UDP_SEGMENT message
   */
  constructor(
    batch: FrameBatch,
    options: {
      readonly maxTunnels: number;
      readonly sockets: readonly number[];
      readonly counters?: Float64Array;
      readonly limits?: Int32Array;
      readonly singly?: Int32Array;
    },
  ) {
    this.counters = options.counters ?? new Float64Array(options.maxTunnels);
    const limits = options.limits ?? new Int32Array(options.maxTunnels);
    const singly = options.singly ?? new Int32Array(options.maxTunnels);
    this.#native = new native.Transmitter(
      batch,
      this.counters,
      Int32Array.from(options.sockets),
      limits,
      singly,
    );
  }

  /** Gives the tunnel a key that was never used before; its counter starts at 0. */
  setSealed(tunnel: number, key: SealedTunnel): void {
    this.#native.setSealed(tunnel, key.index, key.suite, key.inner, key.key, key.flags);
  }

  /** Frames leave as they are. */
  setPlain(tunnel: number): void {
    this.#native.setPlain(tunnel);
  }

  setEndpoint(tunnel: number, ip: string, port: number): void {
    this.#native.setEndpoint(tunnel, ip, port);
  }

  /** Frames go to the address at `words[at]`, in the form of FrameBatch.from, until `comeBack` or `setEndpoint`. */
  divert(tunnel: number, words: Int32Array, at: number): void {
    this.#native.divert(tunnel, words, at);
  }

  /** Frames go to the tunnel's endpoint again. */
  comeBack(tunnel: number): void {
    this.#native.divert(tunnel, NOWHERE, -1);
  }

  /** Forgets endpoint and key; the key is zeroed. */
  clear(tunnel: number): void {
    this.#native.clear(tunnel);
  }

  /** Reads frames until the TAP is empty or the batch is full. Returns their number; -errno when the TAP is gone. */
  readTap(fd: number): number {
    return this.#native.readTap(fd);
  }

  /** Whether runs of equal datagrams leave as one UDP_SEGMENT message; off for good where the kernel refuses it. */
  setSegmenting(on: boolean): void {
    this.#native.segmenting(Number(on));
  }

  /** Sockets on which the kernel has refused UDP_SEGMENT (EIO, EINVAL) so far. */
  get segmentingRefused(): number {
    return this.#native.segmenting(-1);
  }

  /** Sends `count` entries, mixing destinations; each entry's STATUS, PACKETS and BYTES say what became of it. */
  send(entries: Int32Array, count: number): void {
    this.#native.send(entries, count);
  }
}
