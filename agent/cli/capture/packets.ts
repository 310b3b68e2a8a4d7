/**
 * Packets for `weft capture` out of its two sources: records of the agent (inner frames, and datagrams that never became one), and
 * what passes the underlay device. Gives both the same shape and says what is known of each in a line.
 */
import type { CaptureRecord, PeersReport, StatusReport } from '../../control/api-types.ts';
import { canonicalIp, type Endpoint, ipFromBytes, ipToBytes, parseEndpoint } from '../../endpoint.ts';
import { headersOf, type Packet } from './filter.ts';

const UDP = 17;
const UDP_BYTES = 8;
const SEALED_PORT = 7947;
const PLAIN_PORT = { vxlan: 4789, geneve: 6081 } as const;

/** Who is where on the underlay, and on which ports we look. */
export interface Places {
  readonly own: Endpoint;
  readonly mode: StatusReport['mode'];
  readonly encap: StatusReport['encap'];
  readonly gossipPort: number;
  /** Name by address; bounded by the peers of the mesh. */
  readonly names: ReadonlyMap<string, string>;
  /** Bounded by the peers of the mesh. */
  readonly ports: ReadonlySet<number>;
}

export function placesOf(status: StatusReport, { peers }: PeersReport, gossipPort: number): Places {
  const own = parseEndpoint(status.endpoint ?? '', SEALED_PORT) ?? { ip: '0.0.0.0', port: SEALED_PORT };
  const ends = peers.flatMap(({ name, endpoint }) => {
    const end = parseEndpoint(endpoint ?? '', SEALED_PORT);
    return end === null ? [] : [{ name, ...end }];
  });
  const { mode, encap } = status;
  const names = new Map(ends.map(({ ip, name }) => [ip, name]));
  const plain = mode === 'plain' ? [PLAIN_PORT[encap]] : [];
  const ports = new Set([own.port, gossipPort, ...plain, ...ends.map(({ port }) => port)]);
  return { own, mode, encap, gossipPort, names, ports };
}

export function packetOfRecord(record: CaptureRecord, places: Places): Packet {
  const { at, direction, peer, vni, reason, segments, kind, sizeBytes } = record;
  const bytes = Buffer.from(record.data, 'base64');
  const common = { at, direction, vni, reason, segments };
  if (kind === 'frame') return { ...common, peer, side: 'inner', sizeBytes, data: bytes };
  const from = parseEndpoint(record.from ?? '', 1) ?? { ip: '0.0.0.0', port: 0 };
  const to = places.mode === 'plain' ? { ...places.own, port: PLAIN_PORT[places.encap] } : places.own;
  const data = datagramPacket(from, to, bytes, sizeBytes);
  const size = sizeBytes + data.length - bytes.length;
  return {
    ...common,
    peer: peer ?? places.names.get(from.ip) ?? null,
    side: 'dropped',
    sizeBytes: size,
    data,
  };
}

/** An IP packet around what is known of a datagram: its ends and its first bytes. */
function datagramPacket(from: Endpoint, to: Endpoint, payload: Buffer, payloadBytes: number): Buffer {
  const isIpv6 = from.ip.includes(':');
  const ipBytes = isIpv6 ? 40 : 20;
  const bytes = Buffer.alloc(ipBytes + UDP_BYTES);
  const udpBytes = Math.min(0xffff - ipBytes, UDP_BYTES + payloadBytes);
  const known = canonicalIp(to.ip)?.includes(':') === isIpv6 ? ipToBytes(to.ip) : new Uint8Array(16);
  if (isIpv6) {
    bytes.writeUInt32BE(6 * 2 ** 28, 0);
    bytes.writeUInt16BE(udpBytes, 4);
    bytes.set([UDP, 64], 6);
    bytes.set(ipToBytes(from.ip), 8);
    bytes.set(known, 24);
  } else {
    bytes.writeUInt16BE(0x4500, 0);
    bytes.writeUInt16BE(ipBytes + udpBytes, 2);
    bytes.set([64, UDP], 8);
    bytes.set(ipToBytes(from.ip).subarray(12), 12);
    bytes.set(known.subarray(12), 16);
  }
  bytes.writeUInt16BE(from.port, ipBytes);
  bytes.writeUInt16BE(to.port, ipBytes + 2);
  bytes.writeUInt16BE(udpBytes, ipBytes + 4);
  return Buffer.concat([bytes, payload]);
}

/** A packet of the underlay device, or null for one that is not ours. */
export function packetOfDevice(
  frame: Uint8Array,
  outgoing: boolean,
  at: number,
  snapBytes: number,
  { ports, names }: Places,
): Packet | null {
  const { ports: used, ips } = headersOf({ side: 'outer', data: frame });
  const direction = outgoing ? 'out' : 'in';
  if (!used.some((port) => ports.has(port))) return null;
  const far = ips[outgoing ? 1 : 0];
  const peer = far === undefined ? null : (names.get(ipFromBytes(Buffer.from(far, 'hex'))) ?? null);
  const data = frame.subarray(0, snapBytes);
  return {
    at,
    side: 'outer',
    direction,
    peer,
    vni: null,
    reason: null,
    sizeBytes: frame.length,
    segments: 1,
    data,
  };
}

/** The packet's comment: `direction=out peer=beta vni=1 verdict=dropped reason=no_session`. */
export function commentOf({ side, direction, peer, vni, reason, segments }: Packet): string {
  const verdict =
    reason !== null ? ['verdict=dropped', `reason=${reason}`] : side === 'inner' ? ['verdict=forwarded'] : [];
  return [
    `direction=${direction}`,
    ...(peer === null ? [] : [`peer=${peer}`]),
    ...(vni === null ? [] : [`vni=${vni}`]),
    ...verdict,
    ...(segments > 1 ? [`segments=${segments}`] : []),
  ].join(' ');
}
