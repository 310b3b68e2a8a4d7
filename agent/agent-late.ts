/**
 * What to do while the disk of the state directory takes nothing: it is full, or has become read-only. Frames, sessions and
 * membership go on. What may reach the disk late is written again until it is there; what has to be there first does not
 * happen, and is asked for again by whoever wanted it. `weft status` says so meanwhile. Part of the composition root.
 */
import type { Logger } from 'pino';
import type { Clock } from './clock.ts';
import { WeftError } from './errors.ts';
import type { StateFile } from './identity/state-dir.ts';

const RETRY_MS = 5000;

export class LateWrites {
  readonly #clock: Clock;
  readonly #log: Logger;
  /** The newest write of each file that has not succeeded; bounded by the files of a state directory. */
  readonly #pending = new Map<StateFile, () => void>();
  #cancel: (() => void) | null = null;
  #problem: string | null = null;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** The last failure, for people; null when the last write has succeeded. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Writes now, or as soon as the disk takes it. A newer write of the same file takes the place of one that waits. */
  keep(file: StateFile, write: () => void): void {
    this.#pending.set(file, write);
    this.#flush();
  }

  /** Does what writes state itself and may be broken off where it writes. @throws what is no E_STATE */
  guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.failed(error);
    }
  }

  /** Takes note of a write that failed elsewhere. @throws what is no E_STATE */
  failed(error: unknown): void {
    if (!(error instanceof WeftError) || error.code !== 'E_STATE') throw error;
    if (this.#problem === null) this.#log.error({ error: error.message }, 'the state cannot be written');
    this.#problem = error.message;
  }

  /** A last try; what fails now is told in the log. */
  stop(): void {
    this.#flush();
    this.#cancel?.();
  }

  #flush(): void {
    this.#cancel?.();
    this.#cancel = null;
    for (const [file, write] of this.#pending)
      this.guard(() => {
        write();
        this.#pending.delete(file);
      });
    if (this.#pending.size > 0) this.#cancel = this.#clock.after(RETRY_MS, () => this.#flush());
    else if (this.#problem !== null) {
      this.#problem = null;
      this.#log.info('the state is on disk again');
    }
  }
}
