/**
 * One worker's round: sleep in one native wait on the descriptors of its halves and an eventfd, which returns with what woke
 * it already read, then handle that batch and what else is there. It never returns to the thread's event loop, so nothing here
 * may rely on timers or message events.
 */
import { AHEAD, WaitSet } from 'tun-tap';
import type { Half, ReceiveHalf, TransmitHalf } from './halves.ts';

/** Bit of the eventfd in what `turn` returns; the descriptors of the halves follow. */
export const COMMANDS = 1;

export interface LoopParts {
  readonly eventFd: number;
  readonly transmit: TransmitHalf | null;
  readonly receive: ReceiveHalf | null;
  /** [0]: milliseconds; written by each wait. */
  readonly clock: Float64Array;
}

export class WorkerLoop {
  readonly #p: LoopParts;
  /** What the last wait has read. */
  readonly #ahead = new Int32Array(2);
  #waits: WaitSet;
  /** Null while no frames come from the TAP: its queue is off, or the TAP is gone. */
  #sending: TransmitHalf | null;
  /** The errno that the TAP is gone with; 0 while it is there. */
  tapErrno = 0;

  constructor(parts: LoopParts) {
    this.#p = parts;
    this.#sending = parts.transmit;
    this.#waits = this.#waitSet();
  }

  #waitSet(): WaitSet {
    const { eventFd, receive, clock } = this.#p;
    const sending = this.#sending;
    const halves: (Half | null)[] = [sending, receive];
    return new WaitSet([eventFd, ...halves.flatMap((half) => half?.fds ?? [])], {
      clock,
      ahead: this.#ahead,
      tap: sending === null ? null : { transmitter: sending.transmitter, at: 1 },
      sealed: receive === null ? null : { receiver: receive.receiver, at: sending === null ? 1 : 2 },
    });
  }

  /** Whether frames of the TAP are taken. A queue that is off reads as broken, so nobody may wait on it. */
  setSending(on: boolean): void {
    this.#sending = on ? this.#p.transmit : null;
    this.#waits = this.#waitSet();
  }

  /** Waits `timeoutMs` at most and handles a batch. Returns what was ready: COMMANDS is the caller's, 0 is nothing. */
  turn(timeoutMs: number): number {
    const ready = this.#waits.wait(timeoutMs);
    const sending = this.#sending;
    const { receive } = this.#p;
    const arrived = sending === null ? ready >> 1 : ready >> 2;
    if (receive !== null && arrived !== 0) receive.run(arrived, this.#ahead[AHEAD.DATAGRAMS]!);
    // What was written to the TAP is often answered before the write returns (ping, TCP's acknowledgement).
    if (sending !== null && (ready & ~COMMANDS) !== 0) {
      const n = sending.run(this.#ahead[AHEAD.FRAMES]!);
      if (n < 0) this.#lose(-n);
    }
    if ((ready & COMMANDS) !== 0) this.#waits.drainEvent(0);
    return ready;
  }

  /** The TAP was deleted under us. */
  #lose(errno: number): void {
    this.tapErrno = errno;
    this.setSending(false);
  }
}
