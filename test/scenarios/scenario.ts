/**
 * What a scenario is: a number of the reliability table, what it does to real agents, and what must hold. It is run several
 * times; each run gives measured values, and a run that breaks the criterion throws `Broken`. Called by cli.ts and by the
 * short form in the test run.
 */
import { delay } from '../../agent/lab/wait.ts';
import { Mesh, type MeshOptions, overlayOf } from '../netns/mesh.ts';
import { gapsOf, grown, saidOfPeers, type Tally, tallyOf } from './losses.ts';
import { monotonicMs, Stream, type StreamReport } from './stream.ts';

/** `short` for the test run, `usual` for the table, `long` for a machine that has an evening: docs/RELIABILITY.md. */
export type Form = 'short' | 'usual' | 'long';

/** One run's values; times in milliseconds, counts as they are. */
export type Values = Readonly<Record<string, number>>;

export interface Scenario {
  readonly number: string;
  readonly title: string;
  readonly criterion: string;
  readonly mesh: MeshOptions;
  /** Of the long form, if that is another. */
  readonly longMesh?: MeshOptions;
  /** How its mesh comes to be, if not by one token for all. */
  readonly begin?: (options: MeshOptions) => Promise<Mesh>;
  /** Each run needs a mesh of its own, because hosts are put out for good. */
  readonly isFresh?: boolean;
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

interface Began {
  readonly pps: number;
  /** Unix time. */
  readonly atMs: number;
  readonly before: Tally;
}

export class World {
  readonly mesh: Mesh;
  readonly form: Form;
  addresses: string[] = [];
  /** Streams under way, and what had been dropped when they began; bounded by what one scenario starts. */
  readonly #streams = new Map<Stream, Began>();
  /** What was lost in this run, and where; bounded by the streams of one run. */
  readonly notes: string[] = [];
  #port = 9300;

  constructor(mesh: Mesh, form: Form) {
    this.mesh = mesh;
    this.form = form;
  }

  static async start(
    { mesh: usual, longMesh = usual, begin = Mesh.start }: Scenario,
    form: Form,
  ): Promise<World> {
    const mesh = await begin(form === 'long' ? longMesh : usual);
    const world = new World(mesh, form);
    try {
      world.addresses = await Promise.all(mesh.hosts.map(overlayOf));
      return world;
    } catch (error) {
      await mesh.remove();
      throw error;
    }
  }

  get isShort(): boolean {
    return this.form === 'short';
  }

  /** So many seconds, or times, in each form. */
  amount(usual: number, short: number, long = usual): number {
    return this.form === 'short' ? short : this.form === 'long' ? long : usual;
  }

  namespace(index: number): string {
    return this.mesh.host(index).node.namespace;
  }

  async stream(from: number, to: number, pps = 1000): Promise<Stream> {
    // Before anything is awaited: several may be started at once.
    const port = 9300 + ((this.#port - 9299) % 500);
    this.#port = port;
    const target = { namespace: this.namespace(to), address: this.addresses[to] ?? '' };
    const before = await tallyOf(this.mesh);
    const stream = await Stream.start(this.namespace(from), target, { port, pps });
    this.#streams.set(stream, { pps, atMs: Date.now(), before });
    return stream;
  }

  async stop(stream: Stream): Promise<StreamReport> {
    const report = await stream.stop();
    const began = this.#streams.get(stream);
    this.#streams.delete(stream);
    if (began !== undefined && report.lost > 0) {
      const counted = grown(began.before, await tallyOf(this.mesh));
      const said = saidOfPeers(this.mesh.hosts, began.atMs);
      this.notes.push(`lost ${gapsOf(report, began.pps)}; ${counted}${said === '' ? '' : `; ${said}`}`);
    }
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
      await delay(50);
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
