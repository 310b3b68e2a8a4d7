/**
 * The interface that datagrams to a peer leave by: its MTU bounds the search for a path MTU, and a tunnel underneath is
 * worth a word to the operator. Asked on the main thread, seldom. Never throws: an unknown interface is null.
 */
import { existsSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { interfaceMtu, localAddressFor } from 'tun-tap';
import { canonicalIp } from '../endpoint.ts';

export interface UnderlayInterface {
  readonly name: string;
  readonly mtuBytes: number;
}

/** Kernel device types (DEVTYPE in uevent) that carry frames inside other packets. */
const TUNNELS = ['vxlan', 'geneve', 'wireguard', 'gre', 'ipip', 'tunnel'];

export type Interfaces = ReturnType<typeof networkInterfaces>;

/** All interfaces with their addresses, as they are now: several system calls for each. */
export const interfacesNow = (): Interfaces => networkInterfaces();

/** The interface whose address the kernel would send from to `ip`. @param interfaces for asking about several peers */
export function underlayInterface(ip: string, interfaces = interfacesNow()): UnderlayInterface | null {
  const source = localAddressFor(ip);
  if (source === null) return null;
  const own = source === ip || ip.startsWith('127.') || ip === '::1';
  for (const [name, addresses] of Object.entries(interfaces)) {
    if (!addresses?.some((a) => canonicalIp(a.address) === source)) continue;
    // An address of the loopback interface as the source of packets to others says nothing of where they leave.
    if (name === 'lo' && !own) return null;
    try {
      return own ? { name: 'lo', mtuBytes: interfaceMtu('lo') } : { name, mtuBytes: interfaceMtu(name) };
    } catch {
      // It went away meanwhile.
      return null;
    }
  }
  return null;
}

/** What kind of tunnel an interface is, or null for one that is none as far as sysfs tells. */
export function tunnelKind(name: string): string | null {
  const folder = `/sys/class/net/${name}`;
  if (existsSync(`${folder}/tun_flags`)) return 'tun/tap';
  try {
    const type = /^DEVTYPE=(.+)$/m.exec(readFileSync(`${folder}/uevent`, 'utf8'))?.[1];
    return type !== undefined && TUNNELS.includes(type) ? type : null;
  } catch {
    return null;
  }
}
