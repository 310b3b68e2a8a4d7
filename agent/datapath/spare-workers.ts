/**
 * Worker threads that have loaded their code and wait for what to work on. Loading takes longer than all else in the start of a
 * data path and needs nothing of the state directory, so the successor of an upgrade does it while its predecessor still
 * forwards. Called by worker-pool.ts, and by agent.ts for a successor.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

export class SpareWorkers {
  /** Bounded by the workers of one agent. */
  readonly #waiting: Worker[] = [];

  /** Resolves when so many threads have loaded. A thread that cannot load ends the process. */
  static async load(count: number): Promise<SpareWorkers> {
    const spare = new SpareWorkers();
    for (let i = 0; i < count; i++) spare.#waiting.push(launch());
    await Promise.all(spare.#waiting.map((worker) => once(worker, 'message')));
    return spare;
  }

  /** One that waits, or a new one where none does. */
  take(): Worker {
    return this.#waiting.pop() ?? launch();
  }
}

function launch(): Worker {
  return new Worker(new URL('./worker.js', import.meta.url), {
    name: 'weft-worker',
    resourceLimits: { maxYoungGenerationSizeMb: 4 },
  });
}
