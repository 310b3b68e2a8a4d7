/**
 * Sessions of hosts that are not members yet, on the side of the seed: lane 15 only, one request, one reply, 10 seconds, at
 * most 64 at once. Whoever holds the token's certificate may begin one; what the request says is judged by the admitter.
 * Called by session-manager.ts. They carry no data keys and never touch a peer.
 */
import type { Endpoint } from '../endpoint.ts';
import { equalBytes, toHex } from '../identity/sodium.ts';
import type { ControlPacket, SessionContext } from './context.ts';
import { CONTROL } from './control.ts';
import type { AcceptedInit, Answer, Responder } from './responder.ts';
import { SessionKey } from './session-key.ts';
import { JOIN_MS, MAX_JOINS } from './timers.ts';

interface JoinSession {
  readonly joinId: number;
  readonly key: SessionKey;
  readonly dhPk: Uint8Array;
  readonly tokenCert: Uint8Array;
  readonly mac1: string;
  readonly endsAtMs: number;
  request: Uint8Array | null;
  reply: Uint8Array | null;
  replyTo: Endpoint;
}

export class JoinSessions {
  readonly #ctx: SessionContext;
  readonly #responder: Responder;
  /** By join id, oldest first; bounded by MAX_JOINS. */
  readonly #sessions = new Map<number, JoinSession>();
  #nextId = 1;

  constructor(ctx: SessionContext, responder: Responder) {
    this.#ctx = ctx;
    this.#responder = responder;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** A genuine, new first message of kind join. */
  respond(nowMs: number, accepted: AcceptedInit, from: Endpoint): void {
    const { counters, options } = this.#ctx;
    const tokenCert = accepted.payload.certificates[0];
    const verdict = tokenCert === undefined ? null : options.verifyToken(tokenCert, nowMs);
    if (tokenCert === undefined || verdict?.ok !== true) {
      accepted.handshake.destroy();
      counters.handshakes.refused++;
      this.#ctx.drop('auth');
      return;
    }
    for (const session of this.#sessions.values())
      if (equalBytes(session.dhPk, accepted.dhPk)) this.#end(session);
    if (this.#sessions.size >= MAX_JOINS) {
      accepted.handshake.destroy();
      counters.handshakes.full++;
      this.#ctx.drop('rate');
      return;
    }
    this.#responder.record(accepted);
    const answer = this.#responder.answer(accepted, from);
    if (answer === null) {
      accepted.handshake.destroy();
      counters.handshakes.refused++;
      this.#ctx.drop('no_session');
      return;
    }
    this.#open(nowMs, accepted, tokenCert, from, answer);
  }

  #open(nowMs: number, accepted: AcceptedInit, tokenCert: Uint8Array, from: Endpoint, answer: Answer): void {
    const { mac1, dhPk, senderIndex: remoteIndex } = accepted;
    const remoteToken = accepted.payload.resetToken;
    const key = new SessionKey(this.#ctx, { nowMs, initiator: false, remoteIndex, remoteToken, ...answer });
    const joinId = this.#nextId++;
    const endsAtMs = nowMs + JOIN_MS;
    const session: JoinSession = {
      joinId,
      key,
      dhPk,
      tokenCert,
      mac1,
      endsAtMs,
      request: null,
      reply: null,
      replyTo: from,
    };
    this.#sessions.set(joinId, session);
    this.#ctx.counters.joinSessions++;
    this.#ctx.assignIndex(answer.index, {
      acceptCounter: (counter) => key.acceptCounter(counter),
      control: (_nowMs, packet) => this.#control(session, packet),
    });
    key.install(null, () => this.#responder.release(mac1));
  }

  #control(session: JoinSession, packet: ControlPacket): void {
    const { kind, body } = packet.message;
    this.#responder.forget(session.mac1);
    if (kind === CONTROL.keepalive) return;
    if (kind !== CONTROL.request || (session.request !== null && toHex(session.request) !== toHex(body))) {
      this.#ctx.drop('garbage');
      return;
    }
    session.replyTo = packet.from;
    if (session.request !== null) {
      this.#sendReply(session);
      return;
    }
    session.request = body.slice();
    const { joinId, dhPk, tokenCert } = session;
    this.#ctx.emit({
      kind: 'joinRequest',
      joinId,
      dhPk,
      tokenCert,
      body: session.request,
      from: packet.from,
    });
  }

  #sendReply(session: JoinSession): void {
    if (session.reply === null) return;
    const bytes = session.key.seal(CONTROL.reply, session.reply);
    if (bytes !== null) this.#ctx.emit({ kind: 'send', to: session.replyTo, bytes });
  }

  /** False when the session is over. The joiner asks again if the reply is lost, until the session ends. */
  reply(joinId: number, body: Uint8Array): boolean {
    const session = this.#sessions.get(joinId);
    if (session?.request == null || session.reply !== null) return false;
    session.reply = body.slice();
    this.#sendReply(session);
    return true;
  }

  tick(nowMs: number): void {
    for (const session of this.#sessions.values()) if (nowMs >= session.endsAtMs) this.#end(session);
  }

  #end(session: JoinSession): void {
    this.#sessions.delete(session.joinId);
    this.#responder.forget(session.mac1);
    session.key.destroy();
  }

  destroy(): void {
    for (const session of this.#sessions.values()) this.#end(session);
  }
}
