/**
 * Where a peer is. An endpoint moves only after the new address has answered a challenge, which only a packet that is newer
 * than all before and from the sender's listening socket starts (PROTOCOL.md, Endpoint). Handshake messages never
 * move one. Called by peer-session.ts.
 */
import type { Rng } from '../clock.ts';
import type { Endpoint } from '../endpoint.ts';
import { equalBytes } from '../identity/sodium.ts';
import { SMALL_DATAGRAM } from './control.ts';
import { CHALLENGE_GAP_MS, CHALLENGE_LIFE_MS } from './timers.ts';

/** At most this many times the bytes received may go to an address that has proved nothing. */
const MAX_AMPLIFICATION = 3;

export const sameEndpoint = (a: Endpoint, b: Endpoint): boolean => a.ip === b.ip && a.port === b.port;

export class Path {
  /** Where traffic goes. */
  endpoint: Endpoint;
  /** Where the peer says that it listens; tried in turn with `endpoint` while nothing answers. */
  advertised: Endpoint;
  #candidate: { readonly endpoint: Endpoint; readonly nonce: Uint8Array; readonly atMs: number } | null =
    null;
  #challengedAtMs = Number.NEGATIVE_INFINITY;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
    this.advertised = endpoint;
  }

  /** The body of a challenge to send to `from`, or null when there is nothing to ask or it is too early. */
  sighted(nowMs: number, from: Endpoint, wireSize: number, rng: Rng): Uint8Array | null {
    if (sameEndpoint(from, this.endpoint) || SMALL_DATAGRAM > wireSize * MAX_AMPLIFICATION) return null;
    if (nowMs - this.#challengedAtMs < CHALLENGE_GAP_MS) return null;
    const nonce = rng.fill(new Uint8Array(8));
    this.#challengedAtMs = nowMs;
    this.#candidate = { endpoint: from, nonce, atMs: nowMs };
    return nonce;
  }

  /** True when the answer commits the move. */
  answered(nowMs: number, from: Endpoint, nonce: Uint8Array): boolean {
    const candidate = this.#candidate;
    if (candidate === null || nowMs - candidate.atMs > CHALLENGE_LIFE_MS) return false;
    if (!sameEndpoint(candidate.endpoint, from) || !equalBytes(candidate.nonce, nonce)) return false;
    this.#candidate = null;
    this.endpoint = from;
    return true;
  }
}
