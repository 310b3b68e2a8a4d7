/**
 * Members that contradict themselves: two records of one owner with one number and different bytes prove that its key signs
 * in two places, or lies. Who sees both passes both on, so that everybody can judge for itself; the first record is kept,
 * and the member is out of use for a while: the agent has no session with it and its doubt does not count. It comes back by
 * itself when no new proof has come for that long, for a host that was restored from an old copy does this once; a proof is
 * not taken twice.
 */
import type { Core } from './core.ts';
import type { Member } from './member.ts';
import { compareRecords } from './member.ts';
import type { Message } from './message.ts';
import type { VerifiedRecord } from './types.ts';

const QUARANTINE_MS = 600_000;
/** Members whose last proof is remembered; the oldest goes first. */
const MAX_PROOFS = 256;
/** A proof about an incarnation that was left behind by so many is an old one, told again. */
const STALE_INCARNATIONS = 16;
/** Proofs that go along with a comparison. */
const PROOFS_TOLD = 2;
const SWEEP_INTERVAL_MS = 1000;

interface Proof {
  readonly a: VerifiedRecord;
  readonly b: VerifiedRecord;
  readonly untilMs: number;
}

export class Quarantine {
  readonly #core: Core;
  /** By member id, oldest first; bounded by MAX_PROOFS. */
  readonly #proofs = new Map<string, Proof>();
  #nextSweepMs = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Two verified records of one owner with one number. */
  contradicted(a: VerifiedRecord, b: VerifiedRecord, nowMs: number): void {
    const { own, roster, counts } = this.#core;
    const last = this.#proofs.get(a.id);
    if (last !== undefined && compareRecords(a, last.a) <= 0) return;
    const current = a.id === own.id ? own : roster.member(a.id)?.record;
    if (current === undefined || a.incarnation < current.incarnation - STALE_INCARNATIONS) return;
    const untilMs = nowMs + QUARANTINE_MS;
    this.#proofs.delete(a.id);
    this.#proofs.set(a.id, { a, b, untilMs });
    for (const oldest of this.#proofs.keys()) {
      if (this.#proofs.size <= MAX_PROOFS) break;
      this.#proofs.delete(oldest);
    }
    counts.equivocations += 1;
    const what = { type: 'equivocation', a: a.bytes, b: b.bytes } as const;
    this.#core.queue.add({ key: `equivocation ${a.id}`, what });
    this.#core.emit({ type: 'equivocation', id: a.id });
    const member = roster.member(a.id);
    if (member === undefined) return;
    const isNew = !this.#isOut(member, nowMs);
    member.quarantinedUntilMs = untilMs;
    if (isNew) this.#core.emit({ type: 'member', id: a.id });
  }

  /** A proof from the network; it counts only if the owner signed both. */
  told(a: Uint8Array, b: Uint8Array, nowMs: number): void {
    const { own, roster, parts } = this.#core;
    const { verifier } = parts;
    const id = verifier.claimedId(a);
    const credential = id === own.id ? own.credential : roster.recordOf(id ?? '')?.credential;
    // Of a member that is not known yet: whoever is compared with later tells it again.
    if (credential === undefined) return;
    const [first, second] = [verifier.verify(a, credential), verifier.verify(b, credential)];
    const proves =
      first !== null &&
      second !== null &&
      first.id === id &&
      second.id === id &&
      compareRecords(first, second) === 0 &&
      Buffer.compare(a, b) !== 0;
    if (proves) this.contradicted(first, second, nowMs);
    else this.#core.drop('gossip');
  }

  /** Proofs for a member with which records are compared: it may have been cut off when they were news. */
  some(nowMs: number): Message[] {
    const current = [...this.#proofs.values()].filter(({ untilMs }) => untilMs > nowMs);
    return current.slice(-PROOFS_TOLD).map(({ a, b }) => ({ type: 'equivocation', a: a.bytes, b: b.bytes }));
  }

  /** Until when this host itself is out of use elsewhere, by the same clock; null if it is not. */
  ownUntilMs(nowMs: number): number | null {
    const proof = this.#proofs.get(this.#core.own.id);
    return proof !== undefined && proof.untilMs > nowMs ? proof.untilMs : null;
  }

  #isOut(member: Member, nowMs: number): boolean {
    return member.quarantinedUntilMs > nowMs;
  }

  /** Takes back those whose time is over. */
  tick(nowMs: number): void {
    if (this.#proofs.size === 0 || nowMs < this.#nextSweepMs) return;
    this.#nextSweepMs = nowMs + SWEEP_INTERVAL_MS;
    for (const id of this.#proofs.keys()) {
      const member = this.#core.roster.member(id);
      if (member === undefined || member.quarantinedUntilMs === -Infinity || this.#isOut(member, nowMs))
        continue;
      member.quarantinedUntilMs = -Infinity;
      this.#core.emit({ type: 'member', id });
    }
  }
}
