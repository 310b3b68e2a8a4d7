/**
 * A deterministic world for membership: virtual time, a network with latency, loss, partitions and one-way cuts, and hosts
 * that crash, restart, pause and leave. The same seed gives the same run, event for event. Milliseconds everywhere.
 */
import type { SwimConfig } from '../../gossip/config.ts';
import { KnownMesh } from '../../gossip/known.ts';
import { Swim } from '../../gossip/swim.ts';
import type {
  Address,
  DropReason,
  MemberState,
  SavedMember,
  SwimOutput,
  VerifiedRecord,
} from '../../gossip/types.ts';
import { Disk, idOf, ipOf, makeRecord, numberOf, SeededRng, sealerOf, verifier } from './cheap-parts.ts';

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Events by time, then by order of their making; a binary heap. */
class Agenda {
  readonly #heap: Event[] = [];
  #order = 0;

  add(atMs: number, run: () => void): void {
    const heap = this.#heap;
    const event = { atMs, order: this.#order++, run };
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!before(event, heap[up]!)) break;
      heap[i] = heap[up]!;
      i = up;
    }
    heap[i] = event;
  }

  /** The next event up to `untilMs`; null if there is none. */
  take(untilMs: number): Event | null {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined || first.atMs > untilMs) return null;
    const last = heap.pop()!;
    if (heap.length > 0) {
      let i = 0;
      for (;;) {
        let down = 2 * i + 1;
        if (down >= heap.length) break;
        if (down + 1 < heap.length && before(heap[down + 1]!, heap[down]!)) down += 1;
        if (!before(heap[down]!, last)) break;
        heap[i] = heap[down]!;
        i = down;
      }
      heap[i] = last;
    }
    return first;
  }
}

const before = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

export interface Host {
  readonly n: number;
  readonly id: string;
  readonly disk: Disk;
  /** Null while it is down. */
  swim: Swim | null;
  /** Raised with each start, so that timers of a former life end. */
  life: number;
  /** Paused: the process stands still and its datagrams wait. */
  paused: boolean;
  readonly waiting: (() => void)[];
  /** Its own clock: how fast it goes, and by how much it is ahead. */
  readonly clock: { rate: number; aheadMs: number };
}

export interface WorldOptions {
  readonly seed?: number;
  readonly loss?: number;
  readonly latencyMs?: readonly [number, number];
  readonly config?: Partial<SwimConfig>;
  readonly history?: boolean;
  /** Voter class of a host, 0 to 254, or OWN_CLASS; all have one if not given. */
  readonly voterClassOf?: (n: number) => number;
}

const savedOf = (r: VerifiedRecord): SavedMember => ({ record: r.bytes, credential: r.credential });

export interface Sent {
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array;
}

export class World {
  nowMs = 0;
  readonly hosts: Host[] = [];
  readonly rng: SeededRng;
  loss: number;
  /** Probability of a second copy, and of a delay of up to two seconds, of a datagram. */
  duplicated = 0;
  delayed = 0;
  /** Whether a datagram of `from` reaches `to`; a partition or a one-way cut. */
  reaches: (from: number, to: number) => boolean = () => true;
  /** Sees every datagram that is sent. */
  onSend: (sent: Sent) => void = () => {};
  /** `SECONDS HOST: MEMBER STATE` for each change that a host saw. */
  readonly history: string[] = [];
  /** Sees every output but datagrams, after the step that made it. */
  onOutput: (host: Host, output: Exclude<SwimOutput, { type: 'send' }>) => void = () => {};
  /** Sees every datagram before it may be lost. */
  onSent: (from: number, bytes: Uint8Array) => void = () => {};
  /** Sees every accusation signed. */
  onAccuse: (accuser: number, target: number, incarnation: number) => void = () => {};
  readonly drops = new Map<DropReason, number>();
  datagrams = 0;
  readonly #agenda = new Agenda();
  readonly #options: WorldOptions;
  readonly #byIp = new Map<string, number>();
  #known: KnownMesh | null = null;
  #digest = 0;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.rng = new SeededRng(options.seed ?? 1);
    this.loss = options.loss ?? 0;
  }

  /** Adds `count` hosts that join through host 0, `spacingMs` apart. */
  join(count: number, spacingMs = 20): void {
    for (let i = 0; i < count; i++) {
      const n = this.#addHost().n;
      this.at(this.nowMs + i * spacingMs, () => this.start(n, n === 0 ? [] : [0]));
    }
  }

  /** Begins with `count` hosts that have long met and settled. */
  settle(count: number): void {
    const classOf = this.#options.voterClassOf;
    const records = Array.from({ length: count }, (_, n) =>
      makeRecord(idOf(n), 1, 0, 'alive', ipOf(n), classOf?.(n)),
    );
    this.#known = new KnownMesh(records, 1);
    for (let n = 0; n < count; n++) {
      const { disk } = this.#addHost();
      disk.incarnation = 1;
      disk.keeps = false;
      this.start(n, []);
    }
  }

  /** Whether hosts came with different tokens. */
  get hasClasses(): boolean {
    return this.#options.voterClassOf !== undefined;
  }

  #addHost(): Host {
    const n = this.hosts.length;
    this.#byIp.set(ipOf(n), n);
    const clock = { rate: 1, aheadMs: 0 };
    const host: Host = {
      n,
      id: idOf(n),
      disk: new Disk(n),
      swim: null,
      life: 0,
      paused: false,
      waiting: [],
      clock,
    };
    host.disk.voterClass = this.#options.voterClassOf?.(n) ?? 0;
    host.disk.onAccuse = (target, incarnation) => this.onAccuse(n, numberOf(target), incarnation);
    this.hosts.push(host);
    return host;
  }

  /** The time that this host's clock shows. */
  localMs(host: Host): number {
    return this.nowMs * host.clock.rate + host.clock.aheadMs;
  }

  host(n: number): Host {
    const host = this.hosts[n];
    if (host === undefined) throw new RangeError(`the world has no host ${n}`);
    return host;
  }

  swim(n: number): Swim {
    const { swim } = this.host(n);
    if (swim === null) throw new RangeError(`host ${n} is down`);
    return swim;
  }

  start(n: number, seeds: readonly number[]): void {
    const host = this.host(n);
    const { disk } = host;
    const life = ++host.life;
    const known = life === 1 ? this.#known?.records.get(host.id) : undefined;
    if (life > 1 && !disk.keeps) disk.saved = [...(this.#known?.records.values() ?? [])].map(savedOf);
    const swim = new Swim(
      {
        own: known ?? disk.record('alive', disk.incarnation),
        sealer: sealerOf(host.id),
        verifier,
        signer: disk.signer(),
        persistence: disk,
        rng: new SeededRng(this.rng.word()),
        contacts: seeds.map((s) => ({
          id: idOf(s),
          boxKey: new Uint8Array(32),
          address: { ip: ipOf(s), port: 7946 },
        })),
        ...(known === undefined || this.#known === null ? {} : { known: this.#known }),
        ...(this.#options.config === undefined ? {} : { config: this.#options.config }),
      },
      this.localMs(host),
    );
    host.swim = swim;
    const tick = (): void => {
      if (host.life !== life || host.swim === null) return;
      this.at(this.nowMs + 100, tick);
      if (!host.paused) this.apply(host, swim.tick(this.localMs(host)));
    };
    this.at(this.nowMs + this.rng.float() * 100, tick);
  }

  crash(n: number): void {
    this.host(n).swim = null;
  }

  leave(n: number): void {
    const host = this.host(n);
    this.apply(host, this.swim(n).leave(this.localMs(host)));
    host.swim = null;
  }

  pause(n: number): void {
    this.host(n).paused = true;
  }

  resume(n: number): void {
    const host = this.host(n);
    host.paused = false;
    for (const run of host.waiting.splice(0)) run();
  }

  at(atMs: number, run: () => void): void {
    this.#agenda.add(atMs, run);
  }

  run(forMs: number): void {
    const untilMs = this.nowMs + forMs;
    for (let e = this.#agenda.take(untilMs); e !== null; e = this.#agenda.take(untilMs)) {
      this.nowMs = e.atMs;
      e.run();
    }
    this.nowMs = untilMs;
  }

  /** Runs until `done`, looking every 100 ms; the milliseconds that it took, or Infinity after `withinMs`. */
  runUntil(done: () => boolean, withinMs: number): number {
    const startedAtMs = this.nowMs;
    while (!done()) {
      if (this.nowMs - startedAtMs >= withinMs) return Infinity;
      this.run(100);
    }
    return this.nowMs - startedAtMs;
  }

  /** How `observer` sees `subject`; null if it does not know it. */
  view(observer: number, subject: number): MemberState | null {
    return this.swim(observer).member(idOf(subject))?.state ?? null;
  }

  get up(): readonly Host[] {
    return this.hosts.filter((h) => h.swim !== null);
  }

  /** Whether every host that is up sees `subject` so. */
  allSee(subject: number, state: MemberState | null): boolean {
    return this.up.every((h) => h.n === subject || this.view(h.n, subject) === state);
  }

  /** Whether each host that is up sees each other one alive, in its newest record. */
  agree(): boolean {
    const { up } = this;
    return up.every((h) =>
      up.every((other) => {
        if (h === other) return true;
        const m = this.swim(h.n).member(other.id);
        const own = this.swim(other.n).own;
        return m?.state === 'alive' && m.record.incarnation === own.incarnation && m.record.seq === own.seq;
      }),
    );
  }

  /**
   * The same for thousands of hosts, told by numbers and digests: as many alive as are up, nobody doubted, equal records.
   */
  agreeInShort(): boolean {
    const { up } = this;
    const digests = up[0]?.swim?.digests() ?? [];
    return up.every(({ swim }) => {
      const { alive, suspect } = swim!.stats().members;
      return alive === up.length && suspect === 0 && swim!.digests().every((d, i) => d === digests[i]);
    });
  }

  /** What tells two runs apart: every datagram's bytes and time, in order. */
  get digest(): number {
    return this.#digest;
  }

  /** Delivers bytes to a host as the network would, at once. */
  deliver(to: number, bytes: Uint8Array, from: Address): void {
    const host = this.host(to);
    if (host.swim !== null) this.apply(host, host.swim.datagram(this.localMs(host), bytes, from));
  }

  apply(host: Host, outputs: readonly SwimOutput[]): void {
    for (const o of outputs) {
      if (o.type !== 'send') this.onOutput(host, o);
      if (o.type === 'send') this.#carry(host.n, o.to, o.bytes);
      else if (o.type === 'drop') this.drops.set(o.reason, (this.drops.get(o.reason) ?? 0) + 1);
      else if (o.type === 'member' && this.#options.history !== false)
        this.history.push(
          `${(this.nowMs / 1000).toFixed(1)} ${host.n}: ${Number.parseInt(o.id.slice(56), 16)} ${host.swim?.member(o.id)?.state ?? 'gone'}`,
        );
    }
  }

  #carry(from: number, address: Address, bytes: Uint8Array): void {
    this.datagrams += 1;
    this.onSent(from, bytes);
    this.#fold(bytes);
    const to = this.#byIp.get(address.ip);
    if (to === undefined) return;
    this.onSend({ from, to, bytes });
    const lost = this.rng.float() < this.loss;
    const [least, most] = this.#options.latencyMs ?? [1, 10];
    const delayMs = least + this.rng.float() * (most - least);
    const lateMs = this.delayed > 0 && this.rng.float() < this.delayed ? this.rng.float() * 2000 : 0;
    const copies = this.duplicated > 0 && this.rng.float() < this.duplicated ? 2 : 1;
    if (lost || !this.reaches(from, to)) return;
    const arrive = (): void => {
      const host = this.host(to);
      if (host.paused) host.waiting.push(arrive);
      else this.deliver(to, bytes, { ip: ipOf(from), port: 7946 });
    };
    for (let copy = 0; copy < copies; copy++) this.at(this.nowMs + delayMs + lateMs + copy * most, arrive);
  }

  #fold(bytes: Uint8Array): void {
    let h = (this.#digest ^ Math.floor(this.nowMs * 1000)) >>> 0;
    for (let i = 0; i < bytes.length; i += 8) h = Math.imul(h ^ bytes[i]!, 0x01000193) >>> 0;
    this.#digest = h;
  }
}
