/**
 * Where the IP packet and its transport header stand in an Ethernet frame, behind at most two VLAN tags and, for IPv6, at
 * most eight extension headers (RFC 8200 §4). Offsets are absolute in `b`; `end` is one past the frame's last byte. Zero
 * means: not to be found. Called per frame; allocates nothing, reads nothing beyond `end`.
 */

export const TYPE_IPV4 = 0x0800;
export const TYPE_IPV6 = 0x86dd;
const TYPE_TAG = 0x8100;
const TYPE_OUTER_TAG = 0x88a8;
const MAC_BYTES = 12;
const MAX_TAGS = 2;
const MAX_EXTENSIONS = 8;
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const DESTINATION = 60;

/** The IPv4 or IPv6 header of the frame at `at`, whole and of the version its EtherType says; else 0. */
export function ipOffset(b: Uint8Array, at: number, end: number): number {
  let p = at + MAC_BYTES;
  for (let tags = 0; tags <= MAX_TAGS; tags++, p += 4) {
    if (p + 2 > end) return 0;
    const type = (b[p]! << 8) | b[p + 1]!;
    if (type === TYPE_TAG || type === TYPE_OUTER_TAG) continue;
    const ip = p + 2;
    if (type === TYPE_IPV4) {
      const headerBytes = (b[ip]! & 15) * 4;
      return ip + 20 <= end && b[ip]! >> 4 === 4 && headerBytes >= 20 && ip + headerBytes <= end ? ip : 0;
    }
    return type === TYPE_IPV6 && ip + 40 <= end && b[ip]! >> 4 === 6 ? ip : 0;
  }
  return 0;
}

/** Whether the packet is a fragment other than the first, which has no transport header. */
export function isLaterFragment(b: Uint8Array, ip: number, end: number): boolean {
  if (b[ip]! >> 4 === 4) return (((b[ip + 6]! & 0x1f) << 8) | b[ip + 7]!) !== 0;
  const p = extension(b, ip, end, FRAGMENT);
  return p !== 0 && (((b[p + 2]! << 8) | b[p + 3]!) & 0xfff8) !== 0;
}

/** The transport header if its protocol is `protocol` and this is no later fragment; else 0. */
export function transportOffset(b: Uint8Array, ip: number, end: number, protocol: number): number {
  if (b[ip]! >> 4 === 4) {
    if (b[ip + 9] !== protocol || (b[ip + 6]! & 0x1f) !== 0 || b[ip + 7] !== 0) return 0;
    const at = ip + (b[ip]! & 15) * 4;
    return at < end ? at : 0;
  }
  if (b[ip + 6] === protocol) return ip + 40 < end ? ip + 40 : 0;
  return isLaterFragment(b, ip, end) ? 0 : extension(b, ip, end, protocol);
}

/** The first header of kind `wanted` in an IPv6 chain, with at least 8 bytes of it in the frame; else 0. */
function extension(b: Uint8Array, ip: number, end: number, wanted: number): number {
  let next = b[ip + 6]!;
  let p = ip + 40;
  for (let n = 0; n <= MAX_EXTENSIONS && p + 8 <= end; n++) {
    if (next === wanted) return p;
    if (next !== HOP_BY_HOP && next !== ROUTING && next !== DESTINATION && next !== FRAGMENT) return 0;
    const bytes = next === FRAGMENT ? 8 : (b[p + 1]! + 1) * 8;
    next = b[p]!;
    p += bytes;
  }
  return 0;
}
