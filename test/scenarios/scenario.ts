/**
 * What a scenario is: a number of the reliability table, what it does to real agents, and what must hold. It is run several
 * times; each run gives measured values, and a run that breaks the criterion throws `Broken`. Called by cli.ts and by the
 * short form in the test run.
 */

import { Mesh, type MeshOptions, overlayOf } from '../netns/mesh.ts';
import { gapsOf, grown, type Tally, tallyOf } from './losses.ts';
import { monotonicMs, Stream, type StreamReport } from './stream.ts';

/** One run's values; times in milliseconds, counts as they are. */
export type Values = Readonly<Record<string, number>>;

export interface Scenario {
  readonly number: string;
  readonly title: string;
  readonly criterion: string;
  readonly mesh: MeshOptions;
  /** Once, before the first run. */
  readonly prepare?: (world: World) => Promise<void>;
  readonly run: (world: World) => Promise<Values>;
}

/** A run that does not meet the criterion; what was measured goes along. */
export class Broken extends Error {
  readonly values: Values;
  constructor(message: string, values: Values) {
    super(message);
    this.values = values;
  }
}

export function must(holds: boolean, message: string, values: Values): void {
  if (!holds) throw new Broken(message, values);
}

export class World {
  readonly mesh: Mesh;
  /** Shorter than the table says, for the test run. */
  readonly isShort: boolean;
  addresses: string[] = [];
  /** Streams under way, and what had been dropped when they began; bounded by what one scenario starts. */
  readonly #streams = new Map<Stream, { readonly pps: number; readonly before: Tally }>();
  /** What was lost in this run, and where; bounded by the streams of one run. */
  readonly notes: string[] = [];
  #port = 9300;

  constructor(mesh: Mesh, isShort: boolean) {
    this.mesh = mesh;
    this.isShort = isShort;
  }

  static async start(options: MeshOptions, isShort: boolean): Promise<World> {
    const mesh = await Mesh.start(options);
    const world = new World(mesh, isShort);
    try {
      world.addresses = await Promise.all(mesh.hosts.map(overlayOf));
      return world;
    } catch (error) {
      await mesh.remove();
      throw error;
    }
  }

  seconds(whole: number, short: number): number {
    return this.isShort ? short : whole;
  }

  namespace(index: number): string {
    return this.mesh.host(index).node.namespace;
  }

  async stream(from: number, to: number, pps = 1000): Promise<Stream> {
    this.#port = 9300 + ((this.#port - 9299) % 500);
    const target = { namespace: this.namespace(to), address: this.addresses[to] ?? '' };
    const before = await tallyOf(this.mesh);
    const stream = await Stream.start(this.namespace(from), target, { port: this.#port, pps });
    this.#streams.set(stream, { pps, before });
    return stream;
  }

  async stop(stream: Stream): Promise<StreamReport> {
    const report = await stream.stop();
    const began = this.#streams.get(stream);
    this.#streams.delete(stream);
    if (began !== undefined && report.lost > 0)
      this.notes.push(`lost ${gapsOf(report, began.pps)}; ${grown(began.before, await tallyOf(this.mesh))}`);
    return report;
  }

  /** A rule set of the router's, in place of the one before; empty for none. See faults.ts. */
  async rules(text: string): Promise<void> {
    await this.mesh.inRouter(['nft', '-f', '-'], {
      input: `table inet faults\ndelete table inet faults\n${text}\n`,
    });
  }

  /** Milliseconds until `look` holds. */
  async timed(what: string, timeoutMs: number, look: () => Promise<boolean>): Promise<number> {
    const startMs = monotonicMs();
    for (;;) {
      if (await look().catch(() => false)) return monotonicMs() - startMs;
      if (monotonicMs() - startMs > timeoutMs) throw new Broken(`${what}: not within ${timeoutMs} ms`, {});
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Every one of these sees every other of them alive and has a session with it. */
  async isWhole(indexes: readonly number[]): Promise<boolean> {
    const names = indexes.map((i) => this.mesh.host(i).name);
    for (const i of indexes) {
      const host = this.mesh.host(i);
      const alive = (await host.members()).filter((m) => m.state === 'alive').map((m) => m.name);
      const up = (await host.peers()).filter((p) => p.state === 'up').map((p) => p.name);
      if (!names.every((name) => name === host.name || (alive.includes(name) && up.includes(name))))
        return false;
    }
    return true;
  }

  all(): number[] {
    return this.mesh.hosts.map((_, i) => i);
  }

  async remove(): Promise<void> {
    for (const stream of this.#streams.keys()) stream.kill();
    await this.mesh.remove();
  }
}

/** Drops of a host on receive so far, for one reason. */
export const receiveDrops = (world: World, index: number, reason: string): Promise<number> =>
  world.mesh.metric(index, 'weft_dropped_frames_total', { direction: 'receive', reason });
