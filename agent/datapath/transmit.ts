/**
 * Outbound: TAP to UDP. The functions below stand in the order in which a frame meets them.
 *
 *   1 drain   the TAP, up to a batch
 *   2 check   length and source address
 *   3 learn   the source as local
 *   4 decide  one peer, or every member of the segment (head-end replication)
 *     fit     what the path to that peer does not carry is cut (TCP of this host) or answered with "too big"
 *   5 wrap    VXLAN or Geneve header directly before the frame
 *   6 send    seal, send, count what became of each copy
 *
 * hot path: no promise, closure, event, string key, allocation or exception may happen per frame.
 */
import {
  D,
  DESC_STRIDE,
  E,
  E_STRIDE,
  F_NEEDS_CSUM,
  type FrameBatch,
  injectFrame,
  SEND,
  type Transmitter,
} from 'tun-tap';
import {
  C,
  CAPTURED,
  type CaptureMemory,
  captureBytes,
  captureClaim,
  captureMeta,
  capturePublish,
  isCapturing,
  OUTWARD,
} from './capture-ring.ts';
import { DROP } from './drop.ts';
import type { Fdb } from './fdb.ts';
import { encodeGeneve, GENEVE_HEADER_BYTES } from './geneve.ts';
import { clampMss, SUM } from './mss-clamp.ts';
import { BIG_FRAME_BYTES, packetBytes, resegment } from './packet-size.ts';
import { PacketTooBig } from './packet-too-big.ts';
import {
  HERE_SLOT,
  MAX_SLOTS,
  P,
  PEER_COUNTER_STRIDE,
  PEER_PLAIN,
  S,
  SEGMENT_STRIDE,
  type SharedTables,
  T,
  TOTAL_DROPS,
  TOTALS_STRIDE,
} from './shared-tables.ts';
import { Trials } from './trial.ts';
import { encodeVxlan } from './vxlan.ts';

/** Copies prepared before they are sent; a flood to more peers than this goes out in several sends. */
export const MAX_ENTRIES = 4096;
/** Ethernet header and two tags. */
export const ETHERNET_BYTES = 14 + 8;
export const MIN_FRAME_BYTES = 14;

/** Most that a frame of one packet grows by: encapsulation, header and tag. */
const SEALED_EXTRA_BYTES = GENEVE_HEADER_BYTES + 16 + 16;

/** Drop reason of each SEND status. */
const DROP_OF_SEND = new Uint8Array(16);
DROP_OF_SEND[SEND.NO_TUNNEL] = DROP.noSession;
DROP_OF_SEND[SEND.EXHAUSTED] = DROP.exhausted;
DROP_OF_SEND[SEND.TOO_BIG] = DROP.tooBig;
DROP_OF_SEND[SEND.BUSY] = DROP.txBusy;
DROP_OF_SEND[SEND.UNREACHABLE] = DROP.unreachable;
DROP_OF_SEND[SEND.REFUSED] = DROP.refused;
DROP_OF_SEND[SEND.ERROR] = DROP.txError;
DROP_OF_SEND[SEND.CSUM] = DROP.csum;
DROP_OF_SEND[SEND.SPLIT] = DROP.superFrame;

export interface TransmitParts {
  readonly batch: FrameBatch;
  readonly transmitter: Transmitter;
  readonly tables: SharedTables;
  readonly local: Fdb;
  readonly remote: Fdb;
  readonly worker: number;
  readonly tapFd: number;
  readonly capture: CaptureMemory;
  /** Sockets of the pool beyond the listening one; 0: plain frames too leave from the listening socket. */
  readonly sendingSockets: number;
  /** [0]: milliseconds, read once per batch by the loop. */
  readonly clock: Float64Array;
}

export class TransmitPath {
  readonly #p: TransmitParts;
  readonly #entries = new Int32Array(MAX_ENTRIES * E_STRIDE);
  readonly #tooBigAnswer = new PacketTooBig();
  readonly #trials: Trials;
  #count = 0;
  /** Somebody captures; read once per batch. */
  #capturing = false;
  /** The TAP's segment; the only one that has a TAP in this version. */
  readonly #segment = 0;

  constructor(parts: TransmitParts) {
    this.#p = parts;
    this.#trials = new Trials(parts.tables, parts.transmitter);
  }

  /** The peer's endpoint is set or forgotten: what was tried is over. */
  settled(slot: number): void {
    this.#trials.end(slot);
  }

  /** One batch, which a wait has read if `ahead` is not 0. Returns frames; negative when the TAP is gone. */
  run(ahead: number): number {
    const { transmitter, tapFd, clock } = this.#p;
    const n = ahead !== 0 ? ahead : transmitter.readTap(tapFd);
    const nowSec = (clock[0]! / 1000) | 0;
    this.#capturing = isCapturing(this.#p.capture);
    this.#trials.follow();
    for (let i = 0; i < n; i++) {
      const drop = this.#frame(i, nowSec);
      if (drop === DROP.none) continue;
      this.#drop(drop);
      if (this.#capturing) this.#note(i, -1, drop);
    }
    if (this.#count > 0) this.#flush();
    return n;
  }

  #drop(reason: number): void {
    this.#p.tables.totals[this.#p.worker * TOTALS_STRIDE + TOTAL_DROPS + reason]! += 1;
  }

  #frame(i: number, nowSec: number): number {
    const { batch, tables, local, remote, worker } = this.#p;
    const d = batch.desc;
    const at = i * DESC_STRIDE;
    const len = d[at + D.LEN]!;
    const segmentAt = this.#segment * SEGMENT_STRIDE;
    if (tables.segments[segmentAt + S.USED] !== 1) return DROP.vni;
    if (len < MIN_FRAME_BYTES) return DROP.runt;
    // A super-frame is cut to size when it is sent.
    if (len > tables.segments[segmentAt + S.MTU]! + ETHERNET_BYTES && (d[at + D.GSO]! & 0xff) === 0)
      return DROP.oversize;
    const srcHi = d[at + D.SRC_HI]!;
    const srcLo = d[at + D.SRC_LO]!;
    if ((srcHi & 0x100) !== 0 || (srcHi | srcLo) === 0) return DROP.sourceMac;
    local.learn(this.#segment, srcHi, srcLo, 0, nowSec);

    const totals = worker * TOTALS_STRIDE;
    tables.totals[totals + T.FRAMES]! += 1;
    tables.totals[totals + T.FRAME_BYTES]! += len;
    const dstHi = d[at + D.DST_HI]!;
    const dstLo = d[at + D.DST_LO]!;
    if ((dstHi & 0x100) !== 0) {
      const broadcast = dstHi === 0xffff && dstLo === -1;
      tables.totals[totals + (broadcast ? T.FLOOD_BROADCAST : T.FLOOD_MULTICAST)]! += 1;
      return this.#flood(i);
    }
    let slot = remote.lookup(this.#segment, dstHi, dstLo, nowSec);
    if (slot >= 0 && tables.peerSuspended[slot] === 1) {
      tables.peerWanted[slot] = 1;
      if (remote.foundFlags !== 0) return DROP.suspended;
      // Nobody hears that peer, and the address may be elsewhere by now: as if it were unknown.
      slot = -1;
    }
    if (slot >= 0) {
      // An address that came back behind this TAP is in both tables; the later sighting is true, unless it is pinned or frozen.
      const stays = remote.foundFlags !== 0;
      if (stays && slot === HERE_SLOT) return DROP.local;
      const seen = remote.foundSeen;
      if (!stays && local.lookup(this.#segment, dstHi, dstLo, nowSec) >= 0 && local.foundSeen > seen)
        return DROP.local;
      const limit = tables.peerPacketLimit[slot]!;
      this.#clampSyn(at, limit);
      if (limit !== 0 && len - MIN_FRAME_BYTES > limit && !this.#fit(at, limit)) {
        const peer = (worker * MAX_SLOTS + slot) * PEER_COUNTER_STRIDE;
        tables.peerCounters[peer + P.BIG_MS] = this.#p.clock[0]!;
        return DROP.tooBig;
      }
      this.#wrap(i);
      this.#queue(i, slot);
      return DROP.none;
    }
    if (local.lookup(this.#segment, dstHi, dstLo, nowSec) >= 0) return DROP.local;
    tables.totals[totals + T.FLOOD_UNKNOWN]! += 1;
    return this.#flood(i);
  }

  /** Lowers the MSS of a SYN to what the peer's path carries. A super-frame is none. */
  #clampSyn(at: number, limit: number): void {
    const { batch, tables, worker } = this.#p;
    const d = batch.desc;
    if (d[at + D.GSO]! !== 0) return;
    const off = d[at + D.OFF]!;
    const most = limit === 0 ? tables.segments[this.#segment * SEGMENT_STRIDE + S.MTU]! : limit;
    const sum = (d[at + D.FLAGS]! & F_NEEDS_CSUM) !== 0 ? SUM.partial : SUM.complete;
    if (clampMss(batch.bytes, off, off + d[at + D.LEN]!, most, sum))
      tables.totals[worker * TOTALS_STRIDE + T.MSS_CLAMPED]! += 1;
  }

  /** Whether a frame can go to a peer whose path carries `limit`; its sender is told if not. */
  #fit(at: number, limit: number): boolean {
    const { batch } = this.#p;
    if (packetBytes(batch.bytes, batch.desc, at) <= limit) return true;
    if (resegment(batch.bytes, batch.desc, at, limit)) return true;
    this.#answerTooBig(at, limit);
    return false;
  }

  #answerTooBig(at: number, limit: number): void {
    const { batch, tables, worker, tapFd, clock } = this.#p;
    const answer = this.#tooBigAnswer;
    const off = batch.desc[at + D.OFF]!;
    const length = answer.answer(batch.bytes, off, batch.desc[at + D.LEN]!, limit, clock[0]!);
    if (length === 0) return;
    if (injectFrame(tapFd, answer.frame, 0, length) === 0)
      tables.totals[worker * TOTALS_STRIDE + T.TOO_BIG_ANSWERS]! += 1;
  }

  /** Head-end replication: a copy to each other member of the segment. */
  #flood(i: number): number {
    const { tables } = this.#p;
    const count = tables.segments[this.#segment * SEGMENT_STRIDE + S.MEMBERS]!;
    if (count === 0) return DROP.noMember;
    const base = this.#segment * MAX_SLOTS;
    const at = i * DESC_STRIDE;
    const least = this.#leastLimit(base, count);
    if (least !== 0) this.#clampSyn(at, least);
    const size = least === 0 ? 0 : packetBytes(this.#p.batch.bytes, this.#p.batch.desc, at);
    this.#wrap(i);
    let queued = 0;
    for (let m = 0; m < count; m++) {
      const slot = tables.members[base + m]!;
      const limit = tables.peerPacketLimit[slot]!;
      if (limit !== 0 && size > limit) {
        if (this.#capturing) this.#note(i, slot, DROP.tooBig);
        continue;
      }
      this.#queue(i, slot);
      queued++;
    }
    // Who gets no copy is only told of when nobody does: the destination may be behind any of them.
    if (queued === 0) {
      this.#answerTooBig(at, least);
      return DROP.tooBig;
    }
    for (let m = queued; m < count; m++) this.#drop(DROP.tooBig);
    return DROP.none;
  }

  /** The smallest packet limit among the members of the flood list; 0 if none has one. */
  #leastLimit(base: number, count: number): number {
    const { members, peerPacketLimit } = this.#p.tables;
    let least = 0;
    for (let m = 0; m < count; m++) {
      const limit = peerPacketLimit[members[base + m]!]!;
      if (limit !== 0 && (least === 0 || limit < least)) least = limit;
    }
    return least;
  }

  #wrap(i: number): void {
    const { batch, tables } = this.#p;
    const at = i * DESC_STRIDE;
    const off = batch.desc[at + D.OFF]!;
    const segmentAt = this.#segment * SEGMENT_STRIDE;
    const vni = tables.segments[segmentAt + S.VNI]!;
    if (tables.segments[segmentAt + S.GENEVE] === 1)
      encodeGeneve(batch.bytes, off - GENEVE_HEADER_BYTES, vni);
    else encodeVxlan(batch.bytes, off - GENEVE_HEADER_BYTES, vni);
    batch.desc[at + D.HDR] = GENEVE_HEADER_BYTES;
  }

  #queue(i: number, slot: number): void {
    if (this.#count === MAX_ENTRIES) this.#flush();
    const trial = this.#trials.active !== 0 && this.#trials.isOn(slot) && this.#affords(i, slot);
    const { batch, tables, sendingSockets } = this.#p;
    const at = this.#count * E_STRIDE;
    const spread =
      sendingSockets > 0 &&
      !trial &&
      ((tables.peerFlags[slot]! & PEER_PLAIN) !== 0 || tables.peerSpread[slot] === 1);
    this.#entries[at + E.FRAME] = i;
    this.#entries[at + E.TUNNEL] = slot;
    this.#entries[at + E.SOCKET] = spread
      ? 1 + (batch.desc[i * DESC_STRIDE + D.FLOW_HASH]! % sendingSockets)
      : 0;
    this.#count++;
  }

  /** Whether the frame may go to the trial address of its peer; if not, it and all that follow go home. */
  #affords(i: number, slot: number): boolean {
    const { batch } = this.#p;
    const at = i * DESC_STRIDE;
    const isOne = (batch.desc[at + D.GSO]! & 0xff) === 0;
    if (isOne && this.#trials.spend(slot, batch.desc[at + D.LEN]! + SEALED_EXTRA_BYTES)) return true;
    if (this.#count > 0) this.#flush();
    this.#trials.end(slot);
    return false;
  }

  #flush(): void {
    const { transmitter, tables, batch, worker, clock } = this.#p;
    const entries = this.#entries;
    transmitter.send(entries, this.#count);
    const totals = worker * TOTALS_STRIDE;
    for (let i = 0, at = 0; i < this.#count; i++, at += E_STRIDE) {
      const status = entries[at + E.STATUS]!;
      const slot = entries[at + E.TUNNEL]!;
      if (status !== SEND.OK) {
        this.#drop(DROP_OF_SEND[status]!);
        if (status === SEND.NO_TUNNEL || status === SEND.EXHAUSTED) tables.peerWanted[slot] = 1;
        else if (status === SEND.TOO_BIG) Atomics.store(tables.peerTooBig, slot, 1);
        continue;
      }
      const packets = entries[at + E.PACKETS]!;
      const wireBytes = entries[at + E.BYTES]!;
      const peer = (worker * MAX_SLOTS + slot) * PEER_COUNTER_STRIDE;
      tables.peerCounters[peer + P.FRAMES]! += packets;
      const frameBytes = batch.desc[entries[at + E.FRAME]! * DESC_STRIDE + D.LEN]!;
      tables.peerCounters[peer + P.BYTES]! += frameBytes;
      if (frameBytes > BIG_FRAME_BYTES) tables.peerCounters[peer + P.BIG_MS] = clock[0]!;
      tables.peerCounters[peer + P.LAST_MS] = clock[0]!;
      const isPlain = (tables.peerFlags[slot]! & PEER_PLAIN) !== 0;
      tables.totals[totals + (isPlain ? T.PLAIN_PACKETS : T.PACKETS)]! += packets;
      tables.totals[totals + (isPlain ? T.PLAIN_BYTES : T.PACKET_BYTES)]! += wireBytes;
    }
    if (this.#capturing) this.#noteEntries();
    this.#count = 0;
  }

  /** Shows a frame to whoever captures. @param slot peer of this copy; -1 where it was for none */
  #note(i: number, slot: number, drop: number): void {
    const { capture, batch, tables, clock } = this.#p;
    const record = captureClaim(capture);
    if (record < 0) return;
    const at = i * DESC_STRIDE;
    const meta = captureMeta(record);
    captureBytes(
      capture,
      record,
      CAPTURED.frame,
      batch.bytes,
      batch.desc[at + D.OFF]!,
      batch.desc[at + D.LEN]!,
    );
    capture.words[meta + C.DIRECTION] = OUTWARD;
    capture.words[meta + C.PEER] = slot;
    capture.words[meta + C.DROP] = drop;
    capture.words[meta + C.VNI] = tables.segments[this.#segment * SEGMENT_STRIDE + S.VNI]!;
    capture.words[meta + C.SEGMENTS] = 1;
    capture.times[record] = clock[0]!;
    capturePublish(capture, record);
  }

  /** The copies that were just sent, or not. */
  #noteEntries(): void {
    const entries = this.#entries;
    for (let i = 0, at = 0; i < this.#count; i++, at += E_STRIDE)
      this.#note(entries[at + E.FRAME]!, entries[at + E.TUNNEL]!, DROP_OF_SEND[entries[at + E.STATUS]!]!);
  }
}
