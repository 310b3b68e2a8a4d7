/**
 * The worker thread: one direction, or both in turn, run to completion (worker-loop.ts). It loads, says so, and waits for what to
 * work on (spare-workers.ts). Between batches it takes commands of the main thread, and while it is new and has nothing to do it
 * rehearses.
 *
 * When it ends, its keys go with its native objects; a successor starts with none.
 */
import { GCProfiler } from 'node:v8';
import { type MessagePort, parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { setTapQueue } from 'tun-tap';
import type { CaptureMemory } from './capture-ring.ts';
import type { Ack, Command, WorkerSettings } from './commands.ts';
import { Fdb, type FdbMemory, ONE_PORT } from './fdb.ts';
import { type Half, ReceiveHalf, TransmitHalf } from './halves.ts';
import { Rehearsal } from './rehearsal.ts';
import type { RingMemory } from './ring.ts';
import { HERE_SLOT, type SharedTables } from './shared-tables.ts';
import { COMMANDS, WorkerLoop } from './worker-loop.ts';

export interface WorkerStart {
  readonly settings: WorkerSettings;
  readonly tables: SharedTables;
  readonly ring: RingMemory;
  readonly capture: CaptureMemory;
  readonly localFdb: FdbMemory;
  readonly remoteFdb: FdbMemory;
  readonly port: MessagePort;
}

const BATCH_FRAMES = 64;
/** The longest sleep: how late a stopped parent is noticed. */
const WAIT_MS = 1000;
/** Frames of a rehearsal between two looks at the descriptors: about a millisecond, while the code is slow. */
const REHEARSED_AT_ONCE = 16;
/** Turns with real frames after which there is nothing left to rehearse. */
const ENOUGH_TURNS = 3000;

/** Works until it is told to stop. */
function work(start: WorkerStart): void {
  const { settings, tables, ring, capture, localFdb, remoteFdb, port } = start;
  const clock = new Float64Array(16);
  const { ageingSec, localLimit, perPeerLimit, duplicates } = settings.fdb;
  const remote = new Fdb({
    memory: remoteFdb,
    generations: tables.peerGeneration,
    ageingSec,
    perPortLimit: perPeerLimit,
    duplicates,
    local: new Fdb({
      memory: localFdb,
      generations: new Int32Array(1),
      ageingSec,
      perPortLimit: localLimit,
      ...ONE_PORT,
    }),
    here: HERE_SLOT,
  });
  // Before the halves, whose objects then have the shapes that its code is compiled for.
  let rehearsal = rehearse();
  const parts = { settings, tables, ring, capture, localFdb, remote, clock, batchFrames: BATCH_FRAMES };
  const transmit = settings.kind === 'receive' ? null : new TransmitHalf(parts);
  const receive = settings.kind === 'transmit' ? null : new ReceiveHalf(parts);
  const halves: Half[] = [transmit, receive].filter((half) => half !== null);
  const loop = new WorkerLoop({ eventFd: settings.eventFd, transmit, receive, clock });

  let running = true;
  let gc: GCProfiler | null = null;
  let deliberate: unknown[] | null = null;

  function rehearse(): Rehearsal | null {
    try {
      return new Rehearsal(settings);
    } catch {
      return null;
    }
  }

  /** What both kinds of worker understand. Returns an answer for the ack, if there is one. */
  function common(command: Command): Partial<Ack> {
    if (command.op === 'stop') running = false;
    else if (command.op === 'tapQueue') setQueue(command.on);
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

  function setQueue(on: boolean): void {
    const errno = setTapQueue(settings.tapFd, on);
    if (errno !== 0) throw new Error(`TAP queue ${on ? 'on' : 'off'}: errno ${errno}`);
    loop.setSending(on);
  }

  /** Garbage on purpose, so that a proof of no collections first shows that it can see one. */
  function litter(): void {
    if (deliberate === null) return;
    for (let i = 0; i < 2000; i++) deliberate = [deliberate.length, new Array(64).fill(i)];
  }

  function handleCommands(): void {
    for (
      let message = receiveMessageOnPort(port);
      message !== undefined;
      message = receiveMessageOnPort(port)
    ) {
      const command = message.message as Command;
      let ack: Ack;
      try {
        const answers = [common(command), ...halves.map((half) => half.apply(command))];
        ack = Object.assign({ seq: command.seq }, ...answers);
      } catch (error) {
        ack = { seq: command.seq, error: (error as Error).message };
      }
      port.postMessage(ack);
    }
  }

  let told = 0;
  /** Turns with real frames while the rehearsal is not over. */
  let performed = 0;
  while (running) {
    const ready = loop.turn(rehearsal === null ? WAIT_MS : 0);
    if (rehearsal !== null) {
      if (ready > COMMANDS && ++performed >= ENOUGH_TURNS) rehearsal.close();
      if (performed >= ENOUGH_TURNS || (ready === 0 && !rehearsal.step(REHEARSED_AT_ONCE))) rehearsal = null;
    }
    if ((ready & COMMANDS) !== 0) handleCommands();
    if (loop.tapErrno !== told) {
      told = loop.tapErrno;
      port.postMessage({ seq: 0, error: `the TAP is gone (errno ${told})` } satisfies Ack);
    }
    if (ready > COMMANDS) litter();
  }
  rehearsal?.close();
  port.close();
}

parentPort?.once('message', work);
parentPort?.postMessage('loaded');
