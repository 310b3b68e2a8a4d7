/**
 * What goes into the session manager and what comes out: plain data, no sockets, no promises. agent.ts and
 * mesh-link.ts build the inputs and carry out the outputs in the order in which they are given.
 *
 * Times are Clock.monotonicMs. `id` and `peer` are node ids as 64 hex digits. Indexes are unsigned 32-bit numbers whose
 * low four bits are the lane (0 in a base index). Whoever carries out an output owns its `laneKeys` or `key` bytes:
 * copy them to where they are used, then zero them.
 */
import type { Endpoint } from '../endpoint.ts';

export type Suite = 1 | 2;
export type Inner = 1 | 2;

/** First byte of the four unsealed datagrams plus 16, and 22 for a sealed datagram of an unknown index, as in tun-tap. */
export const DATAGRAM = { init: 17, response: 18, cookie: 19, reset: 21, unknownIndex: 22 } as const;

/** A member that a session is wanted with. */
export interface SessionPeer {
  readonly id: string;
  readonly dhPk: Uint8Array;
  readonly signPk: Uint8Array;
  readonly endpoint: Endpoint;
}

/** Who a handshake payload's certificates prove the other side to be. */
export interface VerifiedMember {
  readonly id: string;
  readonly dhPk: Uint8Array;
  readonly signPk: Uint8Array;
}

export type Verdict<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string };

/** What a handshake says of its sender besides keys. */
export interface HandshakeFacts {
  readonly incarnation: number;
  readonly policySeq: number;
  readonly policyId: Uint8Array;
  readonly revocationDigest: Uint8Array;
}

/** This host's own statement in its next handshake message. Policy id and digest are 16 bytes. */
export interface LocalFacts {
  readonly policySeq: number;
  readonly policyId: Uint8Array;
  readonly revocationDigest: Uint8Array;
  /** NodeCert, then the certificate of its admitter. Empty only while joining. */
  readonly certificates: readonly Uint8Array[];
}

/** What the data path's shared tables say about one peer. Null when it never happened. */
export interface PeerActivity {
  readonly lastTxMs: number | null;
  readonly lastRxMs: number | null;
  /** Counter of the next packet under the current transmit key, the highest of all lanes. */
  readonly nextCounter: number;
}

/** Where a joiner goes: the first seed of its token. */
export interface JoinTarget {
  readonly dhPk: Uint8Array;
  readonly signPk: Uint8Array;
  readonly endpoint: Endpoint;
}

export type HandshakeResult = 'ok' | 'timeout' | 'refused';
/** Why a session is no longer usable. */
export type DownReason = 'timeout' | 'unanswered' | 'expired';
/** Labels of the data path's drop table. */
export type SessionDrop = 'garbage' | 'auth' | 'replay' | 'rate' | 'unknown_index' | 'no_peer' | 'no_session';

export type SessionOutput =
  /** From the listening socket. */
  | { readonly kind: 'send'; readonly to: Endpoint; readonly bytes: Uint8Array }
  /** Install in every receive worker, then call `installed(now, token)`. `peer` is null for a join session. 16 lane keys of 32 bytes. */
  | {
      readonly kind: 'installReceive';
      readonly token: number;
      readonly peer: string | null;
      readonly index: number;
      readonly suite: Suite;
      readonly inner: Inner;
      readonly lanes: number;
      readonly laneKeys: Uint8Array;
    }
  | { readonly kind: 'removeReceive'; readonly index: number }
  /** One per transmit lane; `index` includes the lane, `key` is that lane's. */
  | {
      readonly kind: 'installTransmit';
      readonly peer: string;
      readonly lane: number;
      readonly index: number;
      readonly suite: Suite;
      readonly inner: Inner;
      readonly flags: number;
      readonly key: Uint8Array;
      /** What the peer knew of policy and revocations at the handshake. */
      readonly facts: HandshakeFacts;
    }
  | { readonly kind: 'clearTransmit'; readonly peer: string }
  /** A certified member began a handshake without `connect`: give it a slot. Comes before its installReceive. It stays until `forget`. */
  | {
      readonly kind: 'newPeer';
      readonly peer: string;
      readonly member: VerifiedMember;
      readonly endpoint: Endpoint;
      readonly certificates: readonly Uint8Array[];
    }
  | { readonly kind: 'up'; readonly peer: string }
  | { readonly kind: 'down'; readonly peer: string; readonly reason: DownReason }
  /** `reason` says why it was refused; `facts` is null unless ok. */
  | {
      readonly kind: 'handshakeDone';
      readonly peer: string;
      readonly result: HandshakeResult;
      readonly durationMs: number;
      readonly facts: HandshakeFacts | null;
      readonly reason: string | null;
    }
  /** The peer proved to be at a new address: send there, and reset its path MTU. */
  | { readonly kind: 'moved'; readonly peer: string; readonly endpoint: Endpoint }
  /** The answer to a `pathProbe`, or to one long given up. */
  | { readonly kind: 'pathProbeAcked'; readonly peer: string; readonly probe: string }
  /** Smoothed round trip, and where the peer sees this host send from. */
  | {
      readonly kind: 'rtt';
      readonly peer: string;
      readonly ms: number;
      readonly loss: number | null;
      readonly seenAs: Endpoint;
    }
  /** A joiner's request: answer once with `reply(now, joinId, body)` within 10 s. */
  | {
      readonly kind: 'joinRequest';
      readonly joinId: number;
      readonly dhPk: Uint8Array;
      readonly tokenCert: Uint8Array;
      readonly body: Uint8Array;
      readonly from: Endpoint;
    }
  /** The seed's answer to `startJoin`; certificates are the seed's own. */
  | { readonly kind: 'joinReply'; readonly body: Uint8Array; readonly certificates: readonly Uint8Array[] }
  /** No answer to `startJoin` in time: `handshake` when the seed never answered, `request` when it did but sent no reply. */
  | { readonly kind: 'joinFailed'; readonly stage: 'handshake' | 'request' }
  /** A member's request or reply inside its session (identity/forwarded.ts); it may come twice. */
  | { readonly kind: 'message'; readonly peer: string; readonly reply: boolean; readonly body: Uint8Array }
  /** An unusable datagram, to be counted once. */
  | { readonly kind: 'drop'; readonly reason: SessionDrop };

/** A sealed probe for the path MTU: whoever asked for it sends it, and learns at once if the kernel refuses its size. */
export interface PathProbe {
  /** 16 hex digits. */
  readonly id: string;
  readonly to: Endpoint;
  readonly bytes: Uint8Array;
}

/** Seals lane 15. tun-tap's SealingKey is one. */
export interface Sealer {
  /** Ciphertext and 16-byte tag. */
  seal(counter: number, associatedData: Uint8Array, plaintext: Uint8Array): Uint8Array;
  destroy(): void;
}

/** tun-tap's ReplayWindow is one. */
export interface Window {
  /** True, once, for a counter that is neither seen nor older than the window. */
  accept(counter: number): boolean;
}

/** Defaults in timers.ts. A plain segment's sessions, which carry no data, may live 1 h and 65 min. */
export interface SessionLimits {
  readonly rekeyAfterMs: number;
  readonly rejectAfterMs: number;
  readonly rekeyAfterPackets: number;
  readonly maxPeers: number;
}

export interface SessionOptions {
  readonly meshId: Uint8Array;
  readonly psk: Uint8Array;
  readonly suite: Suite;
  readonly inner: Inner;
  /** Bit per data lane (0 to 14) that workers accept; 0 in a plain segment, whose sessions carry lane 15 only. */
  readonly dataLanes: number;
  /** How many transmit workers there are; worker n seals lane n. 0 in a plain segment. */
  readonly transmitLanes: number;
  /** Header flags of data packets: bit 0 when they leave from the listening socket. */
  readonly transmitFlags: number;
  readonly identity: { readonly dhSk: Uint8Array; readonly dhPk: Uint8Array; readonly signPk: Uint8Array };
  /** Persisted and higher at each start; below 2^53. */
  readonly incarnation: number;
  /** 32 bytes each. `previous` is null on the first start. The agent persists `current` before the first handshake. */
  readonly resetSecrets: { readonly current: Uint8Array; readonly previous: Uint8Array | null };
  readonly local: () => LocalFacts;
  /** NodeCert and admitter certificate as received, and the static key that the handshake proved. */
  readonly verifyMember: (
    certificates: readonly Uint8Array[],
    dhPk: Uint8Array,
    nowMs: number,
  ) => Verdict<VerifiedMember>;
  /** Whether a holder of this TokenCert may ask for admission here. */
  readonly verifyToken: (tokenCert: Uint8Array, nowMs: number) => Verdict<null>;
  readonly sealer: (suite: Suite, key: Uint8Array) => Sealer;
  readonly window: () => Window;
  readonly limits?: Partial<SessionLimits>;
}
