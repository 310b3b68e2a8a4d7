/** A TCP super-frame as a kernel hands it over at full load, and the frames that it is cut into. */
import { splitFrame, type VnetHeader } from 'tun-tap';
import { buildFrame, PLAIN } from '../../twin/frame-builder.ts';

/** What fits 1,390 bytes of segment MTU: IPv4 20, TCP 32 with time stamps. */
export const SEGMENT_PAYLOAD_BYTES = 1338;
const SEGMENTS = 45;
const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const TCP_CHECKSUM_OFFSET = 16;
const GSO_TCPV4 = 1;
/** NOP, NOP, time stamps (RFC 7323). */
const TIME_STAMPS = Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2);

export function bulkSuperFrame(): { readonly frame: Uint8Array; readonly vnet: VnetHeader } {
  const frame = buildFrame({
    ...PLAIN,
    tcpOptions: TIME_STAMPS,
    payloadBytes: SEGMENTS * SEGMENT_PAYLOAD_BYTES,
    checksum: 'partial',
  });
  const vnet = {
    needsCsum: true,
    gsoType: GSO_TCPV4,
    gsoSize: SEGMENT_PAYLOAD_BYTES,
    csumStart: ETHERNET_BYTES + IPV4_BYTES,
    csumOffset: TCP_CHECKSUM_OFFSET,
  };
  return { frame, vnet };
}

export function bulkSegments(): Uint8Array[] {
  const { frame, vnet } = bulkSuperFrame();
  const segments = splitFrame(frame, vnet, { maxPacketBytes: 0, complete: true });
  if (segments === null) throw new Error('the super-frame was refused');
  return segments;
}
