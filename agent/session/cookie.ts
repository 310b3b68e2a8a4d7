/**
 * What a stranger has to show before any Diffie-Hellman is spent on it: mac1 proves knowledge of the mesh's psk, and under
 * load mac2 proves that it receives at its address. A cookie reply is 64 bytes for 1200.
 *
 *   mac1   = BLAKE2b-128(H(psk, "weft1 mac1" || dh_pk of the receiver), everything before mac1)
 *   mac2   = BLAKE2b-128(cookie, everything before mac2)
 *   cookie = BLAKE2b-128(secret of 120 s, address[16] || u16 port)
 *   reply  = XChaCha20-Poly1305(H(psk, "weft1 cookie" || dh_pk of the receiver), nonce, cookie, AAD = mac1 of the message)
 *
 * The receiver is who the message is addressed to: the responder for the first, the initiator for the second, so that
 * every host checks under one key. Called by initiation.ts and responder.ts.
 */
import type { Rng } from '../clock.ts';
import { type Endpoint, ipToBytes } from '../endpoint.ts';
import { concat, equalBytes, keyedHash, utf8, xchachaOpenWith, xchachaSealWith } from '../identity/sodium.ts';
import { type CookieReply, encodeCookieReply, MAC_BYTES, macFields } from './messages.ts';
import { COOKIE_SECRET_MS } from './timers.ts';

const MAC1_LABEL = utf8('weft1 mac1');
const COOKIE_LABEL = utf8('weft1 cookie');

/** The two keys that go with one receiver's static key. */
export class MacKeys {
  readonly #mac1: Uint8Array;
  readonly #cookie: Uint8Array;

  constructor(psk: Uint8Array, receiverDhPk: Uint8Array) {
    this.#mac1 = keyedHash(psk, [MAC1_LABEL, receiverDhPk]);
    this.#cookie = keyedHash(psk, [COOKIE_LABEL, receiverDhPk]);
  }

  /** Writes mac1, and mac2 if there is a cookie, into a handshake message. */
  stamp(bytes: Uint8Array, cookie: Uint8Array | null): void {
    const fields = macFields(bytes);
    fields.mac1.set(keyedHash(this.#mac1, [fields.beforeMac1], MAC_BYTES));
    if (cookie !== null) fields.mac2.set(keyedHash(cookie, [fields.beforeMac2], MAC_BYTES));
  }

  mac1Valid(bytes: Uint8Array): boolean {
    const fields = macFields(bytes);
    return equalBytes(fields.mac1, keyedHash(this.#mac1, [fields.beforeMac1], MAC_BYTES));
  }

  sealCookie(init: Uint8Array, senderIndex: number, cookie: Uint8Array, rng: Rng): Uint8Array {
    const nonce = rng.fill(new Uint8Array(24));
    const sealed = xchachaSealWith(cookie, macFields(init).mac1, nonce, this.#cookie);
    return encodeCookieReply({ receiverIndex: senderIndex, nonce, sealed });
  }

  /** The cookie in a reply to the message that had this mac1, or null. */
  openCookie(reply: CookieReply, mac1: Uint8Array): Uint8Array | null {
    return xchachaOpenWith(reply.sealed, mac1, reply.nonce, this.#cookie);
  }
}

/** Makes and checks this host's cookies. */
export class CookieJar {
  readonly #rng: Rng;
  readonly #secret = new Uint8Array(32);
  #madeAtMs = Number.NEGATIVE_INFINITY;

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  cookieFor(nowMs: number, from: Endpoint): Uint8Array {
    if (nowMs - this.#madeAtMs >= COOKIE_SECRET_MS) {
      this.#rng.fill(this.#secret);
      this.#madeAtMs = nowMs;
    }
    const port = Uint8Array.of(from.port >> 8, from.port & 0xff);
    return keyedHash(this.#secret, [concat(ipToBytes(from.ip), port)], MAC_BYTES);
  }

  mac2Valid(nowMs: number, from: Endpoint, bytes: Uint8Array): boolean {
    const fields = macFields(bytes);
    if (fields.mac2.every((byte) => byte === 0)) return false;
    return equalBytes(fields.mac2, keyedHash(this.cookieFor(nowMs, from), [fields.beforeMac2], MAC_BYTES));
  }
}
