/**
 * The VXLAN header, RFC 7348 §5, written and read in place. Called per frame; allocates nothing.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |R|R|R|R|I|R|R|R|            Reserved                           |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |                VXLAN Network Identifier (VNI) |   Reserved    |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *
 * "the I flag MUST be set to 1 for a valid VNI"; reserved bits are zero when sent and ignored when received. Under the
 * seal only, bit 0x80 of the last byte says that the inner checksum is partial.
 */

export const VXLAN_HEADER_BYTES = 8;
export const VXLAN_PORT = 4789;
const FLAG_I = 0x08;
/** Bit of byte 7: inner checksum partial, between sealed peers. */
export const PARTIAL_BIT = 0x80;

/** Writes the header at `at`. `vni` is 24 bits. */
export function encodeVxlan(bytes: Uint8Array, at: number, vni: number): void {
  bytes[at] = FLAG_I;
  bytes[at + 1] = 0;
  bytes[at + 2] = 0;
  bytes[at + 3] = 0;
  bytes[at + 4] = vni >>> 16;
  bytes[at + 5] = vni >>> 8;
  bytes[at + 6] = vni;
  bytes[at + 7] = 0;
}

/** The VNI of the header at `at`, of `length` bytes with what follows; -1 if it is no valid VXLAN header. */
export function decodeVxlan(bytes: Uint8Array, at: number, length: number): number {
  if (length < VXLAN_HEADER_BYTES || (bytes[at]! & FLAG_I) === 0) return -1;
  return (bytes[at + 4]! << 16) | (bytes[at + 5]! << 8) | bytes[at + 6]!;
}
