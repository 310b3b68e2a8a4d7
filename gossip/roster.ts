/**
 * Who is known: members with a record, seeds without one yet, and the addresses that the rate limit serves better. Only
 * a table; what a record or a silence means is decided elsewhere.
 */
import { sameAddress } from './address.ts';
import { Channel } from './channel.ts';
import { RecordIndex } from './digest.ts';
import { compareRecords, type Member, newMember } from './member.ts';
import type { Outbound } from './outbox.ts';
import { ProbeOrder } from './probe.ts';
import type { Address, Contact, MemberState, Rng, VerifiedRecord } from './types.ts';

const PREFIX_DIGITS = 16;
/** Numbers remembered of members that were forgotten. */
const MAX_FORGOTTEN = 4096;

interface RecordNumber {
  readonly incarnation: number;
  readonly seq: number;
}

export const prefixOf = (id: string): string => id.slice(0, PREFIX_DIGITS);

/** Neither dead nor left: still probed and told news. */
export const isHere = (m: Member): boolean => m.state === 'alive' || m.state === 'suspect';

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
  readonly index = new RecordIndex();
  /** A record changed since the table was last saved. */
  dirty = false;

  constructor(rng: Rng, maxMembers: number) {
    this.#rng = rng;
    this.#maxMembers = maxMembers;
    this.order = new ProbeOrder(rng);
  }

  get size(): number {
    return this.#members.size;
  }

  get full(): boolean {
    return this.#members.size >= this.#maxMembers;
  }

  all(): IterableIterator<Member> {
    return this.#members.values();
  }

  member(id: string): Member | undefined {
    return this.#members.get(id);
  }

  memberByPrefix(prefix: string): Member | undefined {
    return this.#members.get(this.#byPrefix.get(prefix) ?? '');
  }

  /** Whose box this prefix announces. */
  peerByPrefix(prefix: string): Outbound | undefined {
    const id = this.#byPrefix.get(prefix);
    return id === undefined ? undefined : (this.#members.get(id) ?? this.#contacts.get(id));
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
    return this.#addresses.has(ip);
  }

  addContact(contact: Contact): void {
    this.#seeds.set(contact.id, contact.address);
    this.#contacts.set(contact.id, { id: contact.id, channel: new Channel(), contact });
    this.#byPrefix.set(prefixOf(contact.id), contact.id);
    this.#count(contact.address, 1);
  }

  /** A first record: a seed that was only a contact keeps its channel. */
  add(record: VerifiedRecord, nowMs: number): Member {
    const { id } = record;
    const contact = this.#contacts.get(id);
    if (contact !== undefined) this.#count(contact.contact.address, -1);
    this.#contacts.delete(id);
    const member = newMember(record, contact?.channel ?? null, nowMs);
    this.#members.set(id, member);
    this.#forgotten.delete(prefixOf(id));
    this.index.set(record);
    this.#byPrefix.set(prefixOf(id), id);
    this.order.add(id);
    this.#count(record.address, 1);
    this.dirty = true;
    return member;
  }

  replaceRecord(member: Member, record: VerifiedRecord): void {
    this.#count(member.record.address, -1);
    this.#count(record.address, 1);
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
    this.index.delete(member.id);
    this.#byPrefix.delete(prefixOf(member.id));
    this.order.remove(member.id);
    this.#count(member.record.address, -1);
    this.dirty = true;
  }

  /** Up to `n` different random members that satisfy `wanted`. */
  pick(n: number, wanted: (m: Member) => boolean): Member[] {
    const candidates = [...this.#members.values()].filter(wanted);
    const end = Math.min(n, candidates.length);
    for (let i = 0; i < end; i++) {
      const j = i + Math.floor(this.#rng.float() * (candidates.length - i));
      [candidates[i], candidates[j]] = [candidates[j]!, candidates[i]!];
    }
    return candidates.slice(0, end);
  }

  /** Members that are here, and this host. */
  hereCount(): number {
    let n = 1;
    for (const m of this.#members.values()) if (isHere(m)) n += 1;
    return n;
  }

  countByState(): Record<MemberState, number> {
    const counts = { alive: 1, suspect: 0, dead: 0, left: 0 };
    for (const m of this.#members.values()) counts[m.state] += 1;
    return counts;
  }

  #count(address: Address | null, change: number): void {
    if (address === null) return;
    const n = (this.#addresses.get(address.ip) ?? 0) + change;
    if (n > 0) this.#addresses.set(address.ip, n);
    else this.#addresses.delete(address.ip);
  }
}
