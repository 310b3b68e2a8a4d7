/**
 * What the parts of membership share: the own record, the tables, the news and the way out. Each part (prober, doubt,
 * records, receiver) holds this and changes it in its own field only; swim.ts puts them together.
 */
import { isRefused } from './address.ts';
import { BroadcastQueue } from './broadcast.ts';
import { DEFAULT_CONFIG, type SwimConfig } from './config.ts';
import type { KnownMesh } from './known.ts';
import type { Message } from './message.ts';
import type { Outbound } from './outbox.ts';
import { Outbox } from './outbox.ts';
import { Roster } from './roster.ts';
import type {
  Contact,
  DropReason,
  Persistence,
  RecordVerifier,
  Rng,
  Sealer,
  Signer,
  StatementStore,
  SwimOutput,
  VerifiedRecord,
} from './types.ts';

export interface SwimParts {
  readonly own: VerifiedRecord;
  readonly sealer: Sealer;
  readonly verifier: RecordVerifier;
  readonly signer: Signer;
  readonly persistence: Persistence;
  readonly rng: Rng;
  readonly contacts: readonly Contact[];
  readonly config?: Partial<SwimConfig>;
  /** Without it this host takes no statements and asks for none. */
  readonly statements?: StatementStore;
  /** Everybody met already, this host too: a simulation begins where a mesh has long settled. */
  readonly known?: KnownMesh;
}

/** Datagrams with records that answer somebody, to all together: so many in a second, and at once. */
const RECORD_DATAGRAMS_PER_SECOND = 512;
const RECORD_DATAGRAMS_AT_ONCE = 128;

export class Core {
  readonly parts: SwimParts;
  readonly config: SwimConfig;
  readonly roster: Roster;
  readonly queue = new BroadcastQueue();
  readonly outbox: Outbox;
  readonly counts = { probes: 0, probeFailures: 0, refuted: 0, dead: 0, equivocations: 0 };
  own: VerifiedRecord;
  /** Lifeguard's local health: 0 well; each point stretches the probe interval by one. */
  health = 0;
  /** Drained by each call into Swim; bounded by what one call makes. */
  #out: SwimOutput[] = [];
  /** A datagram is being read: what is sent answers it. */
  #answering = false;
  #dropped = false;
  #mayServeNow = RECORD_DATAGRAMS_AT_ONCE;
  #servedAtMs = -Infinity;

  constructor(parts: SwimParts) {
    this.parts = parts;
    this.config = { ...DEFAULT_CONFIG, ...parts.config };
    this.own = parts.own;
    this.roster = new Roster(parts.rng, this.config.maxMembers, parts.known ?? null, parts.own.id);
    this.outbox = new Outbox(
      {
        sealer: parts.sealer,
        rng: parts.rng,
        selfId: parts.own.id,
        own: () => this.own,
        recordOf: (id) => this.roster.recordOf(id),
        refuses: (address) => isRefused(address, parts.own.address),
        isSeed: (id, address) => this.roster.isSeedAt(id, address),
      },
      parts.persistence.nextBoot(0),
      (output) => this.emit(output),
    );
  }

  emit(output: SwimOutput): void {
    this.#out.push(output);
  }

  /** Reads one datagram; what is sent meanwhile is an answer, and the datagram counts as dropped at most once. */
  answering(read: () => void): void {
    this.#answering = true;
    this.#dropped = false;
    try {
      read();
    } finally {
      this.#answering = false;
    }
  }

  drop(reason: DropReason): void {
    if (this.#answering && this.#dropped) return;
    this.#dropped = true;
    this.emit({ type: 'drop', reason });
  }

  take(): SwimOutput[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  /** One datagram with these messages and as much news as fits. */
  send(to: Outbound, messages: readonly Message[], nowMs: number): void {
    const news = {
      queue: this.queue,
      members: this.roster.size + 1,
      mult: this.config.retransmitMult,
      answering: this.#answering,
    };
    this.outbox.send(to, messages, news, nowMs);
  }

  /** One datagram with these messages and no news. */
  sendAlone(to: Outbound, messages: readonly Message[], nowMs: number): void {
    const none = { queue: new BroadcastQueue(), members: 0, mult: 0, answering: true };
    this.outbox.send(to, messages, none, nowMs);
  }

  sendRecords(
    to: Outbound,
    records: readonly VerifiedRecord[],
    withCredentials: boolean,
    nowMs: number,
  ): void {
    const mayGo = (): boolean =>
      !this.#answering || (to.channel.mayGetRecords(nowMs) && this.#mayServe(nowMs));
    this.outbox.sendRecords(to, records, withCredentials, nowMs, mayGo);
  }

  /** What all may ask for together. */
  #mayServe(nowMs: number): boolean {
    const more = ((nowMs - this.#servedAtMs) * RECORD_DATAGRAMS_PER_SECOND) / 1000;
    this.#mayServeNow = Math.min(RECORD_DATAGRAMS_AT_ONCE, this.#mayServeNow + more);
    this.#servedAtMs = nowMs;
    if (this.#mayServeNow < 1) return false;
    this.#mayServeNow -= 1;
    return true;
  }

  /** Makes the newest record of this member (or this host) news. */
  announce(id: string, isNew = false): void {
    this.queue.add({ key: `record ${id}`, what: { recordOf: id, isNew } });
  }

  spread(target: string, accuser: string, accusation: Uint8Array): void {
    this.queue.add({ key: `suspect ${target} ${accuser}`, what: { type: 'suspect', accusation } });
  }

  tellAll(id: string, statement: Uint8Array): void {
    this.queue.add({ key: `statement ${id}`, what: { type: 'statement', statement } });
  }

  changeHealth(change: number): void {
    this.health = Math.max(0, Math.min(this.config.maxHealthScore - 1, this.health + change));
  }

  randomU64(): bigint {
    return new DataView(this.parts.rng.fill(new Uint8Array(8)).buffer).getBigUint64(0);
  }
}
