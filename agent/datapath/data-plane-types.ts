/**
 * The plain data that goes into and comes out of the data plane's main-thread face.
 */
import type { Endpoint } from '../endpoint.ts';

export type Direction = 'transmit' | 'receive';

export interface SegmentSettings {
  readonly vni: number;
  readonly encap: 'vxlan' | 'geneve';
  readonly mode: 'sealed' | 'plain';
  readonly mtuBytes: number;
  readonly ownMac: Uint8Array;
}

export interface MemberSettings {
  readonly vnis: readonly number[];
  readonly bridge: boolean;
  /** Derived addresses, which only this member may use. */
  readonly macs: readonly { readonly vni: number; readonly mac: Uint8Array }[];
  /** Where plain frames go; null for a sealed member. */
  readonly plain: Endpoint | null;
}

export interface ReceiveKey {
  readonly index: number;
  readonly suite: 1 | 2;
  readonly inner: 1 | 2;
  readonly laneKeys: Uint8Array;
  readonly lanes: number;
  /** -1 for a session that carries no data. */
  readonly slot: number;
}

export interface TransmitKey {
  readonly slot: number;
  /** The pair that seals with it; also the lowest four bits of the index. */
  readonly lane: number;
  readonly index: number;
  readonly suite: 1 | 2;
  readonly inner: 1 | 2;
  readonly key: Uint8Array;
  readonly flags: number;
}

/** A control datagram from the ring. */
export interface ControlMessage {
  /** tun-tap's KIND, or SIGHTED, which has no counter and no bytes. */
  readonly kind: number;
  readonly slot: number;
  readonly index: number;
  readonly counter: number;
  readonly wireBytes: number;
  readonly from: Endpoint;
  readonly fromListener: boolean;
  readonly bytes: Uint8Array;
}

export interface PeerCounters {
  readonly txFrames: number;
  readonly txBytes: number;
  readonly rxFrames: number;
  readonly rxBytes: number;
  /** Milliseconds of `nowMs`; 0 never. */
  readonly lastTxMs: number;
  readonly lastRxMs: number;
  readonly nextCounter: number;
}

/** As configured under `fdb`. */
export interface FdbSettings {
  readonly limit: number;
  readonly perPeerLimit: number;
  readonly ageingSec: number;
  readonly duplicateMoves: number;
  readonly duplicateWindowSec: number;
  readonly duplicateFreezeSec: number;
}
