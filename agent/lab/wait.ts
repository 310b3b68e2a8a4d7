/** Waiting that Ctrl-C ends and that names what did not come. Used by the lab and the namespace tests. */
import { type Clock, systemClock } from '../clock.ts';
import { WeftError } from '../errors.ts';

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly everyMs?: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

const DEFAULT_EVERY_MS = 100;

export function delay(ms: number, signal?: AbortSignal, clock: Clock = systemClock): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = (): void => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', abort);
      resolve();
    });
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/**
 * The first value of `look` that is not null; a failed look counts as null.
 * @throws WeftError E_TIMEOUT saying what was waited for and the last failure
 */
export async function until<T>(
  what: string,
  options: WaitOptions,
  look: () => Promise<T | null> | T | null,
): Promise<T> {
  const clock = options.clock ?? systemClock;
  const deadlineMs = clock.monotonicMs() + options.timeoutMs;
  let last = '';
  for (;;) {
    try {
      const value = await look();
      if (value !== null) return value;
      last = '';
    } catch (error) {
      last = `: ${(error as Error).message}`;
    }
    if (clock.monotonicMs() >= deadlineMs) {
      throw new WeftError('E_TIMEOUT', `${what} did not come within ${options.timeoutMs / 1000} s${last}`);
    }
    await delay(options.everyMs ?? DEFAULT_EVERY_MS, options.signal, clock);
  }
}
