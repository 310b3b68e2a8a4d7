/**
 * Noise handshakes of revision 34 over 25519_ChaChaPoly_BLAKE2b, for the patterns of `PATTERNS`. Sans-IO: bytes in, bytes
 * out; the ephemeral secret comes from the caller. weft speaks IKpsk2 (Noise §7.5 and §9); IK is what another
 * implementation in reach can be compared with. Called by initiation.ts and responder.ts.
 *
 * One addition to Noise: a message may have a header, mixed into the handshake hash before it as if it were a prologue. Without
 * it whoever holds the psk could change an index in a message under way and so use up the genuine one.
 *
 * Error contract: `read` and `write` work on a copy of the state. Null means that nothing has changed and that the
 * same handshake still accepts a genuine message. They throw only when called out of turn, which is a programming error.
 */
import { dhKeyPair, type KeyPair, settled, utf8, x25519, zero } from '../identity/sodium.ts';
import { SymmetricState, TAG_BYTES } from './noise-symmetric.ts';

type Token = 'e' | 's' | 'ee' | 'es' | 'se' | 'ss' | 'psk';

interface Pattern {
  /** Whether the initiator knows the responder's static key beforehand. */
  readonly knownResponder: boolean;
  readonly messages: readonly (readonly Token[])[];
}

export const PATTERNS = {
  IK: {
    knownResponder: true,
    messages: [
      ['e', 'es', 's', 'ss'],
      ['e', 'ee', 'se'],
    ],
  },
  IKpsk2: {
    knownResponder: true,
    messages: [
      ['e', 'es', 's', 'ss'],
      ['e', 'ee', 'se', 'psk'],
    ],
  },
} as const satisfies Record<string, Pattern>;

export type PatternName = keyof typeof PATTERNS;
export const DH_BYTES = 32;

export interface HandshakeOptions {
  readonly pattern: PatternName;
  readonly initiator: boolean;
  readonly prologue: Uint8Array;
  /** Own static key; not zeroed by the handshake. */
  readonly staticKeys: KeyPair;
  /** 32 random bytes used by this handshake only; copied, and the copy is zeroed. */
  readonly ephemeralSk: Uint8Array;
  /** The responder's static key, for an initiator. */
  readonly remoteStatic?: Uint8Array;
  /** 32 bytes, for the psk patterns. */
  readonly psk?: Uint8Array;
}

export interface TransportKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
  readonly handshakeHash: Uint8Array;
}

export class Handshake {
  readonly #messages: readonly (readonly Token[])[];
  readonly #initiator: boolean;
  readonly #usesPsk: boolean;
  readonly #static: KeyPair;
  readonly #ephemeral: KeyPair;
  readonly #psk: Uint8Array | null;
  #state: SymmetricState;
  #remoteStatic: Uint8Array | null;
  #remoteEphemeral: Uint8Array | null = null;
  #turn = 0;

  constructor(options: HandshakeOptions) {
    const pattern: Pattern = PATTERNS[options.pattern];
    this.#messages = pattern.messages;
    this.#initiator = options.initiator;
    this.#static = options.staticKeys;
    this.#ephemeral = dhKeyPair(settled(options.ephemeralSk.slice()));
    this.#remoteStatic = options.remoteStatic?.slice() ?? null;
    this.#usesPsk = pattern.messages.some((tokens) => tokens.includes('psk'));
    this.#psk = options.psk?.slice() ?? null;
    if (this.#usesPsk && this.#psk?.length !== DH_BYTES)
      throw new RangeError(`${options.pattern} needs a psk of 32 bytes`);
    this.#state = new SymmetricState(utf8(`Noise_${options.pattern}_25519_ChaChaPoly_BLAKE2b`));
    this.#state.mixHash(options.prologue);
    if (pattern.knownResponder) {
      const responder = options.initiator ? this.#remoteStatic : options.staticKeys.publicKey;
      if (responder === null) throw new RangeError('the initiator needs the responder static key');
      this.#state.mixHash(responder);
    }
  }

  /** The other side's static key once it is known. */
  get remoteStatic(): Uint8Array | null {
    return this.#remoteStatic;
  }

  get complete(): boolean {
    return this.#turn === this.#messages.length;
  }

  #tokens(writing: boolean): readonly Token[] {
    const tokens = this.#messages[this.#turn];
    if (tokens === undefined) throw new Error('the handshake is complete');
    if ((this.#turn % 2 === 0) !== (this.#initiator === writing))
      throw new Error('it is the other side that writes now');
    return tokens;
  }

  /** Mixes one Diffie-Hellman result. False for a low-order key. */
  #mixDh(
    state: SymmetricState,
    token: Token,
    remoteEphemeral: Uint8Array | null,
    remoteStatic: Uint8Array | null,
  ): boolean {
    const [first, second] = token;
    const [mine, theirs] = this.#initiator ? [first, second] : [second, first];
    const local = mine === 'e' ? this.#ephemeral : this.#static;
    const remote = theirs === 'e' ? remoteEphemeral : remoteStatic;
    if (remote === null) throw new Error(`${token} before the remote key is known`);
    const shared = x25519(local.secretKey, remote);
    if (shared === null) return false;
    state.mixKey(shared);
    zero(shared);
    return true;
  }

  /**
   * The next message, or null when the other side's key is of low order.
   * @param header what precedes the message on the wire; mixed into the transcript first, which authenticates it
   */
  write(payload: Uint8Array, header?: Uint8Array): Uint8Array | null {
    const tokens = this.#tokens(true);
    const state = this.#state.clone();
    if (header !== undefined) state.mixHash(header);
    const parts: Uint8Array[] = [];
    for (const token of tokens) {
      if (token === 'e') {
        parts.push(this.#ephemeral.publicKey);
        state.mixHash(this.#ephemeral.publicKey);
        if (this.#usesPsk) state.mixKey(this.#ephemeral.publicKey);
      } else if (token === 's') {
        parts.push(state.encryptAndHash(this.#static.publicKey));
      } else if (token === 'psk') {
        state.mixKeyAndHash(this.#psk!);
      } else if (!this.#mixDh(state, token, this.#remoteEphemeral, this.#remoteStatic)) {
        state.wipe();
        return null;
      }
    }
    parts.push(state.encryptAndHash(payload));
    this.#commit(state);
    return new Uint8Array(Buffer.concat(parts));
  }

  /**
   * The payload of the next message, or null when it is not genuine.
   * @param header as for `write`
   * @param acceptStatic asked as soon as the sender's static key is known, before further work; false ends the read as null
   */
  read(
    message: Uint8Array,
    header?: Uint8Array,
    acceptStatic: (remoteStatic: Uint8Array) => boolean = () => true,
  ): Uint8Array | null {
    const tokens = this.#tokens(false);
    const state = this.#state.clone();
    if (header !== undefined) state.mixHash(header);
    let remoteEphemeral = this.#remoteEphemeral;
    let remoteStatic = this.#remoteStatic;
    let at = 0;
    const refuse = (): null => {
      state.wipe();
      return null;
    };
    for (const token of tokens) {
      if (token === 'e') {
        if (message.length - at < DH_BYTES) return refuse();
        remoteEphemeral = message.slice(at, at + DH_BYTES);
        at += DH_BYTES;
        state.mixHash(remoteEphemeral);
        if (this.#usesPsk) state.mixKey(remoteEphemeral);
      } else if (token === 's') {
        const size = DH_BYTES + (state.hasKey ? TAG_BYTES : 0);
        if (message.length - at < size) return refuse();
        remoteStatic = state.decryptAndHash(message.subarray(at, at + size));
        at += size;
        if (remoteStatic === null || !acceptStatic(remoteStatic)) return refuse();
      } else if (token === 'psk') {
        state.mixKeyAndHash(this.#psk!);
      } else if (!this.#mixDh(state, token, remoteEphemeral, remoteStatic)) {
        return refuse();
      }
    }
    const payload = state.decryptAndHash(message.subarray(at));
    if (payload === null) return refuse();
    this.#remoteEphemeral = remoteEphemeral;
    this.#remoteStatic = remoteStatic;
    this.#commit(state);
    return payload;
  }

  #commit(state: SymmetricState): void {
    this.#state.wipe();
    this.#state = state;
    this.#turn++;
  }

  /** The transport keys of a complete handshake, which ends it. */
  finish(): TransportKeys {
    if (!this.complete) throw new Error('the handshake is not complete');
    const [first, second] = this.#state.split();
    const handshakeHash = this.#state.hash;
    this.destroy();
    return this.#initiator
      ? { send: first, receive: second, handshakeHash }
      : { send: second, receive: first, handshakeHash };
  }

  /** Zeroes every secret it made. It must not be used afterwards. */
  destroy(): void {
    this.#state.wipe();
    zero(this.#ephemeral.secretKey);
    if (this.#psk !== null) zero(this.#psk);
  }
}
