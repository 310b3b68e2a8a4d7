/** What a fuzz target is, and what its run may do. */
import { WeftError } from '../../agent/errors.ts';

export interface Target {
  readonly name: string;
  readonly inputs: readonly Uint8Array[];
  /** Throws or rejects only on a defect. @returns whether the input was understood */
  readonly run: (bytes: Uint8Array) => boolean | Promise<boolean>;
  /** An execution costs so many times as much as a decoder's: so many times fewer are run. */
  readonly costs?: number;
  /** What is no parser but a simulation of many seconds may take longer than SLOW_MS. */
  readonly slowMs?: number;
}

/** Allowed to refuse with a WeftError, and with nothing else. */
export function refusing(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (error instanceof WeftError) return false;
    throw error;
  }
}

/** The same of what answers later. */
export async function refusingLater(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof WeftError) return false;
    throw error;
  }
}
