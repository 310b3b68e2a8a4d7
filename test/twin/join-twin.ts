/**
 * What joining the frames of one batch has to give: the oracle of tun-tap's joinFrames. A frame joins the run directly
 * before it or begins its own, so the order of frames never changes. The rules are those under which a kernel that cuts the
 * result again makes the same segments (RFC 9293 for TCP, RFC 768 for UDP, RFC 6864 for IPv4 ids, RFC 3168 for ECN).
 */
import { readU16, readU32, writeU16 } from './checksum-twin.ts';
import {
  checksumIsRight,
  checksumOffset,
  completeIpv4Header,
  ipv4HeaderIsRight,
  type Layout,
  layoutOf,
  pseudoSumOf,
  TCP,
} from './packet-twin.ts';
import { GSO, type VnetTwin } from './split-twin.ts';

export interface FrameIn {
  readonly bytes: Uint8Array;
  /** The peer says that the checksum field holds no checksum yet. */
  readonly partial: boolean;
}

export interface Joined {
  readonly bytes: Uint8Array;
  readonly vnet: VnetTwin;
  readonly segments: number;
}

export const MAX_JOINED_SEGMENTS = 64;
const MAX_PACKET_BYTES = 65535;
/** VXLAN and Geneve: kernels before 6.8.5 break a tunnel packet that is handed over joined. */
const TUNNEL_PORTS: readonly number[] = [4789, 6081];
const ACK = 0x10;
const PSH = 0x08;
const NO_OFFLOAD: VnetTwin = { needsCsum: false, gsoType: GSO.NONE, gsoSize: 0, csumStart: 0, csumOffset: 0 };

/** A frame that others may join. */
interface Segment {
  readonly frame: FrameIn;
  readonly layout: Layout;
}

interface Run {
  /** Null: nothing may join. */
  readonly first: Segment | null;
  readonly frames: FrameIn[];
  payloadBytes: number;
  closed: boolean;
}

export function joinTwin(frames: readonly FrameIn[]): Joined[] {
  const runs: Run[] = [];
  for (const frame of frames) {
    const segment = joinable(frame);
    const run = runs.at(-1);
    if (run === undefined || segment === null || !follows(run, segment)) runs.push(begin(frame, segment));
    else append(run, segment);
  }
  return runs.map(written);
}

function begin(frame: FrameIn, segment: Segment | null): Run {
  const payloadBytes = segment === null ? 0 : payloadOf(segment);
  return { first: segment, frames: [frame], payloadBytes, closed: segment === null || hasPush(segment) };
}

function append(run: Run, segment: Segment): void {
  run.frames.push(segment.frame);
  run.payloadBytes += payloadOf(segment);
  run.closed = hasPush(segment) || payloadOf(segment) < payloadOf(run.first!);
}

const payloadOf = ({ layout }: Segment): number => layout.end - layout.payload;

function hasPush({ frame, layout }: Segment): boolean {
  return layout.protocol === TCP && (frame.bytes[layout.l4 + 13]! & PSH) !== 0;
}

/** The frame by itself is of a kind that may be in a run. */
function joinable(frame: FrameIn): Segment | null {
  const { bytes, partial } = frame;
  const layout = layoutOf(bytes);
  if (layout === null || layout.l3 !== 14 || layout.fragment) return null;
  if (layout.end !== bytes.length || layout.payload === layout.end) return null;
  // Options or extension headers: none.
  if (layout.l4 - layout.l3 !== (layout.version === 4 ? 20 : 40)) return null;
  // RFC 1122 §3.2.1.2: a wrong header is somebody's to discard, never ours to repair.
  if (layout.version === 4 && !ipv4HeaderIsRight(bytes, layout)) return null;
  if (!(layout.protocol === TCP ? isPlainTcp(bytes, layout) : isPlainUdp(bytes, layout, partial)))
    return null;
  return partial || checksumIsRight(bytes, layout) ? { frame, layout } : null;
}

/** Flags exactly ACK or ACK and PSH (RFC 9293 §3.1); the bits before them only have to stay the same. */
function isPlainTcp(bytes: Uint8Array, { l4 }: Layout): boolean {
  return (bytes[l4 + 13]! & ~PSH) === ACK;
}

function isPlainUdp(bytes: Uint8Array, { l4, end }: Layout, partial: boolean): boolean {
  if (TUNNEL_PORTS.includes(readU16(bytes, l4)) || TUNNEL_PORTS.includes(readU16(bytes, l4 + 2)))
    return false;
  // RFC 768: no checksum is no promise that a checksum could be made of it.
  return readU16(bytes, l4 + 4) === end - l4 && (partial || readU16(bytes, l4 + 6) !== 0);
}

function follows(run: Run, next: Segment): boolean {
  const { first } = run;
  if (first === null || run.closed || run.frames.length === MAX_JOINED_SEGMENTS) return false;
  if (first.frame.partial !== next.frame.partial || first.layout.payload !== next.layout.payload)
    return false;
  if (first.layout.version !== next.layout.version || first.layout.protocol !== next.layout.protocol)
    return false;
  if (payloadOf(next) > payloadOf(first)) return false;
  if (next.layout.payload - next.layout.l3 + run.payloadBytes + payloadOf(next) > MAX_PACKET_BYTES)
    return false;
  const a = steady(first.frame.bytes, first.layout);
  const b = steady(next.frame.bytes, next.layout);
  return Buffer.compare(a, b) === 0 && isInSequence(run, first, next);
}

/** The headers without what differs from segment to segment. */
function steady(bytes: Uint8Array, { version, protocol, l3, l4, payload }: Layout): Uint8Array {
  const out = bytes.slice(0, payload);
  // IPv4: total length, id, header checksum. IPv6: payload length.
  if (version === 4) out.fill(0, l3 + 2, l3 + 6).fill(0, l3 + 10, l3 + 12);
  else out.fill(0, l3 + 4, l3 + 6);
  // TCP: sequence number, PSH, checksum. UDP: length, checksum.
  if (protocol === TCP) {
    out.fill(0, l4 + 4, l4 + 8).fill(0, l4 + 16, l4 + 18);
    out[l4 + 13]! &= ~PSH;
  } else {
    out.fill(0, l4 + 4, l4 + 8);
  }
  return out;
}

function isInSequence(run: Run, first: Segment, next: Segment): boolean {
  const a = first.frame.bytes;
  const b = next.frame.bytes;
  const { l3, l4, version, protocol } = first.layout;
  if (version === 4 && (a[l3 + 6]! & 0x40) === 0) {
    if (readU16(b, l3 + 4) !== (readU16(a, l3 + 4) + run.frames.length) % 65536) return false;
  }
  return protocol !== TCP || readU32(b, l4 + 4) === (readU32(a, l4 + 4) + run.payloadBytes) % 2 ** 32;
}

/** What goes to the TAP for a run. */
function written(run: Run): Joined {
  const [frame] = run.frames;
  if (run.first === null || run.frames.length === 1) return { ...alone(frame!), segments: 1 };
  const { layout } = run.first;
  const { l3, l4, version, protocol, payload } = layout;
  const parts = run.frames.map(({ bytes }, i) => (i === 0 ? bytes : bytes.subarray(payload)));
  const bytes = Uint8Array.from(Buffer.concat(parts));
  const joined: Layout = { ...layout, end: bytes.length };
  if (protocol === TCP) bytes[l4 + 13]! |= run.frames.at(-1)!.bytes[l4 + 13]! & PSH;
  else writeU16(bytes, l4 + 4, bytes.length - l4);
  if (version === 4) {
    writeU16(bytes, l3 + 2, bytes.length - l3);
    completeIpv4Header(bytes, joined);
  } else {
    writeU16(bytes, l3 + 4, bytes.length - l3 - 40);
  }
  const gsoType = protocol === TCP ? (version === 4 ? GSO.TCPV4 : GSO.TCPV6) : GSO.UDP;
  const vnet = unfinished(bytes, joined);
  return { bytes, vnet: { ...vnet, gsoType, gsoSize: payloadOf(run.first) }, segments: run.frames.length };
}

/** A frame by itself: as it came, but what is partial is left to the receiving kernel to finish. */
function alone({ bytes: given, partial }: FrameIn): { readonly bytes: Uint8Array; readonly vnet: VnetTwin } {
  const bytes = given.slice();
  const layout = layoutOf(bytes);
  if (!partial || layout === null || layout.fragment) return { bytes, vnet: NO_OFFLOAD };
  return { bytes, vnet: unfinished(bytes, layout) };
}

/** virtio 1.2 §5.1.6.2: the checksum field holds the pseudo-header's sum, the kernel does the rest. */
function unfinished(bytes: Uint8Array, layout: Layout): VnetTwin {
  const csumOffset = checksumOffset(layout.protocol);
  writeU16(bytes, layout.l4 + csumOffset, pseudoSumOf(bytes, layout));
  return { ...NO_OFFLOAD, needsCsum: true, csumStart: layout.l4, csumOffset };
}
