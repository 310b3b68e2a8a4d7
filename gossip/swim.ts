/**
 * SWIM membership as a state machine without sockets, clocks or keys: datagrams and the time go in, datagrams and events
 * come out. The same code runs on a UDP socket (node.ts) and in the simulator.
 *
 *   every probe interval   probe one member: 3 pings, then 3 indirect ones; no answer -> suspect it
 *   every gossip interval  news to 3 members
 *   every 30 s             compare digests with one member
 *   every 5 s              dial a dead one, so that partitions heal
 *
 * Only the owner of a record states it; others may only doubt, signed, and each host lets its own timer declare a
 * doubted member dead. SWIM (Das et al. 2002), Lifeguard (arXiv 1707.00788), constants in config.ts.
 */
import { BroadcastQueue } from './broadcast.ts';
import { Channel } from './channel.ts';
import {
  decodeBox,
  decodeInner,
  decodeIntro,
  decodeIntroBody,
  type Inner,
  MAX_WANT,
  type Message,
  TYPE_BOX,
  TYPE_INTRO,
} from './codec.ts';
import { DEFAULT_CONFIG, MAX_DATAGRAM_BYTES, pushPullScale, type SwimConfig } from './config.ts';
import { bucketOf, digestOf, summaryOf } from './digest.ts';
import { compareRecords, type Member, newMember, smoothRtt } from './member.ts';
import { type Outbound, Outbox } from './outbox.ts';
import { type Probe, ProbeOrder, startProbe } from './probe.ts';
import { RateLimit } from './rate-limit.ts';
import { expectedConfirmations, Suspicion, suspicionBounds, suspicionMs } from './suspicion.ts';
import type {
  Address,
  Contact,
  MemberState,
  Persistence,
  RecordVerifier,
  Rng,
  Sealer,
  Signer,
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
}

export interface SwimStats {
  readonly members: Readonly<Record<MemberState, number>>;
  readonly healthScore: number;
  readonly broadcastQueue: number;
  readonly incarnation: number;
  readonly probes: number;
  readonly probeFailures: number;
  readonly refuted: number;
  readonly dead: number;
  readonly messages: ReadonlyMap<string, number>;
}

const REFUTE_INTERVAL_MS = 1000;
/** Indirect probes served for one asker in a second. */
const PING_REQ_PER_SECOND = 5;

export class Swim {
  readonly #p: SwimParts;
  readonly #config: SwimConfig;
  /** By id; bounded by config.maxMembers. */
  readonly #members = new Map<string, Member>();
  /** Members and contacts by the first 16 hex digits of their id; bounded by maxMembers + contacts. */
  readonly #byPrefix = new Map<string, string>();
  /** Seeds that have no record here yet; bounded by the token's and the configuration's seeds. */
  readonly #contacts = new Map<string, Contact & { readonly channel: Channel }>();
  readonly #seeds: ReadonlySet<string>;
  /** Addresses of members, for the rate limit; bounded by maxMembers. */
  readonly #known = new Map<string, number>();
  readonly #queue = new BroadcastQueue();
  readonly #limit = new RateLimit();
  readonly #outbox: Outbox;
  readonly #order: ProbeOrder;
  #own: VerifiedRecord;
  #probe: Probe | null = null;
  /** Probes made for others: probe id to asker and its probe id; bounded by 256. */
  readonly #relayed = new Map<
    bigint,
    { readonly asker: string; readonly probe: bigint; readonly untilMs: number }
  >();
  /** Asker to its requests in this second; bounded by maxMembers, cleared each second. */
  readonly #asked = new Map<string, number>();
  #health = 0;
  #refutedAtMs = -Infinity;
  #next = { probe: 0, gossip: 0, pushPull: 0, deadDial: 0, contact: 0, second: 0 };
  #dirty = false;
  #savedAtMs = -Infinity;
  #counts = { probes: 0, probeFailures: 0, refuted: 0, dead: 0 };
  #out: SwimOutput[] = [];

  constructor(parts: SwimParts, nowMs: number) {
    this.#p = parts;
    this.#config = { ...DEFAULT_CONFIG, ...parts.config };
    this.#own = parts.own;
    this.#order = new ProbeOrder(parts.rng);
    this.#seeds = new Set(parts.contacts.map((c) => c.id));
    this.#outbox = new Outbox(
      {
        sealer: parts.sealer,
        rng: parts.rng,
        selfId: parts.own.id,
        own: () => this.#own,
        recordOf: (id) => this.#members.get(id)?.record,
      },
      parts.persistence.nextBoot(0),
      (output) => this.#out.push(output),
    );
    for (const contact of parts.contacts) if (contact.id !== parts.own.id) this.#addContact(contact);
    for (const saved of parts.persistence.loadMembers()) {
      const record = parts.verifier.verify(saved.record, saved.credential);
      if (record !== null && record.id !== parts.own.id) this.#merge(record, nowMs, false);
    }
    this.#announceOwn();
    this.#next.pushPull = nowMs;
  }

  // --- reading -----------------------------------------------------------------------------------------------------

  members(): readonly Member[] {
    return [...this.#members.values()];
  }

  member(id: string): Member | undefined {
    return this.#members.get(id);
  }

  get own(): VerifiedRecord {
    return this.#own;
  }

  stats(): SwimStats {
    const members = { alive: 1, suspect: 0, dead: 0, left: 0 };
    for (const m of this.#members.values()) members[m.state] += 1;
    return {
      members,
      ...this.#counts,
      healthScore: this.#health,
      broadcastQueue: this.#queue.size,
      incarnation: this.#own.incarnation,
      messages: this.#outbox.counts,
    };
  }

  // --- inputs ------------------------------------------------------------------------------------------------------

  /** A datagram from the gossip port. */
  datagram(nowMs: number, bytes: Uint8Array, from: Address): SwimOutput[] {
    if (!this.#limit.allow(from.ip, this.#known.has(from.ip), nowMs)) this.#drop('rate');
    else if (bytes.length > MAX_DATAGRAM_BYTES) this.#drop('garbage');
    else if (bytes[0] === TYPE_BOX) this.#box(nowMs, bytes);
    else if (bytes[0] === TYPE_INTRO) this.#intro(nowMs, bytes, from);
    else this.#drop('garbage');
    return this.#take();
  }

  /** Moves time on. Call every config.tickMs. */
  tick(nowMs: number): SwimOutput[] {
    const c = this.#config;
    if (nowMs >= this.#next.second) {
      this.#next.second = nowMs + 1000;
      this.#asked.clear();
      for (const [id, relay] of this.#relayed) if (relay.untilMs < nowMs) this.#relayed.delete(id);
    }
    this.#dialContacts(nowMs);
    this.#stepProbe(nowMs);
    if (nowMs >= this.#next.probe) {
      this.#next.probe = nowMs + c.probeIntervalMs * (this.#health + 1);
      this.#nextProbe(nowMs);
    }
    this.#expireSuspicions(nowMs);
    if (nowMs >= this.#next.gossip) {
      this.#next.gossip = nowMs + c.gossipIntervalMs;
      if (this.#queue.size > 0)
        for (const m of this.#pick(c.gossipNodes, isReachableState)) this.#send(m, [], nowMs);
    }
    if (nowMs >= this.#next.pushPull) {
      this.#next.pushPull = nowMs + pushPullScale(c.pushPullIntervalMs, this.#members.size + 1);
      for (const m of this.#pick(1, isReachableState)) this.#sync(m, nowMs);
    }
    if (nowMs >= this.#next.deadDial) {
      this.#next.deadDial = nowMs + c.deadDialIntervalMs;
      this.#dialDead(nowMs);
    }
    this.#save(nowMs);
    return this.#take();
  }

  /** Publishes a leave at once to several members; the caller sends and stops. */
  leave(nowMs: number): SwimOutput[] {
    this.#own = this.#p.signer.ownRecord('left', null);
    this.#announceOwn();
    for (const m of this.#pick(8, isReachableState)) this.#send(m, [], nowMs);
    this.#save(nowMs, true);
    return this.#take();
  }

  /** The data plane heard an authenticated packet: local doubt about the member is void until new doubt comes. */
  heard(id: string): void {
    const m = this.#members.get(id);
    if (m !== undefined && this.#probe?.target === id) this.#probe = null;
  }

  #take(): SwimOutput[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  #drop(reason: 'garbage' | 'auth' | 'replay' | 'rate' | 'gossip'): void {
    this.#out.push({ type: 'drop', reason });
  }

  // --- sending -----------------------------------------------------------------------------------------------------

  #send(to: Outbound, messages: readonly Message[], nowMs: number): void {
    this.#outbox.send(
      to,
      messages,
      this.#queue,
      this.#members.size + 1,
      this.#config.retransmitMult,
      nowMs,
      this.#seeds.has(to.id),
    );
  }

  #announceOwn(): void {
    this.#queue.add({ key: `record ${this.#own.id}`, recordOf: this.#own.id, bytes: new Uint8Array(0) });
  }

  /** Up to `n` different random members that satisfy `wanted`. */
  #pick(n: number, wanted: (m: Member) => boolean): Member[] {
    const candidates = [...this.#members.values()].filter(wanted);
    const chosen: Member[] = [];
    while (chosen.length < n && candidates.length > 0) {
      const [m] = candidates.splice(Math.floor(this.#p.rng.float() * candidates.length), 1);
      if (m !== undefined) chosen.push(m);
    }
    return chosen;
  }

  #sync(to: Outbound, nowMs: number): void {
    const digest = digestOf(this.#withOwn());
    this.#send(to, [{ type: 'digest', buckets: digest }], nowMs);
  }

  *#withOwn(): Generator<Member> {
    yield* this.#members.values();
    yield newMember(this.#own, null, 0);
  }

  // --- contacts ----------------------------------------------------------------------------------------------------

  #addContact(contact: Contact): void {
    this.#contacts.set(contact.id, { ...contact, channel: new Channel() });
    this.#byPrefix.set(contact.id.slice(0, 16), contact.id);
  }

  #dialContacts(nowMs: number): void {
    if (this.#contacts.size === 0 || nowMs < this.#next.contact) return;
    this.#next.contact = nowMs + this.#config.contactIntervalMs;
    for (const c of this.#contacts.values()) this.#sync(outboundOf(c), nowMs);
  }

  // --- receiving ---------------------------------------------------------------------------------------------------

  #intro(nowMs: number, bytes: Uint8Array, from: Address): void {
    const frame = decodeIntro(bytes);
    if (frame === null) return this.#drop('garbage');
    if (!this.#limit.allowIntro(from.ip, nowMs)) return this.#drop('rate');
    const body = this.#p.sealer.openIntro(frame.nonce, frame.sealed);
    const content = body === null ? null : decodeIntroBody(body);
    const record = content === null ? null : this.#p.verifier.verify(content.record, content.credential);
    if (record === null) return this.#drop('auth');
    if (record.id !== this.#own.id) this.#merge(record, nowMs, true);
  }

  #box(nowMs: number, bytes: Uint8Array): void {
    const frame = decodeBox(bytes);
    if (frame === null) return this.#drop('garbage');
    const id = this.#byPrefix.get(frame.sender);
    const sender = id === undefined ? undefined : (this.#members.get(id) ?? this.#contacts.get(id));
    if (id === undefined || sender === undefined || frame.receiver !== this.#own.id.slice(0, 16))
      return this.#drop('gossip');
    const boxKey = 'record' in sender ? sender.record.boxKey : sender.boxKey;
    const plain = this.#p.sealer.open(id, boxKey, frame.nonce, frame.box);
    if (plain === null) return this.#drop('auth');
    const inner = decodeInner(plain);
    if (inner === null) return this.#drop('gossip');
    const to = 'record' in sender ? sender : outboundOf(sender);
    this.#authenticated(to, inner, bytes.length, nowMs);
  }

  /** A box that opened: boots first, then the window, then what it says. */
  #authenticated(sender: Outbound, inner: Inner, datagramBytes: number, nowMs: number): void {
    const { channel } = sender;
    if (inner.boot > channel.theirBoot) channel.reboot(inner.boot);
    for (const m of inner.messages)
      if (m.type === 'boot' && inner.boot === channel.theirBoot) this.#bootAnswer(sender, m.yours, nowMs);
    if (inner.boot < channel.theirBoot || inner.echo !== this.#outbox.boot) {
      if (inner.messages.some((m) => m.type === 'boot')) return;
      this.#drop('replay');
      if (channel.mayAnswerBoot(nowMs)) this.#outbox.answerBoot(sender, datagramBytes);
      return;
    }
    if (!channel.accept(inner.seq)) return this.#drop('replay');
    channel.heardAtMs = nowMs;
    if (!channel.opened) {
      channel.opened = true;
      if (this.#members.has(sender.id)) this.#out.push({ type: 'reachable', id: sender.id });
    }
    for (const m of inner.messages) this.#message(sender, m, nowMs);
  }

  /** The peer told its boot and the highest of ours it saw: go on beyond it, and say again what was not heard. */
  #bootAnswer(sender: Outbound, highestOfOurs: number, nowMs: number): void {
    if (highestOfOurs > this.#outbox.boot) this.#outbox.boot = this.#p.persistence.nextBoot(highestOfOurs);
    this.#sync(sender, nowMs);
    if (this.#probe?.target === sender.id)
      this.#send(sender, [{ type: 'ping', probe: this.#probe.id }], nowMs);
  }

  #message(sender: Outbound, m: Message, nowMs: number): void {
    switch (m.type) {
      case 'ping':
        return this.#send(sender, [{ type: 'ack', probe: m.probe }], nowMs);
      case 'ack':
        return this.#ack(sender.id, m.probe, nowMs);
      case 'pingReq':
        return this.#pingReq(sender.id, m.probe, m.target, nowMs);
      case 'record':
        return this.#record(sender, m.record, m.credential, nowMs);
      case 'suspect':
        return this.#accusation(m.accusation, nowMs);
      case 'digest':
        return this.#digest(sender, m.buckets, nowMs);
      case 'summary':
        return this.#summary(sender, m, nowMs);
      case 'want':
        return this.#sendRecords(sender, m.ids, nowMs);
      case 'credentialAck':
        for (const id of m.ids) sender.channel.credentialAcked(id);
        return;
      case 'boot':
        return;
    }
  }

  // --- records -----------------------------------------------------------------------------------------------------

  #record(sender: Outbound, bytes: Uint8Array, credential: Uint8Array, nowMs: number): void {
    const claimed = this.#p.verifier.claimedId(bytes);
    if (claimed === null) return this.#drop('gossip');
    const known = claimed === this.#own.id ? this.#own : this.#members.get(claimed)?.record;
    const chain = credential.length > 0 ? credential : known?.credential;
    if (chain === undefined)
      return this.#send(sender, [{ type: 'want', ids: [claimed.slice(0, 16)] }], nowMs);
    const record = this.#p.verifier.verify(bytes, chain);
    if (record === null) return this.#drop('gossip');
    const prefix = record.id.slice(0, 16);
    if (credential.length > 0) {
      sender.channel.acknowledgeLater(prefix);
      sender.channel.credentialAcked(prefix);
    }
    if (record.id !== this.#own.id) return this.#merge(record, nowMs, true);
    // A record of ours that we do not know is from a life whose counters were lost, or a copy of this host: outbid it.
    if (compareRecords(record, this.#own) > 0 || !sameBytes(record, this.#own)) {
      if (compareRecords(record, this.#own) >= 0) this.#refute(record.incarnation, nowMs);
    }
  }

  /** Takes a verified record of another member if it is newer. */
  #merge(record: VerifiedRecord, nowMs: number, isNews: boolean): void {
    const known = this.#members.get(record.id);
    if (known === undefined) {
      if (this.#members.size >= this.#config.maxMembers) return this.#drop('gossip');
      const contact = this.#contacts.get(record.id);
      this.#contacts.delete(record.id);
      const member = newMember(record, contact?.channel ?? null, nowMs);
      this.#members.set(record.id, member);
      this.#byPrefix.set(record.id.slice(0, 16), record.id);
      this.#order.add(record.id);
      this.#address(record, 1);
      this.#changed(member, isNews);
      if (member.channel.opened) this.#out.push({ type: 'reachable', id: record.id });
      return;
    }
    const order = compareRecords(record, known.record);
    if (order === 0 && !sameBytes(record, known.record))
      this.#out.push({ type: 'equivocation', id: record.id });
    if (order <= 0) return;
    this.#address(known.record, -1);
    this.#address(record, 1);
    known.record = record;
    if (known.state !== 'alive' && record.status === 'alive' && known.suspicion !== null)
      this.#counts.refuted += 1;
    known.suspicion = null;
    known.state = record.status;
    known.stateSinceMs = nowMs;
    this.#changed(known, isNews);
  }

  /** Counts members by address, so that the rate limit knows whom it serves. */
  #address(record: VerifiedRecord, change: number): void {
    if (record.address === null) return;
    const n = (this.#known.get(record.address.ip) ?? 0) + change;
    if (n > 0) this.#known.set(record.address.ip, n);
    else this.#known.delete(record.address.ip);
  }

  #changed(member: Member, isNews: boolean): void {
    this.#dirty = true;
    if (isNews)
      this.#queue.add({ key: `record ${member.id}`, recordOf: member.id, bytes: new Uint8Array(0) });
    this.#out.push({ type: 'member', id: member.id });
  }

  #refute(incarnation: number, nowMs: number): void {
    if (nowMs - this.#refutedAtMs < REFUTE_INTERVAL_MS) return;
    this.#refutedAtMs = nowMs;
    this.#worse(1);
    this.#own = this.#p.signer.ownRecord('alive', incarnation);
    this.#announceOwn();
  }

  #digest(sender: Outbound, theirs: readonly bigint[], nowMs: number): void {
    const mine = digestOf(this.#withOwn());
    const differing = mine.map((d, i) => (d === theirs[i] ? -1 : i)).filter((i) => i >= 0);
    for (const bucket of differing) {
      const entries = summaryOf(this.#withOwn(), bucket, this.#p.rng.float());
      this.#send(sender, [{ type: 'summary', bucket, entries }], nowMs);
    }
  }

  /** Sends what is newer here and asks for what is newer there. */
  #summary(sender: Outbound, m: Extract<Message, { type: 'summary' }>, nowMs: number): void {
    const wanted: string[] = [];
    const newer: string[] = [];
    const listed = new Set<string>();
    for (const entry of m.entries) {
      listed.add(entry.id);
      const id = this.#byPrefix.get(entry.id);
      const mine = entry.id === this.#own.id.slice(0, 16) ? this.#own : this.#members.get(id ?? '')?.record;
      const order = mine === undefined ? -1 : compareRecords(mine, entry);
      if (order < 0) wanted.push(entry.id);
      else if (order > 0) newer.push(entry.id);
    }
    for (const mine of this.#withOwn()) {
      const prefix = mine.id.slice(0, 16);
      if (bucketOf(mine.id) === m.bucket && !listed.has(prefix)) newer.push(prefix);
    }
    if (wanted.length > 0) this.#send(sender, [{ type: 'want', ids: wanted.slice(0, MAX_WANT) }], nowMs);
    this.#sendRecords(sender, newer, nowMs);
  }

  #sendRecords(to: Outbound, prefixes: readonly string[], nowMs: number): void {
    const records = prefixes
      .slice(0, MAX_WANT)
      .map((prefix) =>
        prefix === this.#own.id.slice(0, 16)
          ? this.#own
          : this.#members.get(this.#byPrefix.get(prefix) ?? '')?.record,
      );
    this.#outbox.sendRecords(
      to,
      records.filter((r) => r !== undefined),
      nowMs,
      this.#seeds.has(to.id),
    );
  }

  // --- probing -----------------------------------------------------------------------------------------------------

  #nextProbe(nowMs: number): void {
    const id = this.#order.next((candidate) => {
      const m = this.#members.get(candidate);
      return m !== undefined && isReachableState(m);
    });
    const target = id === null ? undefined : this.#members.get(id);
    if (target === undefined) return;
    this.#counts.probes += 1;
    this.#probe = startProbe(target, this.#config, this.#p.rng, nowMs);
    this.#stepProbe(nowMs);
  }

  /** Direct pings, then indirect ones, then doubt. */
  #stepProbe(nowMs: number): void {
    const probe = this.#probe;
    const target = probe === null ? undefined : this.#members.get(probe.target);
    if (probe === null || target === undefined) return;
    if (nowMs >= probe.endsAtMs) {
      this.#probe = null;
      this.#probeFailed(target, nowMs);
    } else if (nowMs >= probe.indirectAtMs && !probe.indirectSent) {
      probe.indirectSent = true;
      const helpers = this.#pick(
        this.#config.indirectProbes,
        (m) => m.id !== target.id && m.state === 'alive' && m.channel.opened,
      );
      for (const h of helpers)
        this.#send(h, [{ type: 'pingReq', probe: probe.id, target: target.id }], nowMs);
    } else if (nowMs >= probe.nextPingAtMs && probe.pingsLeft > 0) {
      probe.pingsLeft -= 1;
      probe.nextPingAtMs = nowMs + probe.spacingMs;
      if (probe.firstPingAtMs === null) probe.firstPingAtMs = nowMs;
      this.#send(target, [{ type: 'ping', probe: probe.id }], nowMs);
    }
  }

  #ack(from: string, probeId: bigint, nowMs: number): void {
    const relay = this.#relayed.get(probeId);
    if (relay !== undefined) {
      this.#relayed.delete(probeId);
      const asker = this.#members.get(relay.asker);
      if (asker !== undefined) this.#send(asker, [{ type: 'ack', probe: relay.probe }], nowMs);
      return;
    }
    const probe = this.#probe;
    if (probe === null || probe.id !== probeId) return;
    // Believed about its sender; from a helper it is the answer to our own indirect probe.
    if (from !== probe.target && !probe.indirectSent) return;
    this.#probe = null;
    this.#worse(-1);
    const target = this.#members.get(probe.target);
    if (target === undefined) return;
    const direct = from === probe.target && probe.firstPingAtMs !== null;
    if (direct) smoothRtt(target, nowMs - (probe.firstPingAtMs ?? nowMs));
    this.#out.push({
      type: 'probe',
      id: target.id,
      rttMs: direct ? nowMs - (probe.firstPingAtMs ?? nowMs) : null,
    });
  }

  #pingReq(asker: string, probe: bigint, targetId: string, nowMs: number): void {
    const asked = (this.#asked.get(asker) ?? 0) + 1;
    this.#asked.set(asker, asked);
    const target = this.#members.get(targetId);
    if (asked > PING_REQ_PER_SECOND || target === undefined || this.#relayed.size >= 256)
      return this.#drop('rate');
    const id = randomU64(this.#p.rng);
    this.#relayed.set(id, { asker, probe, untilMs: nowMs + this.#config.probeIntervalMs });
    this.#send(target, [{ type: 'ping', probe: id }], nowMs);
  }

  #worse(change: number): void {
    this.#health = Math.max(0, Math.min(this.#config.maxHealthScore - 1, this.#health + change));
  }

  // --- doubt -------------------------------------------------------------------------------------------------------

  #probeFailed(target: Member, nowMs: number): void {
    this.#counts.probeFailures += 1;
    // Nobody else to have asked says more about the mesh than about us.
    if (this.#members.size > 1) this.#worse(1);
    this.#out.push({ type: 'probe', id: target.id, rttMs: null });
    const bytes = this.#p.signer.accuse(target.id, target.record.incarnation);
    this.#queue.add({ key: `suspect ${target.id} ${this.#own.id}`, recordOf: null, bytes });
    this.#doubt(target, this.#own.id, target.record.incarnation, nowMs);
  }

  #accusation(bytes: Uint8Array, nowMs: number): void {
    const credentialOf = (id: string): Uint8Array | null =>
      (id === this.#own.id ? this.#own.credential : this.#members.get(id)?.record.credential) ?? null;
    const a = this.#p.verifier.verifyAccusation(bytes, credentialOf);
    if (a === null) return this.#drop('gossip');
    if (a.target === this.#own.id) {
      if (a.incarnation >= this.#own.incarnation) this.#refute(a.incarnation, nowMs);
      return;
    }
    const target = this.#members.get(a.target);
    if (
      target === undefined ||
      a.accuser === a.target ||
      !this.#doubt(target, a.accuser, a.incarnation, nowMs)
    )
      return;
    this.#queue.add({ key: `suspect ${a.target} ${a.accuser}`, recordOf: null, bytes });
  }

  /** Begins or confirms a suspicion. True if this accuser's word was new. */
  #doubt(target: Member, accuser: string, incarnation: number, nowMs: number): boolean {
    if (incarnation < target.record.incarnation || !isReachableState(target)) return false;
    if (target.suspicion !== null) return target.suspicion.confirm(accuser);
    target.suspicion = new Suspicion(incarnation, accuser, nowMs);
    target.state = 'suspect';
    target.stateSinceMs = nowMs;
    this.#changed(target, false);
    return true;
  }

  #expireSuspicions(nowMs: number): void {
    const c = this.#config;
    const n = this.#aliveCount();
    const { minMs, maxMs } = suspicionBounds(c.suspicionMult, c.suspicionMaxMult, n, c.probeIntervalMs);
    const expected = expectedConfirmations(c.suspicionMult, n);
    for (const m of this.#members.values()) {
      if (
        m.suspicion !== null &&
        nowMs - m.suspicion.startedAtMs >= suspicionMs(expected, m.suspicion.confirmations, minMs, maxMs)
      ) {
        m.suspicion = null;
        m.state = 'dead';
        m.stateSinceMs = nowMs;
        this.#counts.dead += 1;
        this.#changed(m, false);
      } else if ((m.state === 'dead' || m.state === 'left') && nowMs - m.stateSinceMs > c.tombstoneMs) {
        this.#forget(m);
      }
    }
  }

  #forget(m: Member): void {
    this.#members.delete(m.id);
    this.#byPrefix.delete(m.id.slice(0, 16));
    this.#order.remove(m.id);
    this.#address(m.record, -1);
    this.#dirty = true;
    this.#out.push({ type: 'member', id: m.id });
  }

  #aliveCount(): number {
    let n = 1;
    for (const m of this.#members.values()) if (isReachableState(m)) n += 1;
    return n;
  }

  /** Dials one dead member: our doubt goes along, so that one which lives answers with a higher incarnation. */
  #dialDead(nowMs: number): void {
    const [m] = this.#pick(1, (candidate) => candidate.state === 'dead');
    if (m === undefined || this.#p.rng.float() >= Math.min(1, 32 / this.#aliveCount())) return;
    const accusation = this.#p.signer.accuse(m.id, m.record.incarnation);
    this.#send(
      m,
      [
        { type: 'suspect', accusation },
        { type: 'digest', buckets: digestOf(this.#withOwn()) },
      ],
      nowMs,
    );
  }

  // --- disk --------------------------------------------------------------------------------------------------------

  #save(nowMs: number, force = false): void {
    if (!this.#dirty || (!force && nowMs - this.#savedAtMs < 1000)) return;
    this.#dirty = false;
    this.#savedAtMs = nowMs;
    const worth = [...this.#members.values()].filter((m) => m.state !== 'left');
    this.#p.persistence.saveMembers(
      worth.map((m) => ({ record: m.record.bytes, credential: m.record.credential })),
    );
  }
}

const isReachableState = (m: Member): boolean => m.state === 'alive' || m.state === 'suspect';

function outboundOf(c: Contact & { readonly channel: Channel }): Outbound {
  return { id: c.id, channel: c.channel, contact: c };
}

const sameBytes = (a: VerifiedRecord, b: VerifiedRecord): boolean => Buffer.compare(a.bytes, b.bytes) === 0;

function randomU64(rng: Rng): bigint {
  return new DataView(rng.fill(new Uint8Array(8)).buffer).getBigUint64(0);
}
