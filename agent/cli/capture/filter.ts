/**
 * What `weft capture` shows: terms that must all hold.
 *
 *   host IP | ether MAC | port N | tcp | udp | icmp | icmp6 | arp | ip | ip6 | peer NAME | vni N | in | out | inner | outer
 *   | dropped | sent | reason NAME, each also after `not`; `and` between them is optional
 *
 * No `or` and no parentheses: whoever needs them writes a file and asks tshark. Header terms look behind at most two VLAN tags.
 */
import { canonicalIp, ipToBytes } from '../../endpoint.ts';
import { WeftError } from '../../errors.ts';

/** A packet as the filter and the printing see it. */
export interface Packet {
  readonly at: number;
  readonly side: 'inner' | 'outer' | 'dropped';
  readonly direction: 'in' | 'out';
  readonly peer: string | null;
  readonly vni: number | null;
  readonly reason: string | null;
  readonly sizeBytes: number;
  readonly segments: number;
  /** Ethernet frame; for `dropped` an IP packet made of what is known. */
  readonly data: Uint8Array;
}

export type Filter = (packet: Packet) => boolean;

const TCP = 6;
const UDP = 17;
const PROTOCOLS: Readonly<Record<string, number>> = { icmp: 1, tcp: TCP, udp: UDP, icmp6: 58 };
const TYPES: Readonly<Record<string, number>> = { arp: 0x0806, ip: 0x0800, ip6: 0x86dd };
const TAGS = [0x8100, 0x88a8];
/** Longer filters are a mistake. */
const MAX_TERMS = 32;

interface Headers {
  readonly type: number;
  /** IP addresses and MAC addresses in hex. */
  readonly macs: readonly string[];
  readonly ips: readonly string[];
  readonly protocol: number;
  readonly ports: readonly number[];
}

const bad = (what: string): WeftError =>
  new WeftError(
    'E_USAGE',
    `filter: ${what}; terms are host, ether, port, peer, vni, reason with a value, ${Object.keys({ ...PROTOCOLS, ...TYPES }).join(', ')}, in, out, inner, outer, dropped, sent, each after \`not\` or not, joined by \`and\``,
  );

/** @throws WeftError E_USAGE */
export function parseFilter(words: readonly string[]): Filter {
  const rest = words.flatMap((word) => word.split(/\s+/)).filter((word) => word !== '');
  const terms: Filter[] = []; // bounded by MAX_TERMS
  while (rest.length > 0) {
    if (rest[0] === 'and' && terms.length > 0) rest.shift();
    const negated = rest[0] === 'not' || rest[0] === '!';
    if (negated) rest.shift();
    const term = parseTerm(rest);
    terms.push(negated ? (packet) => !term(packet) : term);
    if (terms.length > MAX_TERMS) throw bad(`more than ${MAX_TERMS} terms`);
  }
  return (packet) => terms.every((term) => term(packet));
}

/** Takes a term off the front. */
function parseTerm(rest: string[]): Filter {
  const word = rest.shift();
  if (word === undefined) throw bad('a term is missing at the end');
  if (word === 'or' || word === '(' || word.startsWith('('))
    throw bad('`or` and parentheses are not understood');
  if (word === 'in' || word === 'out') return ({ direction }) => direction === word;
  if (word === 'inner' || word === 'outer')
    return ({ side }) => side === word || (side === 'dropped' && word === 'outer');
  if (word === 'dropped') return ({ reason }) => reason !== null;
  if (word === 'sent') return ({ reason }) => reason === null;
  const protocol = PROTOCOLS[word];
  if (protocol !== undefined) return (packet) => headersOf(packet).protocol === protocol;
  const type = TYPES[word];
  if (type !== undefined) return (packet) => headersOf(packet).type === type;
  return valueTerm(word, () => rest.shift() ?? '');
}

function valueTerm(word: string, next: () => string): Filter {
  if (word === 'host') {
    const text = next();
    const ip = canonicalIp(text);
    if (ip === null) throw bad(`'${text}' is no IP address`);
    const bytes = Buffer.from(ipToBytes(ip)).toString('hex');
    return (packet) => headersOf(packet).ips.includes(bytes);
  }
  if (word === 'ether') {
    const text = next();
    if (!/^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(text)) throw bad(`'${text}' is no MAC address`);
    const bytes = text.replaceAll(/[:-]/g, '').toLowerCase();
    return (packet) => headersOf(packet).macs.includes(bytes);
  }
  if (word === 'port') {
    const port = number(next(), 65_535);
    return (packet) => headersOf(packet).ports.includes(port);
  }
  if (word === 'vni') {
    const vni = number(next(), 0xffffff);
    return (packet) => packet.vni === vni;
  }
  const value = word === 'peer' || word === 'reason' ? next() : '';
  if (value === '') throw bad(`'${word}' is no term, or lacks its value`);
  return word === 'peer' ? ({ peer }) => peer === value : ({ reason }) => reason === value;
}

function number(text: string, max: number): number {
  const value = /^\d{1,8}$/.test(text) ? Number(text) : Number.NaN;
  if (value <= max) return value;
  throw bad(`'${text}' is no whole number up to ${max}`);
}

/** What the terms look at. A header that is cut off is not there. */
export function headersOf({ side, data }: Pick<Packet, 'side' | 'data'>): Headers {
  const b = Buffer.from(data.buffer, data.byteOffset, data.length);
  const u16 = (at: number): number => (at + 2 <= b.length ? b.readUInt16BE(at) : 0);
  const hex = (at: number, n: number): string[] =>
    at + n <= b.length ? [b.toString('hex', at, at + n)] : [];
  let at = 0;
  let type = (b[0] ?? 0) >> 4 === 6 ? TYPES.ip6 : TYPES.ip;
  if (side !== 'dropped') {
    for (at = 12; TAGS.includes(u16(at)) && at < 20; at += 4);
    type = u16(at);
    at += 2;
  }
  const macs = side === 'dropped' ? [] : [...hex(0, 6), ...hex(6, 6)];
  const none = { type: type ?? 0, macs, ips: [], protocol: -1, ports: [] };
  if (type === TYPES.arp) return { ...none, ips: [...hex(at + 14, 4), ...hex(at + 24, 4)].map(mapped) };
  const isIpv4 = type === TYPES.ip;
  if (!isIpv4 && type !== TYPES.ip6) return none;
  const ips = isIpv4
    ? [...hex(at + 12, 4), ...hex(at + 16, 4)].map(mapped)
    : [...hex(at + 8, 16), ...hex(at + 24, 16)];
  const protocol = b[at + (isIpv4 ? 9 : 6)] ?? -1;
  const transport = at + (isIpv4 ? ((b[at] ?? 0) & 15) * 4 : 40);
  const isFirst = !isIpv4 || (u16(at + 6) & 0x1fff) === 0;
  const hasPorts = isFirst && (protocol === TCP || protocol === UDP) && transport + 4 <= b.length;
  return { ...none, ips, protocol, ports: hasPorts ? [u16(transport), u16(transport + 2)] : [] };
}

/** IPv4 in the 16-byte form. */
const mapped = (hex: string): string => `00000000000000000000ffff${hex}`;
