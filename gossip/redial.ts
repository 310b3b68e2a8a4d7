/**
 * Dialling those who do not answer: seeds that have not been met yet, and dead members, so that partitions heal. One dead
 * member in each interval, by so few hosts that the whole mesh dials 32; once a dead one has come back, by its own word or
 * by others', the network between us may be whole again, and for some seconds more are dialled, doubted ones too. Our doubt
 * goes along with each dial, so that one which lives answers with a higher incarnation. Whom perhaps only this host thinks
 * dead or doubts, it dials without chance: others would not.
 */
import type { Core } from './core.ts';
import type { Doubt } from './doubt.ts';
import type { Member } from './member.ts';
import type { Message } from './message.ts';
import type { Records } from './records.ts';
import type { Statements } from './statements.ts';

/** Dead members dialled by the whole mesh in one interval. */
const DEAD_DIALS = 32;
/** After a dead member spoke: for how long, how often and how many are dialled. */
const HEALING_MS = 10_000;
const HEALING_INTERVAL_MS = 1000;
const HEALING_DIALS = 8;
/** To a seed that is not needed, for others are known. */
const SPARE_CONTACT_INTERVAL_MS = 10_000;

const isDead = (m: Member): boolean => m.state === 'dead';
/** Nobody else may have a reason to dial it. */
const isLonely = (m: Member): boolean => isDead(m) && m.deadToUsAlone;

export class Redial {
  readonly #core: Core;
  readonly #doubt: Doubt;
  readonly #records: Records;
  readonly #statements: Statements;
  #nextContactMs = 0;
  #nextDialMs = 0;
  #nextHealingMs = 0;
  #healingUntilMs = -Infinity;

  constructor(core: Core, doubt: Doubt, records: Records, statements: Statements) {
    this.#core = core;
    this.#doubt = doubt;
    this.#records = records;
    this.#statements = statements;
  }

  tick(nowMs: number): void {
    this.#dialContacts(nowMs);
    const { config } = this.#core;
    if (nowMs >= this.#nextDialMs) {
      this.#nextDialMs = nowMs + config.deadDialIntervalMs;
      const [lonely] = this.#core.roster.pickTroubled(1, isLonely);
      if (lonely !== undefined) this.#compare(lonely, nowMs);
      else if (this.#isOneOfFew())
        for (const m of this.#core.roster.pickTroubled(1, isDead)) this.#compare(m, nowMs);
    }
    if (nowMs >= this.#healingUntilMs || nowMs < this.#nextHealingMs) return;
    this.#nextHealingMs = nowMs + HEALING_INTERVAL_MS;
    const longMs = 2 * config.probeIntervalMs;
    const { roster, own } = this.#core;
    const doubted = (m: Member): boolean => m.state === 'suspect' && nowMs - m.stateSinceMs >= longMs;
    const ours = (m: Member): boolean =>
      isLonely(m) || (doubted(m) && m.suspicion?.isAccusedBy(own.id) === true);
    const whom = roster.pickTroubled(HEALING_DIALS, ours);
    if (this.#isOneOfFew()) {
      const missing = (m: Member): boolean => (isDead(m) || doubted(m)) && !whom.includes(m);
      whom.push(...roster.pickTroubled(HEALING_DIALS - whom.length, missing));
    }
    this.#dial(whom, nowMs);
  }

  /** A dead member came back. */
  healed(nowMs: number): void {
    this.#healingUntilMs = nowMs + HEALING_MS;
    this.#records.catchUp(nowMs);
  }

  #dialContacts(nowMs: number): void {
    const { config, roster } = this.#core;
    if (nowMs < this.#nextContactMs) return;
    const met = roster.hereCount() > 1;
    this.#nextContactMs = nowMs + (met ? SPARE_CONTACT_INTERVAL_MS : config.contactIntervalMs);
    for (const c of roster.contacts()) this.#records.sync(c, nowMs);
  }

  /** By chance, so that the whole mesh dials as many as DEAD_DIALS. */
  #isOneOfFew(): boolean {
    const { roster, parts } = this.#core;
    return parts.rng.float() < DEAD_DIALS / roster.hereCount();
  }

  /** Asks for a sign of life: the doubt goes first, so that the answer brings the new record. */
  #dial(whom: readonly Member[], nowMs: number): void {
    for (const m of whom) {
      const doubt = this.#doubt.about(m);
      const ping: Message = { type: 'ping', probe: this.#core.randomU64() };
      if (doubt !== null) this.#core.send(m, [doubt, ping, ...this.#statements.digest()], nowMs);
    }
  }

  /** The same, and finds out what else changed on the other side. */
  #compare(m: Member, nowMs: number): void {
    const doubt = this.#doubt.about(m);
    if (doubt !== null)
      this.#core.send(m, [doubt, this.#records.digest(), ...this.#statements.digest()], nowMs);
  }
}
