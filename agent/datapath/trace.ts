/**
 * What a question "what would become of this frame?" is asked of and how the answer looks. trace-out.ts and trace-in.ts walk
 * the stages of transmit.ts and receive.ts on the live tables without sending and without changing anything: what a frame
 * would teach goes into copies. test/netns/trace.test.ts holds both against the real counters. Main thread only.
 */
import { DROP } from './drop.ts';
import type { Fdb } from './fdb.ts';
import type { SharedTables } from './shared-tables.ts';
import type { TunnelBook } from './tunnel-book.ts';

export interface TraceWorld {
  /** Live, and only read. */
  readonly tables: SharedTables;
  /** Copies: the trace learns into them. */
  readonly local: Fdb;
  readonly remote: Fdb;
  readonly tunnels: TunnelBook;
  /** The workers' clock. */
  readonly nowMs: number;
  /** How people call who holds a slot. */
  readonly nameOf: (slot: number) => string;
  /** MTU of the device that leads to an underlay address; null without a route. */
  readonly deviceMtuBytes: (ip: string) => number | null;
  readonly tapIsUp: boolean;
}

export type TraceStage =
  | 'parse'
  | 'source'
  | 'learn'
  | 'lookup'
  | 'flood'
  | 'path-mtu'
  | 'encapsulate'
  | 'session'
  | 'seal'
  | 'send'
  | 'open'
  | 'admit'
  | 'write';

export interface TraceStep {
  readonly stage: TraceStage;
  /** False where the frame, or this copy of it, ends. */
  readonly passed: boolean;
  readonly text: string;
  /** Slot of the copy that it is about; null before there are copies. */
  readonly slot: number | null;
}

/** A copy of the frame for one peer. */
export interface TraceCopy {
  readonly slot: number;
  /** DROP number; none: sent. */
  readonly drop: number;
}

export interface Traced {
  readonly steps: readonly TraceStep[];
  /** Bounded by MAX_SLOTS. Empty for received frames, and for those that end before there are copies. */
  readonly copies: readonly TraceCopy[];
  /** What became of the frame as a whole; none: it was written to the TAP, or see `copies`. */
  readonly drop: number;
}

/** Collects the steps of one frame. */
export class TraceNotes {
  /** Bounded by the stages and MAX_SLOTS copies. */
  readonly steps: TraceStep[] = [];
  readonly copies: TraceCopy[] = []; // bounded by MAX_SLOTS

  pass(stage: TraceStage, text: string, slot: number | null = null): void {
    this.steps.push({ stage, passed: true, text, slot });
  }

  /** The whole frame ends here. */
  end(stage: TraceStage, drop: number, text: string): Traced {
    this.steps.push({ stage, passed: false, text, slot: null });
    return { steps: this.steps, copies: this.copies, drop };
  }

  /** The copy for one peer ends here. */
  fail(stage: TraceStage, slot: number, drop: number, text: string): void {
    this.steps.push({ stage, passed: false, text, slot });
    this.copies.push({ slot, drop });
  }

  done(): Traced {
    return { steps: this.steps, copies: this.copies, drop: DROP.none };
  }
}

/** A MAC of the FDB's two words. */
export function macOf(hi: number, lo: number): string {
  const text = ((hi & 0xffff) * 0x1_0000_0000 + (lo >>> 0)).toString(16).padStart(12, '0');
  return text.match(/../g)?.join(':') ?? text;
}

/** A MAC address in a frame as the FDB's two words. */
export const macHi = (b: Uint8Array, at = 0): number => (b[at]! << 8) | b[at + 1]!;
export const macLo = (b: Uint8Array, at = 0): number =>
  (b[at + 2]! << 24) | (b[at + 3]! << 16) | (b[at + 4]! << 8) | b[at + 5]!;
