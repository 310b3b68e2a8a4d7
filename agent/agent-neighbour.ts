/**
 * Tells this host's kernel the MAC address of a peer that has just come up, as an ARP answer (RFC 826) from the peer: both
 * addresses are in its certificate. A kernel that asked while there was no session would ask again only after a second; one
 * that did not ask ignores it. Part of the composition root; IPv4 only.
 *
 *    0      6      12    14                              22        28     32        38     42
 *   | own  | peer | 0806 | 0001 0800 06 04 0002 (answer) | peer MAC | IP  | own MAC | IP    |
 */
import { injectFrame } from 'tun-tap';
import { ipToBytes } from './endpoint.ts';
import { derivedMac } from './identity/derived-mac.ts';

const FIXED = [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2];
export const ARP_FRAME_BYTES = 42;

export interface Party {
  readonly mac: Uint8Array;
  /** Overlay address with its prefix. */
  readonly address: string;
}

/** The last four of 16 bytes; null for an IPv6 address. */
function ipv4Of(address: string): Uint8Array | null {
  const ip = address.split('/')[0] ?? '';
  return ip.includes(':') ? null : ipToBytes(ip).slice(12);
}

/** Null unless both have an IPv4 address. */
export function arpAnswer(own: Party, peer: Party): Uint8Array | null {
  const [ownIp, peerIp] = [ipv4Of(own.address), ipv4Of(peer.address)];
  if (ownIp === null || peerIp === null) return null;
  return Uint8Array.from([...own.mac, ...peer.mac, ...FIXED, ...peer.mac, ...peerIp, ...own.mac, ...ownIp]);
}

/** What to call when a peer has come up, with its id and overlay address. */
export function introduce(
  tapFd: number,
  own: { readonly mac: Uint8Array; readonly address: string | null },
  vni: number,
): (nodeIdHex: string, address: string | null) => void {
  return (nodeIdHex, address) => {
    if (own.address === null || address === null) return;
    const mac = derivedMac(new Uint8Array(Buffer.from(nodeIdHex, 'hex')), vni);
    const frame = arpAnswer({ mac: own.mac, address: own.address }, { mac, address });
    if (frame !== null) injectFrame(tapFd, frame, 0, frame.length);
  };
}
