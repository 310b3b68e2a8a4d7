/**
 * The arithmetic of sizes. The MTU of a segment's TAP is policy: what is left of a 1500-byte underlay after the outer
 * headers of either family, the encapsulation, two VLAN tags and, when sealed, the seal (PROTOCOL.md, first MTUs); one value
 * for all members, so that no peer can shrink everybody. What fits the measured path to one peer is that peer's packet limit.
 *
 *   outer IPv6 40 | UDP 8 | seal header 16 | VXLAN or Geneve 8 (+64 options) | Ethernet 14 | two tags 8 | packet | tag 16
 */

export const UNDERLAY_MTU_BYTES = 1500;
/** The least MTU that a policy may set: IPv6 needs it. */
export const MIN_SEGMENT_MTU_BYTES = 1280;

const IP_BYTES = { 4: 20, 6: 40 } as const;
const UDP_BYTES = 8;
const SEAL_BYTES = 16 + 16;
const ENCAPSULATION_BYTES = 8;
const INNER_ETHERNET_BYTES = 14 + 8;
/** Room for the options that Geneve may carry under the seal. */
const GENEVE_OPTION_BYTES = 64;

export type OuterFamily = 4 | 6;

/** What the outer packet adds to a datagram: IP and UDP headers. */
export function outerBytes(family: OuterFamily): number {
  return IP_BYTES[family] + UDP_BYTES;
}

/** The largest inner IP packet, with two tags before it, that fits an outer packet of `pathBytes`. */
export function packetLimitBytes(
  pathBytes: number,
  family: OuterFamily,
  mode: 'sealed' | 'plain',
  encap: 'vxlan' | 'geneve',
): number {
  const plain = pathBytes - outerBytes(family) - ENCAPSULATION_BYTES - INNER_ETHERNET_BYTES;
  if (mode === 'plain') return plain;
  return plain - SEAL_BYTES - (encap === 'geneve' ? GENEVE_OPTION_BYTES : 0);
}

/** What one UDP_SEGMENT message carries (tun-tap/native/outbox.h). */
const MESSAGE_BYTES = 65_000;
/** IPv4 and TCP with timestamps. */
const TCP_HEADER_BYTES = 52;
/** What the kernel takes off a device's gso_max_size for headers (MAX_TCP_HEADER), rounded up; well under one segment. */
const KERNEL_MARGIN_BYTES = 600;

/**
 * The TAP's gso_max_size: super-frames as large as one message on the underlay carries when it is cut. A frame that is a few
 * segments larger would cost a second message, and a second of everything behind it (5 % of the agents' CPU here).
 */
export function superFrameBytes(mtuBytes: number, mode: 'sealed' | 'plain'): number {
  const datagramBytes = ENCAPSULATION_BYTES + 14 + mtuBytes + (mode === 'sealed' ? SEAL_BYTES : 0);
  const segments = Math.max(1, Math.floor(MESSAGE_BYTES / datagramBytes));
  return Math.min(65_536, segments * (mtuBytes - TCP_HEADER_BYTES) + KERNEL_MARGIN_BYTES);
}

/** Segment MTU in bytes: 1390 sealed VXLAN, 1326 sealed Geneve, 1422 plain. */
export function segmentMtuBytes(mode: 'sealed' | 'plain', encap: 'vxlan' | 'geneve'): number {
  return packetLimitBytes(UNDERLAY_MTU_BYTES, 6, mode, encap);
}
