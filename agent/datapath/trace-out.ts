/**
 * The way of a frame from the TAP to the underlay, told and not gone: the stages of transmit.ts (and of transmit.c behind it) in
 * their order. A frame is taken as a wire would bring it, with complete checksums; a TCP segment of this host's own stack that is
 * too large for a path would be cut instead of dropped. What only the kernel knows (a full buffer, a firewall) is not foretold.
 */
import { D, DESC_STRIDE } from 'tun-tap';
import { formatEndpoint } from '../endpoint.ts';
import { DROP } from './drop.ts';
import { LEARN } from './fdb.ts';
import { FDB_STATIC } from './fdb-moves.ts';
import { frameSummary } from './frame-summary.ts';
import { clampMss, SUM } from './mss-clamp.ts';
import { packetBytes } from './packet-size.ts';
import { HERE_SLOT, MAX_SLOTS, PEER_PLAIN, S, SEGMENT_STRIDE } from './shared-tables.ts';
import { macHi, macLo, macOf, type Traced, TraceNotes, type TraceWorld } from './trace.ts';
import { ETHERNET_BYTES, MIN_FRAME_BYTES } from './transmit.ts';

/** The TAP's segment. */
const SEGMENT = 0;
const COUNTER_LIMIT = 2 ** 52;
const HEADER_BYTES = 8;
const SEAL_BYTES = 16 + 16;
const OUTER_BYTES = { 4: 20 + 8, 6: 40 + 8 } as const;
const SUITES = ['no cipher', 'ChaCha20-Poly1305', 'AES-256-GCM'];
const LEARNED: Readonly<Record<number, string>> = {
  [LEARN.known]: 'is known behind this TAP',
  [LEARN.added]: 'is new and would be learned behind this TAP',
  [LEARN.moved]: 'would be learned behind this TAP',
  [LEARN.evicted]: 'would be learned behind this TAP in the place of an older address',
  [LEARN.full]: 'would not be learned: the local table is full',
};

/** @param frame whole Ethernet frame; its bytes may change */
export function traceOut(world: TraceWorld, frame: Uint8Array): Traced {
  const notes = new TraceNotes();
  const { tables, local } = world;
  const segment = tables.segments.subarray(SEGMENT * SEGMENT_STRIDE, (SEGMENT + 1) * SEGMENT_STRIDE);
  const mtu = segment[S.MTU]!;
  if (segment[S.USED] !== 1) return notes.end('parse', DROP.vni, 'this host has no segment');
  const summary = frameSummary(frame);
  if (frame.length < MIN_FRAME_BYTES) return notes.end('parse', DROP.runt, summary);
  if (frame.length > mtu + ETHERNET_BYTES)
    return notes.end(
      'parse',
      DROP.oversize,
      `${summary}: more than MTU ${mtu}, Ethernet header and two tags`,
    );
  notes.pass('parse', summary);
  const hi = macHi(frame, 6);
  const lo = macLo(frame, 6);
  const source = macOf(hi, lo);
  if ((hi & 0x100) !== 0 || (hi | lo) === 0)
    return notes.end('source', DROP.sourceMac, `${source} is no address of one host`);
  notes.pass('source', `${source} is an address of one host`);
  const nowSec = (world.nowMs / 1000) | 0;
  notes.pass('learn', `${source} ${LEARNED[local.learn(SEGMENT, hi, lo, 0, nowSec)] ?? ''}`);
  return decide(world, notes, frame, nowSec);
}

/** One peer, nobody, or all. */
function decide(world: TraceWorld, notes: TraceNotes, frame: Uint8Array, nowSec: number): Traced {
  const { local, remote } = world;
  const hi = macHi(frame, 0);
  const lo = macLo(frame, 0);
  const mac = macOf(hi, lo);
  if ((hi & 0x100) !== 0) {
    notes.pass(
      'lookup',
      `${mac} is ${hi === 0xffff && lo === -1 ? 'broadcast' : 'multicast'}: to every member`,
    );
    return flood(world, notes, frame);
  }
  const slot = remote.lookup(SEGMENT, hi, lo, nowSec);
  const suspended = slot >= 0 && world.tables.peerSuspended[slot] === 1;
  if (suspended && remote.foundFlags === FDB_STATIC)
    return notes.end('lookup', DROP.suspended, `${mac} is that of ${world.nameOf(slot)}, which nobody hears`);
  if (suspended)
    notes.pass(
      'lookup',
      `${mac} was behind ${world.nameOf(slot)}, which nobody hears: as if it were unknown`,
    );
  if (slot >= 0 && !suspended) {
    const stays = remote.foundFlags !== 0;
    const kind = remote.foundFlags === FDB_STATIC ? 'static entry' : 'frozen entry';
    if (stays && slot === HERE_SLOT)
      return notes.end(
        'lookup',
        DROP.local,
        `${mac} is behind this TAP itself (${kind}: a peer claims it too)`,
      );
    const seen = remote.foundSeen;
    const entry = `${stays ? kind : `learned ${nowSec - seen} s ago`}, slot ${slot}`;
    if (!stays && local.lookup(SEGMENT, hi, lo, nowSec) >= 0 && local.foundSeen > seen)
      return notes.end(
        'lookup',
        DROP.local,
        `${mac} was seen behind this TAP, later than behind ${world.nameOf(slot)}`,
      );
    notes.pass('lookup', `${mac} is behind ${world.nameOf(slot)} (${entry})`);
    unicast(world, notes, frame, slot);
    return notes.done();
  }
  if (local.lookup(SEGMENT, hi, lo, nowSec) >= 0)
    return notes.end(
      'lookup',
      DROP.local,
      `${mac} is behind this TAP itself, seen ${nowSec - local.foundSeen} s ago`,
    );
  if (!suspended) notes.pass('lookup', `${mac} is not in the forwarding table: to every member`);
  return flood(world, notes, frame);
}

function unicast(world: TraceWorld, notes: TraceNotes, frame: Uint8Array, slot: number): void {
  const limit = world.tables.peerPacketLimit[slot]!;
  clamp(world, notes, frame, limit, slot);
  const size = sizeOf(frame);
  if (limit !== 0 && frame.length - MIN_FRAME_BYTES > limit && size > limit) {
    const text = `a packet of ${size} bytes, and the path to ${world.nameOf(slot)} carries ${limit}: its sender would be told`;
    return notes.fail('path-mtu', slot, DROP.tooBig, text);
  }
  copy(world, notes, frame, slot, size);
}

function flood(world: TraceWorld, notes: TraceNotes, frame: Uint8Array): Traced {
  const { tables } = world;
  const count = tables.segments[SEGMENT * SEGMENT_STRIDE + S.MEMBERS]!;
  if (count === 0) return notes.end('flood', DROP.noMember, 'no other member of the segment is there');
  const slots = [...tables.members.subarray(SEGMENT * MAX_SLOTS, SEGMENT * MAX_SLOTS + count)];
  const limits = slots.map((slot) => tables.peerPacketLimit[slot]!).filter((limit) => limit !== 0);
  if (limits.length > 0) clamp(world, notes, frame, Math.min(...limits), null);
  const size = sizeOf(frame);
  notes.pass('flood', `${count} ${count === 1 ? 'copy' : 'copies'}: ${slots.map(world.nameOf).join(', ')}`);
  const fits = (slot: number): boolean => {
    const limit = tables.peerPacketLimit[slot]!;
    return limit === 0 || size <= limit;
  };
  // The frame as a whole counts once where nobody gets a copy.
  if (!slots.some(fits))
    return notes.end(
      'path-mtu',
      DROP.tooBig,
      `a packet of ${size} bytes is more than the path to any member carries`,
    );
  for (const slot of slots) {
    if (fits(slot)) copy(world, notes, frame, slot, size);
    else {
      const limit = tables.peerPacketLimit[slot]!;
      notes.fail('path-mtu', slot, DROP.tooBig, `a packet of ${size} bytes, and the path carries ${limit}`);
    }
  }
  return notes.done();
}

function clamp(
  world: TraceWorld,
  notes: TraceNotes,
  frame: Uint8Array,
  limit: number,
  slot: number | null,
): void {
  const most = limit === 0 ? world.tables.segments[SEGMENT * SEGMENT_STRIDE + S.MTU]! : limit;
  if (clampMss(frame, 0, frame.length, most, SUM.complete))
    notes.pass('path-mtu', `a TCP SYN whose MSS would be lowered to packets of ${most} bytes`, slot);
}

/** Largest IP packet in the frame. */
function sizeOf(frame: Uint8Array): number {
  const desc = new Int32Array(DESC_STRIDE);
  desc[D.LEN] = frame.length;
  return packetBytes(frame, desc, 0);
}

/** What transmit.c and the kernel would do with the copy for one peer. */
function copy(world: TraceWorld, notes: TraceNotes, frame: Uint8Array, slot: number, size: number): void {
  const { tables, tunnels } = world;
  const name = world.nameOf(slot);
  const limit = tables.peerPacketLimit[slot]!;
  const mtu = tables.segments[SEGMENT * SEGMENT_STRIDE + S.MTU]!;
  const path =
    limit === 0 ? `the segment's MTU of ${mtu}, which the path carries` : `${limit} bytes on the path`;
  notes.pass('path-mtu', `a packet of ${size} bytes fits ${path}`, slot);
  const geneve = tables.segments[SEGMENT * SEGMENT_STRIDE + S.GENEVE] === 1;
  const vni = tables.segments[SEGMENT * SEGMENT_STRIDE + S.VNI]!;
  notes.pass('encapsulate', `${geneve ? 'Geneve' : 'VXLAN'}, VNI ${vni}`, slot);
  const { mode, endpoint, index, suite } = tunnels.of(slot);
  if (mode === null || endpoint === null)
    return notes.fail(
      'session',
      slot,
      DROP.noSession,
      `no session with ${name}; the frame would start a handshake`,
    );
  let bytes = frame.length + HEADER_BYTES;
  if (mode === 'sealed') {
    const counter = tables.nextCounter[slot]!;
    if (counter >= COUNTER_LIMIT)
      return notes.fail('seal', slot, DROP.exhausted, `the key for ${name} has sealed all it may`);
    bytes += SEAL_BYTES;
    notes.pass('session', `up with ${name}, its receiver index ${hex(index)}`, slot);
    notes.pass('seal', `${SUITES[suite] ?? ''}, counter ${counter}`, slot);
  } else notes.pass('session', `${name} takes plain frames: no session, no seal`, slot);
  const outer = bytes + OUTER_BYTES[endpoint.ip.includes(':') ? 6 : 4];
  const device = world.deviceMtuBytes(endpoint.ip);
  if (device === null)
    return notes.fail('send', slot, DROP.unreachable, `no route to ${formatEndpoint(endpoint)}`);
  if (outer > device) {
    const text = `an outer packet of ${outer} bytes, and the device to ${endpoint.ip} takes ${device}`;
    return notes.fail('send', slot, DROP.tooBig, text);
  }
  const pool = (tables.peerFlags[slot]! & PEER_PLAIN) !== 0 || tables.peerSpread[slot] === 1;
  const from = pool ? 'a port of the pool' : 'the listening port';
  notes.pass('send', `outer packet of ${outer} bytes to ${formatEndpoint(endpoint)} from ${from}`, slot);
  notes.copies.push({ slot, drop: DROP.none });
}

const hex = (index: number): string => `0x${(index >>> 0).toString(16).padStart(8, '0')}`;
