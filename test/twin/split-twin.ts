/**
 * What cutting a super-frame has to give, one segment at a time into fresh memory: the oracle of tun-tap's splitFrame.
 * virtio 1.2 §5.1.6 for the header that comes with a frame, RFC 9293 and RFC 768 for what a segment says, RFC 3168 §6.1.2
 * for CWR (only the first segment may carry it), RFC 6864 for IPv4 ids. Never uses what the header says a header's length is.
 */
import { readU16, readU32, writeU16, writeU32 } from './checksum-twin.ts';
import {
  checksumOffset,
  completeChecksum,
  completeIpv4Header,
  type Layout,
  layoutOf,
  TCP,
} from './packet-twin.ts';

export interface VnetTwin {
  readonly needsCsum: boolean;
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly csumStart: number;
  readonly csumOffset: number;
}

export interface SplitOptions {
  /** Largest IP packet in bytes; 0: no limit. */
  readonly maxPacketBytes: number;
  /** Finish the TCP and UDP checksums. */
  readonly complete: boolean;
}

export const GSO = { NONE: 0, TCPV4: 1, TCPV6: 4, UDP: 5, ECN: 0x80 } as const;
/** 65,535 bytes at the least MSS that a sender may use, and some. */
export const MAX_SEGMENTS = 2048;
/** A limit that leaves TCP less than this is no limit that a path has. */
const MIN_SEGMENT_BYTES = 8;
const CWR = 0x80;
const PSH = 0x08;
const FIN = 0x01;

/** The segments, or null if the super-frame is refused. A frame that is no super-frame comes back as it is. */
export function splitTwin(frame: Uint8Array, vnet: VnetTwin, options: SplitOptions): Uint8Array[] | null {
  if (vnet.gsoType === GSO.NONE) return [frame.slice()];
  const layout = layoutOf(frame);
  if (layout === null || !isSound(frame, layout, vnet)) return null;
  const size = segmentBytes(layout, vnet.gsoSize, options.maxPacketBytes);
  if (size < 1) return null;
  const count = Math.ceil((layout.end - layout.payload) / size);
  if (count > MAX_SEGMENTS) return null;
  return Array.from({ length: count }, (_, i) => segment(frame, layout, size, i, count, options.complete));
}

/** Payload of a segment under a limit; 0 if none fits. The borders of UDP datagrams are their sender's. */
function segmentBytes(layout: Layout, gsoSize: number, maxPacketBytes: number): number {
  const room = maxPacketBytes - (layout.payload - layout.l3);
  if (maxPacketBytes === 0 || gsoSize <= room) return gsoSize;
  return layout.protocol === TCP && room >= MIN_SEGMENT_BYTES ? room : 0;
}

/** Whether the header that came with the frame says what the frame says: virtio 1.2 §5.1.6.2. */
function isSound(frame: Uint8Array, layout: Layout, vnet: VnetTwin): boolean {
  const { version, protocol, fragment, l4, payload, end } = layout;
  const expected = protocol === TCP ? (version === 4 ? GSO.TCPV4 : GSO.TCPV6) : GSO.UDP;
  if ((vnet.gsoType & ~GSO.ECN) !== expected || vnet.gsoSize === 0 || !vnet.needsCsum) return false;
  if (fragment || end !== frame.length || payload === end) return false;
  return vnet.csumStart === l4 && vnet.csumOffset === checksumOffset(protocol);
}

function segment(
  frame: Uint8Array,
  of: Layout,
  size: number,
  i: number,
  count: number,
  complete: boolean,
): Uint8Array {
  const from = of.payload + i * size;
  const payload = frame.subarray(from, Math.min(from + size, of.end));
  const out = new Uint8Array(of.payload + payload.length);
  out.set(frame.subarray(0, of.payload));
  out.set(payload, of.payload);
  const layout: Layout = { ...of, end: out.length };
  if (of.protocol === TCP) tcpHeader(out, of.l4, i, count, size);
  else writeU16(out, of.l4 + 4, out.length - of.l4);
  if (of.version === 4) {
    writeU16(out, of.l3 + 2, out.length - of.l3);
    writeU16(out, of.l3 + 4, (readU16(frame, of.l3 + 4) + i) % 65536);
    completeIpv4Header(out, layout);
  } else {
    writeU16(out, of.l3 + 4, out.length - of.l3 - 40);
  }
  if (complete) completeChecksum(out, layout);
  return out;
}

function tcpHeader(out: Uint8Array, l4: number, i: number, count: number, size: number): void {
  writeU32(out, l4 + 4, (readU32(out, l4 + 4) + i * size) % 2 ** 32);
  if (i > 0) out[l4 + 13]! &= ~CWR;
  if (i < count - 1) out[l4 + 13]! &= ~(PSH | FIN);
}
