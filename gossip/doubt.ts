/**
 * Doubt about members: signed accusations, the time that a doubted one has to speak up, and the answer to doubt about
 * this host. There is no message that says dead: each host lets its own timer run out (Lifeguard, arXiv 1707.00788).
 */

import type { Core } from './core.ts';
import type { Member } from './member.ts';
import type { Message } from './message.ts';
import { isHere } from './roster.ts';
import { expectedConfirmations, Suspicion, suspicionBounds, suspicionMs } from './suspicion.ts';

const REFUTE_INTERVAL_MS = 1000;
const SWEEP_INTERVAL_MS = 1000;
/** Authenticated data within this many probe intervals outweighs doubt. */
const DATA_COUNTS_FOR = 2;

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
    const bytes = this.#core.parts.signer.accuse(target.id, target.record.incarnation);
    this.#doubt(target, this.#core.own.id, target.record.incarnation, bytes, nowMs);
    this.#core.spread(target.id, this.#core.own.id, bytes);
  }

  /** An accusation from the network. */
  accused(bytes: Uint8Array, nowMs: number): void {
    const { own, roster, parts } = this.#core;
    const credentialOf = (id: string): Uint8Array | null =>
      (id === own.id ? own.credential : roster.recordOf(id)?.credential) ?? null;
    const a = parts.verifier.verifyAccusation(bytes, credentialOf);
    if (a === null || a.accuser === a.target) return this.#core.drop('gossip');
    if (a.target === own.id) {
      // Doubt about a number that this host never gave is no doubt: it would let others use up the numbers.
      if (a.incarnation === own.incarnation) this.refute(a.incarnation, nowMs);
      return;
    }
    const target = roster.member(a.target);
    if (target !== undefined && this.#doubt(target, a.accuser, a.incarnation, bytes, nowMs))
      this.#core.spread(a.target, a.accuser, bytes);
  }

  /** Begins or confirms a suspicion. True if this accuser's word was new. */
  #doubt(target: Member, accuser: string, incarnation: number, bytes: Uint8Array, nowMs: number): boolean {
    if (incarnation !== target.record.incarnation || !isHere(target)) return false;
    if (target.suspicion !== null) return target.suspicion.confirm(accuser);
    target.suspicion = new Suspicion(bytes, accuser, nowMs);
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
    const { config: c, roster } = this.#core;
    const n = roster.hereCount();
    const { minMs, maxMs } = suspicionBounds(c.suspicionMult, c.suspicionMaxMult, n, c.probeIntervalMs);
    const expected = expectedConfirmations(c.suspicionMult, n);
    for (const m of this.#suspects) {
      const { suspicion } = m;
      if (suspicion === null) {
        this.#suspects.delete(m);
        continue;
      }
      const lastsMs = suspicionMs(expected, suspicion.confirmations, minMs, maxMs);
      if (nowMs - suspicion.startedAtMs < lastsMs || this.#hasData(m, nowMs)) continue;
      this.#suspects.delete(m);
      m.suspicion = null;
      roster.setState(m, 'dead', nowMs);
      this.#core.counts.dead += 1;
      this.#core.emit({ type: 'member', id: m.id });
    }
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
