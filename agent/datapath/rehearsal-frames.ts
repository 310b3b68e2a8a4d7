/**
 * What a worker rehearses with (rehearsal.ts): a frame of each kind that a quiet host sends, one that is dropped, and a
 * control datagram. Fields that the data path does not read are zero.
 */
import { SealingKey } from 'tun-tap';

/** Receiver index of the rehearsal's only session. */
export const INDEX = 16;
export const NEAR = { hi: 0x0200, lo: 1 };
export const FAR = { hi: 0x0200, lo: 2 };
/** Behind a peer now and then: a bridge's addresses are learned, and pushed out by others. */
const GUEST = { hi: 0x0200, lo: 0x0110 };
export const OWN = { hi: 0x0200, lo: 4 };
const GROUP = { hi: 0x3333, lo: 0x16 };
const ALL = { hi: 0xffff, lo: 0xffffffff };

/** An Ethernet frame from NEAR; zeros but for the fields that the data path reads. */
function frame(to: typeof FAR, etherType: number, packet: readonly number[], bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  const view = new DataView(out.buffer);
  view.setUint16(0, to.hi);
  view.setUint32(2, to.lo);
  view.setUint16(6, NEAR.hi);
  view.setUint32(8, NEAR.lo);
  view.setUint16(12, etherType);
  out.set(packet, 14);
  return out;
}

const ADDRESSES = [192, 0, 2, 1, 192, 0, 2, 2];
const ipv4 = (protocol: number, bytes: number): number[] =>
  [0x45, 0, bytes >> 8, bytes & 0xff, 0, 0, 0x40, 0, 64, protocol, 0, 0].concat(ADDRESSES);
const tcp = (flags: number): number[] => [
  0,
  80,
  0,
  80,
  ...new Array(8).fill(0),
  0x60,
  flags,
  1,
  0,
  0,
  0,
  0,
  0,
];
const SYN = 2;
const ACK = 16;
const MSS_OPTION = [2, 4, 5, 0xb4];

/** What a quiet host sends: pings, acknowledgements, datagrams, IPv6, a SYN, ARP. */
export const FRAMES = [
  frame(FAR, 0x0800, ipv4(1, 84), 98),
  frame(FAR, 0x0800, [...ipv4(6, 44), ...tcp(ACK), 1, 1, 1, 1], 66),
  frame(FAR, 0x0800, [...ipv4(17, 1400), 0, 53, 0, 53, 5, 100, 0, 0], 1414),
  frame(FAR, 0x86dd, [0x60, 0, 0, 0, 0, 64, 58, 64], 118),
  frame(FAR, 0x0800, [...ipv4(6, 44), ...tcp(SYN), ...MSS_OPTION], 58),
  frame(ALL, 0x0806, [0, 1, 8, 0, 6, 4, 0, 1], 42),
  frame(FAR, 0x0806, [0, 1, 8, 0, 6, 4, 0, 2], 42),
  frame(GUEST, 0x0800, ipv4(17, 60), 74),
  frame(GROUP, 0x86dd, [0x60, 0, 0, 0, 0, 36, 0, 1, ...new Array(32).fill(0), 58, 0, 5, 2], 90),
];
/** Its source is a group address, so it is dropped. */
export const BAD_FRAME = FRAMES[0]!.slice().fill(1, 6, 7);

/** A message between two agents: lane 15. */
function control(): Uint8Array {
  const header = new Uint8Array(16);
  header.set([4, 2, 0, 0, 0, 0, 0, INDEX | 15]);
  const sealed = new SealingKey(2, new Uint8Array(32)).seal(0, header, new Uint8Array(64));
  return Uint8Array.from([...header, ...sealed]);
}

export const CONTROL = control();
