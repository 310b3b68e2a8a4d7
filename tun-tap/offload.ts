/**
 * Split and join outside the data path: the functions of native/split.c and native/join.c that the transmitter and the
 * receiver use, on frames of their own. For tests, which hold them against their TypeScript twins, and benchmarks.
 */
import { native } from './native-binding.ts';

const NEEDS_CSUM = 1;
const PARTIAL = 0x8000_0000;
const RUN_HEADER_BYTES = 14;
/** SPLIT_MAX_SEGMENTS segments repeat headers of at most SPLIT_MAX_HEADER bytes. */
const SPLIT_ROOM_BYTES = 65_600 + 2048 * (240 + 4);

/**
 * The virtio-net header (virtio 1.2 §5.1.6) without its header length, which nobody believes. Offsets count from the first
 * byte of the Ethernet frame. gsoType: 0 none, 1 TCP over IPv4, 4 TCP over IPv6, 5 UDP; bit 0x80: ECN.
 */
export interface VnetHeader {
  readonly needsCsum: boolean;
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly csumStart: number;
  readonly csumOffset: number;
}

export interface JoinedFrame {
  readonly bytes: Uint8Array;
  readonly vnet: VnetHeader;
  readonly segments: number;
}

/**
 * Cuts one super-frame as the transmitter does; a frame that is none comes back alone.
 * @param options.maxPacketBytes largest IP packet, 0 for no limit: TCP segments get smaller, UDP is refused
 * @param options.complete finish the checksums of TCP and UDP; else their field stays as the super-frame has it
 * @returns null if the headers contradict each other or the limit cannot be met
 */
export function splitFrame(
  frame: Uint8Array,
  vnet: VnetHeader,
  options: { readonly maxPacketBytes: number; readonly complete: boolean },
): Uint8Array[] | null {
  if (vnet.gsoType === 0) return [frame.slice()];
  const into = new Uint8Array(SPLIT_ROOM_BYTES);
  const used = native.splitFrame(
    frame.slice(),
    vnet.needsCsum ? NEEDS_CSUM : 0,
    vnet.gsoType,
    vnet.gsoSize,
    vnet.csumStart + vnet.csumOffset * 0x10000,
    options.maxPacketBytes,
    Number(options.complete),
    into,
  );
  if (used < 0) return null;
  const view = new DataView(into.buffer);
  const segments: Uint8Array[] = [];
  for (let at = 0; at < used; ) {
    const length = view.getUint32(at);
    segments.push(into.slice(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return segments;
}

/** Joins the frames of one batch, in order, as the receiver does; each result is what the TAP would be given. */
export function joinFrames(
  frames: readonly { readonly bytes: Uint8Array; readonly partial: boolean }[],
): JoinedFrame[] {
  const total = frames.reduce((sum, f) => sum + f.bytes.length, 0);
  const list = new Uint8Array(total + 4 * frames.length);
  const words = new DataView(list.buffer);
  let put = 0;
  for (const { bytes, partial } of frames) {
    words.setUint32(put, bytes.length + (partial ? PARTIAL : 0));
    list.set(bytes, put + 4);
    put += 4 + bytes.length;
  }
  const into = new Uint8Array(total + RUN_HEADER_BYTES * frames.length);
  const used = native.joinFrames(list, into);
  const view = new DataView(into.buffer);
  const joined: JoinedFrame[] = [];
  for (let at = 0; at < used; ) {
    const length = view.getUint32(at);
    joined.push({
      segments: view.getUint16(at + 4),
      vnet: {
        needsCsum: (view.getUint8(at + 6) & NEEDS_CSUM) !== 0,
        gsoType: view.getUint8(at + 7),
        gsoSize: view.getUint16(at + 8),
        csumStart: view.getUint16(at + 10),
        csumOffset: view.getUint16(at + 12),
      },
      bytes: into.slice(at + RUN_HEADER_BYTES, at + RUN_HEADER_BYTES + length),
    });
    at += RUN_HEADER_BYTES + length;
  }
  return joined;
}
