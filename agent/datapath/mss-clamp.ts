/**
 * Lowers the MSS that a TCP SYN announces (RFC 9293 §3.7.1) to what the path to the peer carries, in both directions, so that
 * no segment is ever too large for it, whatever happens to ICMP. Called per frame by transmit.ts and receive.ts: all but
 * SYNs leave after a few bytes. Never grows an MSS, never adds the option.
 */
import { ipOffset, TYPE_IPV4, TYPE_IPV6, transportOffset } from './inner-packet.ts';
import { pseudoSum, updated } from './internet-checksum.ts';

const TCP = 6;
const UDP = 17;
const ICMPV6 = 58;
const SYN = 0x02;
const KIND_END = 0;
const KIND_NOP = 1;
const KIND_MSS = 2;
const ETHERNET = 14;

/** What the TCP checksum field of a frame holds. */
export const SUM = {
  /** The whole checksum. */
  complete: 0,
  /** Only the pseudo-header sum: a change of the payload must leave it alone. */
  partial: 1,
  /** One of both: a plain kernel peer does not say which. */
  unknown: 2,
} as const;

/**
 * @param at first byte of the Ethernet frame @param end one past its last @param limitBytes largest IP packet
 * @param sum one of SUM
 * @returns whether the MSS was lowered
 */
export function clampMss(b: Uint8Array, at: number, end: number, limitBytes: number, sum: number): boolean {
  const type = (b[at + 12]! << 8) | b[at + 13]!;
  if (type === TYPE_IPV4) {
    if (b[at + ETHERNET + 9] !== TCP || (b[at + ETHERNET + (b[at + ETHERNET]! & 15) * 4 + 13]! & SYN) === 0)
      return false;
  } else if (type === TYPE_IPV6) {
    const next = b[at + ETHERNET + 6]!;
    if (next === UDP || next === ICMPV6 || (next === TCP && (b[at + ETHERNET + 53]! & SYN) === 0))
      return false;
  }
  return clampSyn(b, at, end, limitBytes, sum);
}

/** The same for what may be a SYN, with every length checked. */
function clampSyn(b: Uint8Array, at: number, end: number, limitBytes: number, sum: number): boolean {
  const ip = ipOffset(b, at, end);
  if (ip === 0) return false;
  const tcp = transportOffset(b, ip, end, TCP);
  if (tcp === 0 || tcp + 20 > end || (b[tcp + 13]! & SYN) === 0) return false;
  const headerEnd = tcp + (b[tcp + 12]! >> 4) * 4;
  if (headerEnd > end) return false;
  const option = mssOption(b, tcp + 20, headerEnd);
  if (option === 0) return false;
  // The option counts neither IP nor TCP options (RFC 6691 §2).
  const most = limitBytes - (b[ip]! >> 4 === 4 ? 40 : 60);
  const announced = (b[option]! << 8) | b[option + 1]!;
  if (announced <= most || most <= 0) return false;
  b[option] = most >> 8;
  b[option + 1] = most;
  if (sum === SUM.complete || (sum === SUM.unknown && !isPartial(b, ip, tcp, end)))
    adjust(b, tcp + 16, announced, most, ((option - tcp) & 1) !== 0);
  return true;
}

/** Where the value of the MSS option stands; 0 without one. */
function mssOption(b: Uint8Array, from: number, end: number): number {
  let p = from;
  while (p < end) {
    const kind = b[p]!;
    if (kind === KIND_END) return 0;
    if (kind === KIND_NOP) {
      p++;
      continue;
    }
    if (p + 2 > end) return 0;
    const length = b[p + 1]!;
    if (length < 2 || p + length > end) return 0;
    if (kind === KIND_MSS) return length === 4 ? p + 2 : 0;
    p += length;
  }
  return 0;
}

/** A value at an odd place stands across two words, which is the same as both its bytes swapped. */
function adjust(b: Uint8Array, field: number, before: number, after: number, odd: boolean): void {
  const old = odd ? swapped(before) : before;
  const sum = updated((b[field]! << 8) | b[field + 1]!, old, odd ? swapped(after) : after);
  b[field] = sum >> 8;
  b[field + 1] = sum;
}

const swapped = (value: number): number => ((value & 0xff) << 8) | (value >> 8);

/** Whether the field holds the pseudo-header sum alone, as repair.c would recognise it. */
function isPartial(b: Uint8Array, ip: number, tcp: number, end: number): boolean {
  const stated =
    b[ip]! >> 4 === 4
      ? ((b[ip + 2]! << 8) | b[ip + 3]!) - (tcp - ip)
      : ((b[ip + 4]! << 8) | b[ip + 5]!) - (tcp - ip - 40);
  if (stated < 20 || tcp + stated > end) return false;
  return ((b[tcp + 16]! << 8) | b[tcp + 17]!) === pseudoSum(b, ip, TCP, stated);
}
