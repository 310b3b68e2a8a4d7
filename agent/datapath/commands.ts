/**
 * What the main thread tells a worker, and what the worker answers. Commands are few (handshakes, membership); each is
 * acknowledged by its number once it has taken effect, which is what the install order of keys rests on.
 */

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
  | { readonly op: 'sweep' }
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
}

/** What every worker is started with. Descriptors are open in this process; memory is shared. */
export interface WorkerSettings {
  readonly kind: 'transmit' | 'receive';
  /** Position among all workers: which counters are its own. */
  readonly worker: number;
  /** Position and number among those of its kind: which lanes are its own. */
  readonly lane: number;
  readonly lanes: number;
  readonly tapFd: number;
  readonly tapMtu: number;
  readonly sealedFd: number;
  readonly plainFd: number | null;
  readonly sendFds: readonly number[];
  readonly eventFd: number;
  readonly maxSessions: number;
  readonly fdb: { readonly ageingSec: number; readonly localLimit: number; readonly perPeerLimit: number };
}
