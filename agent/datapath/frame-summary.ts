/**
 * One line on what an Ethernet frame holds: `02:..:02 > 02:..:01 IPv4 10.80.0.2 > 10.80.0.1 TCP 80 > 5000, 64 bytes`. For people
 * (trace, capture); reads with the same functions as the data path, so it says what that sees. Main thread only.
 */
import { ipFromBytes } from '../endpoint.ts';
import { ipOffset, isLaterFragment, transportOffset } from './inner-packet.ts';
import { macHi, macLo, macOf } from './trace.ts';

const TCP = 6;
const UDP = 17;
const PROTOCOLS: Readonly<Record<number, string>> = { 1: 'ICMP', 6: 'TCP', 17: 'UDP', 58: 'ICMPv6' };
const TAGS = [0x8100, 0x88a8];
const TYPES: Readonly<Record<number, string>> = { 2054: 'ARP', 2048: 'IPv4', 34525: 'IPv6', 35020: 'LLDP' };

/** The EtherType behind at most two tags. */
function etherType(b: Uint8Array): { readonly type: number; readonly tags: readonly number[] } {
  const tags: number[] = []; // bounded by 2
  let at = 12;
  for (;;) {
    const type = ((b[at] ?? 0) << 8) | (b[at + 1] ?? 0);
    if (!TAGS.includes(type) || tags.length === 2 || at + 6 > b.length) return { type, tags };
    tags.push((((b[at + 2] ?? 0) & 0x0f) << 8) | (b[at + 3] ?? 0));
    at += 4;
  }
}

/** @param b whole frame, or its beginning @param length bytes of the whole frame */
export function frameSummary(b: Uint8Array, length: number = b.length): string {
  if (b.length < 14) return `${length} bytes, less than an Ethernet header`;
  const macs = `${macOf(macHi(b, 6), macLo(b, 6))} > ${macOf(macHi(b, 0), macLo(b, 0))}`;
  const { type, tags } = etherType(b);
  const vlan = tags.map((id) => ` VLAN ${id}`).join('');
  const ip = ipOffset(b, 0, b.length);
  const what = ip === 0 ? (TYPES[type] ?? `0x${type.toString(16).padStart(4, '0')}`) : ipSummary(b, ip);
  return `${macs}${vlan} ${what}, ${length} bytes`;
}

function ipSummary(b: Uint8Array, ip: number): string {
  const isIpv4 = b[ip]! >> 4 === 4;
  const address = (at: number): string => ipFromBytes(isIpv4 ? mapped(b, at) : b.slice(at, at + 16));
  const from = ip + (isIpv4 ? 12 : 8);
  const ends = `${address(from)} > ${address(from + (isIpv4 ? 4 : 16))}`;
  const name = isIpv4 ? 'IPv4' : 'IPv6';
  if (isLaterFragment(b, ip, b.length)) return `${name} ${ends} fragment`;
  for (const protocol of [TCP, UDP]) {
    const at = transportOffset(b, ip, b.length, protocol);
    if (at !== 0 && at + 4 <= b.length)
      return `${name} ${ends} ${PROTOCOLS[protocol]} ${(b[at]! << 8) | b[at + 1]!} > ${(b[at + 2]! << 8) | b[at + 3]!}`;
  }
  const protocol = b[ip + (isIpv4 ? 9 : 6)]!;
  return `${name} ${ends} ${PROTOCOLS[protocol] ?? `protocol ${protocol}`}`;
}

/** IPv4 as ipFromBytes takes it. */
function mapped(b: Uint8Array, at: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.fill(0xff, 10, 12);
  bytes.set(b.subarray(at, at + 4), 12);
  return bytes;
}
