/**
 * From datagram to meaning, cheapest check first: rate, size, framing, box, boots, replay window, then each message. What
 * fails a check changes nothing but a counter, and the only answer it may get is a BOOT no larger than itself.
 */

import { Channel } from './channel.ts';
import {
  decodeBox,
  decodeInner,
  decodeIntro,
  decodeIntroBody,
  type Inner,
  type Message,
  TYPE_BOX,
  TYPE_INTRO,
} from './codec.ts';
import { MAX_DATAGRAM_BYTES } from './config.ts';
import type { Core } from './core.ts';
import type { Doubt } from './doubt.ts';
import type { Quarantine } from './equivocation.ts';
import type { Member } from './member.ts';
import type { Outbound } from './outbox.ts';
import type { Prober } from './prober.ts';
import { RateLimit } from './rate-limit.ts';
import type { Records } from './records.ts';
import type { Redial } from './redial.ts';
import { prefixOf } from './roster.ts';
import type { Statements } from './statements.ts';
import type { Address } from './types.ts';

/** The highest boot that a peer may say it saw of us: what is left above it lasts for as many starts. */
const MAX_CLAIMED_BOOT = 2 ** 53 - 2 ** 32;

export class Receiver {
  readonly #core: Core;
  readonly #records: Records;
  readonly #doubt: Doubt;
  readonly #prober: Prober;
  readonly #redial: Redial;
  readonly #statements: Statements;
  readonly #quarantine: Quarantine;
  readonly #limit = new RateLimit();
  /** Messages understood by type; bounded by the message table. */
  readonly counts = new Map<string, number>();

  constructor(
    core: Core,
    records: Records,
    doubt: Doubt,
    prober: Prober,
    redial: Redial,
    statements: Statements,
    quarantine: Quarantine,
  ) {
    this.#core = core;
    this.#records = records;
    this.#doubt = doubt;
    this.#prober = prober;
    this.#redial = redial;
    this.#statements = statements;
    this.#quarantine = quarantine;
  }

  datagram(nowMs: number, bytes: Uint8Array, from: Address): void {
    if (!this.#limit.allow(from.ip, this.#core.roster.isKnownAddress(from.ip), nowMs))
      this.#core.drop('rate');
    else if (bytes.length > MAX_DATAGRAM_BYTES) this.#core.drop('garbage');
    else if (bytes[0] === TYPE_BOX) this.#box(nowMs, bytes, from);
    else if (bytes[0] === TYPE_INTRO) this.#intro(nowMs, bytes, from);
    else this.#core.drop('garbage');
  }

  /** Makes a new member known; never answered, gives no authority. */
  #intro(nowMs: number, bytes: Uint8Array, from: Address): void {
    const { sealer, verifier } = this.#core.parts;
    const frame = decodeIntro(bytes);
    if (frame === null) return this.#core.drop('garbage');
    if (!this.#limit.allowIntro(from.ip, nowMs)) return this.#core.drop('rate');
    const body = sealer.openIntro(frame.nonce, frame.sealed);
    const content = body === null ? null : decodeIntroBody(body);
    if (content === null) return this.#core.drop('auth');
    // Only what a holder of the psk made may use up the signatures that all addresses share.
    if (!this.#limit.allowVerified(nowMs)) return this.#core.drop('rate');
    const record = verifier.verify(content.record, content.credential);
    if (record === null) return this.#introOfBanned(content.record, content.credential);
    if (record.id !== this.#core.own.id) this.#records.introduced(record, nowMs);
  }

  /** One that is out comes back: it will be told why when it speaks. */
  #introOfBanned(record: Uint8Array, credential: Uint8Array): void {
    const banned = this.#statements.bannedBy(record, credential);
    if (banned === null) return this.#core.drop('auth');
    if (!this.#statements.isBanned(prefixOf(banned.id))) this.#statements.ban(banned, new Channel());
    this.#core.drop('revoked');
  }

  #box(nowMs: number, bytes: Uint8Array, from: Address): void {
    const { own, roster, parts } = this.#core;
    const frame = decodeBox(bytes);
    if (frame === null) return this.#core.drop('garbage');
    const sender = this.#statements.bannedByPrefix(frame.sender) ?? roster.peerByPrefix(frame.sender);
    if (sender === undefined || frame.receiver !== prefixOf(own.id)) return this.#core.drop('gossip');
    const boxKey = 'record' in sender ? sender.record.boxKey : sender.contact.boxKey;
    const plain = parts.sealer.open(sender.id, boxKey, frame.nonce, frame.box);
    if (plain === null) return this.#core.drop('auth');
    const inner = decodeInner(plain);
    if (inner === null) return this.#core.drop('gossip');
    this.#authentic(sender, inner, bytes.length, from, nowMs);
  }

  #authentic(sender: Outbound, inner: Inner, datagramBytes: number, from: Address, nowMs: number): void {
    const { channel } = sender;
    const { outbox, roster } = this.#core;
    if (inner.boot > channel.theirBoot) channel.reboot(inner.boot);
    if (inner.boot < channel.theirBoot || inner.echo !== outbox.boot) {
      const boot = inner.messages.find((m) => m.type === 'boot');
      if (boot === undefined) this.#stale(sender, inner, datagramBytes, nowMs);
      // It knows a later boot of ours: our counter is from an old copy of the disk.
      else if (boot.yours > outbox.boot) this.#goOnBeyond(sender, boot.yours, nowMs);
      return;
    }
    if (!channel.accept(inner.seq)) return this.#core.drop('replay');
    outbox.heard(sender, from);
    if (this.#statements.answerBanned(sender, nowMs)) return this.#core.drop('revoked');
    if (!channel.opened) {
      channel.opened = true;
      if (roster.member(sender.id) !== undefined) this.#core.emit({ type: 'reachable', id: sender.id });
      this.#prober.channelOpened(sender.id, nowMs);
      // What was said before was not understood there.
      if (roster.isSeed(sender.id)) this.#records.sync(sender, nowMs);
    }
    this.#messages(sender, inner.messages, nowMs);
    const member = roster.member(sender.id);
    if (member === undefined || member.state === 'alive') return;
    if (member.state === 'dead') this.#redial.healed(nowMs);
    this.#tellDoubt(member, nowMs);
  }

  /** One datagram gets one ack and one request for records, however much is in it. */
  #messages(sender: Outbound, messages: readonly Message[], nowMs: number): void {
    let acked = false;
    for (const m of messages) {
      this.counts.set(m.type, (this.counts.get(m.type) ?? 0) + 1);
      if (m.type !== 'ping') this.#message(sender, m, nowMs);
      else if (acked) this.#core.drop('rate');
      else {
        acked = true;
        this.#core.send(sender, [{ type: 'ack', probe: m.probe }], nowMs);
      }
    }
    this.#records.finish(sender, nowMs);
  }

  #stale(sender: Outbound, inner: Inner, datagramBytes: number, nowMs: number): void {
    // Who has never heard us cannot echo our boot; that is how each conversation begins.
    if (inner.echo !== 0 || inner.boot < sender.channel.theirBoot) this.#core.drop('replay');
    if (sender.channel.mayAnswerBoot(nowMs)) this.#core.outbox.answerBoot(sender, datagramBytes);
  }

  #goOnBeyond(sender: Outbound, boot: number, nowMs: number): void {
    if (boot > MAX_CLAIMED_BOOT || !sender.channel.takeBootRaise()) return this.#core.drop('gossip');
    this.#core.outbox.boot = this.#core.parts.persistence.nextBoot(boot);
    this.#records.sync(sender, nowMs);
  }

  /** One who speaks though it is doubted here is told, so that it refutes. */
  #tellDoubt(member: Member, nowMs: number): void {
    if (!member.channel.mayTellDoubt(nowMs)) return;
    const doubt = this.#doubt.about(member);
    if (doubt !== null) this.#core.send(member, [doubt], nowMs);
  }

  /** Whether what may be larger than the question can go to the sender; if not, a ping finds out. */
  #mayAnswer(sender: Outbound, nowMs: number): boolean {
    if (this.#core.outbox.isProven(sender)) return true;
    this.#core.send(sender, [{ type: 'ping', probe: this.#core.randomU64() }], nowMs);
    return false;
  }

  #message(sender: Outbound, m: Exclude<Message, { type: 'ping' }>, nowMs: number): void {
    switch (m.type) {
      case 'ack':
        sender.channel.answered(m.probe);
        return this.#prober.acked(sender.id, m.probe, nowMs);
      case 'pingReq':
        return this.#prober.asked(sender.id, m.probe, m.target, nowMs);
      case 'record':
        return this.#records.received(sender, m.record, m.credential, nowMs);
      case 'suspect':
        if (!sender.channel.mayAccuse(nowMs)) return this.#core.drop('rate');
        return this.#doubt.accused(sender, m.accusation, nowMs);
      case 'digest':
        if (this.#mayAnswer(sender, nowMs)) this.#records.answerDigest(sender, m.buckets, nowMs);
        return;
      case 'summary':
        if (this.#mayAnswer(sender, nowMs)) this.#records.answerSummary(sender, m.bucket, m.entries, nowMs);
        return;
      case 'want':
      case 'refresh':
        if (this.#mayAnswer(sender, nowMs)) this.#records.answerWant(sender, m.ids, m.type === 'want', nowMs);
        return;
      case 'equivocation':
        if (!sender.channel.mayVerify(nowMs)) return this.#core.drop('rate');
        return this.#quarantine.told(m.a, m.b, nowMs);
      case 'credentialAck':
        for (const id of m.ids) sender.channel.credentialAcked(id);
        return;
      case 'statement':
        return this.#statements.received(sender, m.statement, nowMs);
      case 'statementDigest':
        if (this.#mayAnswer(sender, nowMs)) this.#statements.compared(sender, m.digest, nowMs);
        return;
      case 'statementList':
        if (this.#mayAnswer(sender, nowMs)) this.#statements.listed(sender, m, nowMs);
        return;
      case 'statementWant':
        if (this.#mayAnswer(sender, nowMs)) this.#statements.wanted(sender, m.ids, nowMs);
        return;
      case 'boot':
        // It had not understood us before.
        this.#prober.channelOpened(sender.id, nowMs);
        return;
    }
  }
}
