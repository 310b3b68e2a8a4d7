/**
 * Whether checksums come out right on this machine: frames whose inner UDP checksum is unfinished, as a TAP with checksum
 * offload hands them over, go through the transmitter of tun-tap and a socket on 127.0.0.1, and are summed again in
 * TypeScript when they arrive (RFC 1071). Takes milliseconds; touches no interface but loopback. Called by `weft doctor`.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import {
  closeFd,
  createFrameBatch,
  D,
  E,
  E_STRIDE,
  F_NEEDS_CSUM,
  type FrameBatch,
  openUdp,
  SEND,
  Transmitter,
} from 'tun-tap';
import { type Clock, systemClock } from '../clock.ts';

const HEADROOM_BYTES = 128;
const VXLAN = Uint8Array.of(8, 0, 0, 0, 0, 0, 1, 0);
const ETHERNET_BYTES = 14;
const IP_BYTES = 20;
const UDP_BYTES = 8;
const CHECKSUM_OFFSET = 6;
/** Odd and even lengths, and one near a full frame. */
const PAYLOAD_BYTES = [0, 1, 2, 31, 64, 333, 1347, 1350];
const WAIT_MS = 500;

/** Sum of 16-bit words with the carries folded in. */
function sumOf(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

/** Pseudo-header of RFC 768 without the checksum's inversion. */
const pseudoSum = (ip: Uint8Array, length: number): number => sumOf(ip.subarray(12, 20), 17 + length);

/** An Ethernet frame with UDP in IPv4 whose checksum field holds the sum of the pseudo-header only. */
function unfinishedFrame(payloadBytes: number): Uint8Array {
  const frame = new Uint8Array(ETHERNET_BYTES + IP_BYTES + UDP_BYTES + payloadBytes);
  frame.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
  const view = new DataView(frame.buffer);
  const ip = ETHERNET_BYTES;
  const udp = ip + IP_BYTES;
  const length = UDP_BYTES + payloadBytes;
  frame.set([0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7], ip);
  view.setUint16(ip + 2, IP_BYTES + length);
  view.setUint16(ip + 10, 0xffff & ~sumOf(frame.subarray(ip, udp)));
  view.setUint16(udp, 4000);
  view.setUint16(udp + 2, 5000);
  view.setUint16(udp + 4, length);
  for (let i = 0; i < payloadBytes; i++) frame[udp + UDP_BYTES + i] = (i * 7 + 3) & 0xff;
  view.setUint16(udp + CHECKSUM_OFFSET, pseudoSum(frame.subarray(ip, udp), length));
  return frame;
}

/** Whether the finished frame sums up, and is otherwise what was sent. */
function isFinished(sent: Uint8Array, got: Uint8Array): boolean {
  const udp = ETHERNET_BYTES + IP_BYTES;
  if (got.length !== sent.length) return false;
  const same = got.every(
    (byte, i) => byte === sent[i] || i === udp + CHECKSUM_OFFSET || i === udp + CHECKSUM_OFFSET + 1,
  );
  return (
    same &&
    sumOf(got.subarray(udp), pseudoSum(got.subarray(ETHERNET_BYTES, udp), got.length - udp)) === 0xffff
  );
}

/** Null when all is well, else what went wrong. */
export async function testChecksums(clock: Clock = systemClock): Promise<string | null> {
  const receiver = createSocket('udp4');
  const sender = openUdp({ address: '127.0.0.1', port: 0, sendOnly: true });
  try {
    receiver.bind(0, '127.0.0.1');
    await once(receiver, 'listening');
    const batch = createFrameBatch(1);
    const transmitter = new Transmitter(batch, { maxTunnels: 1, sockets: [sender.fd] });
    transmitter.setPlain(0);
    transmitter.setEndpoint(0, '127.0.0.1', receiver.address().port);
    for (const size of PAYLOAD_BYTES) {
      const frame = unfinishedFrame(size);
      const arrives = nextDatagram(receiver, clock);
      const status = send(batch, transmitter, frame);
      const got = await arrives;
      if (status !== SEND.OK) return `a frame of ${frame.length} bytes was not sent (${status})`;
      if (got === null) return `a frame of ${frame.length} bytes did not come back over 127.0.0.1`;
      if (!isFinished(frame, got.subarray(VXLAN.length)))
        return `a frame of ${frame.length} bytes came back with a wrong checksum`;
    }
    return null;
  } finally {
    receiver.close();
    closeFd(sender.fd);
  }
}

/** What became of the one frame of the batch. */
function send(batch: FrameBatch, transmitter: Transmitter, frame: Uint8Array): number | undefined {
  batch.bytes.set(VXLAN, HEADROOM_BYTES - VXLAN.length);
  batch.bytes.set(frame, HEADROOM_BYTES);
  batch.desc.fill(0);
  batch.desc[D.OFF] = HEADROOM_BYTES;
  batch.desc[D.LEN] = frame.length;
  batch.desc[D.HDR] = VXLAN.length;
  batch.desc[D.FLAGS] = F_NEEDS_CSUM;
  batch.desc[D.CSUM] = (ETHERNET_BYTES + IP_BYTES) | (CHECKSUM_OFFSET << 16);
  const entries = new Int32Array(E_STRIDE);
  transmitter.send(entries, 1);
  return entries[E.STATUS];
}

/** Null when none comes in time. */
function nextDatagram(socket: Socket, clock: Clock): Promise<Uint8Array | null> {
  return new Promise((resolve) => {
    const cancel = clock.after(WAIT_MS, () => resolve(null));
    socket.once('message', (datagram) => {
      cancel();
      resolve(datagram);
    });
  });
}
