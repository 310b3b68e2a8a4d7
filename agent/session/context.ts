/**
 * What the parts of one session manager share: options, randomness, the table of own indexes, installs under way, and
 * the list of outputs being gathered. Made by session-manager.ts; the parts never see each other through it.
 */
import type { Rng } from '../clock.ts';
import type { Endpoint } from '../endpoint.ts';
import { concat, utf8 } from '../identity/sodium.ts';
import type { ControlMessage } from './control.ts';
import { MacKeys } from './cookie.ts';
import { newCounters, type SessionCounters } from './counters.ts';
import { baseIndex } from './keys.ts';
import type { CookieReply, Response } from './messages.ts';
import { ReplayGuard } from './replay-guard.ts';
import { DEFAULT_LIMITS, MAX_STATICS } from './timers.ts';
import type { SessionDrop, SessionLimits, SessionOptions, SessionOutput, Suite } from './types.ts';

/** A lane-15 packet that a receive worker opened. */
export interface ControlPacket {
  readonly message: ControlMessage;
  readonly wireSize: number;
  readonly from: Endpoint;
  /** From the sender's listening socket. */
  readonly fromListener: boolean;
  /** From the sender's listening socket, and above every counter of the lane before it: may start a move. */
  readonly mayMove: boolean;
}

/** Who answers for a receiver index of ours. */
export interface IndexOwner {
  /** The index stands in a first message of ours. */
  response?(nowMs: number, message: Response, bytes: Uint8Array, from: Endpoint): void;
  cookie?(nowMs: number, reply: CookieReply): void;
  /** The index belongs to a key. The counter is checked before. */
  acceptCounter?(counter: number): 'replay' | 'late' | 'highest';
  control?(nowMs: number, packet: ControlPacket): void;
  /** A data packet came that may move the endpoint. */
  sighted?(nowMs: number, from: Endpoint, wireSize: number): void;
}

const PROLOGUE = utf8('weft1');

export class SessionContext {
  readonly options: SessionOptions;
  readonly limits: SessionLimits;
  readonly rng: Rng;
  /** What others stamp on handshake messages to this host. */
  readonly macKeys: MacKeys;
  /** First messages of members. */
  readonly replays: ReplayGuard;
  readonly counters: SessionCounters = newCounters();
  /** By base index; bounded by the keys and attempts that own them: 8 per peer and 2 per join session. */
  readonly #owners = new Map<number, IndexOwner>();
  /** By token; bounded by the keys being installed. */
  readonly #installs = new Map<number, (nowMs: number) => void>();
  /** Gathered during one input; bounded by what one input causes, at most a few per peer at a tick. */
  #outputs: SessionOutput[] = [];
  /** Of handshakes and keys from now on; policy changes it. */
  suite: Suite;
  #handshakeCounter = 0;
  #nextToken = 1;

  constructor(options: SessionOptions, rng: Rng) {
    this.options = options;
    this.suite = options.suite;
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.rng = rng;
    this.macKeys = new MacKeys(options.psk, options.identity.dhPk);
    this.replays = new ReplayGuard(MAX_STATICS);
  }

  emit(output: SessionOutput): void {
    this.#outputs.push(output);
  }

  drop(reason: SessionDrop): void {
    this.emit({ kind: 'drop', reason });
  }

  takeOutputs(): SessionOutput[] {
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  /** A free index. Without an owner it only keeps others from taking it. */
  allocateIndex(owner: IndexOwner = {}): number {
    const bytes = new Uint8Array(4);
    for (;;) {
      this.rng.fill(bytes);
      const index = baseIndex(new DataView(bytes.buffer).getUint32(0));
      if (this.#owners.has(index)) continue;
      this.#owners.set(index, owner);
      return index;
    }
  }

  assignIndex(index: number, owner: IndexOwner): void {
    this.#owners.set(baseIndex(index), owner);
  }

  ownerOf(index: number): IndexOwner | undefined {
    return this.#owners.get(baseIndex(index));
  }

  releaseIndex(index: number): void {
    this.#owners.delete(index);
  }

  get indexCount(): number {
    return this.#owners.size;
  }

  /** A token for an installReceive; `done` runs when every worker has the key. */
  awaitInstall(done: (nowMs: number) => void): number {
    const token = this.#nextToken++;
    this.#installs.set(token, done);
    return token;
  }

  cancelInstall(token: number): void {
    this.#installs.delete(token);
  }

  installed(nowMs: number, token: number): void {
    const done = this.#installs.get(token);
    this.#installs.delete(token);
    done?.(nowMs);
  }

  nextHandshakeCounter(): number {
    return ++this.#handshakeCounter;
  }

  /** "weft1" || mesh_id || suite || responder sign_pk. */
  prologue(responderSignPk: Uint8Array): Uint8Array {
    return concat(PROLOGUE, this.options.meshId, Uint8Array.of(this.suite), responderSignPk);
  }

  /** A duration varied by `part` either way. */
  jitter(durationMs: number, part: number): number {
    return durationMs * (1 + part * (2 * this.rng.float() - 1));
  }
}
