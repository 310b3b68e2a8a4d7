/**
 * Overlay addresses: a 16-byte address (IPv4 mapped) with its prefix length, the CIDR text, and arithmetic on the
 * host part. A leaf of identity.
 */
import { canonicalIp, ipFromBytes, ipToBytes } from '../endpoint.ts';

export interface Prefix {
  /** Canonical text. */
  readonly ip: string;
  /** In the address's own family: 0 to 32 or 0 to 128. */
  readonly length: number;
}

/** `10.80.0.1/24`. Null if it is none. */
export function parsePrefix(text: string): Prefix | null {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const ip = canonicalIp(match?.[1] ?? '');
  const length = Number(match?.[2]);
  if (ip === null || length > (ip.includes(':') ? 128 : 32)) return null;
  return { ip, length };
}

export const formatPrefix = (prefix: Prefix): string => `${prefix.ip}/${prefix.length}`;

const mappedLength = (prefix: Prefix): number => prefix.length + (prefix.ip.includes(':') ? 0 : 96);

/** The address with its host bits cleared. */
export function networkOf(prefix: Prefix): Prefix {
  const bytes = ipToBytes(prefix.ip);
  const length = mappedLength(prefix);
  for (let bit = length; bit < 128; bit++) bytes[bit >> 3]! &= ~(0x80 >> (bit & 7));
  return { ip: ipFromBytes(bytes), length: prefix.length };
}

/** Whether `ip` lies in the network of `prefix`. */
export function contains(prefix: Prefix, ip: string): boolean {
  if (prefix.ip.includes(':') !== ip.includes(':')) return false;
  return networkOf({ ip, length: prefix.length }).ip === networkOf(prefix).ip;
}

/** Whether a host may have `ip`: in the network, and neither its own nor (IPv4) its broadcast address. */
export function isHostOf(prefix: Prefix, ip: string): boolean {
  if (!contains(prefix, ip)) return false;
  const bytes = ipToBytes(ip);
  const length = mappedLength(prefix);
  let zeros = true;
  let ones = true;
  for (let bit = length; bit < 128; bit++) {
    const set = (bytes[bit >> 3]! & (0x80 >> (bit & 7))) !== 0;
    if (set) zeros = false;
    else ones = false;
  }
  return !zeros && !(ones && !ip.includes(':'));
}

/** How far the lowest-free search goes; a larger prefix than /16 never needs more for a mesh of our bound. */
const MAX_HOSTS = 65534;

/** The part of a network that one of several admitters gives first: each `of`-th address. */
export interface Share {
  readonly index: number;
  readonly of: number;
}

/**
 * Usable host addresses in order, without the network's own and (IPv4) the broadcast address. Lazy.
 * @param start how many to pass over; they come at the end
 * @param share what comes before all the rest
 */
export function* hostsOf(prefix: Prefix, start = 0, share: Share = { index: 0, of: 1 }): Generator<string> {
  const base = ipToBytes(networkOf(prefix).ip);
  const hostBits = 128 - mappedLength(prefix);
  const last = Math.min(MAX_HOSTS, 2 ** Math.min(hostBits, 17) - (prefix.ip.includes(':') ? 1 : 2));
  for (const own of [true, false]) {
    for (let n = 0; n < last; n++) {
      const host = (start + n) % last;
      if ((host % share.of === share.index) === own) yield addressAt(base, host + 1);
    }
  }
}

function addressAt(base: Uint8Array, offset: number): string {
  const bytes = base.slice();
  let carry = offset;
  for (let i = 15; i >= 0 && carry > 0; i--) {
    carry += bytes[i]!;
    bytes[i] = carry & 0xff;
    carry >>= 8;
  }
  return ipFromBytes(bytes);
}
