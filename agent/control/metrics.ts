/**
 * What /metrics answers. Counters live where they are counted; one snapshot is pulled per scrape and laid out by
 * metrics-table.ts, so that counting costs nothing here. Only the histograms are fed as things happen; they and the series of the
 * process are prom-client's.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { buildVersion } from '../version.ts';
import type { MetricReport, MetricsReport } from './api-types.ts';
import { formatSeries, reportSamples, seriesOf } from './exposition.ts';
import type { HistogramDefinition, MetricDefinition, Sample } from './metric.ts';
import type { MetricsSnapshot, PeerMetrics } from './metrics-source.ts';
import { HANDSHAKE_DURATION, LOOP_DELAY, METRICS, PROBE_DURATION } from './metrics-table.ts';

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
  readonly #handshakeDuration: Histogram;
  readonly #probeDuration: Histogram;
  readonly #loopDelay: Histogram;
  readonly #collectDuration: Gauge;
  readonly #collects: Counter;
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
    this.#handshakeDuration = histogramOf(HANDSHAKE_DURATION, this.#registry);
    this.#probeDuration = histogramOf(PROBE_DURATION, this.#registry);
    this.#loopDelay = histogramOf(LOOP_DELAY, this.#registry);
    this.#collectDuration = new Gauge({
      name: 'weft_collect_duration_seconds',
      help: COLLECT_DURATION_HELP,
      registers,
    });
    this.#collects = new Counter({ name: 'weft_collects_total', help: COLLECTS_HELP, registers });
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
  async text(): Promise<string> {
    const end = this.#collectDuration.startTimer();
    let text = '';
    for (const [definition, samples] of this.#collect())
      text += `${formatSeries(seriesOf(definition, samples))}\n`;
    end();
    return text + (await this.#registry.metrics());
  }

  async json(): Promise<MetricsReport> {
    const end = this.#collectDuration.startTimer();
    const own = this.#collect().map(([definition, samples]) => reportSamples(definition, samples));
    end();
    const others = await this.#registry.getMetricsAsJSON();
    return { v: 1, metrics: [...own, ...others.map((metric) => reportOf(metric))] };
  }

  /** Pulls one snapshot. After a failure there are no series rather than old ones. */
  #collect(): (readonly [MetricDefinition, readonly Sample[]])[] {
    this.#collects.inc();
    try {
      const snapshot = this.#options.source();
      const peers = this.#shownPeers(snapshot);
      return METRICS.map((definition) => [definition, definition.read(snapshot, peers)]);
    } catch (error) {
      this.#collectErrors.inc();
      this.#options.onError(error);
      return [];
    }
  }

  #shownPeers({ peers }: MetricsSnapshot): readonly PeerMetrics[] {
    const { perPeer } = this.#options;
    const shown = perPeer === 'on' || (perPeer === 'auto' && peers.length <= AUTO_PEER_LIMIT);
    return shown ? peers : [];
  }
}

export const BUILD_INFO_HELP = 'Always 1; the version of this agent and of Node.';
export const COLLECT_DURATION_HELP = 'Time that the last scrape took to gather and write.';
export const COLLECTS_HELP = 'Times that the metrics were gathered, by scrapes or `weft metrics`.';
export const COLLECT_ERRORS_HELP = 'Scrapes in which gathering failed.';

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
