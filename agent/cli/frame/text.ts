/**
 * A frame as a person types it, made into bytes for `weft trace`:
 *
 *   SRC-MAC DST-MAC [ETHERTYPE] [IP-SRC IP-DST [PROTOCOL [SRC-PORT DST-PORT]]]
 *
 * or the whole frame in hex. ETHERTYPE is arp, ip, ip6 or a number; with IP addresses it may be left out. Headers are whole and their
 * checksums right; the payload is empty. `sizeBytes` pads with zeros, and the IP and UDP lengths count them.
 */
import { canonicalIp, ipToBytes } from '../../endpoint.ts';
import { WeftError } from '../../errors.ts';

const TYPES: Readonly<Record<string, number>> = {
  arp: 0x0806,
  ip: 0x0800,
  ipv4: 0x0800,
  ip6: 0x86dd,
  ipv6: 0x86dd,
};
const PROTOCOLS: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, icmp6: 58 };
/** Bytes of each protocol's header that we can make. */
const HEADER_BYTES: Readonly<Record<number, number>> = { 1: 8, 6: 20, 17: 8, 58: 8 };
const ETHERNET_BYTES = 14;
const TCP_SYN = 0x02;
const MAX_FRAME_BYTES = 65_535;
const MAC = /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i;

const usage = (what: string): WeftError =>
  new WeftError(
    'E_USAGE',
    `${what}: a frame is SRC-MAC DST-MAC [ETHERTYPE] [IP-SRC IP-DST [PROTOCOL [SRC-PORT DST-PORT]]], or hex`,
  );

/** @param words as the shell split them, or one quoted word @throws WeftError E_USAGE */
export function frameOfText(words: readonly string[], sizeBytes: number | null): Uint8Array {
  const all = words.flatMap((word) => word.split(/[\s,]+/)).filter((word) => word !== '');
  const [first = '', second = ''] = all;
  if (!MAC.test(first)) return padded(ofHex(all.join('')), sizeBytes);
  if (!MAC.test(second)) throw usage(`'${second}' is no destination MAC address`);
  const rest = all.slice(2);
  const named = rest[0] === undefined || canonicalIp(rest[0]) !== null ? null : etherType(rest.shift() ?? '');
  const macs = [...macBytes(second), ...macBytes(first)];
  const [from, to, protocol, ...ports] = rest;
  if (from === undefined) return padded(Uint8Array.from([...macs, ...word(named ?? 0x0800)]), sizeBytes);
  const packet = ipPacket(from, to ?? '', protocol ?? null, ports, sizeBytes);
  const type = named ?? (packet[0]! >> 4 === 4 ? TYPES.ip : TYPES.ip6) ?? 0;
  return Uint8Array.from([...macs, ...word(type), ...packet]);
}

function ofHex(text: string): Uint8Array {
  const digits = text.replace(/^0x/i, '').replaceAll(':', '');
  if (!/^([0-9a-f]{2})+$/i.test(digits))
    throw usage(`'${text.slice(0, 40)}' is neither a MAC address nor hex`);
  if (digits.length / 2 > MAX_FRAME_BYTES) throw usage(`more than ${MAX_FRAME_BYTES} bytes`);
  return new Uint8Array(Buffer.from(digits, 'hex'));
}

const macBytes = (mac: string): number[] => [...Buffer.from(mac.replaceAll(/[:-]/g, ''), 'hex')];
const word = (value: number): [number, number] => [value >> 8, value & 0xff];

function padded(bytes: Uint8Array, sizeBytes: number | null): Uint8Array {
  if (sizeBytes === null || sizeBytes <= bytes.length) return bytes;
  const whole = new Uint8Array(sizeBytes);
  whole.set(bytes);
  return whole;
}

function etherType(text: string): number {
  const known = TYPES[text.toLowerCase()];
  const value = known ?? (/^(0x[0-9a-f]{1,4}|\d{1,5})$/i.test(text) ? Number(text) : Number.NaN);
  if (value >= 0 && value <= 0xffff) return value;
  throw usage(`'${text}' is no ethertype: arp, ip, ip6 or 0x0000 to 0xffff`);
}

function numberOf(text: string, max: number, what: string): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (value <= max) return value;
  throw usage(`'${text}' is no ${what}`);
}

function ipPacket(
  fromText: string,
  toText: string,
  protocolText: string | null,
  ports: readonly string[],
  sizeBytes: number | null,
): Uint8Array {
  const [from, to] = [canonicalIp(fromText), canonicalIp(toText)];
  if (from === null) throw usage(`'${fromText}' is no IP address`);
  if (to === null)
    throw usage(toText === '' ? 'a destination IP address is missing' : `'${toText}' is no IP address`);
  const isIpv6 = from.includes(':');
  if (isIpv6 !== to.includes(':')) throw usage('both IP addresses must be of one family');
  const name = protocolText?.toLowerCase() ?? (isIpv6 ? 'icmp6' : 'icmp');
  const protocol = PROTOCOLS[name] ?? numberOf(name, 255, 'protocol: tcp, udp, icmp, icmp6 or a number');
  const hasPorts = protocol === PROTOCOLS.tcp || protocol === PROTOCOLS.udp;
  if (ports.length > (hasPorts ? 2 : 0)) throw usage(`'${ports.at(-1)}' is too much`);
  const ipBytes = isIpv6 ? 40 : 20;
  const headerBytes = ipBytes + (HEADER_BYTES[protocol] ?? 0);
  const bytes = new Uint8Array(Math.max(headerBytes, (sizeBytes ?? 0) - ETHERNET_BYTES));
  const view = new DataView(bytes.buffer);
  const payload = bytes.length - ipBytes;
  if (isIpv6) {
    view.setUint32(0, 6 << 28);
    view.setUint16(4, payload);
    bytes.set([protocol, 64], 6);
    bytes.set(ipToBytes(from), 8);
    bytes.set(ipToBytes(to), 24);
  } else {
    bytes.set([0x45, 0], 0);
    view.setUint16(2, bytes.length);
    view.setUint16(6, 0x4000);
    bytes.set([64, protocol], 8);
    bytes.set(ipToBytes(from).subarray(12), 12);
    bytes.set(ipToBytes(to).subarray(12), 16);
    view.setUint16(10, complement(sum(bytes, 0, ipBytes)));
  }
  const [source = '40000', destination = '80'] = ports;
  if (hasPorts) {
    view.setUint16(ipBytes, numberOf(source, 65_535, 'port'));
    view.setUint16(ipBytes + 2, numberOf(destination, 65_535, 'port'));
  }
  if (protocol === PROTOCOLS.tcp) bytes.set([5 << 4, TCP_SYN], ipBytes + 12);
  if (protocol === PROTOCOLS.udp) view.setUint16(ipBytes + 4, payload);
  if (protocol === PROTOCOLS.icmp) bytes[ipBytes] = 8;
  if (protocol === PROTOCOLS.icmp6) bytes[ipBytes] = 128;
  checksum(view, bytes, protocol, ipBytes, payload);
  return bytes;
}

const CHECKSUM_AT: Readonly<Record<number, number>> = { 1: 2, 6: 16, 17: 6, 58: 2 };

/** RFC 1071 over the pseudo-header (not for ICMP) and the payload. */
function checksum(
  view: DataView,
  bytes: Uint8Array,
  protocol: number,
  ipBytes: number,
  payload: number,
): void {
  const at = CHECKSUM_AT[protocol];
  if (at === undefined) return;
  const addresses = ipBytes === 40 ? sum(bytes, 8, 40) : sum(bytes, 12, 20);
  const pseudo = protocol === PROTOCOLS.icmp ? 0 : addresses + protocol + payload;
  view.setUint16(ipBytes + at, complement(pseudo + sum(bytes, ipBytes, bytes.length)) || 0xffff);
}

function sum(bytes: Uint8Array, from: number, end: number): number {
  let total = 0;
  for (let i = from; i < end; i++) total += (bytes[i] ?? 0) << ((i - from) % 2 === 0 ? 8 : 0);
  return total;
}

function complement(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}
