/**
 * What a metric is: name, type, labels, meaning, and how its samples are read from a snapshot; and the three shapes in which
 * values come. metrics-table.ts has all of them.
 */
import type { MetricsSnapshot, PeerMetrics } from './metrics-source.ts';

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface MetricDefinition {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly labels: readonly string[];
  readonly help: string;
  /** `peers` is empty when series per peer are off. */
  readonly read: (snapshot: MetricsSnapshot, peers: readonly PeerMetrics[]) => readonly Sample[];
}

export interface HistogramDefinition {
  readonly name: string;
  readonly help: string;
  /** Upper bounds, seconds. */
  readonly buckets: readonly number[];
}

export const one = (value: number): readonly Sample[] => [{ labels: {}, value }];

/** One sample for each key of a record, as label `label`. */
export function byKey(label: string, record: Readonly<Record<string, number>>): readonly Sample[] {
  return Object.entries(record).map(([key, value]) => ({ labels: { [label]: key }, value }));
}

/** One sample for each peer of which the value is known. */
export function byPeer(
  peers: readonly PeerMetrics[],
  value: (peer: PeerMetrics) => number | null,
): readonly Sample[] {
  const samples: Sample[] = []; // bounded by the peers
  for (const peer of peers) {
    const known = value(peer);
    if (known !== null) samples.push({ labels: { peer: peer.peer }, value: known });
  }
  return samples;
}
