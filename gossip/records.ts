/**
 * Owner-signed records: which are taken, how newer ones spread, and how two hosts compare what they have. A record is
 * passed on as its owner signed it, so that any member may serve it.
 *
 *   digest (16 hashes)  ->   summaries of the buckets that differ  ->   want + what is newer here   ->   records
 */

import { MAX_MESSAGES_BYTES } from './codec.ts';
import { pushPullScale } from './config.ts';
import type { Core } from './core.ts';
import { summaryOf } from './digest.ts';
import { compareRecords } from './member.ts';
import { MAX_SUMMARY_ENTRIES, MAX_WANT, type Message, type SummaryEntry, summaryBytes } from './message.ts';
import type { Outbound } from './outbox.ts';
import { isHere, prefixOf } from './roster.ts';
import type { VerifiedRecord } from './types.ts';

/** A host that started or found itself behind compares after this, with somebody else each time, then half as often. */
const CATCH_UP_MS = 1000;
/** Comparisons in which it was not behind before it does so less often: the other may have been behind too. */
const CATCH_UP_ROUNDS = 6;
/** Records asked for whose arrival within WANTED_MS is no news to others. */
const MAX_WANTED = 4096;
const WANTED_MS = 5000;
/** A record that was asked for is not asked for again before this. */
const ASK_AGAIN_MS = 500;

/** What records set off elsewhere. */
interface Reactions {
  /** The own record came back with a number that this host did not give. */
  readonly outbid: (incarnation: number, nowMs: number) => void;
  /** A dead member states itself anew. */
  readonly returned: (nowMs: number) => void;
  /** Two records of one member with one number. */
  readonly contradicted: (a: VerifiedRecord, b: VerifiedRecord, nowMs: number) => void;
  /** What goes along with a comparison. */
  readonly proofs: (nowMs: number) => readonly Message[];
}

/** A record to ask for. */
interface Ask {
  readonly prefix: string;
  /** Its member's certificate is here. */
  readonly hasCredential: boolean;
  /** It came as news whose certificate is missing: once it is here it is news to others too. */
  readonly isNews: boolean;
}

/** One that was asked for: without `isNews` its arrival is no news to others. */
interface Wanted {
  readonly atMs: number;
  /** Asked for with its certificate: nothing is missing from the answer. */
  readonly whole: boolean;
  readonly isNews: boolean;
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

export class Records {
  readonly #core: Core;
  readonly #react: Reactions;
  /** When the next comparison is due. */
  #nextSyncMs: number;
  #syncIntervalMs = CATCH_UP_MS;
  #roundsLeft = CATCH_UP_ROUNDS;
  /** Prefixes of records asked for, oldest first; bounded by MAX_WANTED. */
  readonly #wanted = new Map<string, Wanted>();
  /** Prefixes to ask the sender of the datagram that is being read for; bounded by MAX_WANT. */
  #asks: Ask[] = [];
  /** Records that it lacks; bounded by MAX_WANT. */
  #newer: VerifiedRecord[] = [];

  constructor(core: Core, react: Reactions, nowMs: number) {
    this.#core = core;
    this.#react = react;
    this.#nextSyncMs = nowMs;
    if (core.parts.known !== undefined) this.#settled(nowMs);
  }

  /** Nothing to catch up with: the next comparison is somewhere in the longest interval. */
  #settled(nowMs: number): void {
    this.#syncIntervalMs = this.#longestMs();
    this.#nextSyncMs = nowMs + this.#core.parts.rng.float() * this.#syncIntervalMs;
  }

  #longestMs(): number {
    return pushPullScale(this.#core.config.pushPullIntervalMs, this.#core.roster.size + 1);
  }

  /** Compares with a random member when it is time. */
  tick(nowMs: number): void {
    if (nowMs < this.#nextSyncMs) return;
    const { roster } = this.#core;
    this.#nextSyncMs = nowMs + this.#syncIntervalMs;
    const [m] = roster.pick(1, (candidate) => isHere(candidate) && candidate.channel.opened);
    if (m === undefined) return;
    this.#roundsLeft -= 1;
    if (this.#roundsLeft <= 0) this.#syncIntervalMs = Math.min(this.#longestMs(), 2 * this.#syncIntervalMs);
    this.sync(m, nowMs);
  }

  /** Something was missed, or will have been: compares often again. */
  catchUp(nowMs: number): void {
    this.#roundsLeft = CATCH_UP_ROUNDS;
    this.#syncIntervalMs = CATCH_UP_MS;
    this.#nextSyncMs = Math.min(this.#nextSyncMs, nowMs + CATCH_UP_MS);
  }

  /** Takes note of a record to ask the sender of this datagram for; what does not fit is asked for another time. */
  #ask(ask: Ask, nowMs: number): void {
    const asked = this.#wanted.get(ask.prefix);
    // What came without its certificate may need another one than is here: then the whole is asked for at once.
    const isCovered = asked?.whole === true || ask.hasCredential;
    if (asked !== undefined && isCovered && nowMs - asked.atMs < ASK_AGAIN_MS) return;
    if (this.#asks.length < MAX_WANT && this.#asks.every(({ prefix }) => prefix !== ask.prefix))
      this.#asks.push(ask);
  }

  /** Answers what the messages of one datagram showed: asks for what is missing here, sends what is missing there. */
  finish(sender: Outbound, nowMs: number): void {
    const newer = this.#newer;
    this.#newer = [];
    if (newer.length > 0) this.#core.sendRecords(sender, newer, false, nowMs);
    if (this.#asks.length === 0) return;
    const asks = this.#asks;
    this.#asks = [];
    for (const { prefix, hasCredential, isNews } of asks) {
      this.#wanted.delete(prefix);
      this.#wanted.set(prefix, { atMs: nowMs, whole: !hasCredential, isNews });
    }
    for (const [oldest, { atMs }] of this.#wanted) {
      if (nowMs - atMs < WANTED_MS && this.#wanted.size <= MAX_WANTED) break;
      this.#wanted.delete(oldest);
    }
    const messages: Message[] = [];
    for (const type of ['want', 'refresh'] as const) {
      const ids = asks.flatMap((ask) => (ask.hasCredential === (type === 'refresh') ? [ask.prefix] : []));
      if (ids.length > 0) messages.push({ type, ids });
    }
    this.#core.send(sender, messages, nowMs);
  }

  /** Begins a comparison. */
  sync(to: Outbound, nowMs: number): void {
    this.#core.send(to, [this.digest(), ...this.#react.proofs(nowMs)], nowMs);
  }

  digest(): Message {
    return { type: 'digest', buckets: this.#digests() };
  }

  #digests(): bigint[] {
    return this.#core.roster.index.digests(this.#core.own);
  }

  #bucket(bucket: number): VerifiedRecord[] {
    return this.#core.roster.index.bucket(bucket, this.#core.own);
  }

  #byPrefix(prefix: string): VerifiedRecord | undefined {
    const { own, roster } = this.#core;
    return prefix === prefixOf(own.id) ? own : roster.recordByPrefix(prefix);
  }

  /** A record that `sender` passed on; `credential` is empty if it thinks that we have it. */
  received(sender: Outbound, bytes: Uint8Array, credential: Uint8Array, nowMs: number): void {
    const { own, roster, parts } = this.#core;
    const claimed = parts.verifier.claimedId(bytes);
    if (claimed === null) return this.#core.drop('gossip');
    const known = claimed === own.id ? own : roster.member(claimed)?.record;
    const chain = credential.length > 0 ? credential : known?.credential;
    const prefix = prefixOf(claimed);
    if (chain === undefined) return this.#ask({ prefix, hasCredential: false, isNews: true }, nowMs);
    // The same bytes were verified before; that is most of what arrives.
    const same = known !== undefined && sameBytes(known.bytes, bytes) ? known : null;
    if (same === null && !sender.channel.mayVerify(nowMs)) return this.#core.drop('rate');
    const record = same ?? parts.verifier.verify(bytes, chain);
    if (record === null) {
      // Its owner may have a new certificate.
      if (credential.length === 0 && claimed !== own.id)
        this.#ask({ prefix, hasCredential: false, isNews: true }, nowMs);
      return this.#core.drop('gossip');
    }
    if (record.id !== own.id) this.merge(record, nowMs);
    else if (compareRecords(record, own) >= 0 && !sameBytes(record.bytes, own.bytes)) {
      if (compareRecords(record, own) === 0) this.#react.contradicted(own, record, nowMs);
      this.#react.outbid(record.incarnation, nowMs);
    }
    sender.channel.credentialAcked(prefix);
    if (credential.length > 0 && this.#byPrefix(prefix) !== undefined)
      sender.channel.acknowledgeLater(prefix);
  }

  /** A record that its owner may just have sent: it also brings back who was forgotten. */
  introduced(record: VerifiedRecord, nowMs: number): void {
    if (this.#core.roster.member(record.id) === undefined) this.#addNew(record, nowMs);
    else this.merge(record, nowMs);
  }

  #addNew(record: VerifiedRecord, nowMs: number): void {
    const { roster } = this.#core;
    if (roster.full) return this.#core.drop('gossip');
    const member = roster.add(record, nowMs);
    this.#tell(record.id, true, nowMs);
    this.#core.emit({ type: 'member', id: record.id });
    if (member.channel.opened) this.#core.emit({ type: 'reachable', id: record.id });
  }

  /** Takes a verified record of another member if it is newer, and passes it on. */
  merge(record: VerifiedRecord, nowMs: number): void {
    const { roster } = this.#core;
    const known = roster.member(record.id);
    if (known === undefined) {
      // Others forget a little later than we, and would bring it back for another round, for ever.
      if (!roster.isForgotten(prefixOf(record.id), record)) this.#addNew(record, nowMs);
      return;
    }
    const order = compareRecords(record, known.record);
    if (order === 0 && !sameBytes(record.bytes, known.record.bytes))
      this.#react.contradicted(known.record, record, nowMs);
    if (order <= 0) return;
    if (!known.channel.mayUpdate(nowMs)) return this.#core.drop('rate');
    // Only a new incarnation answers doubt: a record with a new seq may be older than the silence.
    const answersDoubt = record.incarnation > known.record.incarnation || record.status === 'left';
    roster.replaceRecord(known, record);
    if (known.state === 'alive' ? record.status === 'left' : answersDoubt) {
      if (known.suspicion !== null && record.status === 'alive') this.#core.counts.refuted += 1;
      if (known.state === 'dead' && record.status === 'alive') this.#react.returned(nowMs);
      known.suspicion = null;
      roster.setState(known, record.status, nowMs);
    }
    this.#tell(record.id, false, nowMs);
    this.#core.emit({ type: 'member', id: record.id });
  }

  /** Passes a record on, unless this host had to ask for it: then the others have it, or will ask too. */
  #tell(id: string, isNew: boolean, nowMs: number): void {
    const wanted = this.#wanted.get(prefixOf(id));
    this.#wanted.delete(prefixOf(id));
    if (wanted === undefined || wanted.isNews || nowMs - wanted.atMs >= WANTED_MS)
      this.#core.announce(id, isNew);
  }

  /** Answers a digest. What asks this has echoed our boot, so that the answer may be larger than the question. */
  answerDigest(sender: Outbound, theirs: readonly bigint[], nowMs: number): void {
    if (!sender.channel.mayAnswerDigest(nowMs)) return this.#core.drop('rate');
    let messages: Message[] = [];
    let room = MAX_MESSAGES_BYTES;
    for (const [bucket, digest] of this.#digests().entries()) {
      if (digest === theirs[bucket]) continue;
      const entries = summaryOf(this.#bucket(bucket), this.#core.parts.rng.float());
      const bytes = summaryBytes(entries.length);
      if (bytes > room) {
        this.#core.send(sender, messages, nowMs);
        messages = [];
        room = MAX_MESSAGES_BYTES;
      }
      messages.push({ type: 'summary', bucket, entries });
      room -= bytes;
    }
    if (messages.length > 0) this.#core.send(sender, messages, nowMs);
  }

  /** Sends what is newer here and asks for what is newer there. */
  answerSummary(sender: Outbound, bucket: number, entries: readonly SummaryEntry[], nowMs: number): void {
    if (!sender.channel.mayServe(nowMs)) return this.#core.drop('rate');
    let behind = false;
    const newer = this.#newer;
    for (const entry of entries) {
      // It verified what it lists.
      sender.channel.credentialAcked(entry.id);
      const mine = this.#byPrefix(entry.id);
      const order = mine === undefined ? -1 : compareRecords(mine, entry);
      if (order < 0 && (mine !== undefined || !this.#core.roster.isForgotten(entry.id, entry))) {
        behind = true;
        this.#ask({ prefix: entry.id, hasCredential: mine !== undefined, isNews: false }, nowMs);
      } else if (order > 0 && mine !== undefined) newer.push(mine);
    }
    // A full summary may be a part of a larger bucket: what is not in it may still be there.
    if (entries.length < MAX_SUMMARY_ENTRIES) {
      const listed = new Set(entries.map((e) => e.id));
      for (const record of this.#bucket(bucket)) if (!listed.has(prefixOf(record.id))) newer.push(record);
    }
    if (behind) this.catchUp(nowMs);
    newer.splice(MAX_WANT);
  }

  /** @param withCredentials who asks may have forgotten the certificate that it once acknowledged */
  answerWant(sender: Outbound, prefixes: readonly string[], withCredentials: boolean, nowMs: number): void {
    if (!sender.channel.mayServe(nowMs)) return this.#core.drop('rate');
    const records = prefixes.map((p) => this.#byPrefix(p)).filter((r) => r !== undefined);
    if (!withCredentials) for (const prefix of prefixes) sender.channel.credentialAcked(prefix);
    this.#core.sendRecords(sender, records, withCredentials, nowMs);
  }

  load(nowMs: number): void {
    const { parts, own } = this.#core;
    for (const saved of parts.persistence.loadMembers()) {
      const record = parts.verifier.verify(saved.record, saved.credential);
      if (record !== null && record.id !== own.id && !this.#core.roster.full) {
        if (this.#core.roster.member(record.id) === undefined) this.#core.roster.add(record, nowMs);
        this.#core.emit({ type: 'member', id: record.id });
      }
    }
  }

  save(): void {
    const worth = this.#core.roster.worthKeeping();
    this.#core.parts.persistence.saveMembers(worth);
    this.#core.roster.dirty = false;
  }
}
