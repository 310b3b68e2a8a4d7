/**
 * First messages of others, up to the point where their certificates can be judged: cheap checks first, the costly ones
 * within a budget that keeps room for those who are known. Called by session-manager.ts. Never answers with more than
 * it was asked with.
 */
import type { Endpoint } from '../endpoint.ts';
import { equalBytes, toHex, zero } from '../identity/sodium.ts';
import type { SessionContext } from './context.ts';
import { CookieJar, MacKeys } from './cookie.ts';
import { decodeInit, encodeHandshake, macFields, RESPONSE_PAYLOAD, responseHeader } from './messages.ts';
import { Handshake, type TransportKeys } from './noise.ts';
import { sameEndpoint } from './path.ts';
import { decodePayload, encodePayload, type HandshakePayload, PAYLOAD_KIND } from './payload.ts';
import { AddressLimiter, TokenBucket } from './rate-limit.ts';
import { resetToken } from './resets.ts';
import { DH_PER_HANDSHAKE, DH_PER_SECOND, DH_RESERVE, MAX_JOINER_INITS, UNDER_LOAD_MS } from './timers.ts';

/** A genuine first message of a static key, not seen before. */
export interface AcceptedInit {
  readonly senderIndex: number;
  readonly dhPk: Uint8Array;
  readonly payload: HandshakePayload;
  readonly handshake: Handshake;
  /** Names the message among those being answered. */
  readonly mac1: string;
}

export interface Answer {
  readonly index: number;
  readonly keys: TransportKeys;
}

/** What the responder asks of the manager. */
export interface Acquaintance {
  knowsStatic(dhPk: Uint8Array): boolean;
  knowsAddress(ip: string): boolean;
}

interface PendingAnswer {
  readonly bytes: Uint8Array;
  /** bounded by MAX_ANSWER_ADDRESSES. A copy of the message from elsewhere must not keep the answer from the genuine sender. */
  readonly to: Endpoint[];
  sent: boolean;
}

const MAX_ANSWER_ADDRESSES = 3;

export class Responder {
  readonly #ctx: SessionContext;
  readonly #known: Acquaintance;
  readonly #jar: CookieJar;
  readonly #dh = new TokenBucket(DH_PER_SECOND);
  readonly #unproven = new AddressLimiter();
  readonly #proven = new AddressLimiter();
  /** mac1 of the latest first messages of joiners, oldest first; bounded by MAX_JOINER_INITS. */
  readonly #joinInits = new Set<string>();
  /** By mac1; bounded by the unconfirmed keys, one per peer and join session, whose owner calls `forget`. */
  readonly #answers = new Map<string, PendingAnswer>();
  #loadUntilMs = Number.NEGATIVE_INFINITY;

  constructor(ctx: SessionContext, known: Acquaintance) {
    this.#ctx = ctx;
    this.#known = known;
    this.#jar = new CookieJar(ctx.rng);
  }

  /** The message if it is genuine and new; otherwise null, counted, and perhaps answered by a cookie. */
  receive(nowMs: number, bytes: Uint8Array, from: Endpoint): AcceptedInit | null {
    const { counters } = this.#ctx;
    const init = decodeInit(bytes);
    const isGenuine = init !== null && this.#ctx.macKeys.mac1Valid(bytes);
    const mac1 = isGenuine ? toHex(macFields(bytes).mac1) : '';
    const pending = isGenuine ? this.#answers.get(mac1) : undefined;
    if (pending !== undefined) {
      this.#repeat(nowMs, pending, from);
      return null;
    }
    counters.started++;
    if (init === null) return this.#refuse('garbage', 'garbage');
    if (!isGenuine) return this.#refuse('mac1', 'auth');
    if (!this.#admit(nowMs, bytes, init.senderIndex, from)) return null;
    const identity = this.#ctx.options.identity;
    const ephemeralSk = this.#ctx.rng.fill(new Uint8Array(32));
    const handshake = new Handshake({
      pattern: 'IKpsk2',
      initiator: false,
      prologue: this.#ctx.prologue(identity.signPk),
      staticKeys: { publicKey: identity.dhPk, secretKey: identity.dhSk },
      ephemeralSk,
      psk: this.#ctx.options.psk,
    });
    zero(ephemeralSk);
    let overBudget = false;
    const plaintext = handshake.read(init.noise, init.header, (dhPk) => {
      overBudget = !this.#dh.take(
        nowMs,
        DH_PER_HANDSHAKE - 1,
        this.#known.knowsStatic(dhPk) ? 0 : DH_RESERVE,
      );
      return !overBudget;
    });
    const dhPk = handshake.remoteStatic;
    const payload = plaintext === null ? null : decodePayload(plaintext);
    if (payload === null || dhPk === null || equalBytes(dhPk, identity.dhPk)) {
      handshake.destroy();
      if (overBudget) return this.#refuse('rate', 'rate');
      return plaintext === null ? this.#refuse('auth', 'auth') : this.#refuse('garbage', 'garbage');
    }
    if (!this.#isNew(dhPk, payload, mac1)) {
      handshake.destroy();
      counters.handshakes.replay++;
      this.#ctx.drop('replay');
      return null;
    }
    return { senderIndex: init.senderIndex, dhPk, payload, handshake, mac1 };
  }

  #refuse(counter: 'garbage' | 'mac1' | 'auth' | 'rate', reason: 'garbage' | 'auth' | 'rate'): null {
    this.#ctx.counters.handshakes[counter]++;
    this.#ctx.drop(reason);
    return null;
  }

  /**
   * A member's messages must grow in (incarnation, counter). A joiner has no persisted incarnation and may begin again with
   * the same keys, so of its messages only the very same one is refused; all that it could open is a session of 10 s.
   */
  #isNew(dhPk: Uint8Array, payload: HandshakePayload, mac1: string): boolean {
    if (payload.kind === PAYLOAD_KIND.join) return !this.#joinInits.has(mac1);
    return this.#ctx.replays.isNew(dhPk, payload.incarnation, payload.counter);
  }

  /** Sends the same answer again to a message that came again, perhaps from elsewhere. */
  #repeat(nowMs: number, pending: PendingAnswer, from: Endpoint): void {
    if (!pending.to.some((to) => sameEndpoint(to, from))) {
      if (pending.to.length >= MAX_ANSWER_ADDRESSES) {
        this.#ctx.drop('replay');
        return;
      }
      pending.to.push(from);
    }
    if (!pending.sent) return;
    if (this.#unproven.take(nowMs, from.ip))
      this.#ctx.emit({ kind: 'send', to: from, bytes: pending.bytes.slice() });
    else this.#ctx.drop('rate');
  }

  /** Whether a message with a valid mac1 may cost a Diffie-Hellman. */
  #admit(nowMs: number, bytes: Uint8Array, senderIndex: number, from: Endpoint): boolean {
    if (this.#dh.available(nowMs) < DH_RESERVE + DH_PER_HANDSHAKE) this.#loadUntilMs = nowMs + UNDER_LOAD_MS;
    if (this.#jar.mac2Valid(nowMs, from, bytes)) {
      if (!this.#proven.take(nowMs, from.ip)) return this.#refuse('rate', 'rate') !== null;
    } else if (nowMs < this.#loadUntilMs || !this.#unproven.take(nowMs, from.ip)) {
      const cookie = this.#jar.cookieFor(nowMs, from);
      const reply = this.#ctx.macKeys.sealCookie(bytes, senderIndex, cookie, this.#ctx.rng);
      this.#ctx.counters.cookiesSent++;
      this.#ctx.emit({ kind: 'send', to: from, bytes: reply });
      this.#ctx.drop('rate');
      return false;
    }
    const reserve =
      this.#dh.available(nowMs) < DH_RESERVE + 1 && this.#known.knowsAddress(from.ip) ? 0 : DH_RESERVE;
    return this.#dh.take(nowMs, 1, reserve) || this.#refuse('rate', 'rate') !== null;
  }

  /** The message was found acceptable: the same one is refused from now on. */
  record(accepted: AcceptedInit): void {
    const { dhPk, payload, mac1 } = accepted;
    if (payload.kind === PAYLOAD_KIND.member) {
      this.#ctx.replays.record(dhPk, payload.incarnation, payload.counter);
      return;
    }
    this.#joinInits.add(mac1);
    if (this.#joinInits.size <= MAX_JOINER_INITS) return;
    const oldest = this.#joinInits.values().next().value;
    if (oldest !== undefined) this.#joinInits.delete(oldest);
  }

  /**
   * Makes the second message under a new index, to be sent by `release` when the key is installed. Null when the
   * other side's ephemeral key is no key, or this host has no certificate yet.
   */
  answer(accepted: AcceptedInit, to: Endpoint): Answer | null {
    const { options } = this.#ctx;
    const local = options.local();
    if (local.certificates.length === 0) return null;
    const index = this.#ctx.allocateIndex();
    const payload = encodePayload(
      {
        ...local,
        kind: PAYLOAD_KIND.member,
        incarnation: options.incarnation,
        counter: this.#ctx.nextHandshakeCounter(),
        resetToken: resetToken(options.resetSecrets.current, index),
      },
      RESPONSE_PAYLOAD,
    );
    const header = responseHeader(index, accepted.senderIndex);
    const noise = accepted.handshake.write(payload, header);
    if (noise === null) {
      this.#ctx.releaseIndex(index);
      return null;
    }
    const bytes = encodeHandshake(header, noise);
    new MacKeys(options.psk, accepted.dhPk).stamp(bytes, null);
    this.#answers.set(accepted.mac1, { bytes, to: [to], sent: false });
    return { index, keys: accepted.handshake.finish() };
  }

  /** Sends the answer to `mac1` for the first time. */
  release(mac1: string): void {
    const pending = this.#answers.get(mac1);
    if (pending === undefined) return;
    pending.sent = true;
    for (const to of pending.to) this.#ctx.emit({ kind: 'send', to, bytes: pending.bytes.slice() });
  }

  /** The key of that answer was used or destroyed: the message is not answered again. */
  forget(mac1: string): void {
    this.#answers.delete(mac1);
  }

  get pendingAnswers(): number {
    return this.#answers.size;
  }
}
