/**
 * One result of a handshake: a receive key that workers hold under an index of ours, the control lane's sealing key and
 * window, and the direction key that transmit lanes are derived from. Called by key-ring.ts, peer-session.ts and the join
 * sessions. Never gives a key out twice: a lane key is installed once.
 *
 *    0      1       2       3       4                    8                      16
 *   +------+-------+-------+-------+--------------------+----------------------+- - - -
 *   | 4    | suite | inner | flags | receiver index     | counter              | ciphertext, tag
 *   +------+-------+-------+-------+--------------------+----------------------+- - - -
 */
import { zero } from '../identity/sodium.ts';
import type { SessionContext } from './context.ts';
import { CONTROL_LANE, type ControlKind, encodeControl, SEALED_HEADER } from './control.ts';
import { allLaneKeys, controlIndex, laneIndex, laneKey } from './keys.ts';
import type { TransportKeys } from './noise.ts';
import type { HandshakeFacts, Sealer, Suite, Window } from './types.ts';
import { putU64, viewOf } from './u64.ts';

const TYPE_SEALED = 4;
const FLAG_LISTENER = 1;

export interface SessionKeyOptions {
  readonly nowMs: number;
  readonly initiator: boolean;
  readonly index: number;
  readonly remoteIndex: number;
  /** Taken over and zeroed. */
  readonly keys: TransportKeys;
  /** What a RESET for the remote index has to show. */
  readonly remoteToken: Uint8Array;
}

export class SessionKey {
  readonly initiator: boolean;
  readonly index: number;
  readonly remoteIndex: number;
  readonly createdAtMs: number;
  readonly remoteToken: Uint8Array;
  /** A packet has been opened under it. */
  confirmed = false;
  readonly #ctx: SessionContext;
  /** Stays what it was when the handshake was made. */
  readonly #suite: Suite;
  readonly #send: Uint8Array;
  readonly #receiveLanes: Uint8Array;
  readonly #window: Window;
  #sealer: Sealer | null;
  #sent = 0;
  #highest = -1;
  #installToken: number | null = null;

  constructor(ctx: SessionContext, options: SessionKeyOptions) {
    this.#ctx = ctx;
    this.initiator = options.initiator;
    this.index = options.index;
    this.remoteIndex = options.remoteIndex;
    this.createdAtMs = options.nowMs;
    this.remoteToken = options.remoteToken;
    const { suite } = ctx;
    this.#suite = suite;
    this.#send = options.keys.send;
    this.#receiveLanes = allLaneKeys(options.keys.receive, suite);
    zero(options.keys.receive);
    const control = laneKey(this.#send, suite, CONTROL_LANE);
    this.#sealer = ctx.options.sealer(suite, control);
    zero(control);
    this.#window = ctx.options.window();
  }

  /** Asks for the receive key in every worker; `done` runs when they have it. `peer` is null for a join session. */
  install(peer: string | null, done: (nowMs: number) => void): void {
    const { inner, dataLanes } = this.#ctx.options;
    const data = peer === null ? 0 : dataLanes & ((1 << CONTROL_LANE) - 1);
    this.#installToken = this.#ctx.awaitInstall((nowMs) => {
      this.#installToken = null;
      done(nowMs);
    });
    this.#ctx.emit({
      kind: 'installReceive',
      token: this.#installToken,
      peer,
      index: this.index,
      suite: this.#suite,
      inner,
      lanes: data | (1 << CONTROL_LANE),
      laneKeys: this.#receiveLanes.slice(),
    });
    zero(this.#receiveLanes);
  }

  /** Gives the transmit lanes their keys. Called once. */
  installTransmit(peer: string, facts: HandshakeFacts): void {
    const { inner, transmitLanes, transmitFlags } = this.#ctx.options;
    for (let lane = 0; lane < transmitLanes; lane++) {
      this.#ctx.emit({
        kind: 'installTransmit',
        peer,
        lane,
        index: laneIndex(this.remoteIndex, lane),
        suite: this.#suite,
        inner,
        flags: transmitFlags,
        key: laneKey(this.#send, this.#suite, lane),
        facts,
      });
    }
    zero(this.#send);
  }

  /** Checks and sets the control lane's window for an authenticated packet. */
  acceptCounter(counter: number): 'replay' | 'late' | 'highest' {
    if (!this.#window.accept(counter)) return 'replay';
    if (counter <= this.#highest) return 'late';
    this.#highest = counter;
    return 'highest';
  }

  /** How many control packets it has sealed. */
  get sent(): number {
    return this.#sent;
  }

  /** A sealed control datagram, or null when it may not send any more. */
  seal(kind: ControlKind, body: Uint8Array, datagramBytes?: number, fromListener = true): Uint8Array | null {
    if (this.#sealer === null) return null;
    const header = new Uint8Array(SEALED_HEADER);
    const view = viewOf(header);
    header[0] = TYPE_SEALED;
    header[1] = this.#suite;
    header[3] = fromListener ? FLAG_LISTENER : 0;
    view.setUint32(4, controlIndex(this.remoteIndex));
    putU64(view, 8, this.#sent);
    const sealed = this.#sealer.seal(this.#sent, header, encodeControl(kind, body, datagramBytes));
    this.#sent++;
    const datagram = new Uint8Array(header.length + sealed.length);
    datagram.set(header);
    datagram.set(sealed, header.length);
    return datagram;
  }

  /** From now on it only receives. */
  stopSending(): void {
    this.#sealer?.destroy();
    this.#sealer = null;
    zero(this.#send);
  }

  /** Takes it out of the workers and zeroes it. */
  destroy(): void {
    this.stopSending();
    zero(this.#receiveLanes);
    if (this.#installToken !== null) this.#ctx.cancelInstall(this.#installToken);
    this.#installToken = null;
    this.#ctx.releaseIndex(this.index);
    this.#ctx.emit({ kind: 'removeReceive', index: this.index });
  }
}
