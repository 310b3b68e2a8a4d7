/**
 * Rates out of counters that only grow: what was counted between two reports, by the agent's clock. A counter that went back belongs to an
 * agent that started anew, and counts from zero. Pure.
 */
import type { PageReport } from '../../agent/control/page-types.ts';

export interface Rate {
  readonly tx: number;
  readonly rx: number;
}

export interface Rates {
  /** Bytes a second of the TAP; null before there are two reports. */
  readonly all: Rate | null;
  /** Bytes a second by name of peer; bounded by the peers of a report. */
  readonly peers: ReadonlyMap<string, Rate>;
  /** Drops a second by `direction reason`; bounded by the drop table. */
  readonly drops: ReadonlyMap<string, number>;
}

export const NO_RATES: Rates = { all: null, peers: new Map(), drops: new Map() };

export function ratesOf(before: PageReport | null, now: PageReport): Rates {
  if (before === null || now.at <= before.at) return NO_RATES;
  const sec = (now.at - before.at) / 1000;
  const per = (a: number, b: number): number => (b >= a ? b - a : b) / sec;
  const old = new Map(before.peers.map((peer) => [peer.name, peer])); // bounded by the report
  const oldDrops = new Map(before.drops.map((drop) => [dropKey(drop), drop.count])); // bounded by the report
  const peers = now.peers.flatMap((peer): [string, Rate][] => {
    const was = old.get(peer.name);
    if (was === undefined) return [];
    return [[peer.name, { tx: per(was.txBytes, peer.txBytes), rx: per(was.rxBytes, peer.rxBytes) }]];
  });
  return {
    all: {
      tx: per(before.traffic.txBytes, now.traffic.txBytes),
      rx: per(before.traffic.rxBytes, now.traffic.rxBytes),
    },
    peers: new Map(peers),
    drops: new Map(
      now.drops.map((drop) => [dropKey(drop), per(oldDrops.get(dropKey(drop)) ?? 0, drop.count)]),
    ),
  };
}

export function dropKey({
  direction,
  reason,
}: {
  readonly direction: string;
  readonly reason: string;
}): string {
  return `${direction} ${reason}`;
}
