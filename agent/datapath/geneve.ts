/**
 * The Geneve header, RFC 8926 §3.4, written and read in place. Called per frame; allocates nothing.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |Ver|  Opt Len  |O|C|    Rsvd.  |          Protocol Type        |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |        Virtual Network Identifier (VNI)       |    Reserved   |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |  options: class (16) | C type (8) | R R R length (5) | data   |
 *
 * Opt Len and an option's length count 4-byte words. "Packets received by a tunnel endpoint with an unknown version MUST
 * be dropped"; an option whose type has the high bit is critical, and one that is not known makes the packet be dropped
 * (§3.5). O marks a control packet, which carries no frame for the TAP. We send no options in this version and know none.
 */
import { DROP } from './drop.ts';

export const GENEVE_HEADER_BYTES = 8;
export const GENEVE_PORT = 6081;
/** Transparent Ethernet bridging. */
const PROTOCOL_ETHERNET = 0x6558;

/** Writes a header without options at `at`. `vni` is 24 bits. */
export function encodeGeneve(bytes: Uint8Array, at: number, vni: number): void {
  bytes[at] = 0;
  bytes[at + 1] = 0;
  bytes[at + 2] = PROTOCOL_ETHERNET >>> 8;
  bytes[at + 3] = PROTOCOL_ETHERNET & 0xff;
  bytes[at + 4] = vni >>> 16;
  bytes[at + 5] = vni >>> 8;
  bytes[at + 6] = vni;
  bytes[at + 7] = 0;
}

/** What `decodeGeneve` read; one for each thread, filled anew by each call. */
export interface GeneveFields {
  vni: number;
  /** Fixed header and options, in bytes. */
  headerBytes: number;
}

/** Reads the header at `at`, of `length` bytes with what follows. Returns a drop reason, or 0 with `into` filled. */
export function decodeGeneve(bytes: Uint8Array, at: number, length: number, into: GeneveFields): number {
  if (length < GENEVE_HEADER_BYTES || bytes[at]! >>> 6 !== 0) return DROP.header;
  const headerBytes = GENEVE_HEADER_BYTES + (bytes[at]! & 0x3f) * 4;
  if (length < headerBytes) return DROP.header;
  if (((bytes[at + 2]! << 8) | bytes[at + 3]!) !== PROTOCOL_ETHERNET) return DROP.header;
  if ((bytes[at + 1]! & 0x80) !== 0) return DROP.notListening;
  const end = at + headerBytes;
  for (let option = at + GENEVE_HEADER_BYTES; option < end; ) {
    if (option + 4 > end) return DROP.header;
    if ((bytes[option + 2]! & 0x80) !== 0) return DROP.geneveCritical;
    option += 4 + (bytes[option + 3]! & 0x1f) * 4;
    if (option > end) return DROP.header;
  }
  into.vni = (bytes[at + 4]! << 16) | (bytes[at + 5]! << 8) | bytes[at + 6]!;
  into.headerBytes = headerBytes;
  return 0;
}
