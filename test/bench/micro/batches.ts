/**
 * Whole batches as a transmit worker sends them, to a socket of this namespace that drops all: split, seal, one
 * UDP_SEGMENT send for each run, the kernel's way through the loopback interface included. And one seal alone, for what the
 * cipher by itself costs.
 */
import { bench, do_not_optimize, group } from 'mitata';
import {
  closeFd,
  createFrameBatch,
  D,
  DESC_STRIDE,
  E,
  E_STRIDE,
  F_NEEDS_CSUM,
  type FrameBatch,
  openUdp,
  SEND,
  SealingKey,
  SLOT_BYTES,
  Transmitter,
} from 'tun-tap';
import { encodeVxlan, VXLAN_HEADER_BYTES } from '../../../agent/datapath/vxlan.ts';
import { bulkSegments, bulkSuperFrame } from './bulk-frames.ts';

const FRAMES = 64;
const HEADROOM_BYTES = 128;
const VNI = 42;
const AES_256_GCM = 2;
const CHACHA20_POLY1305 = 1;

/** A batch of which every slot holds `frame`, ready to be sent to tunnel 0. */
function fill(batch: FrameBatch, frame: Uint8Array, gso: number, csum: number): Int32Array {
  const entries = new Int32Array(FRAMES * E_STRIDE);
  for (let i = 0; i < FRAMES; i++) {
    const off = i * SLOT_BYTES + HEADROOM_BYTES;
    encodeVxlan(batch.bytes, off - VXLAN_HEADER_BYTES, VNI);
    batch.bytes.set(frame, off);
    const at = i * DESC_STRIDE;
    batch.desc.fill(0, at, at + DESC_STRIDE);
    batch.desc[at + D.OFF] = off;
    batch.desc[at + D.LEN] = frame.length;
    batch.desc[at + D.HDR] = VXLAN_HEADER_BYTES;
    batch.desc[at + D.GSO] = gso;
    batch.desc[at + D.CSUM] = csum;
    batch.desc[at + D.FLAGS] = gso === 0 ? 0 : F_NEEDS_CSUM;
    entries[i * E_STRIDE + E.FRAME] = i;
  }
  return entries;
}

/** Sends the first `count` entries. @throws Error if the kernel did not take them all: nothing would be measured */
function sendAll(transmitter: Transmitter, entries: Int32Array, count: number): void {
  transmitter.send(entries, count);
  for (let i = 0; i < count; i++)
    if (entries[i * E_STRIDE + E.STATUS] !== SEND.OK)
      throw new Error(`entry ${i} was not sent: status ${entries[i * E_STRIDE + E.STATUS]}`);
}

export function benchBatches(): () => void {
  const sink = openUdp({ address: '127.0.0.1', port: 0, sendOnly: true });
  const socket = openUdp({ address: '127.0.0.1', port: 0 });
  const batches = {
    small: createFrameBatch(FRAMES),
    full: createFrameBatch(FRAMES),
    bulk: createFrameBatch(FRAMES),
  };
  const start = (batch: FrameBatch, isSealed: boolean): Transmitter => {
    const transmitter = new Transmitter(batch, { maxTunnels: 1, sockets: [socket.fd] });
    const key = new Uint8Array(32).fill(7);
    if (isSealed) transmitter.setSealed(0, { index: 16, suite: AES_256_GCM, inner: 1, key, flags: 0 });
    else transmitter.setPlain(0);
    transmitter.setEndpoint(0, '127.0.0.1', sink.port);
    return transmitter;
  };
  const [segment = new Uint8Array(0)] = bulkSegments();
  const { frame, vnet } = bulkSuperFrame();
  const small = fill(batches.small, segment.subarray(0, 106), 0, 0);
  const full = fill(batches.full, segment, 0, 0);
  const bulk = fill(
    batches.bulk,
    frame,
    vnet.gsoType | (vnet.gsoSize << 8),
    vnet.csumStart | (vnet.csumOffset << 16),
  );
  for (const isSealed of [true, false])
    group(`${isSealed ? 'sealed' : 'plain'} batch through the kernel to a socket that drops all`, () => {
      const of = {
        small: start(batches.small, isSealed),
        full: start(batches.full, isSealed),
        bulk: start(batches.bulk, isSealed),
      };
      bench('1 frame of 106 bytes', () => sendAll(of.small, small, 1)).gc('once');
      bench(`${FRAMES} frames of 106 bytes`, () => sendAll(of.small, small, FRAMES)).gc('once');
      bench(`${FRAMES} frames of ${segment.length} bytes`, () => sendAll(of.full, full, FRAMES)).gc('once');
      bench(`1 super-frame of ${frame.length} bytes`, () => sendAll(of.bulk, bulk, 1)).gc('once');
    });
  benchSeal(segment);
  return () => {
    closeFd(socket.fd);
    closeFd(sink.fd);
  };
}

function benchSeal(plaintext: Uint8Array): void {
  const aad = new Uint8Array(16);
  group(`one seal of ${plaintext.length} bytes, as control traffic does it`, () => {
    for (const [name, suite] of [
      ['AES-256-GCM', AES_256_GCM],
      ['ChaCha20-Poly1305', CHACHA20_POLY1305],
    ] as const) {
      const key = new SealingKey(suite, new Uint8Array(32).fill(9));
      let counter = 0;
      bench(name, () => do_not_optimize(key.seal(counter++, aad, plaintext))).gc('once');
    }
  });
}
