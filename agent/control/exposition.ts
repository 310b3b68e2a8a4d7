/**
 * Series as Prometheus text, exposition format 0.0.4. Written here for what the table of metrics holds: prom-client takes a hundred
 * times as long for the series of a thousand peers, and the event loop waits. Called by metrics.ts at each scrape.
 */
import type { MetricReport } from './api-types.ts';
import type { MetricDefinition, Sample } from './metric.ts';

/** Series of one metric. Counters that meet under one set of labels add up; of gauges the last holds. */
export interface Series {
  readonly definition: MetricDefinition;
  /** By labels as they are written, braces included; bounded by the samples. */
  readonly values: ReadonlyMap<string, number>;
}

const ODD = /[\\"\n]/;

function escapeLabel(value: string): string {
  if (!ODD.test(value)) return value;
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** Labels in the order of the definition. */
function labelText(names: readonly string[], labels: Sample['labels']): string {
  let text = '';
  for (const name of names) text += `${text === '' ? '{' : ','}${name}="${escapeLabel(labels[name] ?? '')}"`;
  return text === '' ? '' : `${text}}`;
}

export function seriesOf(definition: MetricDefinition, samples: readonly Sample[]): Series {
  const values = new Map<string, number>(); // bounded by the samples
  for (const { labels, value } of samples) {
    const key = labelText(definition.labels, labels);
    const before = definition.type === 'counter' ? (values.get(key) ?? 0) : 0;
    values.set(key, before + value);
  }
  return { definition, values };
}

function valueText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

export function formatSeries({ definition: { name, help, type }, values }: Series): string {
  let text = `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n`;
  for (const [labels, value] of values) text += `${name}${labels} ${valueText(value)}\n`;
  return text;
}

export function reportSamples(definition: MetricDefinition, samples: readonly Sample[]): MetricReport {
  const { name, type, help } = definition;
  return { name, type, help, values: samples.map(({ labels, value }) => ({ name, labels, value })) };
}
