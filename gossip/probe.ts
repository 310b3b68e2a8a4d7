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

const greatestDivisor = (a: number, b: number): number => (b === 0 ? a : greatestDivisor(b, a % b));

export class ProbeOrder {
  readonly #rng: Rng;
  /** Member ids; bounded by the member table. */
  #ids: string[] = [];
  #at = 0;
  /** Ids that many share and nobody changes, walked in steps of a number prime to their count instead of being shuffled. */
  readonly #shared: readonly string[];
  #sharedLeft = 0;
  #sharedAt = 0;
  #stride = 1;

  constructor(rng: Rng, shared: readonly string[] = []) {
    this.#rng = rng;
    this.#shared = shared;
    this.#beginShared();
  }

  #beginShared(): void {
    const n = this.#shared.length;
    this.#sharedLeft = n;
    if (n === 0) return;
    this.#sharedAt = Math.floor(this.#rng.float() * n);
    do this.#stride = 1 + Math.floor(this.#rng.float() * n);
    while (greatestDivisor(this.#stride, n) > 1);
  }

  #nextShared(): string {
    this.#sharedLeft -= 1;
    this.#sharedAt = (this.#sharedAt + this.#stride) % this.#shared.length;
    return this.#shared[this.#sharedAt]!;
  }

  /** All that can come next, by place; some may have been forgotten. */
  get length(): number {
    return this.#shared.length + this.#ids.length;
  }

  at(i: number): string {
    return this.#shared[i] ?? this.#ids[i - this.#shared.length]!;
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
    for (let n = 0; n < this.length; n++) {
      const ownLeft = this.#ids.length - this.#at;
      if (ownLeft + this.#sharedLeft === 0) {
        this.#at = 0;
        this.#shuffle();
        this.#beginShared();
      }
      const id = this.#takesShared() ? this.#nextShared() : this.#ids[this.#at++]!;
      if (wanted(id)) return id;
    }
    return null;
  }

  /** Shared and own ids alternate by chance, in the proportion of what is left of each. */
  #takesShared(): boolean {
    const ownLeft = this.#ids.length - this.#at;
    if (this.#sharedLeft === 0 || ownLeft === 0) return ownLeft === 0;
    return this.#rng.float() * (ownLeft + this.#sharedLeft) < this.#sharedLeft;
  }

  #shuffle(): void {
    for (let i = this.#ids.length - 1; i > 0; i--) {
      const j = Math.floor(this.#rng.float() * (i + 1));
      [this.#ids[i], this.#ids[j]] = [this.#ids[j]!, this.#ids[i]!];
    }
  }
}
