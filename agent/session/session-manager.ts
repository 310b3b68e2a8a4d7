/**
 * All sessions of one agent: Noise handshakes, keys and their rekey, liveness, moves, resets, joining. Sans-IO: each input
 * is a method that takes the time and returns what is to be done, in order; nothing here waits, sleeps or owns a
 * socket. Called by agent.ts on the main thread; `tick` about every 50 ms.
 *
 * Input from the network never throws: what cannot be used is a `drop`. RangeError is thrown for calls that a correct
 * program does not make.
 */
import type { Rng } from '../clock.ts';
import type { Endpoint } from '../endpoint.ts';
import { equalBytes, toHex } from '../identity/sodium.ts';
import { SessionContext } from './context.ts';
import { CONTROL_LANE, decodeControl, MAX_CONTROL_BODY } from './control.ts';
import type { SessionCounters } from './counters.ts';
import { JoinSessions } from './join-sessions.ts';
import { Joiner } from './joiner.ts';
import { decodeCookieReply, decodeReset, decodeResponse } from './messages.ts';
import { PAYLOAD_KIND } from './payload.ts';
import { PeerSession } from './peer-session.ts';
import { TokenBucket } from './rate-limit.ts';
import type { ReplayEntry } from './replay-guard.ts';
import { ResetSender } from './resets.ts';
import { type AcceptedInit, Responder } from './responder.ts';
import { RESETS_PER_SECOND } from './timers.ts';
import {
  DATAGRAM,
  type JoinTarget,
  type PathProbe,
  type PeerActivity,
  type SessionLimits,
  type SessionOptions,
  type SessionOutput,
  type SessionPeer,
  type Suite,
} from './types.ts';

/** What status shows of one session. */
export interface SessionView {
  readonly id: string;
  readonly up: boolean;
  readonly endpoint: Endpoint;
  readonly rttMs: number | null;
}

export class SessionManager {
  readonly #ctx: SessionContext;
  readonly #responder: Responder;
  readonly #joins: JoinSessions;
  readonly #resets: ResetSender;
  readonly #resetsIn = new TokenBucket(RESETS_PER_SECOND);
  /** By node id; bounded by limits.maxPeers. */
  readonly #peers = new Map<string, PeerSession>();
  /** By static key; as many as #peers. */
  readonly #byStatic = new Map<string, PeerSession>();
  #joiner: Joiner | null = null;

  constructor(options: SessionOptions, rng: Rng) {
    this.#ctx = new SessionContext(options, rng);
    this.#responder = new Responder(this.#ctx, {
      knowsStatic: (dhPk) => this.#byStatic.has(toHex(dhPk)),
      knowsAddress: (ip) => [...this.#peers.values()].some((peer) => peer.path.endpoint.ip === ip),
    });
    this.#joins = new JoinSessions(this.#ctx, this.#responder);
    this.#resets = new ResetSender(this.#ctx);
  }

  /** Takes effect with the next look at each session. */
  setLimits(limits: Omit<SessionLimits, 'maxPeers'>): void {
    const { rekeyAfterMs, rekeyAfterPackets } = this.#ctx.limits;
    if (limits.rekeyAfterMs === rekeyAfterMs && limits.rekeyAfterPackets === rekeyAfterPackets) return;
    Object.assign(this.#ctx.limits, limits);
    for (const peer of this.#peers.values()) peer.limitsChanged();
  }

  /** Handshakes are of this suite from now on; keys in use go on until each peer has new ones. */
  setSuite(nowMs: number, suite: Suite): SessionOutput[] {
    if (suite === this.#ctx.suite) return [];
    this.#ctx.suite = suite;
    for (const peer of this.#peers.values()) peer.suiteChanged(nowMs);
    return this.#ctx.takeOutputs();
  }

  get counters(): SessionCounters {
    return this.#ctx.counters;
  }

  /** Sizes of the bounded tables, for metrics and tests. */
  get sizes(): {
    readonly peers: number;
    readonly indexes: number;
    readonly joins: number;
    readonly answers: number;
  } {
    const answers = this.#responder.pendingAnswers;
    return { peers: this.#peers.size, indexes: this.#ctx.indexCount, joins: this.#joins.size, answers };
  }

  sessions(): SessionView[] {
    return [...this.#peers.values()].map(({ id, up, path, rttMs }) => ({
      id,
      up,
      endpoint: path.endpoint,
      rttMs,
    }));
  }

  /** A session with this member is wanted, or its advertised endpoint changed, or one that was given up is wanted at once. */
  connect(nowMs: number, peer: SessionPeer): SessionOutput[] {
    const session = this.#peers.get(peer.id) ?? this.#add(peer);
    if (session === null) throw new RangeError('no room for another peer, or a session with oneself');
    session.want(nowMs, peer.endpoint);
    return this.#ctx.takeOutputs();
  }

  #add(peer: SessionPeer): PeerSession | null {
    const own = equalBytes(peer.dhPk, this.#ctx.options.identity.dhPk);
    if (own || this.#peers.size >= this.#ctx.limits.maxPeers) return null;
    const session = new PeerSession(this.#ctx, this.#responder, peer);
    this.#peers.set(peer.id, session);
    this.#byStatic.set(toHex(peer.dhPk), session);
    return session;
  }

  /** Ends the session at once and zeroes its keys. The peer may still begin a new one if its certificates are accepted. */
  forget(_nowMs: number, id: string): SessionOutput[] {
    const session = this.#peers.get(id);
    if (session !== undefined) {
      this.#peers.delete(id);
      this.#byStatic.delete(toHex(session.dhPk));
      session.destroy();
    }
    return this.#ctx.takeOutputs();
  }

  /**
   * A datagram that is not a sealed one of a known index.
   * @param kind one of DATAGRAM
   * @param bytes the whole datagram; for unknownIndex at least its first 8 bytes
   */
  datagram(
    nowMs: number,
    kind: number,
    bytes: Uint8Array,
    from: Endpoint,
    wireSize = bytes.length,
  ): SessionOutput[] {
    if (kind === DATAGRAM.init) this.#init(nowMs, bytes, from);
    else if (kind === DATAGRAM.response) this.#response(nowMs, bytes, from);
    else if (kind === DATAGRAM.cookie) this.#cookie(nowMs, bytes);
    else if (kind === DATAGRAM.reset) this.#reset(nowMs, bytes);
    else if (kind === DATAGRAM.unknownIndex) this.#resets.unknownIndex(nowMs, bytes, from, wireSize);
    else this.#ctx.drop('garbage');
    return this.#ctx.takeOutputs();
  }

  #init(nowMs: number, bytes: Uint8Array, from: Endpoint): void {
    const accepted = this.#responder.receive(nowMs, bytes, from);
    if (accepted === null) return;
    if (accepted.payload.kind === PAYLOAD_KIND.join) this.#joins.respond(nowMs, accepted, from);
    else this.#memberInit(nowMs, accepted, from);
  }

  #memberInit(nowMs: number, accepted: AcceptedInit, from: Endpoint): void {
    const { certificates } = accepted.payload;
    const verdict = this.#ctx.options.verifyMember(certificates, accepted.dhPk, nowMs);
    // Without a certificate of its own, while it joins, this host has nothing to answer with.
    const admitted = this.#ctx.options.local().certificates.length > 0;
    if (!admitted || !verdict.ok || !equalBytes(verdict.value.dhPk, accepted.dhPk)) {
      accepted.handshake.destroy();
      this.#ctx.counters.handshakes.refused++;
      this.#ctx.drop('auth');
      return;
    }
    const member = verdict.value;
    let session = this.#peers.get(member.id);
    if (session === undefined) {
      const added = this.#add({ ...member, endpoint: from });
      if (added === null) {
        accepted.handshake.destroy();
        this.#ctx.counters.handshakes.full++;
        this.#ctx.drop('no_peer');
        return;
      }
      session = added;
      this.#ctx.emit({ kind: 'newPeer', peer: member.id, member, endpoint: from, certificates });
    }
    session.respond(nowMs, accepted, from);
  }

  #response(nowMs: number, bytes: Uint8Array, from: Endpoint): void {
    const { handshakes } = this.#ctx.counters;
    const message = decodeResponse(bytes);
    if (message === null) {
      handshakes.garbage++;
      this.#ctx.drop('garbage');
    } else if (!this.#ctx.macKeys.mac1Valid(bytes)) {
      handshakes.mac1++;
      this.#ctx.drop('auth');
    } else {
      const respond = this.#ctx.ownerOf(message.receiverIndex)?.response;
      if (respond === undefined) this.#ctx.drop('no_session');
      else respond(nowMs, message, bytes, from);
    }
  }

  #cookie(nowMs: number, bytes: Uint8Array): void {
    const reply = decodeCookieReply(bytes);
    const take = reply === null ? undefined : this.#ctx.ownerOf(reply.receiverIndex)?.cookie;
    if (reply === null) this.#ctx.drop('garbage');
    else if (take === undefined) this.#ctx.drop('no_session');
    else take(nowMs, reply);
  }

  #reset(nowMs: number, bytes: Uint8Array): void {
    const reset = decodeReset(bytes);
    if (reset === null) {
      this.#ctx.drop('garbage');
    } else if (!this.#resetsIn.take(nowMs)) {
      this.#ctx.drop('rate');
    } else {
      const session = [...this.#peers.values()].find((peer) => peer.isReset(reset.index, reset.token));
      if (session?.reset(nowMs) === true) this.#ctx.counters.resetsAccepted++;
      else this.#ctx.drop('auth');
    }
  }

  /**
   * A lane-15 packet that a worker opened.
   * @param index receiver index with its lane @param plaintext with or without padding @param wireSize of the datagram
   * @param fromListener header flag M
   */
  control(
    nowMs: number,
    index: number,
    counter: number,
    plaintext: Uint8Array,
    wireSize: number,
    from: Endpoint,
    fromListener: boolean,
  ): SessionOutput[] {
    const owner = this.#ctx.ownerOf(index);
    const order = owner?.acceptCounter?.(counter);
    const message = decodeControl(plaintext);
    if (order === undefined) this.#ctx.drop('unknown_index');
    else if (order === 'replay') this.#ctx.drop('replay');
    else if (message === null || index % 16 !== CONTROL_LANE) this.#ctx.drop('garbage');
    else
      owner?.control?.(nowMs, {
        message,
        wireSize,
        from,
        fromListener,
        mayMove: fromListener && order === 'highest',
      });
    return this.#ctx.takeOutputs();
  }

  /** A data packet came from a new address, from the sender's listening socket, above its lane's highest counter before it. */
  sighted(nowMs: number, index: number, from: Endpoint, wireSize: number): SessionOutput[] {
    this.#ctx.ownerOf(index)?.sighted?.(nowMs, from, wireSize);
    return this.#ctx.takeOutputs();
  }

  /** Every worker concerned has the key of that installReceive. */
  installed(nowMs: number, token: number): SessionOutput[] {
    this.#ctx.installed(nowMs, token);
    return this.#ctx.takeOutputs();
  }

  /**
   * A probe of the path, to be sent at once; null without a session. Its answer comes to the listening socket.
   * @param datagramBytes UDP payload @param fromListener it will leave from the listening socket, not from a pool
   */
  pathProbe(nowMs: number, id: string, datagramBytes: number, fromListener = true): PathProbe | null {
    return this.#peers.get(id)?.pathProbe(nowMs, datagramBytes, fromListener) ?? null;
  }

  /** When anything authenticated last came from a member, data included; -Infinity if nothing did. */
  heardAtMs(id: string): number {
    return this.#peers.get(id)?.heardAtMs ?? Number.NEGATIVE_INFINITY;
  }

  /** A member is doubted: it is asked for a sign of life if it has a session, at most once a second. */
  ask(nowMs: number, id: string): SessionOutput[] {
    this.#peers.get(id)?.ask(nowMs);
    return this.#ctx.takeOutputs();
  }

  /** What the shared tables say, about once a second or more often. */
  activity(nowMs: number, id: string, activity: PeerActivity): SessionOutput[] {
    this.#peers.get(id)?.activity(nowMs, activity);
    return this.#ctx.takeOutputs();
  }

  /**
   * Answers a joinRequest. A session that is over is ignored: the joiner has given up.
   * @throws RangeError when the body does not fit into one datagram (MAX_CONTROL_BODY)
   */
  reply(_nowMs: number, joinId: number, body: Uint8Array): SessionOutput[] {
    if (body.length > MAX_CONTROL_BODY) throw new RangeError(`a join reply of ${body.length} bytes`);
    this.#joins.reply(joinId, body);
    return this.#ctx.takeOutputs();
  }

  /**
   * Asks a seed for admission: ends in one joinReply or joinFailed. Replaces an attempt that is under way.
   * @throws RangeError when the request does not fit into one datagram (MAX_CONTROL_BODY)
   */
  startJoin(nowMs: number, target: JoinTarget, tokenCert: Uint8Array, request: Uint8Array): SessionOutput[] {
    if (request.length > MAX_CONTROL_BODY) throw new RangeError(`a join request of ${request.length} bytes`);
    this.#joiner?.destroy();
    this.#joiner = new Joiner(this.#ctx, nowMs, target, tokenCert, request);
    this.#joiner.tick(nowMs);
    return this.#ctx.takeOutputs();
  }

  /**
   * A request or a reply to a member, once; without a session it goes nowhere.
   * @throws RangeError when the body does not fit into one datagram (MAX_CONTROL_BODY)
   */
  tell(nowMs: number, id: string, reply: boolean, body: Uint8Array): SessionOutput[] {
    if (body.length > MAX_CONTROL_BODY) throw new RangeError(`a message of ${body.length} bytes to a member`);
    this.#peers.get(id)?.tell(nowMs, reply, body);
    return this.#ctx.takeOutputs();
  }

  /** A handshake or a join is under way: ticks should come often. */
  get isBusy(): boolean {
    if (this.#joiner !== null || this.#joins.size > 0) return true;
    for (const session of this.#peers.values()) if (session.isBusy) return true;
    return false;
  }

  tick(nowMs: number): SessionOutput[] {
    for (const session of this.#peers.values()) session.tick(nowMs);
    this.#joins.tick(nowMs);
    this.#joiner?.tick(nowMs);
    if (this.#joiner?.done === true) this.#joiner = null;
    return this.#ctx.takeOutputs();
  }

  /** The last (incarnation, counter) seen of each static key, for the agent to store every 60 s. */
  replayEntries(): ReplayEntry[] {
    return this.#ctx.replays.entries();
  }

  /** What `replayEntries` gave before a restart. */
  restoreReplays(entries: readonly ReplayEntry[]): void {
    this.#ctx.replays.restore(entries);
  }

  /** Ends everything and zeroes all keys. */
  close(): SessionOutput[] {
    for (const session of this.#peers.values()) session.destroy();
    this.#peers.clear();
    this.#byStatic.clear();
    this.#joins.destroy();
    this.#joiner?.destroy();
    this.#joiner = null;
    return this.#ctx.takeOutputs();
  }
}
