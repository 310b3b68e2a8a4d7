/**
 * A rehearsal of both directions, so that the first frames of a host are not its slowest. V8 compiles a function well only
 * after it has run some thousand times; at the rate of a ping or an SSH session that takes minutes, in which every hop of a
 * frame costs tens of microseconds more. So each worker, while it has nothing to do, drives a loop like its own with frames:
 *
 *   injectFrame --> wire --> TransmitHalf --> UDP on the loopback address --> ReceiveHalf --> wire --> read and forgotten
 *
 * It has tables, keys, sockets and counters of its own, so nothing of it is seen in the real ones, and no frame leaves
 * the host. It proves nothing and stops nothing: where the loopback interface is down it ends early. Called by worker.ts
 * between waits, a few rounds at a time; a real frame waits for one such step at most, about a millisecond.
 */
import {
  closeFd,
  createEventFd,
  createFrameBatch,
  injectFrame,
  openPair,
  openUdp,
  sendDatagram,
  signalEventFd,
  Transmitter,
} from 'tun-tap';
import { createCaptureRing } from './capture-ring.ts';
import type { Command, CommandBody, WorkerSettings } from './commands.ts';
import { createFdbMemory, Fdb, ONE_PORT } from './fdb.ts';
import { ReceiveHalf, TransmitHalf } from './halves.ts';
import { BAD_FRAME, CONTROL, FAR, FRAMES, INDEX, NEAR, OWN } from './rehearsal-frames.ts';
import { createRing } from './ring.ts';
import {
  createSharedTables,
  HERE_SLOT,
  PEER_BRIDGE,
  PEER_PLAIN,
  PEER_PRESENT,
  S,
  type SharedTables,
} from './shared-tables.ts';
import { WorkerLoop } from './worker-loop.ts';

/** Enough for V8 to compile what a frame meets, with what it has inlined; found with --trace-opt. */
const ROUNDS = 3000;
const MTU_BYTES = 1500;
/** The only peer: this worker itself. */
const SLOT = 0;
const LOOPBACK = '127.0.0.1';
const LOOPBACK_WORDS = [0, 0, 0xffff, 0x7f000001];
/** Loopback delivers before the send returns; a busy machine may need a little longer. */
const PATIENCE_MS = 2;
const STEP_MS = 150;
const BATCH_FRAMES = 4;
/** Above what an entry counts (fdb-moves.ts). */
const NEVER_REACHED = 4096;
const BUFFERS = { receiveBufferBytes: 1 << 16, sendBufferBytes: 1 << 16 };
/**
 * What reaches a worker was cloned on its way, and V8 gives a clone another shape than its original: code that was compiled for
 * the one is thrown away when it meets the other.
 */
const asInWorker = <T>(memory: T): T => structuredClone(memory);

export class Rehearsal {
  readonly #fds: readonly number[];
  readonly #far: number;
  readonly #loop: WorkerLoop;
  readonly #sink: Transmitter;
  readonly #tables: SharedTables;
  readonly #port: number;
  readonly #otherFd: number;
  readonly #eventFd: number;
  /** Of the peer, but for PEER_BRIDGE. */
  readonly #flags: number;
  /** Runs faster than time, so that addresses age. */
  readonly #clock = new Float64Array(16);
  #round = 0;

  /**
   * @param like the worker that rehearses: whether it is sealed, its offloads and sending ports
   * @throws Error without a loopback address, or without descriptors
   */
  constructor(like: WorkerSettings) {
    const sealed = like.plainFd === null;
    const sockets = like.sendFds.slice(0, 2).map(() => openUdp({ address: LOOPBACK, port: 0, ...BUFFERS }));
    const listener = sockets[0] as (typeof sockets)[number];
    const unused = openUdp({ address: LOOPBACK, port: 0, ...BUFFERS });
    const eventFd = createEventFd();
    const [tapFd, far] = openPair();
    const sendFds = sockets.map(({ fd }) => fd);
    this.#fds = [...sendFds, unused.fd, eventFd, tapFd, far];
    this.#far = far;
    const settings = asInWorker<WorkerSettings>({
      ...like,
      ...{ kind: 'both', pair: 0, pairs: 1, tapFd, sendFds, eventFd, maxSessions: 1 },
      ...(sealed ? { sealedFd: listener.fd, plainFd: null } : { sealedFd: unused.fd, plainFd: listener.fd }),
    });
    const tables = asInWorker(createSharedTables(2));
    this.#flags = PEER_PRESENT | (sealed ? 0 : PEER_PLAIN);
    tables.peerSegments[SLOT] = 1;
    tables.peerSpread[SLOT] = 1;
    tables.segments.set([1, 1, Number(sealed), 0, MTU_BYTES], S.VNI);
    tables.segments.set([OWN.hi, OWN.lo, 1], S.OWN_MAC_HI);
    this.#tables = tables;
    this.#port = listener.port;
    this.#otherFd = unused.fd;
    this.#eventFd = eventFd;
    const localFdb = asInWorker(createFdbMemory(64, 8));
    const remote = new Fdb({
      memory: asInWorker(createFdbMemory(64, HERE_SLOT + 1)),
      generations: tables.peerGeneration,
      ageingSec: like.fdb.ageingSec,
      perPortLimit: like.fdb.perPeerLimit,
      // The frames come back from the peer with the source that they left with: no number of such moves may freeze it here.
      duplicates: asInWorker({ ...like.fdb.duplicates, moves: NEVER_REACHED }),
      local: new Fdb({
        memory: localFdb,
        generations: new Int32Array(1),
        ageingSec: like.fdb.ageingSec,
        perPortLimit: like.fdb.localLimit,
        ...ONE_PORT,
      }),
      here: HERE_SLOT,
    });
    const parts = {
      settings,
      tables,
      ring: asInWorker(createRing()),
      capture: asInWorker(createCaptureRing()),
      localFdb,
      remote,
      clock: this.#clock,
      batchFrames: BATCH_FRAMES,
    };
    const transmit = new TransmitHalf(parts);
    const receive = new ReceiveHalf(parts);
    const tell = (body: CommandBody): void => {
      const command = { ...body, seq: 0 } as Command;
      transmit.apply(command);
      receive.apply(command);
    };
    const session = { index: INDEX, suite: 2, inner: 1, slot: SLOT, flags: 0 } as const;
    if (sealed) {
      tell({ op: 'installTransmit', ...session, key: new Uint8Array(32) });
      tell({ op: 'installReceive', ...session, laneKeys: new Uint8Array(16 * 32), lanes: 0x8001 });
    } else {
      tell({ op: 'setPlain', slot: SLOT });
      tell({ op: 'setVtep', segment: 0, address: LOOPBACK_WORDS, slot: SLOT });
    }
    tell({ op: 'setEndpoint', slot: SLOT, ip: LOOPBACK, port: listener.port });
    for (const mac of [FAR, NEAR]) tell({ op: 'pin', segment: 0, ...mac, slot: SLOT });
    this.#loop = new WorkerLoop({ eventFd, transmit, receive, clock: new Float64Array(16) });
    this.#sink = new Transmitter(createFrameBatch(1), { maxTunnels: 1, sockets: [unused.fd] });
  }

  /** Plays `rounds` frames. False when there is nothing left to rehearse; then its sockets are closed. */
  step(rounds: number): boolean {
    for (let i = 0; i < rounds; i++) {
      const next = FRAMES[this.#round++ % FRAMES.length] as Uint8Array;
      if (this.#thereAndBack(next) && this.#round < ROUNDS) continue;
      this.close();
      return false;
    }
    return true;
  }

  /** What differs between peers, and what comes between frames: a command, a control datagram. */
  #vary(): void {
    const odd = (this.#round & 8) !== 0;
    this.#tables.peerPacketLimit[SLOT] = odd ? MTU_BYTES : 0;
    this.#tables.peerFlags[SLOT] = this.#flags | (odd ? PEER_BRIDGE : 0);
    if ((this.#round & 15) !== 0) return;
    signalEventFd(this.#eventFd);
    injectFrame(this.#far, BAD_FRAME, 0, BAD_FRAME.length);
    sendDatagram(this.#otherFd, CONTROL, LOOPBACK, this.#port);
    this.#loop.turn(PATIENCE_MS);
  }

  #thereAndBack(bytes: Uint8Array): boolean {
    this.#clock[0]! += STEP_MS;
    this.#vary();
    // Only a bridge has more than one address behind it, which come and go.
    bytes[11] = (this.#tables.peerFlags[SLOT]! & PEER_BRIDGE) !== 0 ? this.#round & 0xfe : NEAR.lo;
    bytes[10] = bytes[11] === NEAR.lo ? 0 : 1;
    if (injectFrame(this.#far, bytes, 0, bytes.length) !== 0) return false;
    this.#loop.turn(0);
    this.#loop.turn(PATIENCE_MS);
    return this.#sink.readTap(this.#far) === 1;
  }

  close(): void {
    for (const fd of this.#fds) closeFd(fd);
  }
}
