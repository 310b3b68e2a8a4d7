/**
 * Doubt about members: signed accusations, the time that a doubted one has to speak up, and the answer to doubt about
 * this host. There is no message that says dead: each host lets its own timer run out (Lifeguard, arXiv 1707.00788).
 */

import type { Core } from './core.ts';
import type { Member } from './member.ts';
import type { Message } from './message.ts';
import type { Outbound } from './outbox.ts';
import { isHere } from './roster.ts';
import { expectedConfirmations, Suspicion, suspicionBounds, suspicionMs } from './suspicion.ts';
import type { VerifiedRecord } from './types.ts';

const REFUTE_INTERVAL_MS = 1000;
const SWEEP_INTERVAL_MS = 1000;
/** Authenticated data within this many probe intervals outweighs doubt. */
const DATA_COUNTS_FOR = 2;
/** Before a doubted one's time is over this host asks it itself, so long ahead and so often: others may lie. */
const LAST_WORD_MS = 1000;
const LAST_WORD_GAP_MS = 500;

export class Doubt {
  readonly #core: Core;
  /** Members under suspicion; bounded by the member table. */
  readonly #suspects = new Set<Member>();
  #nextSweepMs = 0;
  #refutedAtMs = -Infinity;
  /** Doubt that came before the next refutation was allowed: the incarnation to outbid. */
  #refuteAbove: number | null = null;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Nobody reached `target`: doubt it, aloud, and again with each probe, for a small mesh sends news only a few times. */
  unreachable(target: Member, nowMs: number): void {
    if (this.#hasData(target, nowMs)) return;
    const { own, parts } = this.#core;
    const bytes = parts.signer.accuse(target.id, target.record.incarnation);
    this.#doubt(target, own, target.record.incarnation, bytes, nowMs);
    this.#core.spread(target.id, own.id, bytes);
  }

  /** An accusation from the network, which `sender` passed on. */
  accused(sender: Outbound, bytes: Uint8Array, nowMs: number): void {
    const { own, roster, parts } = this.#core;
    const credentialOf = (id: string): Uint8Array | null =>
      (id === own.id ? own.credential : roster.recordOf(id)?.credential) ?? null;
    const a = parts.verifier.verifyAccusation(bytes, credentialOf);
    if (a === null || a.accuser === a.target) return this.#core.drop('gossip');
    if (a.target === own.id) {
      // Doubt about a number that this host never gave is no doubt: it would let others use up the numbers.
      if (a.incarnation === own.incarnation) this.refute(a.incarnation, nowMs);
      // It missed the answer to its doubt.
      else if (a.incarnation < own.incarnation && sender.id === a.accuser && sender.channel.mayServe(nowMs))
        this.#core.sendRecords(sender, [own], false, nowMs);
      return;
    }
    const target = roster.member(a.target);
    const accuser = a.accuser === own.id ? own : roster.recordOf(a.accuser);
    if (target === undefined || accuser === undefined || roster.isQuarantined(a.accuser, nowMs)) return;
    // What this host hears of the doubted one itself outweighs what others say of it.
    if (this.#hasData(target, nowMs)) return;
    if (this.#doubt(target, accuser, a.incarnation, bytes, nowMs))
      this.#core.spread(a.target, a.accuser, bytes);
  }

  /** Begins or confirms a suspicion. True if this accuser's word was new. */
  #doubt(
    target: Member,
    { id, voterClass }: VerifiedRecord,
    incarnation: number,
    bytes: Uint8Array,
    nowMs: number,
  ): boolean {
    if (incarnation !== target.record.incarnation || !isHere(target)) return false;
    if (target.suspicion !== null) return target.suspicion.confirm(id, voterClass);
    target.suspicion = new Suspicion(bytes, id, voterClass, nowMs);
    this.#core.roster.setState(target, 'suspect', nowMs);
    this.#suspects.add(target);
    this.#core.emit({ type: 'member', id: target.id });
    return true;
  }

  /** What a doubted member should hear so that it can answer; null if it is not doubted here. */
  about(target: Member): Message | null {
    if (target.state === 'suspect' && target.suspicion !== null)
      return { type: 'suspect', accusation: target.suspicion.accusation };
    if (target.state !== 'dead') return null;
    const accusation = this.#core.parts.signer.accuse(target.id, target.record.incarnation);
    return { type: 'suspect', accusation };
  }

  /** States this host anew above `incarnation`, at most once a second; a second one waits for the tick. */
  refute(incarnation: number, nowMs: number): void {
    const { own } = this.#core;
    if (own.status === 'left') return;
    if (nowMs - this.#refutedAtMs < REFUTE_INTERVAL_MS) {
      this.#refuteAbove = Math.max(incarnation, this.#refuteAbove ?? 0);
      return;
    }
    this.#refutedAtMs = nowMs;
    this.#refuteAbove = null;
    this.#core.changeHealth(1);
    this.#core.own = this.#core.parts.signer.ownRecord('alive', incarnation);
    this.#core.announce(own.id);
  }

  tick(nowMs: number): void {
    const above = this.#refuteAbove;
    if (above !== null && nowMs - this.#refutedAtMs >= REFUTE_INTERVAL_MS) {
      this.#refuteAbove = null;
      if (above >= this.#core.own.incarnation) this.refute(above, nowMs);
    }
    if (this.#suspects.size > 0) this.#expire(nowMs);
    if (nowMs >= this.#nextSweepMs) this.#sweep(nowMs);
  }

  #expire(nowMs: number): void {
    const { config: c, roster, own } = this.#core;
    const isMany = (voterClass: string): boolean => roster.isHalf(voterClass, own.voterClass);
    for (const m of this.#suspects) {
      const { suspicion } = m;
      if (suspicion === null) {
        this.#suspects.delete(m);
        continue;
      }
      // As it is now: whoever was declared dead a moment ago is not here any more.
      const n = roster.hereCount();
      const { minMs, maxMs } = suspicionBounds(c.suspicionMult, c.suspicionMaxMult, n, c.probeIntervalMs);
      const expected = expectedConfirmations(c.suspicionMult, n);
      const votes = suspicion.votes(isMany);
      const leftMs = suspicion.startedAtMs + suspicionMs(expected, votes - 1, minMs, maxMs) - nowMs;
      if (leftMs > LAST_WORD_MS || this.#hasData(m, nowMs)) continue;
      this.#ask(m, suspicion, nowMs);
      if (leftMs > 0 || nowMs - (suspicion.askedFirstMs ?? nowMs) < LAST_WORD_MS) continue;
      this.#suspects.delete(m);
      m.suspicion = null;
      m.deadToUsAlone = votes === 1;
      roster.setState(m, 'dead', nowMs);
      this.#core.counts.dead += 1;
      this.#core.emit({ type: 'member', id: m.id });
    }
  }

  /** The last word is the doubted one's own. */
  #ask(m: Member, suspicion: Suspicion, nowMs: number): void {
    if (nowMs - suspicion.askedLastMs < LAST_WORD_GAP_MS) return;
    suspicion.askedLastMs = nowMs;
    suspicion.askedFirstMs ??= nowMs;
    const doubt: Message = { type: 'suspect', accusation: suspicion.accusation };
    this.#core.send(m, [doubt, { type: 'ping', probe: this.#core.randomU64() }], nowMs);
  }

  /** Forgets those who are long gone. */
  #sweep(nowMs: number): void {
    const { config, roster } = this.#core;
    this.#nextSweepMs = nowMs + SWEEP_INTERVAL_MS;
    for (const m of roster.troubled)
      if (!isHere(m) && nowMs - m.stateSinceMs > config.tombstoneMs) {
        roster.forget(m);
        this.#core.emit({ type: 'member', id: m.id });
      }
  }

  #hasData(m: Member, nowMs: number): boolean {
    return nowMs - m.dataAtMs < DATA_COUNTS_FOR * this.#core.config.probeIntervalMs;
  }
}
