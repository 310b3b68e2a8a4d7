/** Sealed datagrams made by hand, and sockets on 127.0.0.1 to hand them to a Receiver. Used by the native tests. */
import assert from 'node:assert/strict';
import {
  closeFd,
  createFrameBatch,
  D,
  DESC_STRIDE,
  type FrameBatch,
  openUdp,
  Receiver,
  SealingKey,
  sendDatagram,
  WaitSet,
} from 'tun-tap';

export const INDEX = 0x1234_5670;
export const LANE_CONTROL = 15;
const HEADER_BYTES = 16;

export interface Header {
  readonly suite: number;
  readonly inner: number;
  readonly flags: number;
  /** With the lane in its lowest 4 bits. */
  readonly index: number;
  readonly counter: number;
}

/** type | suite | inner | flags | index | counter */
export function headerBytes(header: Header): Uint8Array {
  const out = Buffer.alloc(HEADER_BYTES);
  out.set([4, header.suite, header.inner, header.flags]);
  out.writeUInt32BE(header.index >>> 0, 4);
  out.writeBigUInt64BE(BigInt(header.counter), 8);
  return Uint8Array.from(out);
}

/** A different key for each lane of each seed, 16 of them. */
export function laneKeys(seed: number): Uint8Array {
  const keys = new Uint8Array(16 * 32);
  for (let i = 0; i < keys.length; i++) keys[i] = (seed * 31 + (i >> 5) * 7 + i) & 0xff;
  return keys;
}

export const laneKey = (keys: Uint8Array, lane: number): Uint8Array => keys.slice(lane * 32, lane * 32 + 32);

/** A datagram as a peer would make it. */
export function sealedDatagram(header: Header, keys: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const key = new SealingKey(header.suite === 1 ? 1 : 2, laneKey(keys, header.index & 15));
  const aad = headerBytes(header);
  const sealed = key.seal(header.counter, aad, plaintext);
  key.destroy();
  return Uint8Array.from([...aad, ...sealed]);
}

/** A receiver with its socket, and a second socket to send to it from. */
export class Loopback {
  readonly batch: FrameBatch;
  readonly receiver: Receiver;
  readonly fd: number;
  readonly port: number;
  readonly from: { readonly fd: number; readonly port: number };
  readonly #wait: WaitSet;

  constructor(options: { capacity?: number; maxSessions?: number; worker?: number; workers?: number } = {}) {
    this.batch = createFrameBatch(options.capacity ?? 64);
    this.receiver = new Receiver(this.batch, {
      maxSessions: options.maxSessions ?? 8,
      worker: options.worker ?? 0,
      workers: options.workers ?? 1,
    });
    const socket = openUdp({ address: '127.0.0.1', port: 0 });
    this.fd = socket.fd;
    this.port = socket.port;
    this.from = openUdp({ address: '127.0.0.1', port: 0 });
    this.#wait = new WaitSet([this.fd]);
  }

  /** Sends all of `datagrams`, then receives them as one or more batches; calls `see` with each descriptor. */
  exchange(datagrams: readonly Uint8Array[], see: (d: Int32Array, i: number) => void, plain = false): void {
    for (const datagram of datagrams)
      assert.equal(sendDatagram(this.from.fd, datagram, '127.0.0.1', this.port), 0);
    for (let seen = 0; seen < datagrams.length; ) {
      assert.equal(this.#wait.wait(2000), 1, `${seen} of ${datagrams.length} datagrams came`);
      const n = plain ? this.receiver.receivePlain(this.fd, 0) : this.receiver.receiveSealed(this.fd);
      for (let i = 0; i < n; i++, seen++) see(this.descriptor(i), seen);
    }
  }

  /** STATUS of each of `datagrams`, in order. */
  statuses(datagrams: readonly Uint8Array[]): number[] {
    const out: number[] = [];
    this.exchange(datagrams, (d) => out.push(d[D.STATUS]!));
    return out;
  }

  descriptor(frame: number): Int32Array {
    return this.batch.desc.subarray(frame * DESC_STRIDE, (frame + 1) * DESC_STRIDE);
  }

  /** The bytes that a descriptor stands for. */
  payload(d: Int32Array): Uint8Array {
    return this.batch.bytes.slice(d[D.OFF]!, d[D.OFF]! + d[D.LEN]!);
  }

  close(): void {
    closeFd(this.fd);
    closeFd(this.from.fd);
  }
}
