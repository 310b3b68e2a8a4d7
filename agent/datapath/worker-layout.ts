/**
 * How many threads move packets. With one or two cores one thread serves both directions: a frame and its answer then
 * cross no core, and the load programs keep the other one. With more, pairs of threads, each direction its own: at most one
 * pair for every four cores, since a pair keeps two busy and the kernel's own work needs as much. The numbers behind this are
 * in docs/adr/0008-worker-layout.md. Called by the composition root.
 */

export interface WorkerLayout {
  /** One thread for both directions. */
  readonly single: boolean;
  /** Pairs of directions; 1 if single. Each takes a lane, of which there are 15. */
  readonly pairs: number;
}

const MAX_AUTO_PAIRS = 4;
const CORES_PER_PAIR = 4;

/** @param cores that the process may use */
export function workerLayout(setting: 'auto' | 'single' | number, cores: number): WorkerLayout {
  if (setting === 'single') return { single: true, pairs: 1 };
  if (setting !== 'auto') return { single: false, pairs: setting };
  if (cores <= 2) return { single: true, pairs: 1 };
  return {
    single: false,
    pairs: Math.min(MAX_AUTO_PAIRS, Math.max(1, Math.floor(cores / CORES_PER_PAIR))),
  };
}
