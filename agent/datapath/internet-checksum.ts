/**
 * The Internet checksum, RFC 1071, and its update, RFC 1624 §3. For the few packets that TypeScript makes or changes; all
 * others are C's. Called per frame; allocates nothing.
 */

/** Adds the 16-bit words of [at, at + length) to `sum`; an odd last byte counts as the high one. Up to 64 KiB. */
export function addWords(b: Uint8Array, at: number, length: number, sum: number): number {
  let total = sum;
  const even = at + (length & ~1);
  for (let i = at; i < even; i += 2) total += (b[i]! << 8) | b[i + 1]!;
  if ((length & 1) !== 0) total += b[even]! << 8;
  return total;
}

/** End-around carry into 16 bits. `sum` below 2^48. */
export function fold(sum: number): number {
  let low = sum;
  while (low > 0xffff) low = (low % 0x10000) + Math.floor(low / 0x10000);
  return low;
}

/** The checksum field after one 16-bit word that it covers changed: HC' = ~(~HC + ~m + m'). */
export function updated(field: number, before: number, after: number): number {
  return ~fold((~field & 0xffff) + (~before & 0xffff) + after) & 0xffff;
}

/** Folded pseudo-header sum (RFC 9293 §3.1, RFC 8200 §8.1) of a transport header of `length` bytes behind the IP header at `ip`. */
export function pseudoSum(b: Uint8Array, ip: number, protocol: number, length: number): number {
  const sum = b[ip]! >> 4 === 4 ? addWords(b, ip + 12, 8, 0) : addWords(b, ip + 8, 32, 0);
  return fold(sum + protocol + length);
}
