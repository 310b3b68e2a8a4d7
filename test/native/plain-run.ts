/** Frames of given lengths to one plain endpoint, as one send; and what arrives there. Used by the segmenting tests. */
import assert from 'node:assert/strict';
import {
  createFrameBatch,
  D,
  DESC_STRIDE,
  E,
  E_STRIDE,
  GRO_MAX_DATAGRAMS,
  Receiver,
  SEND,
  SLOT_BYTES,
  Transmitter,
  WaitSet,
} from 'tun-tap';

const HEADROOM = 128;
const SLOTS = 64;

/** Runs that must be told apart: equal, one shorter last, growing, shrinking, mixed, more than one message holds. */
export const LENGTHS: readonly (readonly number[])[] = [
  [100],
  Array.from({ length: 64 }, () => 1400),
  [1400, 1400, 1400, 300],
  [300, 1400, 1400],
  [1400, 300, 300, 1400, 1400, 10],
  [60, 61, 62, 63, 64, 63, 62, 61, 60],
  Array.from({ length: 50 }, (_, i) => 1460 - (i % 3)),
  Array.from({ length: 60 }, () => 1472),
  [9000, 9000, 9000, 9000, 9000, 9000, 9000, 9000],
  Array.from({ length: 64 }, () => 14),
];

export class PlainRun {
  readonly batch = createFrameBatch(SLOTS);
  readonly transmitter: Transmitter;

  constructor(fd: number, port: number) {
    this.transmitter = new Transmitter(this.batch, { maxTunnels: 1, sockets: [fd] });
    this.transmitter.setPlain(0);
    this.transmitter.setEndpoint(0, '127.0.0.1', port);
  }

  /** Sends one datagram of each length; returns what they hold. */
  send(lengths: readonly number[]): Buffer[] {
    const entries = new Int32Array(lengths.length * E_STRIDE);
    const sent = lengths.map((length, i) => {
      const bytes = Buffer.alloc(length, i + 1);
      const off = i * SLOT_BYTES + HEADROOM;
      this.batch.bytes.set(bytes, off);
      const d = this.batch.desc.subarray(i * DESC_STRIDE, (i + 1) * DESC_STRIDE).fill(0);
      d[D.OFF] = off;
      d[D.LEN] = length;
      entries[i * E_STRIDE + E.FRAME] = i;
      return bytes;
    });
    this.transmitter.send(entries, lengths.length);
    for (let i = 0; i < lengths.length; i++) {
      assert.equal(entries[i * E_STRIDE + E.STATUS], SEND.OK, `datagram ${i}`);
      assert.equal(entries[i * E_STRIDE + E.PACKETS], 1);
      assert.equal(entries[i * E_STRIDE + E.BYTES], lengths[i]);
    }
    return sent;
  }
}

/** The next `count` datagrams, and that no other follows. */
export function arriving(fd: number, count: number): Buffer[] {
  const batch = createFrameBatch(SLOTS, SLOTS * GRO_MAX_DATAGRAMS);
  const receiver = new Receiver(batch, { maxSessions: 1, worker: 0, workers: 1 });
  receiver.setJoining(false);
  const wait = new WaitSet([fd]);
  const came: Buffer[] = [];
  while (wait.wait(came.length < count ? 2000 : 20) !== 0) {
    const n = receiver.receivePlain(fd, 0);
    for (let i = 0; i < n; i++) {
      const off = batch.desc[i * DESC_STRIDE + D.OFF]!;
      came.push(Buffer.from(batch.bytes.slice(off, off + batch.desc[i * DESC_STRIDE + D.LEN]!)));
    }
  }
  return came;
}
