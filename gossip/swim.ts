/**
 * SWIM membership as a state machine without sockets, clocks or keys: datagrams and the time go in, datagrams and events
 * come out. The same code runs on a UDP socket (node.ts) and in the simulator.
 *
 *   every probe interval   probe one member: 3 pings, then 3 indirect ones; no answer -> suspect it   prober.ts, doubt.ts
 *   every gossip interval  news to 3 members                                                          outbox.ts
 *   every 30 s             compare digests with one member                                            records.ts
 *   every 5 s              dial a dead one, so that partitions heal                                   redial.ts
 *
 * Only the owner of a record states it; others may only doubt, signed, and each host lets its own timer declare a
 * doubted member dead. SWIM (Das et al. 2002), Lifeguard (arXiv 1707.00788), constants in config.ts.
 */

import { Core, type SwimParts } from './core.ts';
import { Doubt } from './doubt.ts';
import { Quarantine } from './equivocation.ts';
import type { Member } from './member.ts';
import type { Message } from './message.ts';
import { Prober } from './prober.ts';
import { Receiver } from './receiver.ts';
import { Records } from './records.ts';
import { Redial } from './redial.ts';
import { isHere } from './roster.ts';
import { Statements } from './statements.ts';
import type { Address, MemberState, SwimOutput, VerifiedRecord } from './types.ts';

export interface SwimStats {
  readonly members: Readonly<Record<MemberState, number>>;
  readonly healthScore: number;
  readonly broadcastQueue: number;
  readonly incarnation: number;
  readonly probes: number;
  readonly probeFailures: number;
  readonly refuted: number;
  readonly dead: number;
  /** Proofs that a member contradicted itself. */
  readonly equivocations: number;
  /** Sent, by type. */
  readonly messages: ReadonlyMap<string, number>;
  readonly received: ReadonlyMap<string, number>;
}

/** Members that hear of a leave from this host itself. */
const LEAVE_FANOUT = 8;
/** Copies that each of them gets where there are fewer. */
const LEAVE_COPIES = 3;
const SAVE_INTERVAL_MS = 1000;

export class Swim {
  readonly #core: Core;
  readonly #records: Records;
  readonly #doubt: Doubt;
  readonly #prober: Prober;
  readonly #receiver: Receiver;
  readonly #redial: Redial;
  readonly #statements: Statements;
  readonly #quarantine: Quarantine;
  #nextGossipMs = 0;
  #savedAtMs = -Infinity;
  #nowMs: number;

  constructor(parts: SwimParts, nowMs: number) {
    this.#nowMs = nowMs;
    this.#core = new Core(parts);
    this.#doubt = new Doubt(this.#core);
    this.#quarantine = new Quarantine(this.#core);
    this.#records = new Records(
      this.#core,
      {
        contradicted: (a, b, atMs) => this.#quarantine.contradicted(a, b, atMs),
        proofs: (atMs) => this.#quarantine.some(atMs),
        outbid: (n, atMs) => this.#doubt.refute(n, atMs),
        returned: (atMs) => this.#redial.healed(atMs),
      },
      nowMs,
    );
    this.#statements = new Statements(this.#core);
    this.#prober = new Prober(this.#core, this.#doubt, this.#statements);
    this.#redial = new Redial(this.#core, this.#doubt, this.#records, this.#statements);
    this.#receiver = new Receiver(
      this.#core,
      this.#records,
      this.#doubt,
      this.#prober,
      this.#redial,
      this.#statements,
      this.#quarantine,
    );
    for (const contact of parts.contacts)
      if (contact.id !== parts.own.id) this.#core.roster.addContact(contact);
    this.#records.load(nowMs);
    if (parts.known === undefined) this.#core.announce(parts.own.id, true);
  }

  members(): readonly Member[] {
    return [...this.#core.roster.all()];
  }

  member(id: string): Member | undefined {
    return this.#core.roster.member(id);
  }

  /** Whether a member contradicted itself not long ago: it is out of use. */
  isQuarantined(id: string): boolean {
    return this.#core.roster.isQuarantined(id, this.#nowMs);
  }

  /** How long others will have nothing to do with this host, for its key was seen to sign in two places; 0 if they do. */
  get ownQuarantineMs(): number {
    return Math.max(0, (this.#quarantine.ownUntilMs(this.#nowMs) ?? 0) - this.#nowMs);
  }

  get own(): VerifiedRecord {
    return this.#core.own;
  }

  /** What two hosts compare first: equal digests, equal records. */
  digests(): readonly bigint[] {
    return this.#core.roster.index.digests(this.#core.own);
  }

  stats(): SwimStats {
    const { roster, counts, health, queue, own, outbox } = this.#core;
    return {
      members: roster.countByState(),
      ...counts,
      healthScore: health,
      broadcastQueue: queue.size,
      incarnation: own.incarnation,
      messages: outbox.counts,
      received: this.#receiver.counts,
    };
  }

  /** News to pass on, or a probe without an answer: ticks should come often. */
  get isBusy(): boolean {
    return this.#core.queue.size > 0 || this.#prober.isWaiting;
  }

  /** A datagram from the gossip port. */
  datagram(nowMs: number, bytes: Uint8Array, from: Address): SwimOutput[] {
    this.#nowMs = nowMs;
    this.#core.answering(() => this.#receiver.datagram(nowMs, bytes, from));
    return this.#core.take();
  }

  /** Moves time on. Call every config.tickMs. */
  tick(nowMs: number): SwimOutput[] {
    this.#nowMs = nowMs;
    this.#prober.tick(nowMs);
    this.#doubt.tick(nowMs);
    this.#quarantine.tick(nowMs);
    this.#gossip(nowMs);
    this.#records.tick(nowMs);
    this.#redial.tick(nowMs);
    if (this.#core.roster.dirty && nowMs - this.#savedAtMs >= SAVE_INTERVAL_MS) {
      this.#savedAtMs = nowMs;
      this.#records.save();
    }
    return this.#core.take();
  }

  /** Keeps what is known of the members now, not with the next second. */
  save(): void {
    this.#records.save();
  }

  /** Publishes a leave at once to several members; the caller sends and stops. */
  leave(nowMs: number): SwimOutput[] {
    this.#core.own = this.#core.parts.signer.ownRecord('left', null);
    this.#core.announce(this.#core.own.id);
    const reached = (m: Member): boolean => isHere(m) && m.channel.opened;
    const told = this.#core.roster.pick(LEAVE_FANOUT, reached);
    const copies = Math.min(LEAVE_COPIES, Math.ceil(LEAVE_FANOUT / Math.max(1, told.length)));
    // Nobody says it again for us, and a small mesh has few who could have heard it.
    for (let i = 0; i < copies; i++)
      for (const m of told) this.#core.sendRecords(m, [this.#core.own], false, nowMs);
    this.#records.save();
    return this.#core.take();
  }

  /** A statement that this host's store holds is news: several members hear it at once, the rest by gossip. */
  tell(nowMs: number, id: string): SwimOutput[] {
    this.#statements.spread(id);
    for (const m of this.#core.roster.pick(LEAVE_FANOUT, (m) => isHere(m) && m.channel.opened))
      this.#core.send(m, [], nowMs);
    return this.#core.take();
  }

  /**
   * Statements or time may have ended certificates: every member is verified again, and who fails is told why, if there is
   * a statement that says it, and forgotten.
   */
  recheck(nowMs: number): SwimOutput[] {
    const { roster, parts } = this.#core;
    for (const m of [...roster.all()]) {
      const { bytes, credential } = m.record;
      if (parts.verifier.verify(bytes, credential) !== null) continue;
      const banned = this.#statements.bannedBy(bytes, credential);
      if (banned !== null) {
        const peer = this.#statements.ban(banned, m.channel);
        if (m.channel.opened) this.#statements.answerBanned(peer, nowMs);
      }
      roster.forget(m);
      this.#core.emit({ type: 'member', id: m.id });
    }
    return this.#core.take();
  }

  /** Finds out at once whether a member holds the same statements, for a session with it has begun. */
  compare(nowMs: number, id: string): SwimOutput[] {
    const m = this.#core.roster.member(id);
    const digest = this.#statements.digest();
    if (m !== undefined && digest.length > 0) this.#core.send(m, digest, nowMs);
    return this.#core.take();
  }

  /** This host has something new to say of itself. */
  restate(): SwimOutput[] {
    this.#core.own = this.#core.parts.signer.ownRecord('alive', null);
    this.#core.announce(this.#core.own.id);
    return this.#core.take();
  }

  /** A contact's name was looked up again; nothing changes for one that has been met. */
  moveContact(id: string, address: Address): void {
    this.#core.roster.moveContact(id, address);
  }

  /** The data plane heard an authenticated packet: that outweighs doubt for two probe intervals. */
  heard(id: string): void {
    const m = this.#core.roster.member(id);
    if (m === undefined) return;
    m.dataAtMs = this.#nowMs;
    this.#prober.heard(id);
  }

  #gossip(nowMs: number): void {
    const { config, queue, roster } = this.#core;
    if (nowMs < this.#nextGossipMs) return;
    this.#nextGossipMs = nowMs + config.gossipIntervalMs;
    if (queue.size === 0) return;
    for (const m of roster.pick(config.gossipNodes, isHere)) {
      // News would be lost on a member that does not know our boot yet; a ping opens the way.
      const opening: Message[] = this.#core.outbox.isProven(m)
        ? []
        : [{ type: 'ping', probe: this.#core.randomU64() }];
      this.#core.send(m, opening, nowMs);
    }
  }
}
