/**
 * The worker thread: one direction, or both in turn, run to completion. It sleeps in one native wait on its descriptors and
 * an eventfd, handles a batch, and between batches takes commands. It never returns to its event loop while it runs, so
 * nothing here may rely on timers or message events.
 *
 * When it ends, its keys go with its native objects; a successor starts with none.
 */
import { GCProfiler } from 'node:v8';
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import {
  createFrameBatch,
  GRO_MAX_DATAGRAMS,
  Receiver,
  readClock,
  setTapQueue,
  Transmitter,
  WaitSet,
} from 'tun-tap';
import type { CaptureMemory } from './capture-ring.ts';
import { type Ack, type Command, receiveRow, transmitRow, type WorkerSettings } from './commands.ts';
import { Fdb, type FdbMemory } from './fdb.ts';
import { ReceivePath } from './receive.ts';
import type { RingMemory } from './ring.ts';
import { MAX_SLOTS, PEER_PRESENT, S, type SharedTables, T, TOTALS_STRIDE } from './shared-tables.ts';
import { TransmitPath } from './transmit.ts';
import { VtepTable } from './vtep-table.ts';

export interface WorkerStart {
  readonly settings: WorkerSettings;
  readonly tables: SharedTables;
  readonly ring: RingMemory;
  readonly capture: CaptureMemory;
  readonly localFdb: FdbMemory;
  readonly remoteFdb: FdbMemory;
  readonly port: MessagePort;
}

/** A direction that this worker serves. */
interface Half {
  /** Descriptors to sleep on. */
  readonly fds: readonly number[];
  /** Handles what is there; bit i of `ready` belongs to fds[i]. Negative: the first descriptor is gone for good. */
  run(ready: number): number;
  apply(command: Command): Partial<Ack>;
}

const BATCH_FRAMES = 64;
/** The longest sleep: how late a stopped parent is noticed. */
const WAIT_MS = 250;
/** Batches of one descriptor before the others get a turn. */
const TURNS = 4;

const { settings, tables, ring, capture, localFdb, remoteFdb, port } = workerData as WorkerStart;
const clock = new Float64Array(16);
const remote = new Fdb({
  memory: remoteFdb,
  generations: tables.peerGeneration,
  ageingSec: settings.fdb.ageingSec,
  perPortLimit: settings.fdb.perPeerLimit,
});
const vteps = new VtepTable();
const isPresent = (slot: number): boolean => (tables.peerFlags[slot]! & PEER_PRESENT) !== 0;
const nowSec = (): number => Math.trunc(clock[0]! / 1000);

let running = true;
let gc: GCProfiler | null = null;
let deliberate: unknown[] | null = null;

/** What both kinds of worker understand. Returns an answer for the ack, if there is one. */
function common(command: Command): Partial<Ack> {
  if (command.op === 'stop') running = false;
  else if (command.op === 'watchGc') {
    deliberate = command.deliberate ? [] : null;
    gc = new GCProfiler();
    gc.start();
  } else if (command.op === 'reportGc' && gc !== null) {
    const collections = gc.stop().statistics.length;
    gc = null;
    deliberate = null;
    return { collections };
  }
  return {};
}

/** Garbage on purpose, so that a proof of no collections first shows that it can see one. */
function litter(): void {
  if (deliberate === null) return;
  for (let i = 0; i < 2000; i++) deliberate = [deliberate.length, new Array(64).fill(i)];
}

function handleCommands(apply: (command: Command) => Partial<Ack>): void {
  for (
    let message = receiveMessageOnPort(port);
    message !== undefined;
    message = receiveMessageOnPort(port)
  ) {
    const command = message.message as Command;
    let ack: Ack;
    try {
      ack = { seq: command.seq, ...common(command), ...apply(command) };
    } catch (error) {
      ack = { seq: command.seq, error: (error as Error).message };
    }
    port.postMessage(ack);
  }
}

function transmitHalf(): Half {
  const row = transmitRow(settings.pair);
  const batch = createFrameBatch(BATCH_FRAMES);
  const transmitter = new Transmitter(batch, {
    maxTunnels: MAX_SLOTS,
    sockets: settings.sendFds,
    counters: tables.nextCounter.subarray(settings.pair * MAX_SLOTS, (settings.pair + 1) * MAX_SLOTS),
    limits: tables.peerPacketLimit,
    singly: tables.peerSingly,
  });
  transmitter.setSegmenting(settings.segmenting);
  const local = new Fdb({
    memory: localFdb,
    generations: new Int32Array(1),
    ageingSec: settings.fdb.ageingSec,
    perPortLimit: settings.fdb.localLimit,
  });
  const path = new TransmitPath({
    batch,
    transmitter,
    tables,
    capture,
    local,
    remote,
    clock,
    worker: row,
    tapFd: settings.tapFd,
    sendingSockets: settings.sendFds.length - 1,
  });
  return {
    fds: [settings.tapFd],
    run: () => path.run(),
    apply(c) {
      if (c.op === 'installTransmit') transmitter.setSealed(c.slot, c);
      else if (c.op === 'setPlain') transmitter.setPlain(c.slot);
      else if (c.op === 'setEndpoint') transmitter.setEndpoint(c.slot, c.ip, c.port);
      else if (c.op === 'offloads') transmitter.setSegmenting(c.segmenting);
      else if (c.op === 'clearTransmit') transmitter.clear(c.slot);
      else if (c.op === 'sweep') {
        local.sweep(nowSec(), () => true);
        tables.totals[row * TOTALS_STRIDE + T.REFUSED] = transmitter.segmentingRefused;
      }
      return {};
    },
  };
}

function receiveHalf(): Half {
  const batch = createFrameBatch(BATCH_FRAMES, BATCH_FRAMES * GRO_MAX_DATAGRAMS);
  const { sealedFd, plainFd } = settings;
  const receiver = new Receiver(batch, {
    maxSessions: settings.maxSessions,
    worker: settings.pair,
    workers: settings.pairs,
  });
  receiver.setJoining(settings.joining);
  const path = new ReceivePath({
    batch,
    receiver,
    tables,
    remote,
    ring,
    capture,
    vteps,
    clock,
    worker: receiveRow(settings.pair),
    tapFd: settings.tapFd,
  });
  return {
    fds: plainFd === null ? [sealedFd] : [sealedFd, plainFd],
    run(ready) {
      path.plainIsGeneve = tables.segments[S.GENEVE] === 1;
      if ((ready & 1) !== 0) for (let turn = 0; turn < TURNS && path.runSealed(sealedFd) > 0; turn++);
      if ((ready & 2) !== 0 && plainFd !== null)
        for (let turn = 0; turn < TURNS && path.runPlain(plainFd) > 0; turn++);
      return 0;
    },
    apply(c) {
      if (c.op === 'installReceive') receiver.install({ ...c, tunnel: c.slot });
      else if (c.op === 'removeReceive') receiver.remove(c.index);
      else if (c.op === 'offloads') receiver.setJoining(c.joining);
      else if (c.op === 'setVtep') vteps.set(c.segment, c.address, c.slot);
      else if (c.op === 'removeVtep') vteps.remove(c.segment, c.address);
      else if (c.op === 'sweep') {
        remote.sweep(nowSec(), isPresent);
        tables.totals[receiveRow(settings.pair) * TOTALS_STRIDE + T.REFUSED] = Number(
          receiver.joiningRefused,
        );
      } else if (c.op === 'pin' && !remote.pin(c.segment, c.hi, c.lo, c.slot, nowSec()))
        throw new Error('FDB bucket full');
      return {};
    },
  };
}

const transmit = settings.kind === 'receive' ? null : transmitHalf();
const receive = settings.kind === 'transmit' ? null : receiveHalf();
const halves: Half[] = [transmit, receive].filter((half) => half !== null);
const apply = (command: Command): Partial<Ack> => {
  if (command.op === 'tapQueue') setQueue(command.on);
  return halves.reduce<Partial<Ack>>((ack, half) => Object.assign(ack, half.apply(command)), {});
};

/** The eventfd is bit 0; the descriptors of each half follow. */
const waitOn = (parts: readonly Half[]): WaitSet =>
  new WaitSet([settings.eventFd, ...parts.flatMap((half) => half.fds)]);

let waits = waitOn(halves);
/** Null while no frames come from the TAP: its queue is off, or the TAP is gone. */
let sending = transmit;

/** A queue that is off reads as broken, so nobody may wait on it. */
function setQueue(on: boolean): void {
  const errno = setTapQueue(settings.tapFd, on);
  if (errno !== 0) throw new Error(`TAP queue ${on ? 'on' : 'off'}: errno ${errno}`);
  sending = on ? transmit : null;
  waits = waitOn(halves.filter((half) => half !== transmit || on));
}

while (running) {
  const ready = waits.wait(WAIT_MS);
  readClock(clock);
  if ((ready & 1) !== 0) {
    waits.drainEvent(0);
    const before = waits;
    handleCommands(apply);
    // The bits belong to a set that is no more; what is there will be seen at once in the new one.
    if (waits !== before) continue;
  }
  let rest = ready >> 1;
  if (sending !== null) {
    const n = (rest & 1) !== 0 ? sending.run(1) : 0;
    rest >>= 1;
    if (n < 0) {
      // The TAP was deleted under us: say so once and go on with the rest.
      port.postMessage({ seq: 0, error: `the TAP is gone (errno ${-n})` } satisfies Ack);
      sending = null;
      waits = waitOn(receive === null ? [] : [receive]);
      continue;
    }
  }
  if (receive !== null && rest !== 0) receive.run(rest);
  if (ready > 1) litter();
}
port.close();
