/**
 * Whom to probe next, and the state of the probe under way. Round robin over a shuffled list bounds the time until each
 * member has been probed; the list is shuffled anew after each round (SWIM §4.3).
 */
import type { SwimConfig } from './config.ts';
import type { Member } from './member.ts';
import type { Rng } from './types.ts';

export interface Probe {
  readonly id: bigint;
  readonly target: string;
  pingsLeft: number;
  readonly spacingMs: number;
  nextPingAtMs: number;
  pingsSent: number;
  firstPingAtMs: number | null;
  readonly indirectAtMs: number;
  indirectSent: boolean;
  /** Members asked to ping in our place; bounded by config.indirectProbes. */
  readonly helpers: Set<string>;
  readonly endsAtMs: number;
}

/** Plans a probe: pings at 0, t/3 and 2t/3, indirect ones at t, the end with the probe interval. */
export function startProbe(target: Member, config: SwimConfig, rng: Rng, nowMs: number): Probe {
  const wanted = target.rttMs === null ? config.ackTimeoutMs : target.rttMs * 4;
  const timeoutMs = Math.min(config.maxAckTimeoutMs, Math.max(config.minAckTimeoutMs, wanted));
  return {
    id: new DataView(rng.fill(new Uint8Array(8)).buffer).getBigUint64(0),
    target: target.id,
    pingsLeft: config.directPings,
    spacingMs: timeoutMs / config.directPings,
    nextPingAtMs: nowMs,
    pingsSent: 0,
    firstPingAtMs: null,
    indirectAtMs: nowMs + timeoutMs,
    indirectSent: false,
    helpers: new Set(),
    endsAtMs: nowMs + Math.max(config.probeIntervalMs - config.tickMs, timeoutMs * 1.5),
  };
}

export class ProbeOrder {
  readonly #rng: Rng;
  /** Member ids; bounded by the member table. */
  #ids: string[] = [];
  #at = 0;

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  /** New members come in at a random place of the round. */
  add(id: string): void {
    this.#ids.splice(Math.floor(this.#rng.float() * (this.#ids.length + 1)), 0, id);
  }

  remove(id: string): void {
    const i = this.#ids.indexOf(id);
    if (i < 0) return;
    this.#ids.splice(i, 1);
    if (i < this.#at) this.#at -= 1;
  }

  /** The next id that satisfies `wanted`; null if none does. */
  next(wanted: (id: string) => boolean): string | null {
    for (let n = 0; n < this.#ids.length; n++) {
      if (this.#at >= this.#ids.length) {
        this.#at = 0;
        this.#shuffle();
      }
      const id = this.#ids[this.#at++]!;
      if (wanted(id)) return id;
    }
    return null;
  }

  #shuffle(): void {
    for (let i = this.#ids.length - 1; i > 0; i--) {
      const j = Math.floor(this.#rng.float() * (i + 1));
      [this.#ids[i], this.#ids[j]] = [this.#ids[j]!, this.#ids[i]!];
    }
  }
}
