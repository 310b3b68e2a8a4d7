/**
 * Inbound: UDP to TAP. The functions below stand in the order in which a datagram meets them.
 *
 *   1 receive  a batch; sealed datagrams come opened (the replay window was set in C)
 *   2 hand up  control datagrams to the ring; refuse what has no session
 *   3 unwrap   VXLAN or Geneve, of the segment's own kind only
 *   4 admit    is the sender a member (sealed) or a configured VTEP (plain) of that segment, and may it use this source?
 *   5 write    to the TAP, and nowhere else: a frame from the overlay never goes back to it (split horizon)
 *
 * hot path: no promise, closure, event, string key, allocation or exception may happen per frame.
 */
import {
  D,
  DESC_STRIDE,
  F_FROM_LISTENER,
  F_PARTIAL,
  F_REPAIR,
  FROM_STRIDE,
  type FrameBatch,
  KIND,
  RECV,
  type Receiver,
  WRITE,
} from 'tun-tap';
import {
  C,
  CAPTURED,
  type CaptureMemory,
  captureBytes,
  captureClaim,
  captureMeta,
  capturePublish,
  INWARD,
  isCapturing,
} from './capture-ring.ts';
import { DROP } from './drop.ts';
import { type Fdb, LEARN } from './fdb.ts';
import { FDB_STATIC } from './fdb-moves.ts';
import { decodeGeneve, type GeneveFields } from './geneve.ts';
import { clampMss, SUM } from './mss-clamp.ts';
import { R, RING_SLOT_BYTES, type RingMemory, ringClaim, ringMeta, ringPublish, SIGHTED } from './ring.ts';
import {
  MAX_SLOTS,
  P,
  PEER_BRIDGE,
  PEER_COUNTER_STRIDE,
  PEER_PRESENT,
  S,
  SEGMENT_STRIDE,
  type SharedTables,
  segmentOf,
  T,
  TOTAL_DROPS,
  TOTALS_STRIDE,
} from './shared-tables.ts';
import { ETHERNET_BYTES } from './transmit.ts';
import { grantTrial } from './trial.ts';
import type { VtepTable } from './vtep-table.ts';
import { decodeVxlan, PARTIAL_BIT, VXLAN_HEADER_BYTES } from './vxlan.ts';

/** The main thread asks a peer at most once a second where it is; this keeps the ring free for all peers together. */
const SIGHTING_GAP_MS = 20;
const MIN_FRAME_BYTES = 14;
/** Outer IP and UDP headers are not counted; a plain super-frame of 64 KiB is legal. */
const MAX_PLAIN_FRAME = 65535;

/** Drop reason of each RECV status. */
const DROP_OF_RECV = new Uint8Array(16);
DROP_OF_RECV[RECV.GARBAGE] = DROP.garbage;
DROP_OF_RECV[RECV.UNKNOWN] = DROP.unknownIndex;
DROP_OF_RECV[RECV.MISMATCH] = DROP.mismatch;
DROP_OF_RECV[RECV.REPLAY] = DROP.replay;
DROP_OF_RECV[RECV.AUTH] = DROP.auth;
DROP_OF_RECV[RECV.LANE] = DROP.lane;
DROP_OF_RECV[RECV.CSUM] = DROP.csum;
DROP_OF_RECV[RECV.TAP_DOWN] = DROP.tapDown;
DROP_OF_RECV[RECV.TAP_FULL] = DROP.tapFull;
DROP_OF_RECV[RECV.TAP_ERROR] = DROP.tapError;

export interface ReceiveParts {
  readonly batch: FrameBatch;
  readonly receiver: Receiver;
  readonly tables: SharedTables;
  readonly remote: Fdb;
  readonly ring: RingMemory;
  readonly vteps: VtepTable;
  readonly worker: number;
  readonly tapFd: number;
  readonly capture: CaptureMemory;
  /** [0]: milliseconds, read once per batch by the loop. */
  readonly clock: Float64Array;
}

export class ReceivePath {
  readonly #p: ReceiveParts;
  readonly #geneve: GeneveFields = { vni: 0, headerBytes: 0 };
  /** Somebody captures; read once per batch. */
  #capturing = false;
  #sightedMs = Number.NEGATIVE_INFINITY;

  constructor(parts: ReceiveParts) {
    this.#p = parts;
  }

  /** One batch of the sealed port. Returns descriptors: datagrams, or runs of them. */
  runSealed(fd: number): number {
    const n = this.#p.receiver.receiveSealed(fd);
    this.takeSealed(n);
    return n;
  }

  /** The batch of the sealed port that is in the receiver: `n` descriptors. */
  takeSealed(n: number): void {
    const { batch } = this.#p;
    this.#capturing = isCapturing(this.#p.capture);
    for (let i = 0; i < n; i++) {
      const at = i * DESC_STRIDE;
      const wireBytes = batch.desc[at + D.WIRE]!;
      this.#settle(i, this.#sealed(i, at, wireBytes));
    }
    if (n > 0) this.#write(n);
  }

  /** One batch of the plain port. */
  runPlain(fd: number): number {
    const { receiver, batch, tables, worker } = this.#p;
    const n = receiver.receivePlain(fd, this.plainIsGeneve ? 1 : 0);
    this.#capturing = isCapturing(this.#p.capture);
    const totals = worker * TOTALS_STRIDE;
    for (let i = 0; i < n; i++) {
      const at = i * DESC_STRIDE;
      tables.totals[totals + T.PLAIN_PACKETS]! += batch.desc[at + D.SEGMENTS]!;
      tables.totals[totals + T.PLAIN_BYTES]! += batch.desc[at + D.WIRE]!;
      this.#settle(i, batch.desc[at + D.STATUS] === RECV.OK ? this.#plain(i, at) : DROP.garbage);
    }
    if (n > 0) this.#write(n);
    return n;
  }

  #drop(reason: number, frames = 1): void {
    this.#p.tables.totals[this.#p.worker * TOTALS_STRIDE + TOTAL_DROPS + reason]! += frames;
  }

  /** Marks a frame for writing, or counts why not. */
  #settle(i: number, drop: number): void {
    if (drop === HANDED_UP) return;
    if (drop === DROP.none) this.#p.batch.desc[i * DESC_STRIDE + D.HDR] = WRITE;
    else {
      this.#drop(drop, this.#p.batch.desc[i * DESC_STRIDE + D.SEGMENTS]!);
      if (this.#capturing) this.#note(i, drop);
    }
  }

  #sealed(i: number, at: number, wireBytes: number): number {
    const { batch, tables, worker } = this.#p;
    const d = batch.desc;
    const status = d[at + D.STATUS]!;
    const kind = d[at + D.KIND]!;
    const totals = worker * TOTALS_STRIDE;
    if (status === RECV.OK && (kind === KIND.VXLAN || kind === KIND.GENEVE)) {
      tables.totals[totals + T.PACKETS]! += d[at + D.SEGMENTS]!;
      tables.totals[totals + T.PACKET_BYTES]! += wireBytes;
      if ((d[at + D.FLAGS]! & F_FROM_LISTENER) !== 0) this.#sight(i, at, wireBytes);
      return this.#unwrap(i, at, kind === KIND.GENEVE, true, d[at + D.TUNNEL]!);
    }
    const isHandshake = status === RECV.OK && kind !== KIND.CONTROL;
    tables.totals[totals + (isHandshake ? T.HANDSHAKE_PACKETS : T.CONTROL_PACKETS)]! += 1;
    tables.totals[totals + (isHandshake ? T.HANDSHAKE_BYTES : T.CONTROL_BYTES)]! += wireBytes;
    if (status === RECV.UNKNOWN) {
      this.#drop(DROP.unknownIndex);
      if (this.#capturing) this.#note(i, DROP.unknownIndex);
      this.#handUp(i, at, wireBytes, false);
      return HANDED_UP;
    }
    if (status !== RECV.OK) return DROP_OF_RECV[status]!;
    return this.#handUp(i, at, wireBytes, kind === KIND.CONTROL) ? HANDED_UP : DROP.ringFull;
  }

  /**
   * The newest packet of its lane, from the sender's listening port: if that is elsewhere now, the main thread hears of it
   * and asks there whether it is so; until it knows, a little may go there (trial.ts).
   */
  #sight(i: number, at: number, wireBytes: number): void {
    const { batch, tables, ring, clock } = this.#p;
    const slot = batch.desc[at + D.TUNNEL]!;
    if (slot < 0) return;
    const from = i * FROM_STRIDE;
    const known = slot * FROM_STRIDE;
    const port = tables.peerFrom[known + 1]!;
    let moved = port !== batch.from[from + 1];
    for (let k = 2; k < FROM_STRIDE; k++)
      moved = moved || tables.peerFrom[known + k] !== batch.from[from + k];
    if (!moved) {
      // It speaks from home again.
      if (tables.trialBytes[slot]! > 0) Atomics.store(tables.trialBytes, slot, 0);
      return;
    }
    if (port === 0) return;
    const asks = clock[0]! - this.#sightedMs >= SIGHTING_GAP_MS;
    grantTrial(tables, slot, batch.from, from, wireBytes, asks);
    const claimed = asks ? ringClaim(ring, true) : -1;
    if (claimed < 0) return;
    this.#sightedMs = clock[0]!;
    const meta = ringMeta(claimed);
    const w = ring.words;
    w[meta + R.KIND] = SIGHTED;
    w[meta + R.SLOT] = slot;
    w[meta + R.INDEX] = batch.desc[at + D.GSO]!;
    w[meta + R.WIRE] = wireBytes;
    for (let k = 0; k < FROM_STRIDE; k++) w[meta + R.FROM + k] = batch.from[from + k]!;
    w[meta + R.LENGTH] = 0;
    ringPublish(ring, claimed);
  }

  /** Copies a control datagram to the ring; lane 15 without its zero padding, which the wire size tells. */
  #handUp(i: number, at: number, wireBytes: number, ofSession: boolean): boolean {
    const { ring, batch, receiver, tables, worker, clock } = this.#p;
    const d = batch.desc;
    let length = d[at + D.LEN]!;
    if (ofSession) {
      const off = d[at + D.OFF]!;
      const body = length >= 4 ? ((batch.bytes[off + 2]! << 8) | batch.bytes[off + 3]!) + 4 : length;
      if (body < length) length = body;
      const slot = d[at + D.TUNNEL]!;
      if (slot >= 0)
        tables.peerCounters[(worker * MAX_SLOTS + slot) * PEER_COUNTER_STRIDE + P.LAST_MS] = clock[0]!;
    }
    if (length > RING_SLOT_BYTES) return false;
    const slot = ringClaim(ring, ofSession);
    if (slot < 0) return false;
    const meta = ringMeta(slot);
    const w = ring.words;
    w[meta + R.KIND] = d[at + D.KIND]!;
    w[meta + R.SLOT] = d[at + D.TUNNEL]!;
    w[meta + R.INDEX] = d[at + D.GSO]!;
    w[meta + R.COUNTER_LO] = d[at + D.CSUM]!;
    w[meta + R.COUNTER_HI] = d[at + D.FLOW_HASH]!;
    w[meta + R.WIRE] = wireBytes;
    w[meta + R.FLAGS] = d[at + D.FLAGS]! & F_FROM_LISTENER ? 1 : 0;
    const from = i * FROM_STRIDE;
    for (let k = 0; k < FROM_STRIDE; k++) w[meta + R.FROM + k] = batch.from[from + k]!;
    w[meta + R.LENGTH] = receiver.copyOut(i, ring.bytes, slot * RING_SLOT_BYTES, length);
    ringPublish(ring, slot);
    return true;
  }

  #plain(i: number, at: number): number {
    return this.#unwrap(i, at, false, false, -1);
  }

  /** Reads the encapsulation and finds the sender; `slot` is known for sealed frames. */
  #unwrap(i: number, at: number, geneve: boolean, sealed: boolean, sealedSlot: number): number {
    const { batch, tables } = this.#p;
    const d = batch.desc;
    const off = d[at + D.OFF]!;
    const len = d[at + D.LEN]!;
    const isGeneve = sealed ? geneve : this.plainIsGeneve;
    let vni = 0;
    let headerBytes = VXLAN_HEADER_BYTES;
    if (isGeneve) {
      const drop = decodeGeneve(batch.bytes, off, len, this.#geneve);
      if (drop !== DROP.none) return drop;
      vni = this.#geneve.vni;
      headerBytes = this.#geneve.headerBytes;
    } else {
      vni = decodeVxlan(batch.bytes, off, len);
      if (vni < 0) return DROP.header;
    }
    const segment = segmentOf(tables, vni);
    if (segment < 0) return DROP.vni;
    const segmentAt = segment * SEGMENT_STRIDE;
    // A plain VNI and a sealed VNI never exchange frames, and neither do two encapsulations.
    if ((tables.segments[segmentAt + S.SEALED] === 1) !== sealed) return DROP.vni;
    if ((tables.segments[segmentAt + S.GENEVE] === 1) !== isGeneve) return DROP.vni;
    let slot = sealedSlot;
    if (sealed) {
      if (slot < 0 || (tables.peerSegments[slot]! & (1 << segment)) === 0) return DROP.vni;
    } else {
      const f = i * FROM_STRIDE + 2;
      const from = batch.from;
      slot = this.#p.vteps.lookup(segment, from[f]!, from[f + 1]!, from[f + 2]!, from[f + 3]!);
      if (slot < 0) return DROP.unknownVtep;
    }
    if ((tables.peerFlags[slot]! & PEER_PRESENT) === 0) return sealed ? DROP.vni : DROP.unknownVtep;
    const partial = sealed && (batch.bytes[off + 7]! & PARTIAL_BIT) !== 0;
    d[at + D.TUNNEL] = slot;
    d[at + D.HDR] = UNWRAPPED;
    d[at + D.OFF] = off + headerBytes;
    d[at + D.LEN] = len - headerBytes;
    d[at + D.BYTES]! -= headerBytes * d[at + D.SEGMENTS]!;
    d[at + D.FLAGS] = partial ? F_PARTIAL : sealed ? 0 : F_REPAIR;
    return this.#admit(at, segment, slot, sealed);
  }

  /** Encapsulation of the plain port; set once, when the segment is. */
  plainIsGeneve = false;

  /** Descriptor `at` may be a run; what holds for its first frame holds for all. */
  #admit(at: number, segment: number, slot: number, sealed: boolean): number {
    const { batch, tables, remote, worker, clock } = this.#p;
    const b = batch.bytes;
    const off = batch.desc[at + D.OFF]!;
    const len = batch.desc[at + D.LEN]!;
    if (len < MIN_FRAME_BYTES) return DROP.runt;
    const mtu = tables.segments[segment * SEGMENT_STRIDE + S.MTU]!;
    if (len > (sealed ? mtu + ETHERNET_BYTES : MAX_PLAIN_FRAME)) return DROP.oversize;
    const hi = (b[off + 6]! << 8) | b[off + 7]!;
    const lo = (b[off + 8]! << 24) | (b[off + 9]! << 16) | (b[off + 10]! << 8) | b[off + 11]!;
    if ((hi & 0x100) !== 0 || (hi | lo) === 0) return DROP.sourceMac;
    const own = segment * SEGMENT_STRIDE;
    if (hi === tables.segments[own + S.OWN_MAC_HI] && lo === tables.segments[own + S.OWN_MAC_LO])
      return DROP.macSpoof;

    const nowSec = (clock[0]! / 1000) | 0;
    const totals = worker * TOTALS_STRIDE;
    if ((tables.peerFlags[slot]! & PEER_BRIDGE) !== 0) {
      const learned = remote.learn(segment, hi, lo, slot, nowSec);
      if (learned === LEARN.conflict) return DROP.macSpoof;
      if (learned >= LEARN.froze) {
        if (learned === LEARN.froze) tables.totals[totals + T.FREEZES]! += 1;
        return DROP.macFrozen;
      }
      if (learned !== LEARN.known) {
        tables.totals[totals + (learned === LEARN.full ? T.NOT_LEARNED : T.LEARNED)]! += 1;
        if (learned === LEARN.moved) tables.totals[totals + T.MOVES]! += 1;
        else if (learned === LEARN.evicted) tables.totals[totals + T.EVICTIONS]! += 1;
      }
    } else if (remote.lookup(segment, hi, lo, nowSec) !== slot || remote.foundFlags !== FDB_STATIC) {
      return DROP.macSpoof;
    }
    const peer = (worker * MAX_SLOTS + slot) * PEER_COUNTER_STRIDE;
    tables.peerCounters[peer + P.FRAMES]! += batch.desc[at + D.SEGMENTS]!;
    tables.peerCounters[peer + P.BYTES]! += batch.desc[at + D.BYTES]!;
    tables.peerCounters[peer + P.LAST_MS] = clock[0]!;
    if (batch.desc[at + D.SEGMENTS] === 1) this.#clampSyn(at, slot, mtu);
    return DROP.none;
  }

  /** Lowers the MSS of a SYN, so that the answers to it fit the way back. A run of frames holds none. */
  #clampSyn(at: number, slot: number, mtu: number): void {
    const { batch, tables, worker } = this.#p;
    const d = batch.desc;
    const off = d[at + D.OFF]!;
    const limit = tables.peerPacketLimit[slot]!;
    const flags = d[at + D.FLAGS]!;
    const sum =
      (flags & F_PARTIAL) !== 0 ? SUM.partial : (flags & F_REPAIR) !== 0 ? SUM.unknown : SUM.complete;
    if (clampMss(batch.bytes, off, off + d[at + D.LEN]!, limit === 0 ? mtu : limit, sum))
      tables.totals[worker * TOTALS_STRIDE + T.MSS_CLAMPED]! += 1;
  }

  #write(n: number): void {
    const { receiver, batch, tables, worker, tapFd } = this.#p;
    const d = batch.desc;
    receiver.writeTap(tapFd, n, tables.segments[S.MTU]!);
    const totals = worker * TOTALS_STRIDE;
    for (let i = 0, at = 0; i < n; i++, at += DESC_STRIDE) {
      if (d[at + D.HDR] !== WRITE) continue;
      const status = d[at + D.STATUS]!;
      if (status !== RECV.OK) {
        this.#drop(DROP_OF_RECV[status]!, d[at + D.SEGMENTS]!);
        continue;
      }
      tables.totals[totals + T.FRAMES]! += 1;
      tables.totals[totals + T.FRAME_BYTES]! += d[at + D.BYTES]!;
    }
    if (this.#capturing) this.#noteWritten(n);
  }

  #noteWritten(n: number): void {
    const d = this.#p.batch.desc;
    for (let i = 0, at = 0; i < n; i++, at += DESC_STRIDE)
      if (d[at + D.HDR] === WRITE) this.#note(i, DROP_OF_RECV[d[at + D.STATUS]!]!);
  }

  /** Shows a frame, or a datagram that never became one, to whoever captures. Of a run the first frame. */
  #note(i: number, drop: number): void {
    const { capture, batch, tables, clock } = this.#p;
    const record = captureClaim(capture);
    if (record < 0) return;
    const d = batch.desc;
    const at = i * DESC_STRIDE;
    const isFrame = d[at + D.HDR] === WRITE || d[at + D.HDR] === UNWRAPPED;
    const kind = isFrame ? CAPTURED.frame : CAPTURED.datagram;
    const w = capture.words;
    const meta = captureMeta(record);
    captureBytes(capture, record, kind, batch.bytes, d[at + D.OFF]!, d[at + D.LEN]!);
    if (!isFrame) w[meta + C.ORIGINAL] = d[at + D.WIRE]!;
    w[meta + C.DIRECTION] = INWARD;
    w[meta + C.PEER] = isFrame ? d[at + D.TUNNEL]! : -1;
    w[meta + C.DROP] = drop;
    w[meta + C.VNI] = isFrame ? tables.segments[S.VNI]! : -1;
    w[meta + C.SEGMENTS] = d[at + D.SEGMENTS]!;
    const from = i * FROM_STRIDE;
    for (let k = 0; k < FROM_STRIDE; k++) w[meta + C.FROM + k] = batch.from[from + k]!;
    capture.times[record] = clock[0]!;
    capturePublish(capture, record);
  }
}

/** Value of D.HDR of a frame whose encapsulation was taken off; WRITE replaces it when the frame may go on. */
const UNWRAPPED = 2;
/** Not a drop: the datagram went to the ring, or was counted there. */
const HANDED_UP = -1;
