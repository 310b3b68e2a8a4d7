/**
 * The data plane as the main thread sees it: starts the workers, sends them commands and waits until all that are
 * concerned have taken effect, reads the shared tables, and hands up control datagrams from the ring. agent.ts and the
 * peer code use this class and nothing else of the data path.
 */
import { FROM_STRIDE, readClock } from 'tun-tap';
import type { Clock } from '../clock.ts';
import type { Endpoint } from '../endpoint.ts';
import { WeftError } from '../errors.ts';
import { CaptureReader, createCaptureRing } from './capture-ring.ts';
import { receiveRow, transmitRow, type WorkerKind } from './commands.ts';
import { addressWords, readMessage } from './control-message.ts';
import type {
  ControlMessage,
  Direction,
  FdbSettings,
  MemberSettings,
  PeerCounters,
  ReceiveKey,
  SegmentSettings,
  TransmitKey,
} from './data-plane-types.ts';
import { DROP_COUNT, DROP_TABLE, dropByLabel } from './drop.ts';
import { createFdbCopy, createFdbMemory, Fdb, type FdbEntry, type FdbMemory, ONE_PORT } from './fdb.ts';
import { duplicateRule } from './fdb-moves.ts';
import { floodTo } from './flood-list.ts';
import { readPeerCounters } from './peer-counters.ts';
import { PeerSwitches } from './peer-switches.ts';
import { createRing, type RingMemory, RingReader } from './ring.ts';
import {
  createSharedTables,
  HERE_SLOT,
  MAX_SEGMENTS,
  MAX_SLOTS,
  PEER_BRIDGE,
  PEER_COUNTER_STRIDE,
  PEER_PLAIN,
  PEER_PRESENT,
  S,
  SEGMENT_STRIDE,
  type SharedTables,
  T,
  TOTAL_DROPS,
  TOTALS_STRIDE,
} from './shared-tables.ts';
import type { SpareWorkers } from './spare-workers.ts';
import { TapQueues } from './tap-queues.ts';
import { macHi, macLo, type TraceWorld } from './trace.ts';
import { TunnelBook } from './tunnel-book.ts';
import { WorkerPool } from './worker-pool.ts';

export interface DataPlaneOptions {
  /** Both directions in one thread: the choice for one or two cores. Then there is one pair. */
  readonly single: boolean;
  /** One TAP queue for each pair; their number says how many pairs of directions there are. */
  readonly tapFds: readonly number[];
  /** Listening sockets for sealed datagrams, one for each pair, steered by lane. */
  readonly sealedFds: readonly number[];
  /** Listening sockets for plain datagrams, one for each pair; none where no segment is plain. */
  readonly plainFds: readonly number[];
  /** Sending-only sockets, dealt out among the pairs. */
  readonly sendFds: readonly number[];
  readonly segmenting: boolean;
  readonly joining: boolean;
  readonly fdb: FdbSettings;
  /** Threads that wait for their work. */
  readonly spare: SpareWorkers;
  readonly clock: Clock;
  /** A worker ended that should not have, or the TAP is gone. */
  readonly onFailure: (error: WeftError) => void;
}

const MAX_SESSIONS = 16_384;
const LOCAL_LIMIT = 256;
const DRAIN_PER_TURN = 64;
const SAFETY_POLL_MS = 500;
const SWEEP_MS = 5000;

export class DataPlane {
  readonly #options: DataPlaneOptions;
  readonly #tables: SharedTables;
  readonly #ring: RingMemory = createRing();
  readonly #captureMemory = createCaptureRing();
  /** What the workers show while somebody captures; one reader at a time. */
  readonly capture = new CaptureReader(this.#captureMemory);
  readonly #localMemory: FdbMemory;
  readonly #remoteMemory: FdbMemory;
  readonly #local: Fdb;
  readonly #remote: Fdb;
  readonly #pool: WorkerPool;
  readonly #clock = new Float64Array(16);
  /** Drops that the main thread counts, by direction and reason. */
  readonly #mainDrops = { transmit: new Float64Array(DROP_COUNT), receive: new Float64Array(DROP_COUNT) };
  /** VTEP addresses installed, by slot; bounded by MAX_SLOTS. */
  readonly #vteps = new Map<number, { segment: number; address: number[] }>();
  readonly #tunnels = new TunnelBook();
  /** What the workers do for a peer, and what they say of it. */
  readonly switches: PeerSwitches;
  #cancel: (() => void)[] = [];
  #stopping = false;
  /** The TAP queues of the pairs beyond the first get frames. */
  readonly #queues: TapQueues;
  #sweeping = false;
  /** Sweeps that were due, and of these the ones while a worker had not answered the one before. */
  sweeps = 0;
  stalls = 0;

  private constructor(options: DataPlaneOptions) {
    this.#options = options;
    this.#tables = createSharedTables(options.tapFds.length * 2);
    this.switches = new PeerSwitches(this.#tables, options.tapFds.length);
    this.#localMemory = createFdbMemory(LOCAL_LIMIT, 1);
    this.#remoteMemory = createFdbMemory(options.fdb.limit, MAX_SLOTS + 1);
    const { local, remote } = this.#fdbs(this.#localMemory, this.#remoteMemory);
    this.#local = local;
    this.#remote = remote;
    this.#pool = new WorkerPool(options.spare, options.onFailure);
    this.#queues = new TapQueues(this.#pool, this.#tables, this.pairs);
  }

  /** Both tables over this memory. */
  #fdbs(localMemory: FdbMemory, remoteMemory: FdbMemory): { readonly local: Fdb; readonly remote: Fdb } {
    const { ageingSec, perPeerLimit } = this.#options.fdb;
    const local = new Fdb({
      memory: localMemory,
      generations: new Int32Array(1),
      ageingSec,
      perPortLimit: LOCAL_LIMIT,
      ...ONE_PORT,
    });
    const remote = new Fdb({
      memory: remoteMemory,
      generations: this.#tables.peerGeneration,
      ageingSec,
      perPortLimit: perPeerLimit,
      duplicates: duplicateRule(this.#options.fdb),
      local,
      here: HERE_SLOT,
    });
    return { local, remote };
  }

  /** Starts the workers; resolves when they take commands. */
  static async start(options: DataPlaneOptions): Promise<DataPlane> {
    const plane = new DataPlane(options);
    for (let pair = 0; pair < plane.pairs; pair++) {
      if (options.single) plane.#launch('both', pair);
      else for (const kind of ['transmit', 'receive'] as const) plane.#launch(kind, pair);
    }
    await plane.#queues.turn(false);
    await plane.#pool.broadcast({ op: 'sweep' });
    plane.#cancel.push(options.clock.every(SWEEP_MS, () => void plane.#sweep().catch(() => {})));
    return plane;
  }

  /** Proves that no plain frame gets into a sealed segment, in each thread that receives. @throws WeftError E_SELF_TEST */
  async selfTest(): Promise<void> {
    for (const { selfTest = 'no answer' } of await this.#pool.broadcast({ op: 'selfTest' }, 'receive'))
      if (selfTest !== null)
        throw new WeftError(
          'E_SELF_TEST',
          `the self-test of the data path failed: ${selfTest}; do not run this build: reinstall weft`,
        );
  }

  /** Resolves when every worker has answered; never if one is stuck. Rejects when one has ended. */
  async answered(): Promise<void> {
    await this.#pool.broadcast({ op: 'answer' });
  }

  /** A worker that has not answered yet is not asked again: what waits for it stays one question. */
  async #sweep(): Promise<void> {
    this.sweeps++;
    if (this.#sweeping) this.stalls++;
    if (this.#sweeping) return;
    this.#sweeping = true;
    try {
      await this.#pool.broadcast({ op: 'sweep' });
      await this.#queues.follow();
    } finally {
      this.#sweeping = false;
    }
  }

  /** Pairs of directions; each has a lane. */
  get pairs(): number {
    return this.#options.tapFds.length;
  }

  #launch(kind: WorkerKind, pair: number): void {
    const { tapFds, sealedFds, plainFds, sendFds, fdb, segmenting, joining } = this.#options;
    const at = (fds: readonly number[]): number => fds[pair % fds.length] ?? -1;
    this.#pool.launch(
      {
        kind,
        pair,
        pairs: this.pairs,
        tapFd: at(tapFds),
        sealedFd: at(sealedFds),
        plainFd: plainFds.length === 0 ? null : at(plainFds),
        sendFds: [at(sealedFds), ...sendFds.filter((_, i) => i % this.pairs === pair)],
        maxSessions: MAX_SESSIONS,
        fdb: { ...fdb, localLimit: LOCAL_LIMIT, duplicates: duplicateRule(fdb) },
        segmenting,
        joining,
      },
      {
        tables: this.#tables,
        ring: this.#ring,
        capture: this.#captureMemory,
        localFdb: this.#localMemory,
        remoteFdb: this.#remoteMemory,
      },
    );
  }

  async installReceive(key: ReceiveKey): Promise<void> {
    await this.#pool.broadcast({ op: 'installReceive', ...key }, 'receive');
    this.#tunnels.receiveFrom(key.index, key.slot);
  }

  /** What a reload may change of them; `refused` says what the kernel made of it. */
  async setOffloads(segmenting: boolean, joining: boolean): Promise<void> {
    await this.#pool.broadcast({ op: 'offloads', segmenting, joining });
  }

  async removeReceive(index: number): Promise<void> {
    this.#tunnels.forgetReceive(index);
    await this.#pool.broadcast({ op: 'removeReceive', index }, 'receive');
  }

  /** Gives a lane its key; the lane is the pair that seals in it. */
  async installTransmit(key: TransmitKey): Promise<void> {
    await this.#pool.broadcast({ op: 'installTransmit', ...key }, 'transmit', key.lane);
    this.#tables.peerWanted[key.slot] = 0;
    this.#tunnels.sealed(key);
  }

  async clearTransmit(slot: number): Promise<void> {
    this.#tunnels.clear(slot);
    await this.#pool.broadcast({ op: 'clearTransmit', slot }, 'transmit');
  }

  async setEndpoint(slot: number, endpoint: Endpoint): Promise<void> {
    await this.#pool.broadcast({ op: 'setEndpoint', slot, ip: endpoint.ip, port: endpoint.port }, 'transmit');
    this.#tunnels.moved(slot, endpoint);
    const from = [0, endpoint.port, ...addressWords(endpoint.ip)];
    this.#tables.peerFrom.set(from, slot * FROM_STRIDE);
  }

  /** Defines a segment; the first one is the TAP's. */
  setSegment(settings: SegmentSettings): void {
    const words = this.#tables.segments;
    let i = this.#segmentPosition(settings.vni);
    for (let free = 0; i < 0 && free < MAX_SEGMENTS; free++)
      if (words[free * SEGMENT_STRIDE + S.USED] === 0) i = free;
    if (i < 0) throw new WeftError('E_CONFIG', `more than ${MAX_SEGMENTS} segments`);
    const at = i * SEGMENT_STRIDE;
    words[at + S.VNI] = settings.vni;
    words[at + S.SEALED] = settings.mode === 'sealed' ? 1 : 0;
    words[at + S.GENEVE] = settings.encap === 'geneve' ? 1 : 0;
    words[at + S.MTU] = settings.mtuBytes;
    words[at + S.OWN_MAC_HI] = macHi(settings.ownMac);
    words[at + S.OWN_MAC_LO] = macLo(settings.ownMac);
    Atomics.store(words, at + S.USED, 1);
  }

  #segmentPosition(vni: number): number {
    for (let i = 0; i < MAX_SEGMENTS; i++) {
      const at = i * SEGMENT_STRIDE;
      if (this.#tables.segments[at + S.USED] === 1 && this.#tables.segments[at + S.VNI] === vni) return i;
    }
    return -1;
  }

  /** Admits a member or plain endpoint to its segments: flood list, addresses, plain source. False if one was not pinned. */
  async setMember(slot: number, member: MemberSettings): Promise<boolean> {
    const segments = member.vnis.map((vni) => this.#segmentPosition(vni)).filter((i) => i >= 0);
    const t = this.#tables;
    t.peerSegments[slot] = segments.reduce((bits, i) => bits | (1 << i), 0);
    t.peerFlags[slot] =
      PEER_PRESENT | (member.bridge ? PEER_BRIDGE : 0) | (member.plain === null ? 0 : PEER_PLAIN);
    let pinned = true;
    for (const { vni, mac } of member.macs) {
      const segment = this.#segmentPosition(vni);
      const pin = { op: 'pin', segment, hi: macHi(mac), lo: macLo(mac), slot } as const;
      const acks = segment < 0 ? [] : await this.#pool.broadcast(pin, 'receive', 0);
      pinned &&= acks.every((ack) => ack.pinned);
    }
    const first = segments[0];
    if (member.plain !== null && first !== undefined) {
      await this.#forgetVtep(slot);
      const address = addressWords(member.plain.ip);
      this.#vteps.set(slot, { segment: first, address });
      await this.#pool.broadcast({ op: 'setPlain', slot }, 'transmit');
      this.#tunnels.plain(slot);
      await this.setEndpoint(slot, member.plain);
      await this.#pool.broadcast({ op: 'setVtep', segment: first, address, slot }, 'receive');
    }
    for (const segment of segments) floodTo(t, segment, slot, !this.switches.isSuspended(slot));
    return pinned;
  }

  async #forgetVtep(slot: number): Promise<void> {
    const vtep = this.#vteps.get(slot);
    if (vtep === undefined) return;
    this.#vteps.delete(slot);
    await this.#pool.broadcast({ op: 'removeVtep', ...vtep }, 'receive');
  }

  /** Forgets a member or plain endpoint everywhere; resolves when its slot may be given to another. */
  async removeMember(slot: number): Promise<void> {
    for (let segment = 0; segment < MAX_SEGMENTS; segment++) floodTo(this.#tables, segment, slot, false);
    this.#tables.peerFlags[slot] = 0;
    this.#tables.peerSegments[slot] = 0;
    this.switches.reset(slot);
    await this.#forgetVtep(slot);
    await this.clearTransmit(slot);
    await this.#pool.broadcast({ op: 'sweep' });
    for (let row = 0; row < this.pairs * 2; row++) {
      const at = (row * MAX_SLOTS + slot) * PEER_COUNTER_STRIDE;
      this.#tables.peerCounters.fill(0, at, at + PEER_COUNTER_STRIDE);
    }
  }

  /** The workers' clock, in milliseconds. */
  nowMs(): number {
    readClock(this.#clock);
    return this.#clock[0]!;
  }

  peerCounters(slot: number): PeerCounters {
    return readPeerCounters(this.#tables, this.pairs, slot);
  }

  /** Rows of counters of a direction, one per pair. */
  #rows(direction: Direction): number[] {
    const row = direction === 'transmit' ? transmitRow : receiveRow;
    return Array.from({ length: this.pairs }, (_, pair) => row(pair));
  }

  #totalOf(direction: Direction, word: number): number {
    const { totals } = this.#tables;
    return this.#rows(direction).reduce((sum, row) => sum + totals[row * TOTALS_STRIDE + word]!, 0);
  }

  /** A total of one direction; fields of shared-tables T. */
  total(direction: Direction, field: keyof typeof T): number {
    return this.#totalOf(direction, T[field]);
  }

  /** What the kernel refused since the start, up to a sweep ago. */
  refused(): { readonly segmenting: number; readonly joining: number } {
    return { segmenting: this.total('transmit', 'REFUSED'), joining: this.total('receive', 'REFUSED') };
  }

  /** Every reason in every direction it can happen, zeros included. */
  drops(): { readonly direction: Direction; readonly reason: string; readonly count: number }[] {
    return DROP_TABLE.flatMap((info, reason) =>
      info.directions.map((direction) => ({
        direction,
        reason: info.label,
        count: this.#totalOf(direction, TOTAL_DROPS + reason) + this.#mainDrops[direction][reason]!,
      })),
    );
  }

  /** Counts a drop of the main thread, by label of the drop table. */
  drop(direction: Direction, label: string): void {
    this.#mainDrops[direction][dropByLabel(label)]! += 1;
  }

  /** Addresses behind this TAP (`port` 0 of the local table) and behind peers. */
  fdb(): { readonly local: readonly FdbEntry[]; readonly remote: readonly FdbEntry[] } {
    const nowSec = Math.trunc(this.nowMs() / 1000);
    return { local: this.#local.list(nowSec), remote: this.#remote.list(nowSec) };
  }

  /** What trace.ts asks: the live tables, and copies of the FDBs that it may learn into. */
  traceWorld(): Pick<TraceWorld, 'tables' | 'local' | 'remote' | 'tunnels' | 'nowMs'> {
    const { local, remote } = this.#fdbs(createFdbCopy(this.#localMemory), createFdbCopy(this.#remoteMemory));
    return { tables: this.#tables, local, remote, tunnels: this.#tunnels, nowMs: this.nowMs() };
  }

  /** VNI of the segment at a position, as FDB entries name it. */
  vniOf(segment: number): number {
    return this.#tables.segments[segment * SEGMENT_STRIDE + S.VNI]!;
  }

  /** Hands control datagrams to `handler`, at most 64 a turn of the event loop, so that gossip is never starved. */
  onControl(handler: (message: ControlMessage) => void): void {
    const reader = new RingReader(this.#ring);
    const take = (m: Int32Array, bytes: Uint8Array): void => handler(readMessage(m, bytes));
    const drain = (): void => {
      if (this.#stopping) return;
      const seen = reader.signal();
      if (reader.drain(DRAIN_PER_TURN, take) === DRAIN_PER_TURN) {
        setImmediate(drain);
        return;
      }
      const raised = reader.raised(seen);
      if (raised === undefined) setImmediate(drain);
      else void raised.then(drain);
    };
    drain();
    // waitAsync alone does not keep a sleeping event loop turning on every Node; a lost wake-up costs 500 ms at most.
    this.#cancel.push(
      this.#options.clock.every(SAFETY_POLL_MS, () => void reader.drain(DRAIN_PER_TURN, take)),
    );
  }

  /**
   * Counts the collections in each worker over `seconds`; `deliberate` makes them allocate, which must be seen.
   * For the proof that the data path makes no garbage.
   */
  async watchGc(
    seconds: number,
    deliberate: boolean,
  ): Promise<{ readonly transmit: number; readonly receive: number }> {
    await this.#pool.broadcast({ op: 'watchGc', deliberate });
    await new Promise<void>((resolve) => void this.#options.clock.after(seconds * 1000, resolve));
    const report = async (direction: Direction): Promise<number> => {
      const acks = await this.#pool.broadcast({ op: 'reportGc' }, direction);
      return acks.reduce((sum, ack) => sum + (ack.collections ?? 0), 0);
    };
    const transmit = await report('transmit');
    // One thread that serves both directions has one heap, and has just told.
    return { transmit, receive: this.#options.single ? transmit : await report('receive') };
  }

  /** Ends the workers; their keys are zeroed as their native objects go. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    for (const cancel of this.#cancel) cancel();
    await this.#pool.stop(this.#options.clock);
  }
}
