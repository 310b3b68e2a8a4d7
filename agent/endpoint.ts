/**
 * An IP address and UDP port on the underlay, and the text forms of both families. A leaf: imports nothing of the
 * project. Addresses are canonical text (IPv4 dotted quad; IPv6 in RFC 5952 form as `node:net` accepts it); the
 * 16-byte form is IPv6, with IPv4 mapped to ::ffff:a.b.c.d, in network order.
 */
import { isIPv4, isIPv6, SocketAddress } from 'node:net';

export interface Endpoint {
  readonly ip: string;
  readonly port: number;
}

/** Canonical text of an IP address, or null. An IPv4-mapped IPv6 address becomes its IPv4 form. */
export function canonicalIp(text: string): string | null {
  if (isIPv4(text)) return text;
  if (!isIPv6(text) || text.includes('%')) return null;
  const canonical = new SocketAddress({ address: text, family: 'ipv6' }).address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(canonical)?.[1];
  return mapped ?? canonical;
}

/** `10.0.0.1:7947`, `[2001:db8::1]:7947`, or an address alone with `defaultPort`. Null if it is neither. */
export function parseEndpoint(text: string, defaultPort: number): Endpoint | null {
  const bracketed = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text);
  const plain = /^([^:]+)(?::(\d{1,5}))?$/.exec(text);
  const match = bracketed ?? plain;
  const ip = canonicalIp(match?.[1] ?? text);
  const port = Number(match?.[2] ?? defaultPort);
  return ip === null || port < 1 || port > 65535 ? null : { ip, port };
}

/** The text that `parseEndpoint` reads. */
export function formatEndpoint(endpoint: Endpoint): string {
  return endpoint.ip.includes(':') ? `[${endpoint.ip}]:${endpoint.port}` : `${endpoint.ip}:${endpoint.port}`;
}

/** The 16-byte form of a canonical address. */
export function ipToBytes(ip: string): Uint8Array {
  const bytes = new Uint8Array(16);
  if (isIPv4(ip)) {
    bytes.set([0xff, 0xff, ...ip.split('.').map(Number)], 10);
    return bytes;
  }
  const [head = '', tail] = ip.split('::');
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').flatMap(hextets));
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const words = [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
  for (const [i, word] of words.entries()) bytes.set([word >> 8, word & 0xff], i * 2);
  return bytes;
}

/** One colon-separated group of an IPv6 address as 16-bit words; a dotted quad is two. */
function hextets(group: string): number[] {
  if (!group.includes('.')) return [Number.parseInt(group, 16)];
  const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
  return [(a << 8) | b, (c << 8) | d];
}

/** Canonical text of a 16-byte address. */
export function ipFromBytes(bytes: Uint8Array): string {
  const words: string[] = [];
  for (let i = 0; i < 16; i += 2) words.push((((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0)).toString(16));
  return canonicalIp(words.join(':')) ?? '::';
}
