/**
 * Frames to a peer that shows itself at an address that nothing has proven yet (docs/adr/0016-frames-to-an-unproven-address.md). While the main thread's
 * challenge is on its way, frames go there at once, but never more bytes than MAX_AMPLIFICATION times those that came from
 * there, the challenge included; then they go where they went before. A receive worker grants, a transmit worker spends:
 *
 *   newest packet from elsewhere -> grant -> signal -> adopt -> spend, spend, ... -> end: proven, spent, or it spoke from home
 *
 * hot path: nothing here allocates, and for a peer that stays where it is all of it is one comparison.
 */
import { FROM_STRIDE, type Transmitter } from 'tun-tap';
import { MAX_SLOTS, type SharedTables } from './shared-tables.ts';

/** PROTOCOL: what may go to an address that has proved nothing, as a multiple of what came from it. */
const MAX_AMPLIFICATION = 3;
/** What the main thread may send there each time it hears of the address. */
export const CHALLENGE_BYTES = 64;
/** Most bytes that are saved up for one address. */
export const MAX_TRIAL_BYTES = 65_536;

export type TrialTables = Pick<SharedTables, 'trialFrom' | 'trialBytes' | 'trialSeq' | 'trialSignal'>;

/**
 * The newest packet of a peer came from the address at `from[at]`, which is not where its frames go.
 * @param asks the main thread is told of it now, and may send its challenge
 */
export function grantTrial(
  t: TrialTables,
  slot: number,
  from: Int32Array,
  at: number,
  wireBytes: number,
  asks: boolean,
): void {
  const seq = Atomics.load(t.trialSeq, slot);
  if ((seq & 1) !== 0) return; // Another receive worker is inside.
  const home = slot * FROM_STRIDE;
  let same = true;
  for (let k = 0; k < FROM_STRIDE; k++) same = same && t.trialFrom[home + k] === from[at + k];
  const bytes = wireBytes * MAX_AMPLIFICATION - (asks ? CHALLENGE_BYTES : 0);
  if (same) {
    const had = Atomics.add(t.trialBytes, slot, bytes);
    if (had + bytes > MAX_TRIAL_BYTES) Atomics.store(t.trialBytes, slot, MAX_TRIAL_BYTES);
    if (had <= 0) Atomics.add(t.trialSignal, 0, 1);
    return;
  }
  if (Atomics.compareExchange(t.trialSeq, slot, seq, seq + 1) !== seq) return;
  for (let k = 0; k < FROM_STRIDE; k++) t.trialFrom[home + k] = from[at + k]!;
  Atomics.store(t.trialBytes, slot, Math.min(bytes, MAX_TRIAL_BYTES));
  Atomics.add(t.trialSeq, slot, 1);
  Atomics.add(t.trialSignal, 0, 1);
}

/** The transmit worker's side. */
export class Trials {
  readonly #tables: TrialTables;
  readonly #transmitter: Transmitter;
  /** By slot: frames go to a trial address. */
  readonly #on = new Uint8Array(MAX_SLOTS);
  /** By slot: which address that is. */
  readonly #seqs = new Int32Array(MAX_SLOTS);
  readonly #words = new Int32Array(FROM_STRIDE);
  #signal = 0;
  /** Peers whose frames go to a trial address. */
  active = 0;

  constructor(tables: TrialTables, transmitter: Transmitter) {
    this.#tables = tables;
    this.#transmitter = transmitter;
  }

  isOn(slot: number): boolean {
    return this.#on[slot] === 1;
  }

  /** Looks for new grants, once per batch. */
  follow(): void {
    const signal = Atomics.load(this.#tables.trialSignal, 0);
    if (signal === this.#signal) return;
    this.#signal = signal;
    for (let slot = 0; slot < MAX_SLOTS; slot++) if (this.#tables.trialBytes[slot]! > 0) this.#adopt(slot);
  }

  #adopt(slot: number): void {
    const { trialFrom, trialSeq } = this.#tables;
    const seq = Atomics.load(trialSeq, slot);
    if (this.#on[slot] === 1 && this.#seqs[slot] === seq) return;
    for (let k = 0; k < FROM_STRIDE; k++) this.#words[k] = trialFrom[slot * FROM_STRIDE + k]!;
    // A grant that is just being written is signalled when it is whole.
    if ((seq & 1) !== 0 || Atomics.load(trialSeq, slot) !== seq) return;
    this.#transmitter.divert(slot, this.#words, 0);
    if (this.#on[slot] === 0) this.active++;
    this.#on[slot] = 1;
    this.#seqs[slot] = seq;
  }

  /** Takes what a frame costs. False when that is more than there is: the caller sends what it has queued, then calls `end`. */
  spend(slot: number, bytes: number): boolean {
    return Atomics.sub(this.#tables.trialBytes, slot, bytes) >= bytes;
  }

  /** Frames go to the peer's endpoint again. */
  end(slot: number): void {
    Atomics.store(this.#tables.trialBytes, slot, 0);
    if (this.#on[slot] === 0) return;
    this.#on[slot] = 0;
    this.active--;
    this.#transmitter.comeBack(slot);
  }
}
