/**
 * A seed that does not count a token passes the joiner's request on, inside its session with the admitter that does, and
 * the answer back; on the admitter's side it answers such requests. Part of the composition root; decides nothing about
 * who is admitted. Requests are sent again each second, since a datagram may be lost; the admitter answers the same
 * request with the same bytes, so that costs nothing.
 */
import type { Clock, Rng } from './clock.ts';
import { encodeRefused } from './identity/admission-reply.ts';
import {
  ASK_BYTES,
  decodeForwardedReply,
  decodeForwardedRequest,
  encodeForwardedReply,
  encodeForwardedRequest,
} from './identity/forwarded.ts';
import { equalBytes, toHex } from './identity/sodium.ts';
import { parseTokenCert } from './identity/token.ts';
import { MAX_CONTROL_BODY } from './session/control.ts';
import { TokenBucket } from './session/rate-limit.ts';

export interface ForwardParts {
  readonly meshId: Uint8Array;
  readonly rootPk: Uint8Array;
  readonly selfName: string;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Node ids of members that may admit and whose session is up. */
  readonly admitters: () => readonly string[];
  readonly nameOf: (id: string) => string;
  /** One message to a member inside its session. */
  readonly tell: (id: string, reply: boolean, body: Uint8Array) => void;
  /** The answer to a join session. */
  readonly answer: (joinId: number, reply: Uint8Array) => void;
  /** This host's own decision as an admitter; null when it is not its to make. */
  readonly decide: (tokenCert: Uint8Array, request: Uint8Array, dhPk: Uint8Array) => Uint8Array | null;
}

/** Less than a join session lives. */
const GIVE_UP_MS = 3000;
const AGAIN_MS = 1000;
/** As many as there may be join sessions. */
const MAX_WAITING = 64;
/** From all members together: each costs two signatures to check. */
const REQUESTS_PER_SECOND = 50;

interface Waiting {
  readonly joinId: number;
  readonly ask: Uint8Array;
  readonly admitter: string;
  readonly body: Uint8Array;
  readonly endsAtMs: number;
  againAtMs: number;
}

export class Forward {
  readonly #p: ForwardParts;
  /** Oldest first; bounded by MAX_WAITING. */
  #waiting: Waiting[] = [];
  readonly #rate = new TokenBucket(REQUESTS_PER_SECOND);

  constructor(parts: ForwardParts) {
    this.#p = parts;
  }

  /** A joiner's request: decided here, or passed on. */
  joinRequest(joinId: number, tokenCert: Uint8Array, request: Uint8Array, dhPk: Uint8Array): void {
    const { answer, decide, clock, rng, tell } = this.#p;
    const decided = decide(tokenCert, request, dhPk);
    if (decided !== null) return answer(joinId, decided);
    const admitter = this.#admitterFor(tokenCert);
    if (typeof admitter !== 'string') return answer(joinId, admitter);
    const ask = rng.fill(new Uint8Array(ASK_BYTES));
    const body = encodeForwardedRequest({ ask, dhPk, tokenCert, request });
    const now = clock.monotonicMs();
    if (body.length > MAX_CONTROL_BODY || this.#waiting.length >= MAX_WAITING)
      return answer(joinId, encodeRefused('tooFast', 'too many hosts are joining here: try another seed'));
    this.#waiting.push({
      joinId,
      ask,
      admitter,
      body,
      endsAtMs: now + GIVE_UP_MS,
      againAtMs: now + AGAIN_MS,
    });
    tell(admitter, false, body);
  }

  /** Node id of the member to ask, or the refusal that says whom nobody reaches. */
  #admitterFor(tokenCert: Uint8Array): string | Uint8Array {
    const { meshId, rootPk, admitters } = this.#p;
    const token = parseTokenCert(tokenCert, meshId, rootPk);
    if (token === null) return encodeRefused('wrongMesh', 'the token belongs to another mesh');
    const counting = toHex(token.admitterId);
    const reached = admitters();
    if (reached.includes(counting)) return counting;
    const other = token.count === 'each' ? reached[0] : undefined;
    return other ?? this.#unreachable(counting);
  }

  #unreachable(id: string): Uint8Array {
    const { selfName, nameOf } = this.#p;
    const text = `host ${selfName} cannot reach ${nameOf(id)}, which counts this token: start its agent, or try later`;
    return encodeRefused('admitterUnreachable', text);
  }

  /** A member's message inside its session. */
  message(from: string, isReply: boolean, body: Uint8Array): void {
    if (isReply) this.#replied(from, body);
    else this.#asked(from, body);
  }

  #asked(from: string, body: Uint8Array): void {
    const { clock, decide, tell } = this.#p;
    const forwarded = decodeForwardedRequest(body);
    if (forwarded === null || !this.#rate.take(clock.monotonicMs())) return;
    const { ask, tokenCert, request, dhPk } = forwarded;
    // A request is passed on once: whoever cannot decide says so.
    const decided =
      decide(tokenCert, request, dhPk) ??
      encodeRefused('notAdmitter', `host ${this.#p.selfName} does not count this token`);
    const reply = encodeForwardedReply({ ask, reply: decided });
    if (reply.length <= MAX_CONTROL_BODY) tell(from, true, reply);
  }

  #replied(from: string, body: Uint8Array): void {
    const answered = decodeForwardedReply(body);
    const waiting =
      answered === null
        ? undefined
        : this.#waiting.find((w) => w.admitter === from && equalBytes(w.ask, answered.ask));
    if (answered === null || waiting === undefined) return;
    this.#waiting = this.#waiting.filter((w) => w !== waiting);
    this.#p.answer(waiting.joinId, answered.reply);
  }

  get isBusy(): boolean {
    return this.#waiting.length > 0;
  }

  /** Call often while there is something to wait for; costs nothing else. */
  tick(nowMs: number): void {
    if (this.#waiting.length === 0) return;
    const over = this.#waiting.filter((w) => nowMs >= w.endsAtMs);
    this.#waiting = this.#waiting.filter((w) => nowMs < w.endsAtMs);
    for (const w of over) this.#p.answer(w.joinId, this.#unreachable(w.admitter));
    for (const w of this.#waiting) {
      if (nowMs < w.againAtMs) continue;
      w.againAtMs = nowMs + AGAIN_MS;
      this.#p.tell(w.admitter, false, w.body);
    }
  }
}
