/**
 * What happened lately, for `weft events`: a ring of the newest events with sequence numbers, so that a reader who asks
 * for what came after a number misses nothing without being told. Readers may wait (long poll). Owned by the agent; filled
 * by event-watch.ts and by whoever admits. Nothing in an event is secret.
 */
import type { Clock } from '../clock.ts';
import { WeftError } from '../errors.ts';
import type { EventReport, EventsReport, EventType } from './api-types.ts';

/** An hour of a mesh that is badly unwell. */
export const MAX_EVENTS = 1024;
/** Each holds a connection of the control socket. */
export const MAX_FOLLOWERS = 16;
/** Below what a client waits for an answer. */
const MAX_WAIT_MS = 10_000;
const MAX_TEXT_CHARACTERS = 256;

const NONE: Readonly<Record<EventType, number>> = {
  agent: 0,
  'peer-up': 0,
  'peer-down': 0,
  'peer-moved': 0,
  member: 0,
  mtu: 0,
  'mac-move': 0,
  'mac-frozen': 0,
  'drop-burst': 0,
  admitted: 0,
  refused: 0,
  revocation: 0,
  policy: 0,
  'policy-conflict': 0,
  renewal: 0,
  admitter: 0,
  overuse: 0,
  equivocation: 0,
};

export class EventRing {
  readonly #clock: Clock;
  readonly #startedAt: number;
  /** Oldest first; bounded by MAX_EVENTS. */
  readonly #events: EventReport[] = [];
  #nextSeq = 1;
  readonly #counts: Record<EventType, number> = { ...NONE };
  /** Readers that wait; bounded by MAX_FOLLOWERS. */
  readonly #waiting = new Set<() => void>();
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedAt = clock.wallMs();
  }

  /** @param subject host, MAC or drop reason that it is about */
  add(type: EventType, subject: string | null, text: string): void {
    this.#counts[type]++;
    const short = text.slice(0, MAX_TEXT_CHARACTERS);
    this.#events.push({ seq: this.#nextSeq++, at: this.#clock.wallMs(), type, subject, text: short });
    if (this.#events.length > MAX_EVENTS) this.#events.shift();
    for (const wake of [...this.#waiting]) wake();
  }

  /** How many there were of each type, those that are no longer kept included. */
  get counts(): Readonly<Record<EventType, number>> {
    return this.#counts;
  }

  /** What came after `after`, at once if there is anything, else when something comes or `waitMs` are over. */
  async read(after: number, waitMs: number): Promise<EventsReport> {
    if (waitMs > 0 && after >= this.#nextSeq - 1 && !this.#closed)
      await this.#change(Math.min(waitMs, MAX_WAIT_MS));
    const [oldest] = this.#events;
    return {
      v: 1,
      startedAt: this.#startedAt,
      lost: Math.max(0, (oldest?.seq ?? 1) - 1 - after),
      last: this.#nextSeq - 1,
      events: this.#events.filter(({ seq }) => seq > after),
    };
  }

  #change(waitMs: number): Promise<void> {
    if (this.#waiting.size >= MAX_FOLLOWERS)
      throw new WeftError('E_REFUSED', `${MAX_FOLLOWERS} readers already follow the events: end one of them`);
    return new Promise((resolve) => {
      const wake = (): void => {
        cancel();
        this.#waiting.delete(wake);
        resolve();
      };
      const cancel = this.#clock.after(waitMs, wake);
      this.#waiting.add(wake);
    });
  }

  /** Answers everybody who waits; the control socket is about to close. */
  close(): void {
    this.#closed = true;
    for (const wake of [...this.#waiting]) wake();
  }
}
