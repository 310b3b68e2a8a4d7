/**
 * The Internet checksum as RFC 1071 defines it, 16 bits at a time, and the pseudo-headers of RFC 9293 §3.1, RFC 768 and
 * RFC 8200 §8.1. The oracle of the checksums in C: slow, obvious, and written from the RFCs alone.
 */

/** RFC 1071: the ones' complement sum of the 16-bit words of `bytes`, an odd last byte padded with zero. */
export function sum16(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
    // Keeps the sum below 2^17 at every step: the carry goes around at once.
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

/** The sum of the pseudo-header: source, destination, upper-layer length, next header. */
export function pseudoSum(addresses: Uint8Array, protocol: number, lengthBytes: number): number {
  const tail = Uint8Array.of(
    (lengthBytes >>> 24) & 0xff,
    (lengthBytes >>> 16) & 0xff,
    (lengthBytes >>> 8) & 0xff,
    lengthBytes & 0xff,
    0,
    0,
    0,
    protocol,
  );
  return sum16(tail, sum16(addresses));
}

/** What is stored in a checksum field for a sum. */
export function complement(sum: number): number {
  return ~sum & 0xffff;
}

export function readU16(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 256 + bytes[at + 1]!;
}

export function readU32(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at) * 65536 + readU16(bytes, at + 2);
}

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = (value >>> 8) & 0xff;
  bytes[at + 1] = value & 0xff;
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  writeU16(bytes, at, Math.floor(value / 65536) & 0xffff);
  writeU16(bytes, at + 2, value % 65536);
}
