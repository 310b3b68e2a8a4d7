/**
 * What the main thread tells a worker, and what the worker answers. Commands are few (handshakes, membership); each is
 * acknowledged by its number once it has taken effect, which is what the install order of keys rests on.
 */

import type { DuplicateRule } from './fdb-moves.ts';

export type Command = { readonly seq: number } & (
  | {
      readonly op: 'installReceive';
      readonly index: number;
      readonly suite: 1 | 2;
      readonly inner: 1 | 2;
      readonly laneKeys: Uint8Array;
      readonly lanes: number;
      readonly slot: number;
    }
  | { readonly op: 'removeReceive'; readonly index: number }
  | {
      readonly op: 'installTransmit';
      readonly slot: number;
      readonly index: number;
      readonly suite: 1 | 2;
      readonly inner: 1 | 2;
      readonly key: Uint8Array;
      readonly flags: number;
    }
  | { readonly op: 'setPlain'; readonly slot: number }
  | { readonly op: 'setEndpoint'; readonly slot: number; readonly ip: string; readonly port: number }
  | { readonly op: 'clearTransmit'; readonly slot: number }
  | {
      readonly op: 'pin';
      readonly segment: number;
      readonly hi: number;
      readonly lo: number;
      readonly slot: number;
    }
  | {
      readonly op: 'setVtep';
      readonly segment: number;
      readonly address: readonly number[];
      readonly slot: number;
    }
  | { readonly op: 'removeVtep'; readonly segment: number; readonly address: readonly number[] }
  /** Lets frames come to the worker's TAP queue, or keeps them away from it. */
  | { readonly op: 'tapQueue'; readonly on: boolean }
  | { readonly op: 'offloads'; readonly segmenting: boolean; readonly joining: boolean }
  | { readonly op: 'sweep' }
  /** A proof that plain frames do not get into sealed segments (self-test.ts). */
  | { readonly op: 'selfTest' }
  /** Nothing but the ack: it shows that the worker is not stuck. */
  | { readonly op: 'answer' }
  | { readonly op: 'watchGc'; readonly deliberate: boolean }
  | { readonly op: 'reportGc' }
  | { readonly op: 'stop' }
);

/** A command without its number, as callers write it. */
export type CommandBody = Command extends infer C ? (C extends Command ? Omit<C, 'seq'> : never) : never;

export interface Ack {
  readonly seq: number;
  /** Set when the command failed; the worker goes on. */
  readonly error?: string;
  /** Answer to reportGc: collections since watchGc, of any kind. */
  readonly collections?: number;
  /** Answer to selfTest: what went wrong; null if nothing did. */
  readonly selfTest?: string | null;
  /** Answer to pin: false if there is no room among static entries. */
  readonly pinned?: boolean;
}

/** What a worker does: one direction, or both in turn where there are too few cores for two threads. */
export type WorkerKind = 'transmit' | 'receive' | 'both';

/** What every worker is started with. Descriptors are open in this process; memory is shared. */
export interface WorkerSettings {
  readonly kind: WorkerKind;
  /**
   * Which pair of directions it belongs to, of how many. Pair n reads TAP queue n, seals in lane n, counts in rows 2n
   * (transmit) and 2n + 1 (receive), and keeps the windows of lanes that are n modulo `pairs`.
   */
  readonly pair: number;
  readonly pairs: number;
  readonly tapFd: number;
  readonly sealedFd: number;
  readonly plainFd: number | null;
  /** The listening socket first, then the sending ports that are this worker's alone. */
  readonly sendFds: readonly number[];
  readonly eventFd: number;
  readonly maxSessions: number;
  readonly fdb: {
    readonly ageingSec: number;
    readonly localLimit: number;
    readonly perPeerLimit: number;
    readonly duplicates: DuplicateRule;
  };
  /** UDP_SEGMENT when sending. */
  readonly segmenting: boolean;
  /** Neighbours of a flow become super-frames before they are written. */
  readonly joining: boolean;
}

/** Counter rows of a pair. */
export const transmitRow = (pair: number): number => pair * 2;
export const receiveRow = (pair: number): number => pair * 2 + 1;
