/** Tables and metrics of the lab's hosts, as the real commands print them. Called by steps.ts. */
import { WeftError } from '../errors.ts';
import type { Host } from './host.ts';
import { firstHost, type Lab } from './setting.ts';

/** Rows that fit a screen; the rest is left out and said. */
const SHOWN_ROWS = 6;

const SHOWN_METRICS =
  /^weft_(peers|gossip_members|frames_total|packets_total|peer_transmit_bytes_total|dropped_frames_total|fdb_entries|handshakes_total)\b.* (?!0$)/;
const SHOWN_METRIC_LINES = 14;

export async function showTable(lab: Lab, host: Host, verb: 'members' | 'peers'): Promise<void> {
  const lines = (await host.weftOk([verb], { signal: lab.signal })).trimEnd().split('\n');
  const shown = lines.slice(0, SHOWN_ROWS + 1);
  if (lines.length > shown.length) shown.push(`... ${lines.length - shown.length} more`);
  lab.report.line(`      ${host.name}$ weft ${verb}`);
  lab.report.details(shown.join('\n'));
}

export async function showMetrics(lab: Lab): Promise<string> {
  const host = firstHost(lab);
  const text = await host.weftOk(['metrics'], { signal: lab.signal });
  const series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const shown = series.filter((line) => SHOWN_METRICS.test(line)).slice(0, SHOWN_METRIC_LINES);
  const peers = series.find((line) => line.startsWith('weft_peers{state="up"}'));
  if (Number(peers?.split(' ').at(-1)) !== lab.hosts.length - 1) {
    throw new WeftError('E_DEVICE', `metrics of ${host.name} say: ${peers ?? 'nothing of weft_peers'}`);
  }
  lab.report.line(`      ${host.name}$ weft metrics | grep ...`);
  lab.report.details(shown.join('\n'));
  return `${series.length} series for Prometheus`;
}
