/**
 * One large run as the command line describes it, against the numbers that the project promises: packets while idle, how
 * long a crash takes to be known by all, deaths of hosts that live, how long a partition takes to heal.
 */
import { Invariants } from './invariants.ts';
import { Recorder } from './recorder.ts';
import { World } from './world.ts';

export interface PlanOptions {
  readonly members: number;
  readonly seconds: number;
  readonly seed: number;
  /** Parts of 1. */
  readonly loss: number;
  readonly duplicated: number;
  readonly delayed: number;
  readonly crashes: number;
  /** Percent of the hosts on the smaller side; null for no partition. */
  readonly partition: number | null;
  readonly partitionSeconds: number;
  /** Start from nothing, through one seed, instead of settled. */
  readonly join: boolean;
}

/** The gates. */
const IDLE_PACKETS = 5;
const CRASH_KNOWN_MS = 25_000;
const HEALED_MS = 15_000;
const IDLE_MS = 10_000;
const SETTLING_MS = 600_000;
const PATIENCE_MS = 300_000;

export class Plan {
  readonly world: World;
  readonly invariants: Invariants;
  readonly recorder: Recorder;
  readonly #o: PlanOptions;
  readonly #say: (line: string) => void;
  /** Gates that were missed. */
  readonly missed: string[] = [];

  constructor(options: PlanOptions, say: (line: string) => void) {
    this.#o = options;
    this.#say = say;
    this.world = new World({ seed: options.seed, history: false });
    this.invariants = new Invariants(this.world);
    this.recorder = new Recorder(this.world);
  }

  #gate(what: string, value: number, most: number, unit: string): void {
    const kept = value <= most;
    if (!kept) this.missed.push(what);
    this.#say(
      `${kept ? 'ok  ' : 'MISS'} ${what}: ${Number(value.toFixed(2))}${unit}, at most ${most}${unit}`,
    );
  }

  run(): void {
    const { world } = this;
    const { members, seconds, loss, duplicated, delayed, crashes, partition } = this.#o;
    if (this.#o.join) this.#joinAll();
    else world.settle(members);
    this.#idle();
    Object.assign(world, { loss, duplicated, delayed });
    const endsAtMs = world.nowMs + seconds * 1000;
    if (crashes > 0) this.#crash(crashes);
    world.run(Math.max(0, endsAtMs - world.nowMs));
    this.#gate(
      `deaths of hosts that live, in ${seconds} s at ${loss * 100} % loss`,
      this.invariants.falseDeaths,
      0,
      '',
    );
    if (partition !== null) this.#partition(partition / 100);
  }

  #joinAll(): void {
    const { members } = this.#o;
    this.world.join(members, 20);
    this.world.run(members * 20);
    const tookMs = this.world.runUntil(() => this.world.agreeInShort(), PATIENCE_MS);
    this.#gate(
      `${members} hosts that joined through one agree, after the last`,
      tookMs / 1000,
      PATIENCE_MS / 1000,
      ' s',
    );
    // News of the joining is not idle.
    const toldMs = this.world.runUntil(
      () => this.world.up.every(({ swim }) => swim!.stats().broadcastQueue === 0),
      SETTLING_MS,
    );
    this.#say(`     the last news of it was passed on ${toldMs / 1000} s later`);
  }

  #idle(): void {
    const before = this.world.datagrams;
    this.world.run(IDLE_MS);
    const each = (this.world.datagrams - before) / this.world.up.length / (IDLE_MS / 1000);
    this.#gate('packets of each host in a second, idle', each, IDLE_PACKETS, '');
  }

  #crash(count: number): void {
    const { world } = this;
    const stride = Math.floor(world.hosts.length / count);
    const crashed = Array.from({ length: count }, (_, i) => i * stride);
    const before = world.datagrams;
    for (const n of crashed) world.crash(n);
    const startMs = world.nowMs;
    const tookMs = world.runUntil(() => crashed.every((n) => world.allSee(n, 'dead')), PATIENCE_MS);
    const seconds = (world.nowMs - startMs) / 1000;
    this.#gate(`crash of ${count} known to all`, tookMs / 1000, CRASH_KNOWN_MS / 1000, ' s');
    const each = (world.datagrams - before) / world.up.length / seconds;
    this.#say(`     meanwhile ${each.toFixed(1)} packets of each host in a second`);
  }

  #partition(part: number): void {
    const { world } = this;
    const smaller = Math.round(world.hosts.length * part);
    world.reaches = (from, to) => from < smaller === to < smaller;
    world.run(this.#o.partitionSeconds * 1000);
    world.reaches = () => true;
    const whole = (): boolean =>
      world.loss > 0
        ? world.up.every(({ swim }) => {
            const { alive, suspect } = swim!.stats().members;
            return alive + suspect === world.up.length;
          })
        : world.agreeInShort();
    const tookMs = world.runUntil(whole, PATIENCE_MS);
    const name = `${smaller} of ${world.hosts.length} cut off for ${this.#o.partitionSeconds} s, healed`;
    this.#gate(name, tookMs / 1000, HEALED_MS / 1000, ' s');
  }
}
