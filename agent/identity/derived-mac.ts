/**
 * The MAC address of a member's TAP in a segment: derived from who it is, so that every member knows it without being
 * told and nobody else can be learned under it.
 */
import { keyedHash, utf8 } from './sodium.ts';

/** First 6 bytes of H("", "weft1 mac" || node id || u32 vni), made unicast and locally administered. */
export function derivedMac(nodeId: Uint8Array, vni: number): Uint8Array {
  const number = new Uint8Array(4);
  new DataView(number.buffer).setUint32(0, vni);
  const mac = keyedHash(null, [utf8('weft1 mac'), nodeId, number]).slice(0, 6);
  mac[0] = (mac[0]! & 0xfc) | 0x02;
  return mac;
}
