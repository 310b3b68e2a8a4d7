/**
 * The way of a frame that a peer sent, from the underlay to the TAP, told and not gone: the stages of receive.ts (and of receive.c
 * before and behind it) in their order. The frame is taken as authentic and fresh: that is, as one that the peer itself sealed.
 */
import { DROP } from './drop.ts';
import { LEARN } from './fdb.ts';
import { FDB_STATIC } from './fdb-moves.ts';
import { frameSummary } from './frame-summary.ts';
import { ipOffset, isLaterFragment, transportOffset } from './inner-packet.ts';
import { clampMss, SUM } from './mss-clamp.ts';
import { HERE_SLOT, PEER_BRIDGE, PEER_PRESENT, S, SEGMENT_STRIDE } from './shared-tables.ts';
import { macHi, macLo, macOf, type Traced, TraceNotes, type TraceWorld } from './trace.ts';
import { ETHERNET_BYTES, MIN_FRAME_BYTES } from './transmit.ts';

/** The TAP's segment. */
const SEGMENT = 0;
const MAX_PLAIN_FRAME_BYTES = 65_535;
const TCP = 6;
const UDP = 17;
const LEARNED: Readonly<Record<number, string>> = {
  [LEARN.known]: 'is known there',
  [LEARN.added]: 'is new and would be learned there',
  [LEARN.moved]: 'would move there',
  [LEARN.evicted]: 'would be learned there in the place of an older address',
  [LEARN.full]: 'would not be learned: no room',
};

/** @param frame whole Ethernet frame; its bytes may change */
export function traceIn(world: TraceWorld, slot: number, frame: Uint8Array): Traced {
  const notes = new TraceNotes();
  const { tables, tunnels } = world;
  const name = world.nameOf(slot);
  const word = (field: number): number => tables.segments[SEGMENT * SEGMENT_STRIDE + field]!;
  const sealed = word(S.SEALED) === 1;
  if (sealed && !tunnels.opensFrom(slot))
    return notes.end('open', DROP.unknownIndex, `no session with ${name}: nothing that it seals would open`);
  const kind = `${word(S.GENEVE) === 1 ? 'Geneve' : 'VXLAN'}, VNI ${word(S.VNI)}`;
  notes.pass('open', sealed ? `sealed by ${name}, opens` : 'plain: nothing to open');
  const holds = (tables.peerSegments[slot]! & (1 << SEGMENT)) !== 0;
  const present = (tables.peerFlags[slot]! & PEER_PRESENT) !== 0;
  if (!present || !holds)
    return notes.end('admit', sealed ? DROP.vni : DROP.unknownVtep, `${name} is no member of the segment`);
  notes.pass('admit', `${name} (slot ${slot}) is a member; ${kind}`);
  const most = sealed ? word(S.MTU) + ETHERNET_BYTES : MAX_PLAIN_FRAME_BYTES;
  const summary = frameSummary(frame);
  if (frame.length < MIN_FRAME_BYTES) return notes.end('parse', DROP.runt, summary);
  if (frame.length > most) return notes.end('parse', DROP.oversize, `${summary}: more than ${most}`);
  notes.pass('parse', summary);
  return admit(world, notes, slot, frame, sealed);
}

/** May this peer use this source address? */
function admit(
  world: TraceWorld,
  notes: TraceNotes,
  slot: number,
  frame: Uint8Array,
  sealed: boolean,
): Traced {
  const { tables, remote } = world;
  const name = world.nameOf(slot);
  const at = SEGMENT * SEGMENT_STRIDE;
  const hi = macHi(frame, 6);
  const lo = macLo(frame, 6);
  const mac = macOf(hi, lo);
  if ((hi & 0x100) !== 0 || (hi | lo) === 0)
    return notes.end('source', DROP.sourceMac, `${mac} is no address of one host`);
  if (hi === tables.segments[at + S.OWN_MAC_HI] && lo === tables.segments[at + S.OWN_MAC_LO])
    return notes.end('source', DROP.macSpoof, `${mac} is this host's own address`);
  const nowSec = (world.nowMs / 1000) | 0;
  const holder = remote.lookup(SEGMENT, hi, lo, nowSec);
  const pinned = holder >= 0 && remote.foundFlags === FDB_STATIC;
  if ((tables.peerFlags[slot]! & PEER_BRIDGE) !== 0) {
    const learned = remote.learn(SEGMENT, hi, lo, slot, nowSec);
    if (learned === LEARN.conflict)
      return notes.end('source', DROP.macSpoof, `${mac} belongs to ${world.nameOf(holder)} (static entry)`);
    if (learned >= LEARN.froze) {
      const keeper = holder === HERE_SLOT ? 'this host' : world.nameOf(holder);
      return notes.end(
        'source',
        DROP.macFrozen,
        `${mac} is frozen: ${keeper} has it and ${name} claims it too`,
      );
    }
    notes.pass('source', `${name} may bridge`);
    notes.pass('learn', `${mac} ${LEARNED[learned] ?? ''}${pinned ? ' (static entry)' : ''}`);
  } else if (holder !== slot || !pinned) {
    const owner = pinned ? `belongs to ${world.nameOf(holder)}` : 'is not its own';
    return notes.end('source', DROP.macSpoof, `${name} may not bridge and ${mac} ${owner}`);
  } else notes.pass('source', `${mac} is ${name}'s own address (static entry)`);
  return write(world, notes, slot, frame, sealed);
}

function write(
  world: TraceWorld,
  notes: TraceNotes,
  slot: number,
  frame: Uint8Array,
  sealed: boolean,
): Traced {
  const { tables } = world;
  const mtu = tables.segments[SEGMENT * SEGMENT_STRIDE + S.MTU]!;
  const limit = tables.peerPacketLimit[slot]!;
  const most = limit === 0 ? mtu : limit;
  if (clampMss(frame, 0, frame.length, most, sealed ? SUM.complete : SUM.unknown))
    notes.pass('path-mtu', `a TCP SYN whose MSS would be lowered to packets of ${most} bytes`);
  // What a kernel hands over larger than the MTU can only be a super-frame of one flow (tun-tap/native/repair.c).
  const isLarge = !sealed && frame.length > mtu + ETHERNET_BYTES;
  if (isLarge && !isOneFlow(frame))
    return notes.end('write', DROP.csum, `${frame.length} bytes that are no TCP or UDP super-frame`);
  if (!world.tapIsUp) return notes.end('write', DROP.tapDown, 'the TAP is down');
  notes.pass('write', isLarge ? 'to the TAP, as a super-frame' : 'to the TAP, and nowhere else');
  return notes.done();
}

function isOneFlow(frame: Uint8Array): boolean {
  const ip = ipOffset(frame, 0, frame.length);
  if (ip === 0 || isLaterFragment(frame, ip, frame.length)) return false;
  return [TCP, UDP].some((protocol) => transportOffset(frame, ip, frame.length, protocol) !== 0);
}
