/**
 * What the main thread has told the workers of keys and endpoints, by slot: the keys themselves live in C and cannot be asked.
 * Written by data-plane.ts after each acknowledged command, read by trace.ts. Holds no key.
 */
import type { Endpoint } from '../endpoint.ts';
import type { TransmitKey } from './data-plane-types.ts';

export interface Tunnel {
  /** Null: no key and not plain. */
  readonly mode: 'sealed' | 'plain' | null;
  readonly endpoint: Endpoint | null;
  /** Receiver index, suite (1 ChaCha20-Poly1305, 2 AES-256-GCM) and flags of the newest key; 0 for plain. */
  readonly index: number;
  readonly suite: number;
}

const NOTHING: Tunnel = { mode: null, endpoint: null, index: 0, suite: 0 };

export class TunnelBook {
  /** By slot; bounded by MAX_SLOTS. */
  readonly #tunnels = new Map<number, Tunnel>();
  /** Slot by receiver index; bounded by MAX_SESSIONS. */
  readonly #receive = new Map<number, number>();

  of(slot: number): Tunnel {
    return this.#tunnels.get(slot) ?? NOTHING;
  }

  /** Whether some key of this host opens what the peer seals. */
  opensFrom(slot: number): boolean {
    return [...this.#receive.values()].includes(slot);
  }

  sealed({ slot, index, suite }: TransmitKey): void {
    this.#tunnels.set(slot, { ...this.of(slot), mode: 'sealed', index, suite });
  }

  plain(slot: number): void {
    this.#tunnels.set(slot, { ...this.of(slot), mode: 'plain', index: 0, suite: 0 });
  }

  moved(slot: number, endpoint: Endpoint): void {
    this.#tunnels.set(slot, { ...this.of(slot), endpoint });
  }

  clear(slot: number): void {
    this.#tunnels.delete(slot);
  }

  receiveFrom(index: number, slot: number): void {
    this.#receive.set(index, slot);
  }

  forgetReceive(index: number): void {
    this.#receive.delete(index);
  }
}
