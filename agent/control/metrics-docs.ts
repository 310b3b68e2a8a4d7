/** docs/METRICS.md, from the table of metrics. A test compares the file with it. */
import { BUILD_INFO_HELP, COLLECT_DURATION_HELP, COLLECT_ERRORS_HELP } from './metrics.ts';
import { HANDSHAKE_DURATION, LOOP_DELAY, METRICS, PROBE_DURATION } from './metrics-table.ts';

const HEAD = `# Metrics

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

Worth an alert: \`weft_peers{state!="up"} > 0\` for minutes, \`rate(weft_dropped_frames_total[5m])\` away from its usual level,
\`weft_fdb_entries / on() group_left weft_fdb_limit > 0.9\`, \`weft_identity_expiry_timestamp_seconds - time() < 7 * 86400\`.

| metric | type | labels | meaning |
|---|---|---|---|
`;

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
  { name: 'weft_collect_errors_total', type: 'counter', labels: [], help: COLLECT_ERRORS_HELP },
];

export function metricsReference(): string {
  const rows = DOCUMENTED_METRICS.map(
    ({ name, type, labels, help }) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(' ')} | ${help} |`,
  );
  return `${HEAD}${rows.join('\n')}\n`;
}
