/**
 * Dialling those who do not answer: seeds that have not been met yet, and dead members, so that partitions heal. One dead
 * member in each interval, by so few hosts that the whole mesh dials 32; once a dead one has spoken, the network between
 * us may be whole again, and for some seconds more are dialled, doubted ones too. Our doubt goes along with each dial, so
 * that one which lives answers with a higher incarnation.
 */
import type { Core } from './core.ts';
import type { Doubt } from './doubt.ts';
import type { Member } from './member.ts';
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
      if (this.#isOneOfFew()) this.#dial(this.#core.roster.pickTroubled(1, isDead), nowMs);
    }
    if (nowMs >= this.#healingUntilMs || nowMs < this.#nextHealingMs) return;
    this.#nextHealingMs = nowMs + HEALING_INTERVAL_MS;
    const longMs = 2 * config.probeIntervalMs;
    const doubted = (m: Member): boolean => m.state === 'suspect' && nowMs - m.stateSinceMs >= longMs;
    const missing = this.#core.roster.pickTroubled(
      HEALING_DIALS + 1,
      (m) => m.state === 'dead' || doubted(m),
    );
    // The last few are dead to few others: nobody else may dial them.
    if (missing.length <= HEALING_DIALS || this.#isOneOfFew())
      this.#dial(missing.slice(0, HEALING_DIALS), nowMs);
  }

  /** A dead member spoke. */
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

  #dial(whom: readonly Member[], nowMs: number): void {
    for (const m of whom) {
      const doubt = this.#doubt.about(m);
      if (doubt !== null)
        this.#core.send(m, [doubt, this.#records.digest(), ...this.#statements.digest()], nowMs);
    }
  }
}
