/**
 * Every duration, rate and bound of the session layer: reference values of PROTOCOL.md and of the table it builds on.
 * Milliseconds unless the name says otherwise. Nothing here is configurable but what `SessionLimits` names.
 */
export const DEFAULT_LIMITS = {
  rekeyAfterMs: 120_000,
  rejectAfterMs: 180_000,
  rekeyAfterPackets: 2 ** 34,
  maxPeers: 1024,
} as const;

/** Gaps between the messages of one attempt; the last one repeats. Each varies by RETRY_JITTER either way. */
export const RETRY_GAPS_MS = [250, 500, 1000, 2000, 4000, 5000] as const;
export const RETRY_JITTER = 0.2;
export const GIVE_UP_MS = 90_000;
/** After giving up: one message per gap until `connect` asks again. */
export const SLOW_RETRY_MS = 30_000;
/** Messages of an attempt within this time of the first are the same bytes, so that any answer to any of them counts. */
export const FLIGHT_MS = 3_000;

/** The responder's side of a fallback rekey comes this much later, so that the two rarely start together. */
export const RESPONDER_REKEY_DELAY_MS = 10_000;
/** A key is at least this old before its packet count may start a rekey: the count is read from a table that lags. */
export const MIN_COUNT_REKEY_MS = 1_000;

/** A key made as responder and never used by the initiator, or one that the workers never took. */
export const UNCONFIRMED_MS = 15_000;
/** How long a side that answered, or yielded, leaves the other to finish. */
export const YIELD_MS = 5_000;
/** A receive key that two newer ones have displaced is kept this long for packets still under way. */
export const RETIRE_MS = 10_000;
/** bounded by RETIRED_KEYS per peer. */
export const RETIRED_KEYS = 4;

export const KEEPALIVE_MS = 10_000;
export const PROBE_MS = 5_000;
/** The same when no frame of data has been sent for so long: as often as a keepalive, which it then makes needless. */
export const IDLE_PROBE_MS = 10_000;
/** While data or a probe is unanswered. */
export const URGENT_PROBE_MS = 1_000;
/** First probes under a key that the other side has not used yet, until the urgent gap is reached. */
export const CONFIRM_PROBE_MS = 250;
export const UNANSWERED_MS = 3_000;
/** Unanswered this long the peer counts as down, until anything authenticated comes. */
export const DOWN_MS = 8_000;

export const CHALLENGE_GAP_MS = 1_000;
export const CHALLENGE_LIFE_MS = 5_000;

export const COOKIE_SECRET_MS = 120_000;
export const UNDER_LOAD_MS = 1_000;

export const DH_PER_SECOND = 200;
/** Kept for static keys and addresses that are known. */
export const DH_RESERVE = 100;
/** One handshake as responder: es, ss, the ephemeral key, ee, se. */
export const DH_PER_HANDSHAKE = 5;

export const ADDRESS_PER_SECOND = 20;
export const ADDRESS_BURST = 5;
export const MAX_ADDRESSES = 65_536;

export const RESETS_PER_SECOND = 10;
export const RESET_QUIET_MS = 1_000;

export const MAX_STATICS = 4_096;
export const MAX_JOINER_INITS = 256;

export const MAX_JOINS = 64;
export const JOIN_MS = 10_000;
export const JOIN_GIVE_UP_MS = 15_000;
export const JOIN_REQUEST_GAP_MS = 1_000;
