/**
 * A run that a seed decides: how many hosts, how bad the network is, and which faults happen when. After 40 s every fault
 * ends, and within 60 s all hosts must see the same: whoever is up alive in its newest record, whoever is down not alive.
 */
import type { SwimConfig } from '../../gossip/config.ts';
import { OWN_CLASS, SeededRng } from './cheap-parts.ts';
import { Breach, Invariants } from './invariants.ts';
import { Recorder } from './recorder.ts';
import { World } from './world.ts';

const FAULTS_FROM_MS = 6000;
const FAULTS_UNTIL_MS = 40_000;
const AGREE_WITHIN_MS = 60_000;
const MESSAGES_TOLD = 60;

export interface Outcome {
  readonly seed: number;
  readonly members: number;
  /** What happened to whom, in words. */
  readonly faults: readonly string[];
  readonly datagrams: number;
  readonly mostPerSecond: number;
  readonly deaths: number;
  readonly agreedAfterMs: number;
  /** Null if nothing was wrong. */
  readonly failure: { readonly what: string; readonly messages: readonly string[] } | null;
}

class Scenario {
  readonly world: World;
  readonly faults: string[] = [];
  readonly #rng: SeededRng;
  readonly #members: number;
  /** `from to` that are cut now. */
  readonly #cuts = new Set<string>();

  constructor(seed: number, config: Partial<SwimConfig>) {
    this.#rng = new SeededRng(seed * 2_654_435_761);
    this.#members = 3 + this.#below(8);
    const latencyMs = [1, 1 + this.#below(60)] as const;
    const tokens = this.#one([1, 1, 2, 3, 255]);
    const voterClassOf = (n: number): number => (tokens === OWN_CLASS ? OWN_CLASS : n % tokens);
    this.world = new World({ seed, latencyMs, config, ...(tokens === 1 ? {} : { voterClassOf }) });
    this.world.loss = this.#one([0, 0, 0.05, 0.1, 0.2]);
    this.world.duplicated = this.#one([0, 0.02, 0.2]);
    this.world.delayed = this.#one([0, 0.02, 0.1]);
    const { loss, duplicated, delayed } = this.world;
    const joined = tokens === OWN_CLASS ? 'a token each' : `${tokens} tokens`;
    this.faults.push(
      `${this.#members} hosts, ${joined}, lost ${loss}, duplicated ${duplicated}, delayed ${delayed}`,
    );
    this.world.join(this.#members, 50);
    this.world.reaches = (from, to) => !this.#cuts.has(`${from} ${to}`);
    for (let i = 2 + this.#below(6); i > 0; i--) this.#plan();
    this.world.at(FAULTS_UNTIL_MS, () => this.#end());
  }

  #below(n: number): number {
    return Math.floor(this.#rng.float() * n);
  }

  #one<T>(of: readonly T[]): T {
    return of[this.#below(of.length)]!;
  }

  #note(atMs: number, what: string): void {
    this.faults.push(`${(atMs / 1000).toFixed(1)} ${what}`);
  }

  #plan(): void {
    const atMs = FAULTS_FROM_MS + this.#below(FAULTS_UNTIL_MS - FAULTS_FROM_MS - 1000);
    const forMs = 200 + this.#below(20_000);
    const untilMs = Math.min(FAULTS_UNTIL_MS, atMs + forMs);
    const n = this.#below(this.#members);
    const { world } = this;
    const during = `for ${((untilMs - atMs) / 1000).toFixed(1)} s`;
    switch (this.#below(7)) {
      case 0:
        this.#note(atMs, `${n} crashes, starts again after ${during.slice(4)}`);
        world.at(atMs, () => this.#crash(n));
        world.at(untilMs, () => this.#restart(n));
        break;
      case 1:
        this.#note(atMs, `${n} crashes`);
        world.at(atMs, () => this.#crash(n));
        break;
      case 2:
        this.#note(atMs, `${n} leaves`);
        world.at(atMs, () => {
          if (world.host(n).swim !== null && !world.host(n).paused && world.up.length > 2) world.leave(n);
        });
        break;
      case 3:
        this.#note(atMs, `${n} stands still ${during}`);
        world.at(atMs, () => world.pause(n));
        world.at(untilMs, () => world.resume(n));
        break;
      case 4: {
        const to = (n + 1 + this.#below(this.#members - 1)) % this.#members;
        this.#note(atMs, `nothing of ${n} reaches ${to} ${during}`);
        this.#cut([[n, to]], atMs, untilMs);
        break;
      }
      case 5: {
        const side = Array.from({ length: this.#members }, () => this.#rng.float() < 0.5);
        this.#note(atMs, `${side.map((s, i) => (s ? i : '')).join(' ')} cut off ${during}`);
        this.#cut(
          side.flatMap((a, i) => side.flatMap((b, j) => (a === b ? [] : [[i, j] as const]))),
          atMs,
          untilMs,
        );
        break;
      }
      default: {
        const rate = 0.9 + this.#rng.float() * 0.2;
        const jumpMs = this.#one([0, 500, 10_000]);
        this.#note(atMs, `${n}'s clock jumps ${jumpMs} ms and goes ${rate.toFixed(2)} as fast`);
        world.at(atMs, () => {
          const { clock } = world.host(n);
          clock.aheadMs += world.nowMs * (clock.rate - rate) + jumpMs;
          clock.rate = rate;
        });
      }
    }
  }

  #cut(pairs: readonly (readonly [number, number])[], atMs: number, untilMs: number): void {
    const names = pairs.map(([from, to]) => `${from} ${to}`);
    this.world.at(atMs, () => {
      for (const name of names) this.#cuts.add(name);
    });
    this.world.at(untilMs, () => {
      for (const name of names) this.#cuts.delete(name);
    });
  }

  #crash(n: number): void {
    if (this.world.up.length <= 2) return;
    this.world.resume(n);
    this.world.crash(n);
  }

  #restart(n: number): void {
    if (this.world.host(n).swim === null)
      this.world.start(n, this.#rng.float() < 0.5 ? [] : [n === 0 ? 1 : 0]);
  }

  #end(): void {
    this.#cuts.clear();
    this.world.loss = this.world.delayed = this.world.duplicated = 0;
    for (const { n, paused } of this.world.hosts) if (paused) this.world.resume(n);
  }

  /** All that are up agree, and whoever is down is not thought alive. */
  settled(): boolean {
    const { world } = this;
    const down = world.hosts.filter((h) => h.swim === null);
    return (
      world.agree() &&
      down.every((d) => world.up.every((h) => !['alive', 'suspect'].includes(world.view(h.n, d.n) ?? 'dead')))
    );
  }
}

/** `config` makes a core that should fail. */
export function runScenario(seed: number, config: Partial<SwimConfig> = {}): Outcome {
  const scenario = new Scenario(seed, config);
  const { world, faults } = scenario;
  const invariants = new Invariants(world);
  const recorder = new Recorder(world);
  let agreedAfterMs = Infinity;
  let failure: Outcome['failure'] = null;
  try {
    world.run(FAULTS_UNTIL_MS);
    agreedAfterMs = world.runUntil(() => scenario.settled(), AGREE_WITHIN_MS);
    if (agreedAfterMs === Infinity) throw disagreement(world);
  } catch (error) {
    if (!(error instanceof Breach)) throw error;
    const what = `at ${(world.nowMs / 1000).toFixed(1)} s: ${error.message}`;
    failure = { what, messages: recorder.lines(error.hosts, MESSAGES_TOLD) };
  }
  return {
    seed,
    members: world.hosts.length,
    faults,
    datagrams: world.datagrams,
    mostPerSecond: invariants.mostPerSecond,
    deaths: invariants.deaths,
    agreedAfterMs,
    failure,
  };
}

function disagreement(world: World): Breach {
  for (const a of world.up)
    for (const b of world.hosts) {
      if (a.n === b.n) continue;
      const seen = world.swim(a.n).member(b.id);
      const wanted = b.swim === null ? 'not here' : `alive ${b.swim.own.incarnation}.${b.swim.own.seq}`;
      const has =
        seen === undefined ? 'unknown' : `${seen.state} ${seen.record.incarnation}.${seen.record.seq}`;
      if (b.swim === null ? seen?.state === 'alive' || seen?.state === 'suspect' : has !== wanted)
        return new Breach(`60 s after the last fault ${a.n} has ${b.n} as ${has}, it is ${wanted}`, [
          a.n,
          b.n,
        ]);
    }
  return new Breach('60 s after the last fault the hosts do not agree', []);
}

/** What to print of a seed that failed. */
export function tellFailure(outcome: Outcome): string {
  if (outcome.failure === null) return '';
  return [
    `seed ${outcome.seed} FAILED ${outcome.failure.what}`,
    ...outcome.faults.map((line) => `  ${line}`),
    '  last datagrams from, to or about them:',
    ...outcome.failure.messages.map((line) => `  ${line}`),
    `  again: npm run sim -- --seeds 1 --seed ${outcome.seed}`,
  ].join('\n');
}
