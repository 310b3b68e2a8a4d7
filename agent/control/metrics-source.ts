/**
 * The numbers behind /metrics, as plain values. agent.ts fills one snapshot per scrape from the counters of the workers
 * and the state of the control plane; metrics.ts turns it into series. Counters only grow during a process's life.
 * Bytes, counts, seconds, Unix seconds: the unit is in the name.
 */

import type { EventType } from './api-types.ts';

export type Direction = 'receive' | 'transmit';

export interface MetricsSnapshot {
  /** Frames read from the TAP (transmit) and written to it (receive). */
  readonly frames: Readonly<Record<Direction, number>>;
  readonly frameBytes: Readonly<Record<Direction, number>>;
  /** Datagrams on the underlay. */
  readonly packets: readonly PacketCount[];
  /** One entry for each reason of the drop table in each direction it can happen, zeros included. */
  readonly drops: readonly DropCount[];
  /** Frames copied to several peers: unknown unicast, broadcast, multicast. */
  readonly floods: readonly {
    readonly cause: 'unknown' | 'broadcast' | 'multicast';
    readonly count: number;
  }[];

  readonly fdbEntries: readonly { readonly vni: number; readonly count: number }[];
  readonly fdbLimit: number;
  /** Addresses learned, moves and those that others gave way to included; and frames whose source found no room. */
  readonly fdbLearned: number;
  readonly fdbNotLearned: number;
  readonly fdbMoves: number;
  readonly fdbFreezes: number;
  readonly fdbFrozen: number;
  readonly fdbEvictions: number;

  /** Bounded by mesh size. */
  readonly peers: readonly PeerMetrics[];

  /** Probes for path MTUs sent, and those that were not answered in time. */
  readonly pathProbes: number;
  readonly pathProbesLost: number;
  /** ICMP messages that told a sender behind the TAP of a smaller path. */
  readonly tooBigAnswers: number;
  /** TCP connections whose MSS was lowered, by the direction of the SYN. */
  readonly mssClamped: Readonly<Record<Direction, number>>;

  /** Completed and failed handshakes by result, both roles. */
  readonly handshakes: readonly { readonly result: HandshakeResult; readonly count: number }[];
  readonly handshakesStarted: number;
  readonly rekeys: number;

  readonly gossipMembers: Readonly<Record<'alive' | 'suspect' | 'dead' | 'left', number>>;
  readonly gossipMessages: readonly {
    readonly direction: Direction;
    readonly type: string;
    readonly count: number;
  }[];
  readonly gossipProbes: number;
  readonly gossipProbeFailures: number;
  readonly gossipSuspicions: readonly { readonly outcome: 'refuted' | 'dead'; readonly count: number }[];
  /** Local health of Lifeguard: 0 is well. */
  readonly gossipHealthScore: number;
  readonly gossipBroadcastQueue: number;
  readonly gossipIncarnation: number;
  /** Proofs that a member signed two records with one number. */
  readonly equivocations: number;
  /** Policies that stand beside another one with the same predecessor, each counted once. */
  readonly policyConflicts: number;
  /** Whether the last write to the state directory succeeded. */
  readonly stateWritable: boolean;

  readonly offloads: readonly { readonly name: string; readonly on: boolean }[];
  /** Connections to the control socket by users who may not use it. */
  readonly controlRefused: number;
  /** Looks after the data-plane threads, and of these the ones at which a thread had not answered the look before. */
  readonly workerChecks: number;
  readonly workerStalls: number;
  /** How the last reading of the configuration went, and when the last valid one was. */
  readonly configValid: boolean;
  readonly configReadSec: number;
  /** Datagrams that the kernel dropped because a socket's buffer was full. */
  readonly udpSocketDrops: readonly {
    readonly socket: 'sealed' | 'plain' | 'gossip';
    readonly count: number;
  }[];
  /** Frames that each queue of the TAP holds, and those that came when it was full; null where the kernel does not say. */
  readonly tapQueueLength: number | null;
  readonly tapQueueDrops: number | null;
  readonly identityExpirySec: number;
  /** Statements in force that end trust. */
  readonly revocations: readonly { readonly kind: string; readonly count: number }[];
  /** By type, all since the start. */
  readonly events: Readonly<Record<EventType, number>>;
  /** Tokens of this admitter's log: each has admitted a host. */
  readonly joinTokens: readonly { readonly state: 'used' | 'expired'; readonly count: number }[];
  /** Requests to be admitted that this host decided, by outcome: `admitted`, `repeated`, or the reason of a refusal. */
  readonly admissionRequests: Readonly<Record<string, number>>;
  /** Uses of tokens that two hosts were heard to have. */
  readonly admissionOveruse: number;
  /** Members that may admit and are alive. */
  readonly admitters: number;
}

export interface PacketCount {
  readonly direction: Direction;
  readonly path: 'direct' | 'relay' | 'tcp' | 'plain';
  readonly kind: 'data' | 'control' | 'handshake' | 'gossip';
  readonly packets: number;
  readonly bytes: number;
}

export interface DropCount {
  readonly direction: Direction;
  readonly reason: string;
  readonly count: number;
}

export type HandshakeResult = 'ok' | 'timeout' | 'refused' | 'invalid';

export interface PeerMetrics {
  readonly peer: string;
  readonly state: 'up' | 'handshaking' | 'down';
  readonly family: 'ipv4' | 'ipv6' | null;
  readonly receiveBytes: number;
  readonly transmitBytes: number;
  readonly receivePackets: number;
  readonly transmitPackets: number;
  /** Unix seconds; null before the first one. */
  readonly lastHandshakeSec: number | null;
  readonly rttSec: number | null;
  readonly pathMtuBytes: number | null;
  readonly probeLoss: number | null;
}
