/**
 * The proof at each start that a sealed segment takes no plain frame. A receive worker, before any peer is known to it, hands
 * its own receive path plain VXLAN and Geneve datagrams for every segment it has, over a wire inside the process, as if they had
 * come to the plain port and to the sealed one. Each must be dropped, for the reason that names the check which has to stop
 * it, and no frame may reach the TAP. The counters are put back. docs/SECURITY-MODEL.md; called by halves.ts.
 */
import { closeFd, openPair, sendPacket } from 'tun-tap';
import { DROP, DROP_TABLE } from './drop.ts';
import { encodeGeneve, GENEVE_HEADER_BYTES } from './geneve.ts';
import {
  MAX_SEGMENTS,
  S,
  SEGMENT_STRIDE,
  type SharedTables,
  T,
  TOTAL_DROPS,
  TOTALS_STRIDE,
} from './shared-tables.ts';
import { encodeVxlan, VXLAN_HEADER_BYTES } from './vxlan.ts';

/** What of a ReceivePath is tested; a test gives one that fails. */
export interface TestedPath {
  plainIsGeneve: boolean;
  runSealed(fd: number): number;
  runPlain(fd: number): number;
}

/** Shortest Ethernet frame without its checksum. */
const FRAME_BYTES = 60;
/** IEEE 802 local experimental EtherType 1: nobody would act on it, were it let through. */
const ETHER_TYPE = [0x88, 0xb5];
const OUTSIDER = [2, 0, 0, 0xff, 0xff, 1];
const HEADER_BYTES = { vxlan: VXLAN_HEADER_BYTES, geneve: GENEVE_HEADER_BYTES } as const;
type Encap = keyof typeof HEADER_BYTES;
const ENCAPS: readonly Encap[] = ['vxlan', 'geneve'];

function datagram(encap: Encap, vni: number, macHi: number, macLo: number): Uint8Array {
  const at = HEADER_BYTES[encap];
  const bytes = new Uint8Array(at + FRAME_BYTES);
  if (encap === 'vxlan') encodeVxlan(bytes, 0, vni);
  else encodeGeneve(bytes, 0, vni);
  const view = new DataView(bytes.buffer);
  view.setUint16(at, macHi);
  view.setUint32(at + 2, macLo);
  bytes.set([...OUTSIDER, ...ETHER_TYPE], at + 6);
  return bytes;
}

/** Null when every frame was stopped where it must be, else one line that says which was not. */
export function selfTest(path: TestedPath, tables: SharedTables, row: number): string | null {
  const totals = tables.totals.subarray(row * TOTALS_STRIDE, (row + 1) * TOTALS_STRIDE);
  const before = totals.slice();
  const wasGeneve = path.plainIsGeneve;
  let near = -1;
  let far = -1;
  try {
    [near, far] = openPair();
    for (let at = 0; at < MAX_SEGMENTS * SEGMENT_STRIDE; at += SEGMENT_STRIDE) {
      if (tables.segments[at + S.USED] !== 1) continue;
      const failure = testSegment(path, tables.segments.subarray(at, at + SEGMENT_STRIDE), totals, near, far);
      if (failure !== null) return failure;
    }
    return null;
  } catch (error) {
    return `it could not be made: ${(error as Error).message}`;
  } finally {
    if (near >= 0) closeFd(near);
    if (far >= 0) closeFd(far);
    path.plainIsGeneve = wasGeneve;
    totals.set(before);
  }
}

function testSegment(
  path: TestedPath,
  segment: Int32Array,
  totals: Float64Array,
  near: number,
  far: number,
): string | null {
  const vni = segment[S.VNI]!;
  const isSealed = segment[S.SEALED] === 1;
  for (const encap of ENCAPS) {
    const bytes = datagram(encap, vni, segment[S.OWN_MAC_HI]!, segment[S.OWN_MAC_LO]!);
    // A plain segment is another's on this port: of its own encapsulation, its sender is a stranger.
    const isOwn = (segment[S.GENEVE] === 1) === (encap === 'geneve');
    const expected = isSealed || !isOwn ? DROP.vni : DROP.unknownVtep;
    path.plainIsGeneve = encap === 'geneve';
    const ports = [
      { name: 'plain', run: (): number => path.runPlain(near), expected, seen: T.PLAIN_PACKETS },
      {
        name: 'sealed',
        run: (): number => path.runSealed(near),
        expected: DROP.garbage,
        seen: T.CONTROL_PACKETS,
      },
    ];
    for (const port of ports) {
      const was = {
        frames: totals[T.FRAMES]!,
        drops: totals[TOTAL_DROPS + port.expected]!,
        seen: totals[port.seen]!,
      };
      const errno = sendPacket(far, bytes);
      if (errno !== 0) return `it could not be made: errno ${errno}`;
      port.run();
      const what = `a plain ${encap} frame for ${isSealed ? 'sealed' : 'plain'} VNI ${vni} on the ${port.name} port`;
      if (totals[T.FRAMES] !== was.frames) return `${what} reached the TAP`;
      if (totals[port.seen] !== was.seen + 1) return `${what} was not received`;
      if (totals[TOTAL_DROPS + port.expected] !== was.drops + 1)
        return `${what} was not dropped as ${DROP_TABLE[port.expected]!.label}`;
    }
  }
  return null;
}
