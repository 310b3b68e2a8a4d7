/**
 * Two hosts that do not know the same policy and revocations sync before data: a session's transmit keys wait until the
 * handshake's facts, or what the peer has said of itself since, agree with ours, at most 2 s, once per peer in 10 s. A key
 * that is in use goes on meanwhile, so that a rekey loses nothing. Part of the composition root.
 */
import type { Clock } from './clock.ts';
import { equalBytes } from './identity/sodium.ts';
import type { HandshakeFacts, SessionOutput } from './session/types.ts';

export type TransmitKeyOutput = Extract<SessionOutput, { kind: 'installTransmit' }>;
export type Facts = Pick<HandshakeFacts, 'policySeq' | 'revocationDigest'>;

export interface AgreementParts {
  readonly clock: Clock;
  /** What this host knows now. */
  readonly local: () => Facts & { readonly policyId: Uint8Array };
  /** What a member's newest record says; null if there is none. */
  readonly recordOf: (id: string) => Facts | null;
  /** Asks the member what it knows. */
  readonly compare: (id: string) => void;
  readonly install: (key: TransmitKeyOutput) => void;
}

/** Then data goes on with what is known. */
const WAIT_MS = 2000;
const SYNC_GAP_MS = 10_000;

interface Waiting {
  /** By lane; bounded by the lanes of a session. */
  readonly keys: Map<number, TransmitKeyOutput>;
  readonly cancel: () => void;
}

export class Agreement {
  readonly #p: AgreementParts;
  /** By node id; bounded by MAX_PEERS. */
  readonly #waiting = new Map<string, Waiting>();
  /** When each was waited for; bounded by MAX_PEERS. */
  readonly #waitedAtMs = new Map<string, number>();

  constructor(parts: AgreementParts) {
    this.#p = parts;
  }

  /** Whether a host that knows this knows what we do. */
  #agrees({ policySeq, policyId, revocationDigest }: HandshakeFacts): boolean {
    const own = this.#p.local();
    const sameDigest = equalBytes(revocationDigest, own.revocationDigest);
    return policySeq === own.policySeq && equalBytes(policyId, own.policyId) && sameDigest;
  }

  #recordAgrees(id: string): boolean {
    const own = this.#p.local();
    const said = this.#p.recordOf(id);
    if (said === null || said.policySeq !== own.policySeq) return false;
    return equalBytes(said.revocationDigest, own.revocationDigest);
  }

  /** Installs a transmit key, now or when both know the same. */
  take(key: TransmitKeyOutput): void {
    const { clock, compare, install } = this.#p;
    const held = this.#waiting.get(key.peer);
    if (held !== undefined) {
      held.keys.get(key.lane)?.key.fill(0);
      held.keys.set(key.lane, key);
      return this.look();
    }
    const waited = this.#waitedAtMs.get(key.peer) ?? Number.NEGATIVE_INFINITY;
    const now = clock.monotonicMs();
    if (this.#agrees(key.facts) || now - waited < SYNC_GAP_MS) return install(key);
    this.#waitedAtMs.set(key.peer, now);
    const cancel = clock.after(WAIT_MS, () => this.#release(key.peer));
    this.#waiting.set(key.peer, { keys: new Map([[key.lane, key]]), cancel });
    compare(key.peer);
  }

  #release(id: string): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.cancel();
    for (const key of waiting?.keys.values() ?? []) this.#p.install(key);
  }

  /** A policy or revocation came into force here, or a member said something new of itself. */
  look(): void {
    for (const [id, { keys }] of this.#waiting) {
      const [first] = keys.values();
      if (first === undefined || this.#agrees(first.facts) || this.#recordAgrees(id)) this.#release(id);
    }
  }

  /** The session is over: its keys are not to be used. */
  drop(id: string): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.cancel();
    for (const { key } of waiting?.keys.values() ?? []) key.fill(0);
  }

  /** The member is gone. */
  forget(id: string): void {
    this.drop(id);
    this.#waitedAtMs.delete(id);
  }
}
