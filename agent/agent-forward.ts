/**
 * A seed that does not count a token passes the joiner's request on, inside its session with an admitter that does, and
 * the answer back; of a token that each admitter counts it asks one after the other until one answers; on the admitter's side it answers such requests. Part of the composition root; decides nothing about
 * who is admitted. Requests are sent again each second, since a datagram may be lost; the admitter answers the same
 * request with the same bytes, so that costs nothing.
 */
import type { Clock, Rng } from './clock.ts';
import { encodeRefused, REFUSAL, refusalOf } from './identity/admission-reply.ts';
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
  /** The keys that may have signed a token. */
  readonly roots: () => readonly Uint8Array[];
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
  readonly decide: (ask: JoinAsk) => Uint8Array | null;
}

/** What a joiner asks, and where it was seen. */
export interface JoinAsk {
  readonly tokenCert: Uint8Array;
  readonly request: Uint8Array;
  readonly dhPk: Uint8Array;
  readonly fromIp: string;
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
  readonly body: Uint8Array;
  /** Node id of the admitter that the token names. */
  readonly counting: string;
  /** Whether any admitter will do. */
  readonly each: boolean;
  readonly endsAtMs: number;
  /** Whom it was sent to, the latest last; bounded by the seconds that it waits. */
  asked: readonly string[];
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
  joinRequest(joinId: number, asked: JoinAsk): void {
    const { answer, decide, clock, rng, meshId, roots } = this.#p;
    const decided = decide(asked);
    if (decided !== null) return answer(joinId, decided);
    const { dhPk, tokenCert, request, fromIp } = asked;
    const token = parseTokenCert(tokenCert, meshId, roots());
    if (token === null)
      return answer(joinId, encodeRefused('wrongMesh', 'the token belongs to another mesh'));
    const ask = rng.fill(new Uint8Array(ASK_BYTES));
    const body = encodeForwardedRequest({ ask, dhPk, fromIp, tokenCert, request });
    const now = clock.monotonicMs();
    if (body.length > MAX_CONTROL_BODY || this.#waiting.length >= MAX_WAITING)
      return answer(joinId, encodeRefused('tooFast', 'too many hosts are joining here: try another seed'));
    const waiting: Waiting = {
      joinId,
      ask,
      body,
      counting: toHex(token.admitterId),
      each: token.count === 'each',
      endsAtMs: now + GIVE_UP_MS,
      asked: [],
      againAtMs: now + AGAIN_MS,
    };
    if (!this.#send(waiting)) return answer(joinId, this.#unreachable(waiting));
    this.#waiting.push(waiting);
  }

  /** To the admitter that the token names; where any will do, to one that has not been asked yet. False if there is none. */
  #send(w: Waiting): boolean {
    const reached = this.#p.admitters();
    const fresh = w.each ? reached.filter((id) => !w.asked.includes(id)) : [];
    const named = reached.includes(w.counting) && (!w.each || !w.asked.includes(w.counting));
    const to = named ? w.counting : (fresh[0] ?? w.asked.findLast((id) => reached.includes(id)));
    if (to === undefined) return false;
    w.asked = [...w.asked, to];
    this.#p.tell(to, false, w.body);
    return true;
  }

  #unreachable({ each, counting }: Waiting): Uint8Array {
    const { selfName, nameOf } = this.#p;
    const text = each
      ? `host ${selfName} cannot reach any admitter: start the agent of one, or try later`
      : `host ${selfName} cannot reach ${nameOf(counting)}, which counts this token: start its agent, or try later`;
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
    // A request is passed on once: whoever cannot decide says so.
    const decided =
      decide(forwarded) ?? encodeRefused('notAdmitter', `host ${this.#p.selfName} does not count this token`);
    const reply = encodeForwardedReply({ ask: forwarded.ask, reply: decided });
    if (reply.length <= MAX_CONTROL_BODY) tell(from, true, reply);
  }

  #replied(from: string, body: Uint8Array): void {
    const answered = decodeForwardedReply(body);
    if (answered === null) return;
    const waiting = this.#waiting.find((w) => w.asked.includes(from) && equalBytes(w.ask, answered.ask));
    if (waiting === undefined) return;
    // Who was an admitter a moment ago and is none now leaves it to the next.
    if (waiting.each && refusalOf(answered.reply) === REFUSAL.notAdmitter && this.#isFresh(waiting)) {
      this.#send(waiting);
      return;
    }
    this.#waiting = this.#waiting.filter((w) => w !== waiting);
    this.#p.answer(waiting.joinId, answered.reply);
  }

  #isFresh({ asked }: Waiting): boolean {
    return this.#p.admitters().some((id) => !asked.includes(id));
  }

  get isBusy(): boolean {
    return this.#waiting.length > 0;
  }

  /** Call often while there is something to wait for; costs nothing else. */
  tick(nowMs: number): void {
    if (this.#waiting.length === 0) return;
    const over = this.#waiting.filter((w) => nowMs >= w.endsAtMs);
    this.#waiting = this.#waiting.filter((w) => nowMs < w.endsAtMs);
    for (const w of over) this.#p.answer(w.joinId, this.#unreachable(w));
    for (const w of this.#waiting) {
      if (nowMs < w.againAtMs) continue;
      w.againAtMs = nowMs + AGAIN_MS;
      this.#send(w);
    }
  }
}
