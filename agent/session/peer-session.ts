/**
 * One peer: its keys, its handshakes in either role, whether it answers, where it is. Install order, simultaneous
 * initiation and rekey are decided here (PROTOCOL.md, Handshake). Called by session-manager.ts; everything that happens
 * comes out through the context.
 *
 *   start -> Initiation -> msg2 -> arriving -> installed -> current, keepalive
 *   msg1  -> next, installed -> msg2 -> a packet opens under it -> current
 */
import type { Endpoint } from '../endpoint.ts';
import { equalBytes, toHex } from '../identity/sodium.ts';
import type { ControlPacket, IndexOwner, SessionContext } from './context.ts';
import { CONTROL, type ControlKind, encodeProbeAck, seenByAck } from './control.ts';
import { Initiation, type OpenedResponse } from './initiation.ts';
import { KeyRing } from './key-ring.ts';
import { Liveness } from './liveness.ts';
import { Path, sameEndpoint } from './path.ts';
import { type HandshakePayload, PAYLOAD_KIND } from './payload.ts';
import type { AcceptedInit, Answer, Responder } from './responder.ts';
import { SessionKey } from './session-key.ts';
import {
  DOWN_MS,
  GIVE_UP_MS,
  MIN_COUNT_REKEY_MS,
  RESET_QUIET_MS,
  RETRY_JITTER,
  SLOW_RETRY_MS,
  UNANSWERED_MS,
  YIELD_MS,
} from './timers.ts';
import type { DownReason, HandshakeFacts, PathProbe, PeerActivity, SessionPeer } from './types.ts';

/** Rekey as responder waits this part of the time between rekey and reject. */
const RESPONDER_DELAY_PART = 1 / 6;
/** Rekey time varies by this part, downward. */
const REKEY_SPREAD = 0.02;
const EMPTY = new Uint8Array(0);

/** What is told of a handshake as responder once it is confirmed. */
interface Offer {
  readonly mac1: string;
  readonly atMs: number;
  readonly facts: HandshakeFacts;
}

function factsOf(payload: HandshakePayload): HandshakeFacts {
  const { incarnation, policySeq, policyId, revocationDigest } = payload;
  return { incarnation, policySeq, policyId, revocationDigest };
}

export class PeerSession {
  readonly id: string;
  readonly dhPk: Uint8Array;
  readonly signPk: Uint8Array;
  readonly path: Path;
  readonly #ctx: SessionContext;
  readonly #responder: Responder;
  readonly #ring: KeyRing;
  readonly #liveness = new Liveness();
  /** Of two handshakes begun at once, the one of the lower sign_pk counts. */
  readonly #wins: boolean;
  #attempt: Initiation | null = null;
  #attemptTo: Endpoint | null = null;
  #offer: Offer | null = null;
  #state: 'handshaking' | 'up' | 'down' = 'handshaking';
  #retryAtMs = Number.NEGATIVE_INFINITY;
  #givenUp = false;
  #currentSinceMs = 0;
  #rekeyAfterMs: number;
  #countReached = false;
  #resetSeen = false;

  constructor(ctx: SessionContext, responder: Responder, peer: SessionPeer) {
    this.#ctx = ctx;
    this.#responder = responder;
    this.id = peer.id;
    this.dhPk = peer.dhPk.slice();
    this.signPk = peer.signPk.slice();
    this.path = new Path(peer.endpoint);
    this.#ring = new KeyRing(ctx.limits.rejectAfterMs);
    this.#wins = Buffer.compare(ctx.options.identity.signPk, peer.signPk) < 0;
    this.#rekeyAfterMs = ctx.limits.rekeyAfterMs;
  }

  /** The limits are others now: for the key in use too, so that a shorter age takes effect at once. */
  limitsChanged(): void {
    const { rekeyAfterMs, rejectAfterMs } = this.#ctx.limits;
    this.#ring.extend(rejectAfterMs);
    this.#rekeyAfterMs = rekeyAfterMs * (1 - REKEY_SPREAD * this.#ctx.rng.float());
  }

  /** Another cipher is policy: what is under way would not be understood, and new keys are wanted at once. */
  suiteChanged(nowMs: number): void {
    this.#attempt?.destroy();
    this.#attempt = null;
    this.#countReached = true;
    this.#givenUp = false;
    this.#retryAtMs = Number.NEGATIVE_INFINITY;
    this.tick(nowMs);
  }

  get up(): boolean {
    return this.#state === 'up';
  }

  /** A handshake is under way, or its key is not in use yet. */
  get isBusy(): boolean {
    const { current, next, arriving } = this.#ring;
    return this.#attempt !== null || next !== null || arriving !== null || current?.confirmed === false;
  }

  get rttMs(): number | null {
    return this.#liveness.smoothedMs;
  }

  /** Whether a RESET with this index and token speaks of the key that this host sends with. */
  isReset(index: number, token: Uint8Array): boolean {
    const key = this.#ring.current;
    return key !== null && key.remoteIndex === index && equalBytes(key.remoteToken, token);
  }

  /** The peer is wanted, perhaps elsewhere, and at once if it was given up. */
  want(nowMs: number, endpoint: Endpoint): void {
    this.path.advertised = endpoint;
    if (this.#ring.current === null && this.#ring.next === null) this.path.endpoint = endpoint;
    this.#givenUp = false;
    this.#retryAtMs = Number.NEGATIVE_INFINITY;
    this.tick(nowMs);
  }

  tick(nowMs: number): void {
    const offered = this.#ring.next;
    if (this.#ring.expire(nowMs)) this.#lost('expired');
    if (offered !== null && this.#ring.next === null) this.#dropOffer();
    if (this.#liveness.unansweredMs(nowMs) >= DOWN_MS) this.#goDown('unanswered');
    if (this.#needsHandshake(nowMs)) this.#start(nowMs);
    this.#pump(nowMs);
    this.#keepLive(nowMs);
  }

  #needsHandshake(nowMs: number): boolean {
    if (nowMs < this.#retryAtMs) return false;
    const key = this.#ring.current;
    if (key === null || this.#resetSeen || this.#countReached) return true;
    const { rekeyAfterMs, rejectAfterMs } = this.#ctx.limits;
    const delay = key.initiator ? 0 : (rejectAfterMs - rekeyAfterMs) * RESPONDER_DELAY_PART;
    if (nowMs - key.createdAtMs >= this.#rekeyAfterMs + delay) return true;
    if (!key.confirmed && nowMs - this.#currentSinceMs >= YIELD_MS) return true;
    return this.#liveness.unansweredMs(nowMs) >= UNANSWERED_MS;
  }

  #start(nowMs: number): void {
    const { next } = this.#ring;
    if (this.#attempt !== null || this.#ring.arriving !== null) return;
    if (next !== null && nowMs - next.createdAtMs < YIELD_MS) return;
    const local = this.#ctx.options.local;
    // Not admitted yet.
    if (local().certificates.length === 0) return;
    const target = {
      dhPk: this.dhPk,
      signPk: this.signPk,
      kind: PAYLOAD_KIND.member,
      certificates: () => local().certificates,
    };
    const owner: IndexOwner = {
      response: (at, message, _bytes, from) => {
        const opened = this.#attempt?.open(message) ?? null;
        if (opened === null) this.#refuseMessage();
        else this.#opened(at, opened, from);
      },
      cookie: (at, reply) => {
        if (this.#attempt?.takeCookie(at, reply)) this.#sendInit(this.#attempt.again(at));
      },
    };
    this.#attempt = new Initiation(this.#ctx, target, owner, nowMs, this.#givenUp ? YIELD_MS : GIVE_UP_MS);
  }

  #refuseMessage(): void {
    this.#ctx.counters.handshakes.auth++;
    this.#ctx.drop('auth');
  }

  /** Sends the attempt's next message when it is due, or gives it up. */
  #pump(nowMs: number): void {
    const attempt = this.#attempt;
    if (attempt === null) return;
    if (attempt.expired(nowMs)) {
      this.#ctx.counters.handshakes.timeout++;
      this.#endAttempt(nowMs, 'timeout', null);
      return;
    }
    if (!attempt.due(nowMs)) return;
    // While nothing answers, the advertised endpoint gets every other message.
    this.#attemptTo = attempt.tries % 2 === 0 ? this.path.endpoint : this.path.advertised;
    const bytes = attempt.next(nowMs);
    if (bytes === null) this.#endAttempt(nowMs, 'refused', 'its static key is of low order');
    else this.#sendInit(bytes);
  }

  #sendInit(bytes: Uint8Array | null): void {
    if (bytes !== null) this.#ctx.emit({ kind: 'send', to: this.#attemptTo ?? this.path.endpoint, bytes });
  }

  /** The attempt failed; the next one waits. */
  #endAttempt(nowMs: number, result: 'timeout' | 'refused', reason: string | null): void {
    const durationMs = nowMs - (this.#attempt?.startedAtMs ?? nowMs);
    this.#attempt?.destroy();
    this.#attempt = null;
    this.#givenUp = true;
    this.#retryAtMs = nowMs + this.#ctx.jitter(SLOW_RETRY_MS, RETRY_JITTER);
    this.#ctx.emit({ kind: 'handshakeDone', peer: this.id, result, durationMs, facts: null, reason });
    if (this.#ring.current === null) this.#goDown('timeout');
  }

  /** The other side's second message is genuine; its certificates are still to be judged. */
  #opened(nowMs: number, opened: OpenedResponse | 'malformed', from: Endpoint): void {
    const attempt = this.#attempt;
    if (attempt === null) return;
    if (opened === 'malformed') {
      this.#ctx.counters.handshakes.refused++;
      this.#endAttempt(nowMs, 'refused', 'its handshake message is malformed');
      return;
    }
    const { payload, keys } = opened;
    const verdict = this.#ctx.options.verifyMember(payload.certificates, this.dhPk, nowMs);
    const index = opened.index;
    if (!verdict.ok || verdict.value.id !== this.id) {
      for (const secret of [keys.send, keys.receive]) secret.fill(0);
      this.#ctx.releaseIndex(index);
      this.#ctx.counters.handshakes.refused++;
      const reason = verdict.ok ? 'its certificate is of another member' : verdict.reason;
      this.#endAttempt(nowMs, 'refused', reason);
      return;
    }
    this.#ctx.replays.record(this.dhPk, payload.incarnation, payload.counter);
    this.#attempt = null;
    const key = this.#newKey(nowMs, true, index, opened.remoteIndex, payload, keys);
    this.#ring.arrive(nowMs, key);
    const facts = factsOf(payload);
    const { startedAtMs } = attempt;
    attempt.destroy();
    key.install(this.id, (atMs) => {
      if (this.#ring.arriving !== key) return;
      this.#use(atMs, key, startedAtMs, facts);
      this.#sendControl(atMs, CONTROL.keepalive, EMPTY, this.path.endpoint);
      this.#probe(atMs);
      // An endpoint that answered the handshake but is not the known one still has to answer a challenge.
      if (!sameEndpoint(from, this.path.endpoint)) this.#sighted(atMs, from, Number.POSITIVE_INFINITY);
    });
  }

  #newKey(
    nowMs: number,
    initiator: boolean,
    index: number,
    remoteIndex: number,
    payload: HandshakePayload,
    keys: OpenedResponse['keys'],
  ): SessionKey {
    const options = { nowMs, initiator, index, remoteIndex, keys, remoteToken: payload.resetToken };
    const key = new SessionKey(this.#ctx, options);
    this.#ctx.assignIndex(index, {
      acceptCounter: (counter) => key.acceptCounter(counter),
      control: (atMs, packet) => this.#control(atMs, key, packet),
      sighted: (atMs, from, wireSize) => this.#sighted(atMs, from, wireSize),
    });
    return key;
  }

  /** A genuine, new first message of this peer with good certificates. */
  respond(nowMs: number, accepted: AcceptedInit, from: Endpoint): void {
    this.#responder.record(accepted);
    if (this.#attempt !== null) {
      if (this.#wins) {
        accepted.handshake.destroy();
        this.#insist(nowMs, from);
        return;
      }
      this.#ctx.counters.yielded++;
      this.#attempt.pauseUntil(nowMs + YIELD_MS);
    }
    const answer: Answer | null = this.#responder.answer(accepted, from);
    if (answer === null) {
      accepted.handshake.destroy();
      this.#ctx.counters.handshakes.refused++;
      this.#ctx.drop('no_session');
      return;
    }
    const { index, keys } = answer;
    const key = this.#newKey(nowMs, false, index, accepted.senderIndex, accepted.payload, keys);
    this.#dropOffer();
    this.#ring.offer(nowMs, key);
    const { mac1 } = accepted;
    this.#offer = { mac1, atMs: nowMs, facts: factsOf(accepted.payload) };
    key.install(this.id, () => this.#responder.release(mac1));
  }

  /** The other side began at the same time and this side's handshake counts: it should see it soon, where it is. */
  #insist(nowMs: number, from: Endpoint): void {
    const attempt = this.#attempt;
    if (attempt === null) return;
    const bytes = attempt.again(nowMs);
    if (bytes !== null) this.#ctx.emit({ kind: 'send', to: from, bytes });
    attempt.hurry(nowMs);
  }

  #dropOffer(): void {
    if (this.#offer !== null) this.#responder.forget(this.#offer.mac1);
    this.#offer = null;
  }

  /** Sends with `key` from now on. */
  #use(nowMs: number, key: SessionKey, startedAtMs: number, facts: HandshakeFacts): void {
    const rekey = this.#ring.current !== null;
    if (rekey) this.#ctx.counters.rekeys++;
    this.#ring.promote(nowMs, key);
    this.#currentSinceMs = nowMs;
    this.#rekeyAfterMs = this.#ctx.limits.rekeyAfterMs * (1 - REKEY_SPREAD * this.#ctx.rng.float());
    this.#countReached = false;
    this.#resetSeen = false;
    this.#givenUp = false;
    this.#retryAtMs = Number.NEGATIVE_INFINITY;
    this.#liveness.received(nowMs);
    this.#liveness.keyChanged();
    key.installTransmit(this.id, facts);
    this.#goUp();
    this.#ctx.counters.handshakes.ok++;
    const durationMs = nowMs - startedAtMs;
    this.#ctx.emit({ kind: 'handshakeDone', peer: this.id, result: 'ok', durationMs, facts, reason: null });
  }

  /** A packet opened under a key made as responder: the initiator has it. */
  #confirm(nowMs: number, key: SessionKey): void {
    const offer = this.#offer;
    this.#dropOffer();
    this.#attempt?.destroy();
    this.#attempt = null;
    if (offer !== null) this.#use(nowMs, key, offer.atMs, offer.facts);
    this.#sendControl(nowMs, CONTROL.keepalive, EMPTY, this.path.endpoint);
  }

  #goUp(): void {
    if (this.#state === 'up') return;
    this.#state = 'up';
    this.#ctx.emit({ kind: 'up', peer: this.id });
  }

  #goDown(reason: DownReason): void {
    if (this.#state === 'down') return;
    this.#state = 'down';
    this.#ctx.emit({ kind: 'down', peer: this.id, reason });
  }

  #lost(reason: DownReason): void {
    this.#ctx.emit({ kind: 'clearTransmit', peer: this.id });
    this.#goDown(reason);
  }

  #alive(nowMs: number): void {
    this.#liveness.received(nowMs);
    if (this.#ring.current !== null) this.#goUp();
  }

  #control(nowMs: number, key: SessionKey, packet: ControlPacket): void {
    key.confirmed = true;
    if (key === this.#ring.next) this.#confirm(nowMs, key);
    this.#alive(nowMs);
    const { kind, body } = packet.message;
    if (kind === CONTROL.probe) {
      // A sending-only socket hears nothing: its answer goes where the peer listens.
      const to = packet.fromListener ? packet.from : this.path.endpoint;
      const answer = encodeProbeAck(body, packet.wireSize, packet.from);
      this.#sendControl(nowMs, CONTROL.probeAck, answer, to);
    } else if (kind === CONTROL.probeAck) {
      const probe = toHex(body.subarray(0, 8));
      const ms = this.#liveness.acked(nowMs, probe);
      // Probes of liveness leave by the listening socket alone.
      const seenAs = seenByAck(body);
      if (ms !== null) this.#ctx.emit({ kind: 'rtt', peer: this.id, ms, loss: this.#liveness.loss, seenAs });
      else this.#ctx.emit({ kind: 'pathProbeAcked', peer: this.id, probe });
    } else if (kind === CONTROL.challenge) {
      this.#sendControl(nowMs, CONTROL.response, body, packet.from);
    } else if (kind === CONTROL.response) {
      if (this.path.answered(nowMs, packet.from, body)) this.#moved();
    } else if (kind === CONTROL.request || kind === CONTROL.reply) {
      this.#ctx.emit({ kind: 'message', peer: this.id, reply: kind === CONTROL.reply, body: body.slice() });
    } else if (kind !== CONTROL.keepalive) {
      this.#ctx.drop('garbage');
    }
    if (packet.mayMove) this.#sighted(nowMs, packet.from, packet.wireSize);
  }

  #moved(): void {
    this.#ctx.counters.moves++;
    this.#ctx.emit({ kind: 'moved', peer: this.id, endpoint: this.path.endpoint });
  }

  #sighted(nowMs: number, from: Endpoint, wireSize: number): void {
    const nonce = this.path.sighted(nowMs, from, wireSize, this.#ctx.rng);
    if (nonce !== null) this.#sendControl(nowMs, CONTROL.challenge, nonce, from);
  }

  #sendControl(nowMs: number, kind: ControlKind, body: Uint8Array, to: Endpoint): void {
    const bytes = this.#ring.current?.seal(kind, body) ?? null;
    if (bytes === null) return;
    this.#ctx.emit({ kind: 'send', to, bytes });
    this.#liveness.sent(nowMs, false);
  }

  /** A request or a reply to the member; it may be lost like any datagram. False without a session. */
  tell(nowMs: number, reply: boolean, body: Uint8Array): boolean {
    if (this.#ring.current === null) return false;
    this.#sendControl(nowMs, reply ? CONTROL.reply : CONTROL.request, body, this.path.endpoint);
    return true;
  }

  #probe(nowMs: number): void {
    const id = this.#ctx.rng.fill(new Uint8Array(8));
    this.#sendControl(nowMs, CONTROL.probe, id, this.path.endpoint);
    this.#liveness.probeSent(nowMs, toHex(id), this.#ring.current?.confirmed ?? true);
  }

  /** When anything authenticated last came. */
  get heardAtMs(): number {
    return this.#liveness.lastRxMs;
  }

  /** Membership doubts the peer: what the session hears of it decides. */
  ask(nowMs: number): void {
    if (this.#ring.current !== null && this.#liveness.askDue(nowMs)) this.#probe(nowMs);
  }

  /** A probe of that many bytes, to be sent at once; null while there is no key. Its loss says nothing about the peer. */
  pathProbe(nowMs: number, datagramBytes: number, fromListener: boolean): PathProbe | null {
    const id = this.#ctx.rng.fill(new Uint8Array(8));
    const bytes = this.#ring.current?.seal(CONTROL.probe, id, datagramBytes, fromListener) ?? null;
    if (bytes === null) return null;
    this.#liveness.sent(nowMs, false);
    return { id: toHex(id), to: this.path.endpoint, bytes };
  }

  #keepLive(nowMs: number): void {
    const key = this.#ring.current;
    if (key === null) return;
    if (key.sent >= this.#ctx.limits.rekeyAfterPackets) this.#countReached = true;
    if (this.#liveness.probeDue(nowMs, key.confirmed)) this.#probe(nowMs);
    else if (this.#liveness.keepaliveDue(nowMs))
      this.#sendControl(nowMs, CONTROL.keepalive, EMPTY, this.path.endpoint);
  }

  activity(nowMs: number, activity: PeerActivity): void {
    const { lastRxMs, lastTxMs, nextCounter } = activity;
    if (lastTxMs !== null) this.#liveness.frameSent(lastTxMs);
    if (lastRxMs !== null && lastRxMs > this.#liveness.lastRxMs) this.#alive(lastRxMs);
    if (lastTxMs !== null) this.#liveness.sent(lastTxMs, true);
    const settled = nowMs - this.#currentSinceMs >= MIN_COUNT_REKEY_MS;
    if (settled && nextCounter >= this.#ctx.limits.rekeyAfterPackets) this.#countReached = true;
  }

  /** The other side showed that it has lost the current key's session. */
  reset(nowMs: number): boolean {
    if (nowMs - this.#liveness.lastRxMs < RESET_QUIET_MS) return false;
    this.#resetSeen = true;
    this.#givenUp = false;
    this.#retryAtMs = Number.NEGATIVE_INFINITY;
    this.tick(nowMs);
    return true;
  }

  /** Ends everything and zeroes the keys. */
  destroy(): void {
    this.#attempt?.destroy();
    this.#attempt = null;
    this.#dropOffer();
    if (this.#ring.current !== null) this.#ctx.emit({ kind: 'clearTransmit', peer: this.id });
    this.#ring.destroy();
  }
}
