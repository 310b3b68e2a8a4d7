/**
 * The Prometheus registry. Counters live where they are counted; one snapshot is pulled per scrape and laid out by
 * metrics-table.ts, so that counting costs nothing here. Only the histograms are fed as things happen.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { buildVersion } from '../version.ts';
import type { MetricReport, MetricsReport } from './api-types.ts';
import type { MetricsSnapshot, PeerMetrics } from './metrics-source.ts';
import {
  HANDSHAKE_DURATION,
  type HistogramDefinition,
  LOOP_DELAY,
  METRICS,
  type MetricDefinition,
  PROBE_DURATION,
} from './metrics-table.ts';

export const METRICS_CONTENT_TYPE: string = Registry.PROMETHEUS_CONTENT_TYPE;

/** `auto` leaves series per peer out above this many peers. */
const AUTO_PEER_LIMIT = 100;
/** Never: Node's monitor wakes an idle agent at each step, and counts the step as delay. LOOP_DELAY does neither. */
const EVENT_LOOP_PRECISION_MS = 2 ** 31 - 1;
const UNWANTED_DEFAULTS = [
  // `promtool check metrics` objects to these: gauges that are named as counters.
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
  // What the monitor would fill.
  ...['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'].map((of) => `nodejs_eventloop_lag_${of}_seconds`),
];

export interface MetricsOptions {
  /** Called once per scrape. */
  readonly source: () => MetricsSnapshot;
  readonly perPeer: 'auto' | 'on' | 'off';
  /** Told when `source` throws; the scrape goes on with what else there is. */
  readonly onError: (error: unknown) => void;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #options: MetricsOptions;
  readonly #series: readonly { readonly definition: MetricDefinition; readonly metric: Counter | Gauge }[];
  readonly #handshakeDuration: Histogram;
  readonly #probeDuration: Histogram;
  readonly #loopDelay: Histogram;
  readonly #collectDuration: Gauge;
  readonly #collectErrors: Counter;

  constructor(options: MetricsOptions) {
    this.#options = options;
    const registers = [this.#registry];
    collectDefaultMetrics({
      register: this.#registry,
      eventLoopMonitoringPrecision: EVENT_LOOP_PRECISION_MS,
    });
    for (const name of UNWANTED_DEFAULTS) this.#registry.removeSingleMetric(name);
    const { version, commit } = buildVersion();
    new Gauge({
      name: 'weft_build_info',
      help: BUILD_INFO_HELP,
      labelNames: ['version', 'commit', 'node'],
      registers,
    }).set({ version, commit: commit ?? '', node: process.versions.node }, 1);
    this.#series = METRICS.map((definition) => ({
      definition,
      metric: metricOf(definition, this.#registry),
    }));
    this.#handshakeDuration = histogramOf(HANDSHAKE_DURATION, this.#registry);
    this.#probeDuration = histogramOf(PROBE_DURATION, this.#registry);
    this.#loopDelay = histogramOf(LOOP_DELAY, this.#registry);
    this.#collectDuration = new Gauge({
      name: 'weft_collect_duration_seconds',
      help: COLLECT_DURATION_HELP,
      registers,
    });
    this.#collectErrors = new Counter({
      name: 'weft_collect_errors_total',
      help: COLLECT_ERRORS_HELP,
      registers,
    });
  }

  observeHandshake(seconds: number): void {
    this.#handshakeDuration.observe(seconds);
  }

  observeProbe(seconds: number): void {
    this.#probeDuration.observe(seconds);
  }

  observeLoopDelay(seconds: number): void {
    this.#loopDelay.observe(seconds);
  }

  /** Exposition format 0.0.4. */
  text(): Promise<string> {
    this.#collect();
    return this.#registry.metrics();
  }

  async json(): Promise<MetricsReport> {
    this.#collect();
    const metrics = await this.#registry.getMetricsAsJSON();
    return { v: 1, metrics: metrics.map((metric) => reportOf(metric)) };
  }

  /** Pulls one snapshot into the series. After a failure they are left empty rather than old. */
  #collect(): void {
    const end = this.#collectDuration.startTimer();
    for (const { metric } of this.#series) metric.reset();
    try {
      const snapshot = this.#options.source();
      const peers = this.#shownPeers(snapshot);
      for (const { definition, metric } of this.#series) {
        for (const { labels, value } of definition.read(snapshot, peers)) metric.inc(labels, value);
      }
    } catch (error) {
      this.#collectErrors.inc();
      this.#options.onError(error);
    }
    end();
  }

  #shownPeers({ peers }: MetricsSnapshot): readonly PeerMetrics[] {
    const { perPeer } = this.#options;
    const shown = perPeer === 'on' || (perPeer === 'auto' && peers.length <= AUTO_PEER_LIMIT);
    return shown ? peers : [];
  }
}

export const BUILD_INFO_HELP = 'Always 1; the version of this agent and of Node.';
export const COLLECT_DURATION_HELP = 'Time that the last scrape took to gather.';
export const COLLECT_ERRORS_HELP = 'Scrapes in which gathering failed.';

function metricOf({ name, type, help, labels }: MetricDefinition, registry: Registry): Counter | Gauge {
  const configuration = { name, help, labelNames: [...labels], registers: [registry] };
  return type === 'counter' ? new Counter(configuration) : new Gauge(configuration);
}

function histogramOf({ name, help, buckets }: HistogramDefinition, registry: Registry): Histogram {
  return new Histogram({ name, help, buckets: [...buckets], registers: [registry] });
}

type MetricJson = Awaited<ReturnType<Registry['getMetricsAsJSON']>>[number];

function reportOf(metric: MetricJson): MetricReport {
  const values = metric.values.map((sample) => {
    const { labels, value } = sample;
    const name =
      'metricName' in sample && typeof sample.metricName === 'string' ? sample.metricName : metric.name;
    return { name, labels: { ...labels } as Record<string, string | number>, value };
  });
  return { name: metric.name, type: String(metric.type), help: metric.help, values };
}
