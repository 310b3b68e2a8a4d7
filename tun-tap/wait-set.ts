/**
 * The one place where a packet thread sleeps: a poll over TAPs, sockets and an eventfd. What wakes it may be read before
 * the wait returns, so that the first thing TypeScript does after a sleep is to decide about frames.
 */
import { native } from './native-binding.ts';
import { nativeReceiver, type Receiver } from './receiver.ts';
import { nativeTransmitter, type Transmitter } from './transmitter.ts';

/** Words of what a wait has read ahead. */
export const AHEAD = {
  /** Frames in the transmitter's batch, as `readTap` counts them. */
  FRAMES: 0,
  /** Descriptors in the receiver's batch, for `Receiver.took`. */
  DATAGRAMS: 1,
} as const;

export interface ReadAhead {
  /** [0]: CLOCK_MONOTONIC in milliseconds, at the end of each wait's sleep. */
  readonly clock: Float64Array;
  /** Two words by AHEAD, set by each wait; 0 where nothing was read. */
  readonly ahead: Int32Array;
  /** Reads the TAP at position `at` of the set, unless the sealed socket is readable too. */
  readonly tap: { readonly transmitter: Transmitter; readonly at: number } | null;
  /** Receives from the sealed socket at position `at`. */
  readonly sealed: { readonly receiver: Receiver; readonly at: number } | null;
}

/** One blocking wait over at most 31 descriptors. */
export class WaitSet {
  readonly #native;
  readonly #fds: readonly number[];

  constructor(fds: readonly number[], readAhead?: ReadAhead) {
    this.#fds = fds;
    this.#native = new native.WaitSet(Int32Array.from(fds));
    if (readAhead === undefined) return;
    const { clock, ahead, tap, sealed } = readAhead;
    this.#native.readAhead(
      clock,
      ahead,
      tap === null ? null : nativeTransmitter(tap.transmitter),
      tap?.at ?? 0,
      sealed === null ? null : nativeReceiver(sealed.receiver),
      sealed?.at ?? 0,
    );
  }

  /** Bit i is set when descriptor i is readable or broken; 0 after `timeoutMs` or a signal. Blocks this thread. */
  wait(timeoutMs: number): number {
    return this.#native.wait(timeoutMs);
  }

  /** Resets the eventfd at position i. */
  drainEvent(i: number): void {
    native.drainEventFd(this.#fds[i] ?? -1);
  }
}
