/**
 * How large the outer packet of a full frame is. Used by `weft doctor` and `weft graph` to compare with the MTU of the
 * underlay; the agent sets its TAP's MTU by agent/segment/mtu.ts, with more room for options and tags.
 *
 *   outer IP 20 or 40 | UDP 8 | seal header 16 | VXLAN or Geneve 8 | Ethernet 14 | packet | tag 16
 */
import type { StatusReport } from '../control/api-types.ts';

const ETHERNET_BYTES = 14;
const ENCAPSULATION_BYTES = 8;
const SEAL_BYTES = 16 + 16;
const UDP_BYTES = 8;
const IP_BYTES = { 4: 20, 6: 40 } as const;

/** Bytes of the outer packet around an inner packet of the TAP's MTU. */
export function outerBytes(status: Pick<StatusReport, 'mtu' | 'mode'>, underlayIp: string): number {
  const seal = status.mode === 'sealed' ? SEAL_BYTES : 0;
  const ip = IP_BYTES[underlayIp.includes(':') ? 6 : 4];
  return status.mtu + ETHERNET_BYTES + ENCAPSULATION_BYTES + seal + UDP_BYTES + ip;
}
