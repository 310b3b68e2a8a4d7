/**
 * How large the IP packets of a frame are, and how a TCP segment of this host becomes smaller ones. Called by transmit.ts for
 * frames that may not fit the path to a peer; allocates nothing.
 *
 * A TCP segment whose checksum the kernel left to us comes from this host's own stack. It is marked as a super-frame that C
 * cuts to size: the stack would have got the same result from a NIC, and no round trip is lost to an ICMP message.
 */
import { D, F_NEEDS_CSUM } from 'tun-tap';
import { ipOffset, transportOffset } from './inner-packet.ts';
import { BIG_PACKET_BYTES } from './shared-tables.ts';

/** An inner frame above this may make a packet above BIG_PACKET_BYTES: IPv6, UDP, seal and encapsulation around it. */
export const BIG_FRAME_BYTES = BIG_PACKET_BYTES - 48 - 40;
/** Bits of D.GSO that hold the type: 0 none, 1 TCPv4, 4 TCPv6, 5 UDP; 0x80 is ECN. */
export const GSO_TYPE_MASK = 0x7f;
const GSO_TCP4 = 1;
const GSO_TCP6 = 4;
const TCP = 6;
const UDP = 17;
const SYN_RST_URG = 0x02 | 0x04 | 0x20;
const LEAST_SEGMENT = 256;

/**
 * Length of the largest IP packet that the frame of descriptor `at` becomes: what follows the Ethernet header and tags. 0 for
 * a TCP super-frame, which is cut to fit.
 */
export function packetBytes(b: Uint8Array, d: Int32Array, at: number): number {
  const off = d[at + D.OFF]!;
  const end = off + d[at + D.LEN]!;
  const gso = d[at + D.GSO]!;
  const type = gso & GSO_TYPE_MASK;
  if (type === GSO_TCP4 || type === GSO_TCP6) return 0;
  const ip = ipOffset(b, off, end);
  if (ip === 0) return end - off - 14;
  if (type === 0) return end - ip;
  const udp = transportOffset(b, ip, end, UDP);
  return udp === 0 ? end - ip : udp + 8 - ip + (gso >>> 8);
}

/** Marks a plain TCP segment as one to be cut to packets of `limit` bytes. False: it is none, or not this host's. */
export function resegment(b: Uint8Array, d: Int32Array, at: number, limit: number): boolean {
  if (d[at + D.GSO] !== 0 || (d[at + D.FLAGS]! & F_NEEDS_CSUM) === 0) return false;
  const off = d[at + D.OFF]!;
  const end = off + d[at + D.LEN]!;
  const ip = ipOffset(b, off, end);
  const tcp = ip === 0 ? 0 : transportOffset(b, ip, end, TCP);
  if (tcp === 0 || tcp + 20 > end || (b[tcp + 13]! & SYN_RST_URG) !== 0) return false;
  const isIpv4 = b[ip]! >> 4 === 4;
  // A first fragment is not a whole segment.
  if (isIpv4 && (b[ip + 6]! & 0x20) !== 0) return false;
  if (!isIpv4 && tcp !== ip + 40) return false;
  const size = limit - (tcp - ip) - (b[tcp + 12]! >> 4) * 4;
  if (size < LEAST_SEGMENT) return false;
  d[at + D.GSO] = (isIpv4 ? GSO_TCP4 : GSO_TCP6) | (size << 8);
  return true;
}
