/** docs/METRICS.md, from the table of metrics. A test compares the file with it. */
import { BUILD_INFO_HELP, COLLECT_DURATION_HELP, COLLECT_ERRORS_HELP, COLLECTS_HELP } from './metrics.ts';
import { HANDSHAKE_DURATION, LOOP_DELAY, METRICS, PROBE_DURATION } from './metrics-table.ts';

const head = (attempts: string): string => `# Metrics

\`http://127.0.0.1:9586/metrics\` by default (\`metrics.address\`), or \`weft metrics\` through the control socket. The same port
answers \`/livez\` (200 while the event loop turns) and \`/readyz\`, alias \`/healthz\` (503 with reasons until the host carries
traffic).

- Counters start at 0 with the agent. Names and labels below are stable; more may be added.
- \`direction\` is seen from this host's applications: transmit goes from the TAP to the underlay, receive the other way.
- \`peer\` is the name of a host. Series per peer are left out above 100 peers unless \`metrics.per_peer\` is \`on\`.
- Besides these there are the usual \`process_*\` and \`nodejs_*\` series of prom-client.

\`\`\`yaml
# prometheus.yml
scrape_configs:
  - job_name: weft
    static_configs:
      - targets: ['alpha:9586', 'beta:9586']
\`\`\`

\`weft sd\` writes the targets instead: every member that gossip knows. docker/prometheus has the whole configuration with rules
and alerts, docs/RUNBOOK.md what to do when one fires.

Each counter of failures has its attempts beside it:

| failures | attempts |
|---|---|
${attempts}

| metric | type | labels | meaning |
|---|---|---|---|
`;

/** Counters of failures, and what was tried. A test finds every counter of failures of the table here. */
export const ATTEMPTS: readonly (readonly [failures: string, attempts: string])[] = [
  ['weft_dropped_frames_total', 'weft_frames_total'],
  ['weft_replay_rejected_total', 'weft_packets_total'],
  ['weft_auth_failures_total', 'weft_packets_total'],
  ['weft_udp_socket_drops_total', 'weft_packets_total'],
  ['weft_tap_queue_drops_total', 'weft_frames_total'],
  ['weft_fdb_evictions_total', 'weft_fdb_learned_total'],
  ['weft_fdb_not_learned_total', 'weft_fdb_learned_total'],
  ['weft_path_probes_lost_total', 'weft_path_probes_total'],
  ['weft_handshakes_total', 'weft_handshakes_started_total'],
  ['weft_gossip_probe_failures_total', 'weft_gossip_probes_total'],
  ['weft_worker_stalls_total', 'weft_worker_checks_total'],
  ['weft_collect_errors_total', 'weft_collects_total'],
];

interface Row {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly help: string;
}

/** Every metric that /metrics can hold, process defaults aside. */
export const DOCUMENTED_METRICS: readonly Row[] = [
  { name: 'weft_build_info', type: 'gauge', labels: ['version', 'commit', 'node'], help: BUILD_INFO_HELP },
  ...METRICS,
  ...[HANDSHAKE_DURATION, PROBE_DURATION, LOOP_DELAY].map(({ name, help }) => ({
    name,
    type: 'histogram',
    labels: [],
    help,
  })),
  { name: 'weft_collect_duration_seconds', type: 'gauge', labels: [], help: COLLECT_DURATION_HELP },
  { name: 'weft_collects_total', type: 'counter', labels: [], help: COLLECTS_HELP },
  { name: 'weft_collect_errors_total', type: 'counter', labels: [], help: COLLECT_ERRORS_HELP },
];

export function metricsReference(): string {
  const rows = DOCUMENTED_METRICS.map(
    ({ name, type, labels, help }) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(' ')} | ${help} |`,
  );
  const attempts = ATTEMPTS.map(([failures, tried]) => `| \`${failures}\` | \`${tried}\` |`);
  return `${head(attempts.join('\n'))}${rows.join('\n')}\n`;
}
