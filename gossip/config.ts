/**
 * Every number of the protocol, with its formula and the reason to change it. The shape is memberlist's LAN preset
 * (config.go) with the additions that PROTOCOL.md asks for.
 */

export interface SwimConfig {
  /** One member is probed each interval, stretched by (health score + 1). Lower finds a crash sooner and costs packets. */
  readonly probeIntervalMs: number;
  /** Ack time-out before a round-trip time is known; afterwards 4 * RTT, clamped. */
  readonly ackTimeoutMs: number;
  readonly minAckTimeoutMs: number;
  readonly maxAckTimeoutMs: number;
  /** Pings sent directly, spaced timeout / directPings: three survive 10 % loss with one false suspicion in 1,000. */
  readonly directPings: number;
  /** Members asked to ping in our place. */
  readonly indirectProbes: number;
  readonly gossipIntervalMs: number;
  readonly gossipNodes: number;
  /** Suspicion lasts at least suspicionMult * max(1, log10 N) * probeInterval. */
  readonly suspicionMult: number;
  /** ... and at most this many times that, before other accusers confirm. */
  readonly suspicionMaxMult: number;
  /** Each news is sent retransmitMult * ceil(log10(N + 1)) times. */
  readonly retransmitMult: number;
  /** Anti-entropy; stretched above 32 members by ceil(log2 N - log2 32) + 1. */
  readonly pushPullIntervalMs: number;
  /** A dead member is dialled with probability min(1, 32 / alive) each interval, so that partitions heal. */
  readonly deadDialIntervalMs: number;
  readonly tombstoneMs: number;
  /** Health score's upper end. */
  readonly maxHealthScore: number;
  /** Members kept, dead and left ones included. */
  readonly maxMembers: number;
  /** A seed that has not answered is asked again after this. */
  readonly contactIntervalMs: number;
  readonly tickMs: number;
}

export const DEFAULT_CONFIG: SwimConfig = {
  probeIntervalMs: 1000,
  ackTimeoutMs: 500,
  minAckTimeoutMs: 100,
  maxAckTimeoutMs: 1000,
  directPings: 3,
  indirectProbes: 3,
  gossipIntervalMs: 200,
  gossipNodes: 3,
  suspicionMult: 4,
  suspicionMaxMult: 6,
  retransmitMult: 4,
  pushPullIntervalMs: 30_000,
  deadDialIntervalMs: 5000,
  tombstoneMs: 24 * 3600_000,
  maxHealthScore: 8,
  maxMembers: 16_384,
  contactIntervalMs: 1000,
  tickMs: 100,
};

/** Datagram bound: an IPv6 path of 1280 bytes less IP and UDP headers. */
export const MAX_DATAGRAM_BYTES = 1232;

/** Times that a piece of news is sent; memberlist util.go retransmitLimit. */
export function retransmitLimit(mult: number, members: number): number {
  return mult * Math.ceil(Math.log10(members + 1));
}

/** Interval of anti-entropy for a mesh of this size; memberlist util.go pushPullScale. */
export function pushPullScale(intervalMs: number, members: number): number {
  if (members <= 32) return intervalMs;
  return intervalMs * (Math.ceil(Math.log2(members) - Math.log2(32)) + 1);
}
