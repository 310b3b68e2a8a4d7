/**
 * Where the headers of a TCP or UDP frame are, read from the RFCs: at most two VLAN tags (IEEE 802.1Q), IPv4 (RFC 791) or
 * IPv6 with extension headers (RFC 8200 §4), TCP (RFC 9293) or UDP (RFC 768). Shared by the split and join twins, and
 * used by their tests to say what a frame's content is.
 */
import { complement, pseudoSum, readU16, sum16, writeU16 } from './checksum-twin.ts';

export const TCP = 6;
export const UDP = 17;
export const TPIDS: readonly number[] = [0x8100, 0x88a8];
const MAX_TAGS = 2;

/** All offsets are bytes from the frame's start. */
export interface Layout {
  readonly version: 4 | 6;
  readonly protocol: number;
  readonly l3: number;
  readonly l4: number;
  readonly payload: number;
  /** Where the IP packet ends; bytes behind it are padding. */
  readonly end: number;
  /** The first of several fragments. */
  readonly fragment: boolean;
}

/** The layout of `frame`, or null unless it carries a whole TCP or UDP header in a first fragment. */
export function layoutOf(frame: Uint8Array): Layout | null {
  let at = 12;
  for (let tags = 0; tags < MAX_TAGS && at + 2 <= frame.length && TPIDS.includes(readU16(frame, at)); tags++)
    at += 4;
  if (at + 2 > frame.length) return null;
  const type = readU16(frame, at);
  if (type === 0x0800) return withHeader(frame, ipv4(frame, at + 2));
  return type === 0x86dd ? withHeader(frame, ipv6(frame, at + 2)) : null;
}

type Network = Omit<Layout, 'payload'>;

function ipv4(frame: Uint8Array, l3: number): Network | null {
  if (l3 + 20 > frame.length || frame[l3]! >> 4 !== 4) return null;
  const headerBytes = (frame[l3]! & 15) * 4;
  const end = l3 + readU16(frame, l3 + 2);
  const fragment = readU16(frame, l3 + 6);
  const isLater = (fragment & 0x1fff) !== 0;
  if (headerBytes < 20 || end < l3 + headerBytes || end > frame.length || isLater) return null;
  const l4 = l3 + headerBytes;
  return { version: 4, protocol: frame[l3 + 9]!, l3, l4, end, fragment: (fragment & 0x2000) !== 0 };
}

function ipv6(frame: Uint8Array, l3: number): Network | null {
  if (l3 + 40 > frame.length || frame[l3]! >> 4 !== 6) return null;
  const end = l3 + 40 + readU16(frame, l3 + 4);
  // An IP packet of more than 65,535 bytes would be no packet to most of what handles it.
  if (end > frame.length || end - l3 > 65535) return null;
  let fragment = false;
  let protocol = frame[l3 + 6]!;
  let at = l3 + 40;
  while (protocol !== TCP && protocol !== UDP) {
    if (at + 8 > end) return null;
    const isFragment = protocol === 44;
    if (![0, 43, 44, 60].includes(protocol)) return null;
    if (isFragment && (readU16(frame, at + 2) & 0xfff8) !== 0) return null;
    fragment ||= isFragment;
    protocol = frame[at]!;
    at += isFragment ? 8 : 8 + frame[at + 1]! * 8;
  }
  return { version: 6, protocol, l3, l4: at, end, fragment };
}

function withHeader(frame: Uint8Array, network: Network | null): Layout | null {
  if (network === null) return null;
  const { protocol, l4, end } = network;
  if (protocol === UDP) return l4 + 8 <= end ? { ...network, payload: l4 + 8 } : null;
  if (protocol !== TCP || l4 + 20 > end) return null;
  const headerBytes = (frame[l4 + 12]! >> 4) * 4;
  return headerBytes >= 20 && l4 + headerBytes <= end ? { ...network, payload: l4 + headerBytes } : null;
}

/** Offset of the checksum field in the TCP or UDP header. */
export function checksumOffset(protocol: number): number {
  return protocol === TCP ? 16 : 6;
}

/** The pseudo-header's sum for the upper-layer length that IP states. */
export function pseudoSumOf(frame: Uint8Array, layout: Layout): number {
  const { l3, l4, end, protocol, version } = layout;
  const addresses = version === 4 ? frame.subarray(l3 + 12, l3 + 20) : frame.subarray(l3 + 8, l3 + 40);
  return pseudoSum(addresses, protocol, end - l4);
}

/** Writes the whole TCP or UDP checksum. RFC 768: UDP sends a computed zero as all ones. */
export function completeChecksum(frame: Uint8Array, layout: Layout): void {
  const at = layout.l4 + checksumOffset(layout.protocol);
  writeU16(frame, at, 0);
  const field = complement(sum16(frame.subarray(layout.l4, layout.end), pseudoSumOf(frame, layout)));
  writeU16(frame, at, field === 0 && layout.protocol === UDP ? 0xffff : field);
}

/** Writes the IPv4 header checksum (RFC 791 §3.1). */
export function completeIpv4Header(frame: Uint8Array, layout: Layout): void {
  writeU16(frame, layout.l3 + 10, 0);
  writeU16(
    frame,
    layout.l3 + 10,
    complement(sum16(frame.subarray(layout.l3, layout.l3 + ipv4HeaderBytes(frame, layout)))),
  );
}

/** RFC 1071: a header or segment with a right checksum sums up to all ones. */
export function ipv4HeaderIsRight(frame: Uint8Array, layout: Layout): boolean {
  return sum16(frame.subarray(layout.l3, layout.l3 + ipv4HeaderBytes(frame, layout))) === 0xffff;
}

export function checksumIsRight(frame: Uint8Array, layout: Layout): boolean {
  return sum16(frame.subarray(layout.l4, layout.end), pseudoSumOf(frame, layout)) === 0xffff;
}

function ipv4HeaderBytes(frame: Uint8Array, layout: Layout): number {
  return (frame[layout.l3]! & 15) * 4;
}
