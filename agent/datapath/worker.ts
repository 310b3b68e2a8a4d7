/**
 * The worker thread: one direction, run to completion. It sleeps in one native wait on its descriptors and an eventfd,
 * handles a batch, and between batches takes commands. It never returns to its event loop while it runs, so nothing here
 * may rely on timers or message events.
 *
 * When it ends, its keys go with its native objects; a successor starts with none.
 */
import { GCProfiler } from 'node:v8';
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { createFrameBatch, GRO_MAX_DATAGRAMS, Receiver, readClock, Transmitter, WaitSet } from 'tun-tap';
import type { Ack, Command, WorkerSettings } from './commands.ts';
import { Fdb, type FdbMemory } from './fdb.ts';
import { ReceivePath } from './receive.ts';
import type { RingMemory } from './ring.ts';
import { MAX_SLOTS, PEER_PRESENT, S, type SharedTables } from './shared-tables.ts';
import { TransmitPath } from './transmit.ts';
import { VtepTable } from './vtep-table.ts';

export interface WorkerStart {
  readonly settings: WorkerSettings;
  readonly tables: SharedTables;
  readonly ring: RingMemory;
  readonly localFdb: FdbMemory;
  readonly remoteFdb: FdbMemory;
  readonly port: MessagePort;
}

const BATCH_FRAMES = 64;
/** The longest sleep: how late a stopped parent is noticed. */
const WAIT_MS = 250;
const EVENT_BIT = 1;
/** Batches of one descriptor before the others get a turn. */
const TURNS = 4;

const { settings, tables, ring, localFdb, remoteFdb, port } = workerData as WorkerStart;
const clock = new Float64Array(16);
const batch =
  settings.kind === 'transmit'
    ? createFrameBatch(BATCH_FRAMES)
    : createFrameBatch(BATCH_FRAMES, BATCH_FRAMES * GRO_MAX_DATAGRAMS);
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

function runTransmit(): void {
  const transmitter = new Transmitter(batch, {
    maxTunnels: MAX_SLOTS,
    sockets: settings.sendFds,
    counters: tables.nextCounter,
    limits: tables.peerPacketLimit,
  });
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
    local,
    remote,
    clock,
    worker: settings.worker,
    tapFd: settings.tapFd,
    sendingSockets: settings.sendFds.length - 1,
  });
  const apply = (c: Command): Partial<Ack> => {
    if (c.op === 'installTransmit') transmitter.setSealed(c.slot, c);
    else if (c.op === 'setPlain') transmitter.setPlain(c.slot);
    else if (c.op === 'setEndpoint') transmitter.setEndpoint(c.slot, c.ip, c.port);
    else if (c.op === 'clearTransmit') transmitter.clear(c.slot);
    else if (c.op === 'sweep') local.sweep(nowSec(), () => true);
    return {};
  };
  let waits = new WaitSet([settings.eventFd, settings.tapFd]);
  while (running) {
    const ready = waits.wait(WAIT_MS);
    readClock(clock);
    if ((ready & EVENT_BIT) !== 0) {
      waits.drainEvent(0);
      handleCommands(apply);
    }
    if ((ready & 2) === 0) continue;
    const n = path.run();
    litter();
    if (n < 0) {
      // The TAP was deleted under us: say so once and go on serving commands.
      port.postMessage({ seq: 0, error: `the TAP is gone (errno ${-n})` } satisfies Ack);
      waits = new WaitSet([settings.eventFd]);
    }
  }
}

function runReceive(): void {
  const receiver = new Receiver(batch, {
    maxSessions: settings.maxSessions,
    worker: settings.lane,
    workers: settings.lanes,
  });
  const path = new ReceivePath({
    batch,
    receiver,
    tables,
    remote,
    ring,
    vteps,
    clock,
    worker: settings.worker,
    tapFd: settings.tapFd,
  });
  const apply = (c: Command): Partial<Ack> => {
    if (c.op === 'installReceive') receiver.install({ ...c, tunnel: c.slot });
    else if (c.op === 'removeReceive') receiver.remove(c.index);
    else if (c.op === 'setVtep') vteps.set(c.segment, c.address, c.slot);
    else if (c.op === 'removeVtep') vteps.remove(c.segment, c.address);
    else if (c.op === 'sweep') remote.sweep(nowSec(), isPresent);
    else if (c.op === 'pin' && !remote.pin(c.segment, c.hi, c.lo, c.slot, nowSec()))
      throw new Error('FDB bucket full');
    return {};
  };
  const fds = [settings.eventFd, settings.sealedFd];
  if (settings.plainFd !== null) fds.push(settings.plainFd);
  const waits = new WaitSet(fds);
  while (running) {
    const ready = waits.wait(WAIT_MS);
    readClock(clock);
    if ((ready & EVENT_BIT) !== 0) {
      waits.drainEvent(0);
      handleCommands(apply);
    }
    path.plainIsGeneve = tables.segments[S.GENEVE] === 1;
    if ((ready & 2) !== 0) for (let turn = 0; turn < TURNS && path.runSealed(settings.sealedFd) > 0; turn++);
    if ((ready & 4) !== 0 && settings.plainFd !== null)
      for (let turn = 0; turn < TURNS && path.runPlain(settings.plainFd) > 0; turn++);
    if (ready > 1) litter();
  }
}

if (settings.kind === 'transmit') runTransmit();
else runReceive();
port.close();
