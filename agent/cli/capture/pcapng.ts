/**
 * Blocks of a pcapng file (draft-ietf-opsawg-pcapng §3, §4), little endian, made one at a time so that a reader of a pipe sees each
 * packet at once:
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |  block type   |  total length |  body, padded to 32 bits  ... |  total length again
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *
 * section 0x0A0D0D0A | interface 1 (inner) | interface 1 (outer) | interface 1 (dropped) | packets 6 ... | statistics 5
 *
 * Called by `weft capture`. Times are microseconds.
 */

/** https://www.tcpdump.org/linktypes.html: Ethernet; an IPv4 or IPv6 packet without a link header. */
export const LINK = { ethernet: 1, ip: 101 } as const;
const BLOCK = { section: 0x0a0d0d0a, interface: 1, statistics: 5, packet: 6 } as const;
const OPTION = {
  end: 0,
  comment: 1,
  interfaceName: 2,
  interfaceDescription: 3,
  dropped: 5,
  userApplication: 4,
} as const;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const MAX_SNAP_BYTES = 262_144;

function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value >>> 0, i * 4);
  return bytes;
}

function u16(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  for (const [i, value] of values.entries()) bytes.writeUInt16LE(value, i * 2);
  return bytes;
}

const paddedTo32 = (bytes: Uint8Array): Buffer =>
  Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);

function option(code: number, value: Uint8Array): Buffer {
  return Buffer.concat([u16(code, value.length), paddedTo32(value)]);
}

function block(type: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const length = body.length + 12;
  return Buffer.concat([u32(type, length), body, u32(length)]);
}

const text = (value: string): Buffer => Buffer.from(value, 'utf8');
const END = u16(OPTION.end, 0);

/** Microseconds as the two words of a time stamp. */
function stamp(atMs: number): Buffer {
  const us = Math.round(atMs * 1000);
  return u32(Math.floor(us / 0x1_0000_0000), us % 0x1_0000_0000);
}

export function sectionBlock(application: string): Buffer {
  // Version 1.0; the section's length is not known.
  const fixed = Buffer.concat([u32(BYTE_ORDER_MAGIC), u16(1, 0), u32(0xffffffff, 0xffffffff)]);
  return block(BLOCK.section, fixed, option(OPTION.userApplication, text(application)), END);
}

export function interfaceBlock(link: number, name: string, description: string): Buffer {
  const options = [
    option(OPTION.interfaceName, text(name)),
    option(OPTION.interfaceDescription, text(description)),
  ];
  return block(BLOCK.interface, u16(link, 0), u32(MAX_SNAP_BYTES), ...options, END);
}

/** @param at Unix milliseconds @param sizeBytes of the packet before it was cut */
export function packetBlock(
  position: number,
  at: number,
  data: Uint8Array,
  sizeBytes: number,
  comment: string,
): Buffer {
  const fixed = Buffer.concat([u32(position), stamp(at), u32(data.length, Math.max(sizeBytes, data.length))]);
  return block(BLOCK.packet, fixed, paddedTo32(data), option(OPTION.comment, text(comment)), END);
}

/** How many packets found no room. */
export function statisticsBlock(position: number, at: number, dropped: number): Buffer {
  return block(BLOCK.statistics, u32(position), stamp(at), option(OPTION.dropped, u32(dropped, 0)), END);
}
