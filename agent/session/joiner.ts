/**
 * A join session on the side of the host that wants in: one handshake of kind join with a seed of the token, one request,
 * asked again each second until the reply comes or the session's 10 seconds are over. Called by session-manager.ts.
 */
import type { ControlPacket, IndexOwner, SessionContext } from './context.ts';
import { CONTROL } from './control.ts';
import { Initiation, type OpenedResponse } from './initiation.ts';
import { PAYLOAD_KIND } from './payload.ts';
import { SessionKey } from './session-key.ts';
import { JOIN_GIVE_UP_MS, JOIN_MS, JOIN_REQUEST_GAP_MS } from './timers.ts';
import type { JoinTarget } from './types.ts';

export class Joiner {
  readonly #ctx: SessionContext;
  readonly #target: JoinTarget;
  readonly #request: Uint8Array;
  #attempt: Initiation | null;
  #key: SessionKey | null = null;
  #installed = false;
  #nextRequestMs = 0;
  #certificates: readonly Uint8Array[] = [];
  #done = false;

  constructor(
    ctx: SessionContext,
    nowMs: number,
    target: JoinTarget,
    tokenCert: Uint8Array,
    request: Uint8Array,
  ) {
    this.#ctx = ctx;
    this.#target = target;
    this.#request = request.slice();
    const owner: IndexOwner = {
      response: (at, message) => {
        const opened = this.#attempt?.open(message) ?? null;
        if (opened !== null && opened !== 'malformed') this.#opened(at, opened);
        else ctx.drop('auth');
      },
      cookie: (at, reply) => {
        if (this.#attempt?.takeCookie(at, reply)) this.#send(this.#attempt.again(at));
      },
    };
    const certificates = [tokenCert.slice()];
    const { dhPk, signPk } = target;
    this.#attempt = new Initiation(
      ctx,
      { dhPk, signPk, kind: PAYLOAD_KIND.join, certificates: () => certificates },
      owner,
      nowMs,
      JOIN_GIVE_UP_MS,
    );
  }

  get done(): boolean {
    return this.#done;
  }

  #send(bytes: Uint8Array | null): void {
    if (bytes !== null) this.#ctx.emit({ kind: 'send', to: this.#target.endpoint, bytes });
  }

  #opened(nowMs: number, opened: OpenedResponse): void {
    this.#attempt = null;
    this.#certificates = opened.payload.certificates;
    const { index, remoteIndex, keys } = opened;
    const remoteToken = opened.payload.resetToken;
    const key = new SessionKey(this.#ctx, { nowMs, initiator: true, index, remoteIndex, keys, remoteToken });
    this.#key = key;
    this.#ctx.assignIndex(index, {
      acceptCounter: (counter) => key.acceptCounter(counter),
      control: (_nowMs, packet) => this.#control(packet),
    });
    key.install(null, (atMs) => {
      this.#installed = true;
      this.#ask(atMs);
    });
  }

  #ask(nowMs: number): void {
    this.#nextRequestMs = nowMs + JOIN_REQUEST_GAP_MS;
    this.#send(this.#key?.seal(CONTROL.request, this.#request) ?? null);
  }

  #control(packet: ControlPacket): void {
    if (packet.message.kind !== CONTROL.reply) {
      if (packet.message.kind !== CONTROL.keepalive) this.#ctx.drop('garbage');
      return;
    }
    this.#ctx.emit({
      kind: 'joinReply',
      body: packet.message.body.slice(),
      certificates: this.#certificates,
    });
    this.destroy();
  }

  tick(nowMs: number): void {
    const attempt = this.#attempt;
    if (attempt?.expired(nowMs)) {
      this.#ctx.counters.handshakes.timeout++;
      this.#fail('handshake');
    } else if (attempt?.due(nowMs)) {
      const bytes = attempt.next(nowMs);
      if (bytes === null) this.#fail('handshake');
      else this.#send(bytes);
    } else if (this.#key !== null) {
      if (nowMs - this.#key.createdAtMs >= JOIN_MS) this.#fail('request');
      else if (this.#installed && nowMs >= this.#nextRequestMs) this.#ask(nowMs);
    }
  }

  #fail(stage: 'handshake' | 'request'): void {
    this.destroy();
    this.#ctx.emit({ kind: 'joinFailed', stage });
  }

  destroy(): void {
    this.#done = true;
    this.#attempt?.destroy();
    this.#attempt = null;
    this.#key?.destroy();
    this.#key = null;
  }
}
