/**
 * The MTU that a segment's TAP gets before any path has been measured: what is left of a 1500-byte underlay after the
 * outer headers of either family, the encapsulation, two VLAN tags and, when sealed, the seal (PROTOCOL.md, first MTUs).
 * It is policy: one value for all members, so that no peer can shrink everybody.
 *
 *   outer IPv6 40 | UDP 8 | seal header 16 | VXLAN or Geneve 8 (+64 options) | Ethernet 14 | two tags 8 | packet | tag 16
 */

export const UNDERLAY_MTU_BYTES = 1500;
/** The least MTU that a policy may set: IPv6 needs it. */
export const MIN_SEGMENT_MTU_BYTES = 1280;

const OUTER_BYTES = 40 + 8;
const SEAL_BYTES = 16 + 16;
const ENCAPSULATION_BYTES = 8;
const INNER_ETHERNET_BYTES = 14 + 8;
/** Room for the options that Geneve may carry under the seal. */
const GENEVE_OPTION_BYTES = 64;

/** Segment MTU in bytes: 1390 sealed VXLAN, 1326 sealed Geneve, 1422 plain. */
export function segmentMtuBytes(mode: 'sealed' | 'plain', encap: 'vxlan' | 'geneve'): number {
  const plain = UNDERLAY_MTU_BYTES - OUTER_BYTES - ENCAPSULATION_BYTES - INNER_ETHERNET_BYTES;
  if (mode === 'plain') return plain;
  return plain - SEAL_BYTES - (encap === 'geneve' ? GENEVE_OPTION_BYTES : 0);
}
