/**
 * RESET: how a host that restarted tells the others that their sessions are gone. The token that it shows was given to them
 * in the handshake, made with the secret of the boot that the index belonged to; so only the secret of the boot before
 * this one is ever shown. Never an answer to a RESET, never larger than the question. Called by session-manager.ts.
 */
import type { Endpoint } from '../endpoint.ts';
import { keyedHash } from '../identity/sodium.ts';
import type { SessionContext } from './context.ts';
import { baseIndex } from './keys.ts';
import { encodeReset } from './messages.ts';
import { TokenBucket } from './rate-limit.ts';
import { RESETS_PER_SECOND } from './timers.ts';
import { viewOf } from './u64.ts';

/** A datagram shorter than this gets no answer. */
const MIN_QUESTION_BYTES = 32;
const TOKEN_BYTES = 16;

/** BLAKE2b-128(secret, u32 base index). */
export function resetToken(secret: Uint8Array, index: number): Uint8Array {
  const word = new Uint8Array(4);
  viewOf(word).setUint32(0, baseIndex(index));
  return keyedHash(secret, [word], TOKEN_BYTES);
}

export class ResetSender {
  readonly #ctx: SessionContext;
  readonly #bucket = new TokenBucket(RESETS_PER_SECOND);

  constructor(ctx: SessionContext) {
    this.#ctx = ctx;
  }

  /** @param header the first 8 bytes or more of a sealed datagram whose index nobody here owns */
  unknownIndex(nowMs: number, header: Uint8Array, from: Endpoint, wireSize: number): void {
    this.#ctx.drop('unknown_index');
    const secret = this.#ctx.options.resetSecrets.previous;
    if (secret === null || wireSize < MIN_QUESTION_BYTES || header.length < 8) return;
    const index = baseIndex(viewOf(header).getUint32(4));
    if (this.#ctx.ownerOf(index) !== undefined || !this.#bucket.take(nowMs)) return;
    this.#ctx.counters.resetsSent++;
    this.#ctx.emit({
      kind: 'send',
      to: from,
      bytes: encodeReset({ index, token: resetToken(secret, index) }),
    });
  }
}
