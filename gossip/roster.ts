/**
 * Who is known: members with a record, seeds without one yet, and the addresses that the rate limit serves better. Only
 * a table; what a record or a silence means is decided elsewhere.
 */
import { sameAddress } from './address.ts';
import { Channel } from './channel.ts';
import { RecordIndex } from './digest.ts';
import type { KnownMesh } from './known.ts';
import { compareRecords, type Member, newMember } from './member.ts';
import type { Outbound } from './outbox.ts';
import { ProbeOrder } from './probe.ts';
import type { Address, Contact, MemberState, Rng, SavedMember, VerifiedRecord } from './types.ts';

const PREFIX_DIGITS = 16;
/** Random tries for each member that is to be picked, where there are more than a few. */
const TRIES = 8;
const FEW = 16;
/** Numbers remembered of members that were forgotten. */
const MAX_FORGOTTEN = 4096;

interface RecordNumber {
  readonly incarnation: number;
  readonly seq: number;
}

export const prefixOf = (id: string): string => id.slice(0, PREFIX_DIGITS);

const isHereIn = (state: MemberState): boolean => state === 'alive' || state === 'suspect';

/** Neither dead nor left: still probed and told news. */
export const isHere = (m: Member): boolean => isHereIn(m.state);

export class Roster {
  readonly #rng: Rng;
  readonly #maxMembers: number;
  /** By id; bounded by maxMembers. */
  readonly #members = new Map<string, Member>();
  /** Ids of members and contacts by their first 8 bytes; bounded by maxMembers + contacts. */
  readonly #byPrefix = new Map<string, string>();
  /** Seeds that have no record here yet; bounded by the token's and the configuration's seeds. */
  readonly #contacts = new Map<string, Extract<Outbound, { contact: Contact }>>();
  /** Where contacts were given to be, by id; bounded by them. */
  readonly #seeds = new Map<string, Address>();
  /** Members and contacts by address; bounded by maxMembers + contacts. */
  readonly #addresses = new Map<string, number>();
  /** By prefix, oldest first: the last number of those who were forgotten; bounded by MAX_FORGOTTEN. */
  readonly #forgotten = new Map<string, RecordNumber>();
  readonly order: ProbeOrder;
  readonly index: RecordIndex;
  /** Members whose record lies there and of whom nothing else was learned have no entry in #members. */
  readonly #known: KnownMesh | null;
  /** Ids that are not looked up among the known: this host's own and forgotten ones; bounded by the known. */
  readonly #unknown = new Set<string>();
  /** Members that are here by voter class, this host left out; bounded by the members. */
  readonly #classes: Map<string, number>;
  /** Members in each state, this host left out. */
  readonly #counts: Record<MemberState, number> = { alive: 0, suspect: 0, dead: 0, left: 0 };
  /** Who is not simply alive; bounded by maxMembers. */
  readonly #troubled = new Set<Member>();
  /** A record changed since the table was last saved. */
  dirty = false;

  constructor(rng: Rng, maxMembers: number, known: KnownMesh | null = null, ownId = '') {
    this.#rng = rng;
    this.#maxMembers = maxMembers;
    this.#known = known;
    this.order = new ProbeOrder(rng, known?.ids);
    this.index = new RecordIndex(known?.index);
    this.#classes = new Map(known?.classes);
    if (known === null) return;
    this.#countClass(known.records.get(ownId)?.voterClass ?? null, -1);
    this.#unknown.add(ownId);
    this.index.delete(ownId);
    this.#counts.alive = known.ids.length - (known.records.has(ownId) ? 1 : 0);
  }

  get size(): number {
    const { alive, suspect, dead, left } = this.#counts;
    return alive + suspect + dead + left;
  }

  get full(): boolean {
    return this.size >= this.#maxMembers;
  }

  *all(): IterableIterator<Member> {
    for (const id of this.#known?.ids ?? []) if (!this.#members.has(id)) this.member(id);
    yield* this.#members.values();
  }

  member(id: string): Member | undefined {
    return this.#members.get(id) ?? this.#meet(id);
  }

  #knownRecord(id: string): VerifiedRecord | undefined {
    return this.#unknown.has(id) ? undefined : this.#known?.records.get(id);
  }

  /** The entry of one who was only known; both sides know each other's boot. */
  #meet(id: string): Member | undefined {
    if (this.#known === null) return undefined;
    const record = this.#knownRecord(id);
    if (record === undefined) return undefined;
    const member = newMember(record, Channel.met(this.#known.boot, record.address), 0);
    this.#members.set(id, member);
    return member;
  }

  recordOf(id: string): VerifiedRecord | undefined {
    return this.#members.get(id)?.record ?? this.#knownRecord(id);
  }

  recordByPrefix(prefix: string): VerifiedRecord | undefined {
    return this.recordOf(this.#idOf(prefix) ?? '');
  }

  #idOf(prefix: string): string | undefined {
    return this.#byPrefix.get(prefix) ?? this.#known?.byPrefix.get(prefix);
  }

  /** Whose box this prefix announces. */
  peerByPrefix(prefix: string): Outbound | undefined {
    const id = this.#idOf(prefix);
    return id === undefined ? undefined : (this.member(id) ?? this.#contacts.get(id));
  }

  setState(member: Member, state: MemberState, nowMs: number): void {
    this.#counts[member.state] -= 1;
    this.#counts[state] += 1;
    const came = Number(isHereIn(state)) - Number(isHere(member));
    if (came !== 0) this.#countClass(member.record.voterClass, came);
    member.state = state;
    member.stateSinceMs = nowMs;
    if (state === 'alive') this.#troubled.delete(member);
    else this.#troubled.add(member);
  }

  get troubled(): Iterable<Member> {
    return this.#troubled;
  }

  /** What to keep for the next start: all but those who left. */
  *worthKeeping(): IterableIterator<SavedMember> {
    for (const [id, m] of this.#members)
      if (m.state !== 'left' && !this.#isShared(id))
        yield { record: m.record.bytes, credential: m.record.credential };
    for (const id of this.#known?.ids ?? []) {
      const record = this.recordOf(id);
      if (record !== undefined && this.#members.get(id)?.state !== 'left')
        yield { record: record.bytes, credential: record.credential };
    }
  }

  #isShared(id: string): boolean {
    return this.#known?.records.has(id) === true;
  }

  /** Whether it contradicted itself not long ago. */
  isQuarantined(id: string, nowMs: number): boolean {
    return (this.#members.get(id)?.quarantinedUntilMs ?? -Infinity) > nowMs;
  }

  contacts(): IterableIterator<Outbound> {
    return this.#contacts.values();
  }

  isSeed(id: string): boolean {
    return this.#seeds.has(id);
  }

  /** Whether the token or the configuration gave this endpoint; what a seed states of itself later is not excepted. */
  isSeedAt(id: string, address: Address): boolean {
    const given = this.#seeds.get(id);
    return given !== undefined && sameAddress(given, address);
  }

  isKnownAddress(ip: string): boolean {
    return this.#addresses.has(ip) || this.#known?.addresses.has(ip) === true;
  }

  addContact(contact: Contact): void {
    this.#seeds.set(contact.id, contact.address);
    this.#contacts.set(contact.id, { id: contact.id, channel: new Channel(), contact });
    this.#byPrefix.set(prefixOf(contact.id), contact.id);
    this.#count(contact.address, 1);
  }

  /** A seed that has no record yet was looked up again and is elsewhere. */
  moveContact(id: string, address: Address): void {
    const held = this.#contacts.get(id);
    if (held === undefined || sameAddress(held.contact.address, address)) return;
    this.#count(held.contact.address, -1);
    this.#count(address, 1);
    this.#seeds.set(id, address);
    this.#contacts.set(id, { ...held, contact: { ...held.contact, address } });
  }

  /** A first record: a seed that was only a contact keeps its channel. */
  add(record: VerifiedRecord, nowMs: number): Member {
    const { id } = record;
    const contact = this.#contacts.get(id);
    if (contact !== undefined) this.#count(contact.contact.address, -1);
    this.#contacts.delete(id);
    const member = newMember(record, contact?.channel ?? null, nowMs);
    this.#members.set(id, member);
    this.#counts[member.state] += 1;
    if (isHere(member)) this.#countClass(record.voterClass, 1);
    if (member.state !== 'alive') this.#troubled.add(member);
    this.#forgotten.delete(prefixOf(id));
    this.index.set(record);
    this.#byPrefix.set(prefixOf(id), id);
    if (!this.#isShared(id)) this.order.add(id);
    this.#count(record.address, 1);
    this.dirty = true;
    return member;
  }

  replaceRecord(member: Member, record: VerifiedRecord): void {
    this.#count(member.record.address, -1);
    this.#count(record.address, 1);
    if (isHere(member) && record.voterClass !== member.record.voterClass) {
      this.#countClass(member.record.voterClass, -1);
      this.#countClass(record.voterClass, 1);
    }
    member.record = record;
    this.index.set(record);
    this.dirty = true;
  }

  /** Whether this number belongs to somebody who is known to be long gone. */
  isForgotten(prefix: string, number: RecordNumber): boolean {
    const last = this.#forgotten.get(prefix);
    return last !== undefined && compareRecords(number, last) <= 0;
  }

  forget(member: Member): void {
    const { incarnation, seq } = member.record;
    this.#forgotten.set(prefixOf(member.id), { incarnation, seq });
    for (const oldest of this.#forgotten.keys()) {
      if (this.#forgotten.size <= MAX_FORGOTTEN) break;
      this.#forgotten.delete(oldest);
    }
    this.#members.delete(member.id);
    this.#counts[member.state] -= 1;
    if (isHere(member)) this.#countClass(member.record.voterClass, -1);
    this.#troubled.delete(member);
    if (this.#isShared(member.id)) this.#unknown.add(member.id);
    this.index.delete(member.id);
    this.#byPrefix.delete(prefixOf(member.id));
    this.order.remove(member.id);
    this.#count(member.record.address, -1);
    this.dirty = true;
  }

  /**
   * Up to `n` different random members that satisfy `wanted`: by chance where most do, which a large mesh is thankful
   * for, else out of all.
   */
  pick(n: number, wanted: (m: Member) => boolean): Member[] {
    const picked: Member[] = [];
    const { order } = this;
    for (let tries = 0; tries < TRIES * n && picked.length < n && order.length > FEW; tries++) {
      const m = this.member(order.at(Math.floor(this.#rng.float() * order.length)));
      if (m !== undefined && !picked.includes(m) && wanted(m)) picked.push(m);
    }
    if (picked.length === n) return picked;
    return this.#sample(n, [...this.all()].filter(wanted));
  }

  /** The same out of those who are not simply alive. */
  pickTroubled(n: number, wanted: (m: Member) => boolean): Member[] {
    return this.#sample(n, [...this.#troubled].filter(wanted));
  }

  #sample(n: number, candidates: Member[]): Member[] {
    const end = Math.min(n, candidates.length);
    for (let i = 0; i < end; i++) {
      const j = i + Math.floor(this.#rng.float() * (candidates.length - i));
      [candidates[i], candidates[j]] = [candidates[j]!, candidates[i]!];
    }
    return candidates.slice(0, end);
  }

  /** Members that are here, and this host. */
  hereCount(): number {
    return 1 + this.#counts.alive + this.#counts.suspect;
  }

  /** Whether a voter class is at least half of who is here, this host (of class `own`) included. */
  isHalf(voterClass: string, own: string | null): boolean {
    const members = (this.#classes.get(voterClass) ?? 0) + Number(voterClass === own);
    return 2 * members >= this.hereCount();
  }

  #countClass(voterClass: string | null, change: number): void {
    if (voterClass === null) return;
    const n = (this.#classes.get(voterClass) ?? 0) + change;
    if (n > 0) this.#classes.set(voterClass, n);
    else this.#classes.delete(voterClass);
  }

  countByState(): Record<MemberState, number> {
    return { ...this.#counts, alive: this.#counts.alive + 1 };
  }

  #count(address: Address | null, change: number): void {
    if (address === null) return;
    const n = (this.#addresses.get(address.ip) ?? 0) + change;
    if (n > 0) this.#addresses.set(address.ip, n);
    else this.#addresses.delete(address.ip);
  }
}
