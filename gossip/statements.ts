/**
 * Statements for everybody that are no member's record: what a mesh's roots say of trust. gossip/ only spreads them and
 * finds out what two hosts do not both have; what they mean is the store's business, which is injected. News at once;
 * every ping carries the store's digest, so that whoever missed it notices within a probe:
 *
 *   digest that differs  ->  lists of what is here, by range of ids  ->  what is missing there, wants for what is missing
 */
import type { Core } from './core.ts';
import { MAX_LISTED, type Message } from './message.ts';
import type { Outbound } from './outbox.ts';
import { prefixOf } from './roster.ts';
import type { Banned, StatementStore } from './types.ts';

/** Hosts that are told why nobody answers them; the oldest goes first. */
const MAX_BANNED = 1024;
const LOWEST = '0'.repeat(16);
const HIGHEST = 'f'.repeat(16);

type BannedPeer = Extract<Outbound, { contact: unknown }> & { readonly statement: Uint8Array };

export class Statements {
  readonly #core: Core;
  readonly #store: StatementStore | null;
  /** By id prefix, oldest first; bounded by MAX_BANNED. */
  readonly #banned = new Map<string, BannedPeer>();
  /** A statement was refused and none taken since. */
  #refused = false;

  constructor(core: Core) {
    this.#core = core;
    this.#store = core.parts.statements ?? null;
  }

  /** Our digest, to go with a ping. */
  digest(): readonly Message[] {
    return this.#store === null ? [] : [{ type: 'statementDigest', digest: this.#store.digest() }];
  }

  /** Makes a statement news; it is in the store already. */
  spread(id: string): void {
    const bytes = this.#store?.get(id) ?? null;
    if (bytes !== null) this.#core.tellAll(id, bytes);
  }

  /** Another host's digest: if it is not ours, it gets a list of what is here. */
  compared(sender: Outbound, theirs: Uint8Array, nowMs: number): void {
    if (this.#store === null) return;
    const own = this.#store.digest();
    if (Buffer.compare(own, theirs) === 0) return;
    const pair = Buffer.concat([own, theirs]).toString('latin1');
    if (!sender.channel.mayCompare(nowMs, pair)) return;
    const ids = this.#store.ids();
    let from = LOWEST;
    for (let at = 0; at === 0 || at < ids.length; at += MAX_LISTED) {
      const listed = ids.slice(at, at + MAX_LISTED);
      const to = at + MAX_LISTED >= ids.length ? HIGHEST : (listed.at(-1) ?? HIGHEST);
      this.#core.send(sender, [{ type: 'statementList', from, to, ids: listed }], nowMs);
      from = to;
    }
  }

  listed(sender: Outbound, m: Extract<Message, { type: 'statementList' }>, nowMs: number): void {
    const store = this.#store;
    if (store === null) return;
    if (!sender.channel.mayServe(nowMs)) return this.#core.drop('rate');
    const there = new Set(m.ids);
    this.#serve(sender, store.missing(m.from, m.to, there), nowMs);
    const wanted = m.ids.filter((id) => !store.knows(id));
    if (wanted.length > 0) this.#core.send(sender, [{ type: 'statementWant', ids: wanted }], nowMs);
  }

  wanted(sender: Outbound, ids: readonly string[], nowMs: number): void {
    if (!sender.channel.mayServe(nowMs)) return this.#core.drop('rate');
    this.#serve(sender, ids, nowMs);
  }

  #serve(sender: Outbound, ids: readonly string[], nowMs: number): void {
    for (const id of ids) {
      const statement = this.#store?.get(id) ?? null;
      if (statement === null) continue;
      if (!sender.channel.mayGetRecords(nowMs)) return;
      this.#core.send(sender, [{ type: 'statement', statement }], nowMs);
    }
  }

  received(sender: Outbound, bytes: Uint8Array, nowMs: number): void {
    if (this.#store === null) return;
    if (this.#store.holds(bytes)) return;
    if (!sender.channel.mayVerify(nowMs)) return this.#core.drop('rate');
    const taken = this.#store.receive(bytes);
    if (taken === 'refused') {
      this.#refused = true;
      return this.#core.drop('gossip');
    }
    if (taken === 'known') return;
    this.spread(taken.id);
    this.#core.emit({ type: 'statement', id: taken.id });
    // What one statement gives the right to say may have come before it.
    if (this.#refused) this.#core.send(sender, this.digest(), nowMs);
    this.#refused = false;
  }

  // --- hosts that are out -------------------------------------------------------------------------------------------

  /** Such a host's messages get one kind of answer: the statement that ended its membership. */
  ban({ id, boxKey, address, statement }: Banned, channel: Outbound['channel']): BannedPeer {
    const peer = { id, channel, contact: { id, boxKey, address }, statement };
    this.#banned.delete(prefixOf(id));
    this.#banned.set(prefixOf(id), peer);
    for (const oldest of this.#banned.keys()) {
      if (this.#banned.size <= MAX_BANNED) break;
      this.#banned.delete(oldest);
    }
    return peer;
  }

  isBanned(prefix: string): boolean {
    return this.#banned.has(prefix);
  }

  bannedByPrefix(prefix: string): Outbound | undefined {
    return this.#banned.get(prefix);
  }

  /** What a record that did not verify says of a host that is out; null if it says nothing. */
  bannedBy(record: Uint8Array, credential: Uint8Array): Banned | null {
    return this.#store?.banned(record, credential) ?? null;
  }

  /** True when the sender is out: it was told so, and nothing else of it counts. */
  answerBanned(sender: Outbound, nowMs: number): boolean {
    const peer = this.#banned.get(prefixOf(sender.id));
    if (peer === undefined || peer.id !== sender.id) return false;
    // An introduction would give it nothing.
    sender.channel.opened = true;
    if (sender.channel.mayTellDoubt(nowMs))
      this.#core.sendAlone(sender, [{ type: 'statement', statement: peer.statement }], nowMs);
    return true;
  }
}
