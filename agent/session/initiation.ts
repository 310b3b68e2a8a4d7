/**
 * One attempt to make a session as initiator: the first message, sent again on a schedule until it is answered or given up.
 * Messages within FLIGHT_MS of the first are the same bytes, so an answer to any of them counts however long the
 * round trip is; after that a fresh one is made. Called by peer-session.ts and joiner.ts.
 */
import { zero } from '../identity/sodium.ts';
import type { IndexOwner, SessionContext } from './context.ts';
import { MacKeys } from './cookie.ts';
import {
  type CookieReply,
  encodeHandshake,
  INIT_PAYLOAD,
  initHeader,
  macFields,
  type Response,
} from './messages.ts';
import { Handshake, type TransportKeys } from './noise.ts';
import {
  decodePayload,
  encodePayload,
  type HandshakePayload,
  PAYLOAD_KIND,
  type PayloadKind,
} from './payload.ts';
import { resetToken } from './resets.ts';
import { COOKIE_SECRET_MS, FLIGHT_MS, RETRY_GAPS_MS, RETRY_JITTER } from './timers.ts';

export interface InitiationTarget {
  readonly dhPk: Uint8Array;
  readonly signPk: Uint8Array;
  readonly kind: PayloadKind;
  /** Asked for at each fresh message, since certificates are renewed. */
  readonly certificates: () => readonly Uint8Array[];
}

interface Flight {
  readonly handshake: Handshake;
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly startedAtMs: number;
}

/** The second message, opened. */
export interface OpenedResponse {
  /** Own index, now the caller's, and the other side's. */
  readonly index: number;
  readonly remoteIndex: number;
  readonly payload: HandshakePayload;
  readonly keys: TransportKeys;
}

export class Initiation {
  readonly startedAtMs: number;
  readonly #ctx: SessionContext;
  readonly #target: InitiationTarget;
  readonly #owner: IndexOwner;
  readonly #giveUpMs: number;
  readonly #macKeys: MacKeys;
  #flight: Flight | null = null;
  #tries = 0;
  #nextAtMs: number;
  #cookie: { readonly bytes: Uint8Array; readonly atMs: number } | null = null;
  /** mac1 of the message that a cookie last came for: each message may bring one extra sending only. */
  #cookieFlight: Flight | null = null;

  /** @param owner answers for the indexes that the messages carry */
  constructor(
    ctx: SessionContext,
    target: InitiationTarget,
    owner: IndexOwner,
    nowMs: number,
    giveUpMs: number,
  ) {
    this.#ctx = ctx;
    this.#target = target;
    this.#owner = owner;
    this.#giveUpMs = giveUpMs;
    this.#macKeys = new MacKeys(ctx.options.psk, target.dhPk);
    this.startedAtMs = nowMs;
    this.#nextAtMs = nowMs;
    ctx.counters.started++;
  }

  due(nowMs: number): boolean {
    return nowMs >= this.#nextAtMs;
  }

  expired(nowMs: number): boolean {
    return nowMs - this.startedAtMs >= this.#giveUpMs;
  }

  /** How many messages it has sent on schedule. */
  get tries(): number {
    return this.#tries;
  }

  /** The message to send now, with the next one scheduled. Null when the other side's key is no key. */
  next(nowMs: number): Uint8Array | null {
    const gap = RETRY_GAPS_MS[Math.min(this.#tries, RETRY_GAPS_MS.length - 1)] ?? 0;
    this.#tries++;
    this.#nextAtMs = nowMs + this.#ctx.jitter(gap, RETRY_JITTER);
    return this.again(nowMs);
  }

  /** The message to send outside the schedule. */
  again(nowMs: number): Uint8Array | null {
    if (this.#flight === null || nowMs - this.#flight.startedAtMs >= FLIGHT_MS) {
      this.#land();
      this.#flight = this.#takeOff(nowMs);
    }
    return this.#flight?.bytes.slice() ?? null;
  }

  /** Leaves the other side's handshake time to finish. */
  pauseUntil(atMs: number): void {
    this.#nextAtMs = Math.max(this.#nextAtMs, atMs);
    this.#tries = 0;
  }

  /** The other side is there: begins the schedule again. */
  hurry(nowMs: number): void {
    this.#tries = 1;
    this.#nextAtMs = nowMs + this.#ctx.jitter(RETRY_GAPS_MS[0], RETRY_JITTER);
  }

  #takeOff(nowMs: number): Flight | null {
    const { options, rng } = this.#ctx;
    const ephemeralSk = rng.fill(new Uint8Array(32));
    const handshake = new Handshake({
      pattern: 'IKpsk2',
      initiator: true,
      prologue: this.#ctx.prologue(this.#target.signPk),
      staticKeys: { publicKey: options.identity.dhPk, secretKey: options.identity.dhSk },
      ephemeralSk,
      remoteStatic: this.#target.dhPk,
      psk: options.psk,
    });
    zero(ephemeralSk);
    const index = this.#ctx.allocateIndex(this.#owner);
    const payload = encodePayload(
      {
        ...options.local(),
        kind: this.#target.kind,
        incarnation: options.incarnation,
        counter: this.#ctx.nextHandshakeCounter(),
        resetToken: resetToken(options.resetSecrets.current, index),
        certificates: this.#target.certificates(),
      },
      INIT_PAYLOAD,
    );
    const header = initHeader(index);
    const noise = handshake.write(payload, header);
    if (noise === null) {
      handshake.destroy();
      this.#ctx.releaseIndex(index);
      return null;
    }
    const bytes = encodeHandshake(header, noise);
    const cookie =
      this.#cookie !== null && nowMs - this.#cookie.atMs < COOKIE_SECRET_MS ? this.#cookie.bytes : null;
    this.#macKeys.stamp(bytes, cookie);
    return { handshake, index, bytes, startedAtMs: nowMs };
  }

  #land(): void {
    if (this.#flight === null) return;
    this.#flight.handshake.destroy();
    this.#ctx.releaseIndex(this.#flight.index);
    this.#flight = null;
  }

  /** Takes the cookie in a reply to the message under way. True when that message should be sent again at once. */
  takeCookie(nowMs: number, reply: CookieReply): boolean {
    const flight = this.#flight;
    if (flight === null || flight.index !== reply.receiverIndex) return false;
    const cookie = this.#macKeys.openCookie(reply, macFields(flight.bytes).mac1);
    if (cookie === null) return false;
    this.#ctx.counters.cookiesReceived++;
    this.#cookie = { bytes: cookie, atMs: nowMs };
    this.#macKeys.stamp(flight.bytes, cookie);
    if (this.#cookieFlight === flight) return false;
    this.#cookieFlight = flight;
    return true;
  }

  /**
   * Opens the answer. Null when it is not genuine: nothing has changed. 'malformed' when the other side itself sent
   * nonsense: a fresh message is made next time. Otherwise the message under way is used up and its index is the
   * caller's.
   */
  open(message: Response): OpenedResponse | 'malformed' | null {
    const flight = this.#flight;
    if (flight === null || flight.index !== message.receiverIndex) return null;
    const plaintext = flight.handshake.read(message.noise, message.header);
    if (plaintext === null) return null;
    const payload = decodePayload(plaintext);
    if (payload === null || payload.kind !== PAYLOAD_KIND.member) {
      this.#land();
      return 'malformed';
    }
    this.#flight = null;
    return {
      index: flight.index,
      remoteIndex: message.senderIndex,
      payload,
      keys: flight.handshake.finish(),
    };
  }

  /** Ends the attempt and zeroes its keys. */
  destroy(): void {
    this.#land();
  }
}
