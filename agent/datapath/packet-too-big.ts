/**
 * The answer to a frame whose IP packet does not fit the path to its peer: ICMP "fragmentation needed and DF set" (RFC 792,
 * with the MTU of RFC 1191 §4) or ICMPv6 "packet too big" (RFC 4443 §3.2), as the destination itself would have sent it,
 * so that any host accepts it. transmit.ts writes it back into the TAP.
 *
 *   IPv4:  | Ethernet, tags | IPv4 20 | 3 | 4 | checksum | 0 | MTU | the packet's first bytes, up to 576 in all |
 *   IPv6:  | Ethernet, tags | IPv6 40 | 2 | 0 | checksum |   MTU   | the packet's first bytes, up to 1280 in all |
 *
 * An IPv4 packet without DF gets the same answer: weft does not fragment, and senders heed the MTU either way. Never answers
 * an ICMP error, a later fragment, or anything to or from a group or no address (RFC 1122 §3.2.2, RFC 4443 §2.4); at most
 * ANSWERS_PER_SECOND. Called per frame that is too big; allocates nothing.
 */
import { ipOffset, isLaterFragment, transportOffset } from './inner-packet.ts';
import { addWords, fold } from './internet-checksum.ts';

/** Answers a second from one worker, and at once. */
export const ANSWERS_PER_SECOND = 100;
/** RFC 1812 §4.3.2.3; RFC 4443 §2.4 (c). */
const MAX_IPV4_ANSWER = 576;
const MAX_IPV6_ANSWER = 1280;
const MAX_ETHERNET = 22;
const ICMP = 1;
const ICMPV6 = 58;
const ICMP_BYTES = 8;
const HOPS = 64;
/** Internetwork control, RFC 1812 §4.3.2.5. */
const PRECEDENCE = 0xc0;

export class PacketTooBig {
  /** The answer, a whole Ethernet frame of the length that `answer` returned. */
  readonly frame = new Uint8Array(MAX_ETHERNET + MAX_IPV6_ANSWER);
  /** [0]: answers allowed now; [1]: when that was reckoned, ms. */
  readonly #bucket = new Float64Array([ANSWERS_PER_SECOND, 0]);

  /**
   * @param at first byte of the frame in `b` @param mtuBytes the largest IP packet that fits
   * @returns length of the answer in `frame`; 0 if there is none
   */
  answer(b: Uint8Array, at: number, length: number, mtuBytes: number, nowMs: number): number {
    const end = at + length;
    const ip = ipOffset(b, at, end);
    if (ip === 0 || (b[at]! & 1) !== 0 || !this.#deserves(b, ip, end) || !this.#allowed(nowMs)) return 0;
    const ethernet = ip - at;
    const out = this.frame;
    for (let i = 0; i < 6; i++) {
      out[i] = b[at + 6 + i]!;
      out[6 + i] = b[at + i]!;
    }
    for (let i = 12; i < ethernet; i++) out[i] = b[at + i]!;
    return (
      ethernet +
      (b[ip]! >> 4 === 4
        ? this.#ipv4(b, ip, end, mtuBytes, ethernet)
        : this.#ipv6(b, ip, end, mtuBytes, ethernet))
    );
  }

  #allowed(nowMs: number): boolean {
    const bucket = this.#bucket;
    const earned = ((nowMs - bucket[1]!) * ANSWERS_PER_SECOND) / 1000;
    bucket[0] = Math.min(ANSWERS_PER_SECOND, bucket[0]! + earned);
    bucket[1] = nowMs;
    if (bucket[0]! < 1) return false;
    bucket[0]! -= 1;
    return true;
  }

  #deserves(b: Uint8Array, ip: number, end: number): boolean {
    if (isLaterFragment(b, ip, end)) return false;
    if (b[ip]! >> 4 === 4) {
      // 224.0.0.0/3: groups, reserved, broadcast; 0.0.0.0/8 and 127.0.0.0/8 are nobody's.
      const from = b[ip + 12]!;
      const to = b[ip + 16]!;
      if (from >= 224 || from === 0 || from === 127 || to >= 224 || to === 0 || to === 127) return false;
      const icmp = transportOffset(b, ip, end, ICMP);
      return icmp === 0 || !isIcmpError(b[icmp]!);
    }
    if (b[ip + 8] === 0xff || b[ip + 24] === 0xff || isZero(b, ip + 8) || isZero(b, ip + 24)) return false;
    const icmp = transportOffset(b, ip, end, ICMPV6);
    // Below 128: errors. 137: redirect.
    return icmp === 0 || (b[icmp]! >= 128 && b[icmp] !== 137);
  }

  #ipv4(b: Uint8Array, ip: number, end: number, mtuBytes: number, at: number): number {
    const out = this.frame;
    const quoted = Math.min(end - ip, MAX_IPV4_ANSWER - 20 - ICMP_BYTES);
    const total = 20 + ICMP_BYTES + quoted;
    out[at] = 0x45;
    out[at + 1] = PRECEDENCE;
    put16(out, at + 2, total);
    put16(out, at + 4, 0);
    put16(out, at + 6, 0x4000);
    out[at + 8] = HOPS;
    out[at + 9] = ICMP;
    put16(out, at + 10, 0);
    for (let i = 0; i < 4; i++) {
      out[at + 12 + i] = b[ip + 16 + i]!;
      out[at + 16 + i] = b[ip + 12 + i]!;
    }
    put16(out, at + 10, ~fold(addWords(out, at, 20, 0)));
    const icmp = at + 20;
    out[icmp] = 3;
    out[icmp + 1] = 4;
    put16(out, icmp + 2, 0);
    put16(out, icmp + 4, 0);
    put16(out, icmp + 6, mtuBytes);
    for (let i = 0; i < quoted; i++) out[icmp + ICMP_BYTES + i] = b[ip + i]!;
    put16(out, icmp + 2, ~fold(addWords(out, icmp, ICMP_BYTES + quoted, 0)));
    return total;
  }

  #ipv6(b: Uint8Array, ip: number, end: number, mtuBytes: number, at: number): number {
    const out = this.frame;
    const quoted = Math.min(end - ip, MAX_IPV6_ANSWER - 40 - ICMP_BYTES);
    const payload = ICMP_BYTES + quoted;
    put16(out, at, 0x6000);
    put16(out, at + 2, 0);
    put16(out, at + 4, payload);
    out[at + 6] = ICMPV6;
    out[at + 7] = HOPS;
    for (let i = 0; i < 16; i++) {
      out[at + 8 + i] = b[ip + 24 + i]!;
      out[at + 24 + i] = b[ip + 8 + i]!;
    }
    const icmp = at + 40;
    out[icmp] = 2;
    out[icmp + 1] = 0;
    put16(out, icmp + 2, 0);
    put16(out, icmp + 4, mtuBytes >>> 16);
    put16(out, icmp + 6, mtuBytes);
    for (let i = 0; i < quoted; i++) out[icmp + ICMP_BYTES + i] = b[ip + i]!;
    const sum = addWords(out, at + 8, 32, ICMPV6 + payload);
    put16(out, icmp + 2, ~fold(addWords(out, icmp, payload, sum)));
    return 40 + payload;
  }
}

/** RFC 1122 §3.2.2: destination unreachable, source quench, redirect, time exceeded, parameter problem. */
const isIcmpError = (type: number): boolean =>
  type === 3 || type === 4 || type === 5 || type === 11 || type === 12;

function isZero(b: Uint8Array, at: number): boolean {
  for (let i = at; i < at + 16; i++) if (b[i] !== 0) return false;
  return true;
}

function put16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}
