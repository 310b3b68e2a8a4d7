/**
 * Builds and seals datagrams: the messages that must go, certificates to acknowledge, then news as long as it fits. An
 * introduction goes first to whoever has not answered since this start, or is dead and may come back knowing nobody. What
 * goes to an endpoint where the peer was not proved to be is one datagram in 5 s: a record may name a victim's.
 */
import { sameAddress } from './address.ts';
import type { BroadcastQueue, News } from './broadcast.ts';
import type { Channel } from './channel.ts';
import {
  encodeBox,
  encodeInner,
  encodeIntro,
  encodeIntroBody,
  MAX_MESSAGES_BYTES,
  NONCE_BYTES,
} from './codec.ts';
import { retransmitLimit } from './config.ts';
import type { Member } from './member.ts';
import {
  encodeMessage,
  ID_PREFIX_BYTES,
  MESSAGE_HEADER_BYTES,
  type Message,
  messageBytes,
} from './message.ts';
import type { Address, Contact, Rng, Sealer, SwimOutput, VerifiedRecord } from './types.ts';

/** Where to send: a member, or a contact that has no record yet. */
export type Outbound = Member | { readonly id: string; readonly channel: Channel; readonly contact: Contact };

export interface OutboxParts {
  readonly sealer: Sealer;
  readonly rng: Rng;
  readonly selfId: string;
  readonly own: () => VerifiedRecord;
  readonly recordOf: (id: string) => VerifiedRecord | undefined;
  /** Endpoints to which nothing is sent. */
  readonly refuses: (address: Address) => boolean;
  /** Endpoints of seeds, as the token or the configuration gives them: no proof is needed there. */
  readonly isSeed: (id: string, address: Address) => boolean;
}

/** What rides along. */
export interface NewsSource {
  readonly queue: BroadcastQueue;
  readonly members: number;
  readonly mult: number;
  /** The datagram answers the peer, who can ask as often as it likes: it shall not use up what others have not heard. */
  readonly answering: boolean;
}

function targetOf(to: Outbound): { readonly address: Address | null; readonly boxKey: Uint8Array } {
  return 'record' in to
    ? { address: to.record.address, boxKey: to.record.boxKey }
    : { address: to.contact.address, boxKey: to.contact.boxKey };
}

type NewsMessage = Extract<Message, { type: 'record' | 'suspect' | 'statement' | 'equivocation' }>;

/** Below this no news fits: an accusation of two ids, a number and a signature. */
const LEAST_NEWS_BYTES = 64;

const NONE = new Uint8Array(0);
/** Records as messages without their certificates, which is how most are sent; weak, so bounded by the records that are held. */
const bareRecords = new WeakMap<VerifiedRecord, Uint8Array>();
/** What a record message takes. */
const recordBytes = (record: VerifiedRecord, whole: boolean): number =>
  MESSAGE_HEADER_BYTES + 4 + record.bytes.length + (whole ? record.credential.length : 0);
/** News that rides on an answer: a record or two. */
const ANSWER_NEWS_BYTES = 448;
/** Part of the times that news is sent in which a new member's certificate goes along. */
const FIRST_TIMES = 1 / 2;

export class Outbox {
  readonly #p: OutboxParts;
  readonly #emit: (output: SwimOutput) => void;
  /** This start's number. */
  boot: number;
  /** Messages sent by type; bounded by the message table. */
  readonly counts = new Map<string, number>();

  constructor(parts: OutboxParts, boot: number, emit: (output: SwimOutput) => void) {
    this.#p = parts;
    this.boot = boot;
    this.#emit = emit;
  }

  #encode(m: Message): Uint8Array {
    this.counts.set(m.type, (this.counts.get(m.type) ?? 0) + 1);
    return encodeMessage(m);
  }

  #recordMessage(
    to: Outbound,
    record: VerifiedRecord,
    withCredential = false,
  ): Extract<Message, { type: 'record' }> {
    const known = !withCredential && to.channel.hasCredentialOf(record.id.slice(0, 16));
    return { type: 'record', record: record.bytes, credential: known ? NONE : record.credential };
  }

  /** Whether the peer is at the endpoint that it states; if not, a ping finds out and little else may go there. */
  isProven(to: Outbound): boolean {
    const { address } = targetOf(to);
    return address !== null && to.channel.isProvenAt(address);
  }

  /** Notes that a new box of `from` came from `source`. */
  heard(from: Outbound, source: Address): void {
    const { address } = targetOf(from);
    if (address !== null && sameAddress(address, source)) from.channel.provenAt(address);
  }

  /** Where a datagram to this peer goes now; null if none may. */
  #destination(to: Outbound, nowMs: number): Address | null {
    const { address } = targetOf(to);
    if (address === null || to.channel.isRefused(address, this.#p.refuses)) return null;
    return to.channel.maySend(nowMs, address, this.#p.isSeed(to.id, address)) ? address : null;
  }

  /** One datagram with `messages` and, if the other side knows our boot, as much news as fits. */
  send(to: Outbound, messages: readonly Message[], news: NewsSource, nowMs: number): void {
    const address = this.#destination(to, nowMs);
    if (address === null) return;
    for (const m of messages) if (m.type === 'ping') to.channel.pinged(m.probe, address);
    const parts = messages.map((m) => this.#encode(m));
    let room = MAX_MESSAGES_BYTES - parts.reduce((sum, p) => sum + p.length, 0);
    const acks = to.channel.takeAcks(Math.floor((room - MESSAGE_HEADER_BYTES) / ID_PREFIX_BYTES));
    if (acks.length > 0) {
      const part = this.#encode({ type: 'credentialAck', ids: acks });
      parts.push(part);
      room -= part.length;
    }
    const takesNews =
      news.queue.size > 0 &&
      to.channel.isProvenAt(address) &&
      (!news.answering || to.channel.mayTakeNews(nowMs));
    if (takesNews) parts.push(...this.#newsFor(to, news, room));
    if (parts.length > 0) this.#seal(to, address, parts, nowMs);
  }

  /**
   * News for `room` bytes. A new member's record goes with its certificate the first times, when hardly anybody has it.
   * Others go without, so that many fit; what room is left is for certificates that the peer is not known to have. It asks
   * for those that it lacks.
   */
  #newsFor(to: Outbound, news: NewsSource, room: number): Uint8Array[] {
    const limit = retransmitLimit(news.mult, news.members);
    const told: Uint8Array[] = [];
    /** Place in `told`; bounded by what fits a datagram. */
    const bare: { readonly at: number; readonly record: VerifiedRecord }[] = [];
    // What rides on an answer does not count as told: it shall cost little.
    let left = news.answering ? Math.min(room, ANSWER_NEWS_BYTES) : room;
    news.queue.each(news.answering ? null : limit, (item) => {
      if (left < LEAST_NEWS_BYTES) return 'stop';
      const record = this.#recordIn(item);
      if (record === null) return 'gone';
      if (record?.id === to.id) return 'skipped';
      const isFirst =
        !news.answering && 'isNew' in item.what && item.what.isNew && item.transmits < limit * FIRST_TIMES;
      const lacks = record !== undefined && !to.channel.hasCredentialOf(record.id.slice(0, 16));
      const whole = lacks && isFirst;
      const bytes =
        record === undefined ? messageBytes(item.what as NewsMessage) : recordBytes(record, whole);
      if (bytes > left) return 'skipped';
      if (record === undefined) told.push(this.#encode(item.what as NewsMessage));
      else {
        if (lacks && !whole) bare.push({ at: told.length, record });
        told.push(whole ? this.#encode(this.#recordMessage(to, record, true)) : this.#encodeBare(record));
      }
      left -= bytes;
      return 'sent';
    });
    for (const { at, record } of bare)
      if (record.credential.length <= left) {
        told[at] = encodeMessage(this.#recordMessage(to, record, true));
        left -= record.credential.length;
      }
    return told;
  }

  #encodeBare(record: VerifiedRecord): Uint8Array {
    this.counts.set('record', (this.counts.get('record') ?? 0) + 1);
    let bytes = bareRecords.get(record);
    if (bytes === undefined) {
      bytes = encodeMessage({ type: 'record', record: record.bytes, credential: NONE });
      bareRecords.set(record, bytes);
    }
    return bytes;
  }

  /** Undefined for news that is no record; null if its member was forgotten. */
  #recordIn({ what }: News): VerifiedRecord | null | undefined {
    if (!('recordOf' in what)) return undefined;
    return what.recordOf === this.#p.selfId ? this.#p.own() : (this.#p.recordOf(what.recordOf) ?? null);
  }

  /** Records, in as many datagrams as they need and `mayGo` lets go; the rest is asked for another time. */
  sendRecords(
    to: Outbound,
    records: readonly VerifiedRecord[],
    withCredentials: boolean,
    nowMs: number,
    mayGo: () => boolean,
  ): void {
    const address = records.length === 0 ? null : this.#destination(to, nowMs);
    if (address === null) return;
    let parts: Uint8Array[] = [];
    let used = 0;
    for (const record of records) {
      const part = this.#encode(this.#recordMessage(to, record, withCredentials));
      if (used + part.length > MAX_MESSAGES_BYTES) {
        if (!mayGo()) return;
        this.#seal(to, address, parts, nowMs);
        if (!to.channel.isProvenAt(address)) return;
        parts = [];
        used = 0;
      }
      parts.push(part);
      used += part.length;
    }
    if (mayGo()) this.#seal(to, address, parts, nowMs);
  }

  /** BOOT, if that is no larger than what it answers. */
  answerBoot(to: Outbound, datagramBytes: number): void {
    const bytes = this.#box(to, [
      this.#encode({ type: 'boot', mine: this.boot, yours: to.channel.theirBoot }),
    ]);
    const { address } = targetOf(to);
    if (bytes === null || address === null || bytes.length > datagramBytes) return;
    if (!to.channel.isRefused(address, this.#p.refuses)) this.#emit({ type: 'send', to: address, bytes });
  }

  #box(to: Outbound, parts: readonly Uint8Array[]): Uint8Array | null {
    const inner = encodeInner(this.boot, to.channel.nextSeq(), to.channel.theirBoot, parts);
    const nonce = this.#p.rng.fill(new Uint8Array(NONCE_BYTES));
    const box = this.#p.sealer.seal(to.id, targetOf(to).boxKey, nonce, inner);
    return box === null ? null : encodeBox(this.#p.selfId, to.id, nonce, box);
  }

  #seal(to: Outbound, address: Address, parts: readonly Uint8Array[], nowMs: number): void {
    if (to.channel.takeIntro(nowMs, 'record' in to && to.state === 'dead')) {
      const own = this.#p.own();
      const body = encodeIntroBody(own.bytes, own.credential);
      const nonce = this.#p.rng.fill(new Uint8Array(NONCE_BYTES));
      if (body !== null)
        this.#emit({
          type: 'send',
          to: address,
          bytes: encodeIntro(nonce, this.#p.sealer.sealIntro(nonce, body)),
        });
    }
    const bytes = this.#box(to, parts);
    if (bytes !== null) this.#emit({ type: 'send', to: address, bytes });
  }
}
