/** What the session layer counts for metrics: plain numbers that only grow. Read by agent.ts at scrape. */
export interface SessionCounters {
  /** Own attempts, and first messages of others; the same message come again is not counted. */
  started: number;
  /** How handshakes ended, on either side; the last five are first or second messages that were dropped. */
  readonly handshakes: Record<
    'ok' | 'timeout' | 'refused' | 'mac1' | 'auth' | 'replay' | 'rate' | 'garbage' | 'full',
    number
  >;
  /** Completed handshakes that replaced a key still in use. */
  rekeys: number;
  /** Own first messages given up because the other side's counted. */
  yielded: number;
  cookiesSent: number;
  cookiesReceived: number;
  resetsSent: number;
  resetsAccepted: number;
  moves: number;
  joinSessions: number;
}

export function newCounters(): SessionCounters {
  return {
    started: 0,
    handshakes: { ok: 0, timeout: 0, refused: 0, mac1: 0, auth: 0, replay: 0, rate: 0, garbage: 0, full: 0 },
    rekeys: 0,
    yielded: 0,
    cookiesSent: 0,
    cookiesReceived: 0,
    resetsSent: 0,
    resetsAccepted: 0,
    moves: 0,
    joinSessions: 0,
  };
}
