/**
 * The two directions of a worker, each with its batch and native objects, and what the main thread may tell it. A worker has
 * one half or both (commands.ts); worker-loop.ts runs them.
 */
import { createFrameBatch, GRO_MAX_DATAGRAMS, Receiver, Transmitter } from 'tun-tap';
import type { CaptureMemory } from './capture-ring.ts';
import { type Ack, type Command, receiveRow, transmitRow, type WorkerSettings } from './commands.ts';
import { Fdb, type FdbMemory, ONE_PORT } from './fdb.ts';
import { ReceivePath } from './receive.ts';
import type { RingMemory } from './ring.ts';
import { selfTest } from './self-test.ts';
import { MAX_SLOTS, PEER_PRESENT, S, type SharedTables, T, TOTALS_STRIDE } from './shared-tables.ts';
import { TransmitPath } from './transmit.ts';
import { VtepTable } from './vtep-table.ts';

/** What both halves of a worker share. */
export interface HalfParts {
  readonly settings: WorkerSettings;
  readonly tables: SharedTables;
  readonly ring: RingMemory;
  readonly capture: CaptureMemory;
  readonly localFdb: FdbMemory;
  readonly remote: Fdb;
  /** [0]: milliseconds, read once per turn by the loop. */
  readonly clock: Float64Array;
  /** Slots of a batch. */
  readonly batchFrames: number;
}

export interface Half {
  /** Descriptors to sleep on. */
  readonly fds: readonly number[];
  apply(command: Command): Partial<Ack>;
}

/** Batches of one descriptor before the others get a turn. */
const TURNS = 4;

export class TransmitHalf implements Half {
  readonly fds: readonly number[];
  readonly #p: HalfParts;
  readonly #row: number;
  readonly transmitter: Transmitter;
  readonly #local: Fdb;
  readonly #path: TransmitPath;

  constructor(parts: HalfParts) {
    const { settings, tables, capture, remote, clock } = parts;
    this.#p = parts;
    this.fds = [settings.tapFd];
    this.#row = transmitRow(settings.pair);
    const batch = createFrameBatch(parts.batchFrames);
    const transmitter = new Transmitter(batch, {
      maxTunnels: MAX_SLOTS,
      sockets: settings.sendFds,
      counters: tables.nextCounter.subarray(settings.pair * MAX_SLOTS, (settings.pair + 1) * MAX_SLOTS),
      limits: tables.peerPacketLimit,
      singly: tables.peerSingly,
    });
    transmitter.setSegmenting(settings.segmenting);
    const local = new Fdb({
      memory: parts.localFdb,
      generations: new Int32Array(1),
      ageingSec: settings.fdb.ageingSec,
      perPortLimit: settings.fdb.localLimit,
      ...ONE_PORT,
    });
    this.transmitter = transmitter;
    this.#local = local;
    this.#path = new TransmitPath({
      batch,
      transmitter,
      tables,
      capture,
      local,
      remote,
      clock,
      worker: this.#row,
      tapFd: settings.tapFd,
      sendingSockets: settings.sendFds.length - 1,
    });
  }

  /** One batch; `ahead` frames of it a wait has read. Negative: the TAP is gone for good. */
  run(ahead: number): number {
    return this.#path.run(ahead);
  }

  apply(c: Command): Partial<Ack> {
    const { tables, clock } = this.#p;
    if (c.op === 'installTransmit') {
      this.transmitter.setSealed(c.slot, c);
      c.key.fill(0);
    } else if (c.op === 'setPlain') this.transmitter.setPlain(c.slot);
    else if (c.op === 'setEndpoint') {
      this.#path.settled(c.slot);
      this.transmitter.setEndpoint(c.slot, c.ip, c.port);
    } else if (c.op === 'offloads') this.transmitter.setSegmenting(c.segmenting);
    else if (c.op === 'clearTransmit') {
      this.#path.settled(c.slot);
      this.transmitter.clear(c.slot);
    } else if (c.op === 'sweep') {
      this.#local.sweep(secondsOf(clock), () => true);
      tables.totals[this.#row * TOTALS_STRIDE + T.REFUSED] = this.transmitter.segmentingRefused;
    }
    return {};
  }
}

export class ReceiveHalf implements Half {
  readonly fds: readonly number[];
  readonly #p: HalfParts;
  readonly #row: number;
  readonly receiver: Receiver;
  readonly #vteps = new VtepTable();
  readonly #path: ReceivePath;

  constructor(parts: HalfParts) {
    const { settings, tables, ring, capture, remote, clock } = parts;
    const { sealedFd, plainFd, tapFd } = settings;
    this.#p = parts;
    this.fds = plainFd === null ? [sealedFd] : [sealedFd, plainFd];
    this.#row = receiveRow(settings.pair);
    const batch = createFrameBatch(parts.batchFrames, parts.batchFrames * GRO_MAX_DATAGRAMS);
    const receiver = new Receiver(batch, {
      maxSessions: settings.maxSessions,
      worker: settings.pair,
      workers: settings.pairs,
    });
    receiver.setJoining(settings.joining);
    this.receiver = receiver;
    const vteps = this.#vteps;
    this.#path = new ReceivePath({
      ...{ batch, receiver, tables, remote, ring, capture, vteps, clock, tapFd },
      worker: this.#row,
    });
  }

  /** What is there. Bit i of `ready` belongs to fds[i]; `ahead` says what a wait has read of the sealed port. */
  run(ready: number, ahead: number): void {
    const path = this.#path;
    const receiver = this.receiver;
    const { sealedFd, plainFd } = this.#p.settings;
    path.plainIsGeneve = this.#p.tables.segments[S.GENEVE] === 1;
    // After a batch that was not full the socket was empty: a wait tells of more for less than another try.
    if ((ready & 1) !== 0) {
      path.takeSealed(receiver.took(ahead));
      for (let turn = 1; turn < TURNS && receiver.full && path.runSealed(sealedFd) > 0; turn++);
    }
    if ((ready & 2) !== 0 && plainFd !== null)
      for (let turn = 0; turn < TURNS && path.runPlain(plainFd) > 0 && receiver.full; turn++);
  }

  apply(c: Command): Partial<Ack> {
    const { tables, remote, clock } = this.#p;
    if (c.op === 'installReceive') {
      this.receiver.install({ ...c, tunnel: c.slot });
      c.laneKeys.fill(0);
    } else if (c.op === 'removeReceive') this.receiver.remove(c.index);
    else if (c.op === 'offloads') this.receiver.setJoining(c.joining);
    else if (c.op === 'setVtep') this.#vteps.set(c.segment, c.address, c.slot);
    else if (c.op === 'removeVtep') this.#vteps.remove(c.segment, c.address);
    else if (c.op === 'sweep') {
      remote.sweep(secondsOf(clock), (slot) => (tables.peerFlags[slot]! & PEER_PRESENT) !== 0);
      tables.totals[this.#row * TOTALS_STRIDE + T.REFUSED] = Number(this.receiver.joiningRefused);
    } else if (c.op === 'selfTest') return { selfTest: selfTest(this.#path, tables, this.#row) };
    else if (c.op === 'pin')
      return { pinned: remote.pin(c.segment, c.hi, c.lo | 0, c.slot, secondsOf(clock)) };
    return {};
  }
}

const secondsOf = (clock: Float64Array): number => Math.trunc(clock[0]! / 1000);
