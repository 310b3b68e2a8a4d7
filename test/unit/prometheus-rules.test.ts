/** docker/prometheus: the rules hold in promtool, are built on metrics that exist, and each alert is in docs/RUNBOOK.md. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { Metrics } from '../../agent/control/metrics.ts';
import { PEER_METRICS, SNAPSHOT } from './control-fake-agent.ts';

const DIR = 'docker/prometheus';

interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly annotations?: { readonly runbook?: string };
}

const { groups } = parse(readFileSync(`${DIR}/weft-rules.yml`, 'utf8')) as {
  readonly groups: readonly { readonly rules: readonly Rule[] }[];
};
const rules = groups.flatMap((group) => group.rules);
const alerts = rules.flatMap((rule) => rule.alert ?? []);

function promtool(args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: DIR, encoding: 'utf8' });
  assert.equal(status, 0, `${stdout}${stderr}`);
}

test('promtool accepts the configurations and the rules', () => {
  promtool(['check', 'config', 'prometheus.yml']);
  promtool(['check', 'config', 'compose.yml']);
});

test('each alert fires on its fault and does not fire beside it', () => {
  promtool(['test', 'rules', 'weft-rules.test.yml']);
  const { tests } = parse(readFileSync(`${DIR}/weft-rules.test.yml`, 'utf8')) as {
    readonly tests: readonly { readonly name: string }[];
  };
  assert.ok(alerts.length > 0);
  assert.deepEqual(
    tests.map(({ name }) => name).sort(),
    alerts.flatMap((alert) => [`${alert} fires`, `${alert} does not fire`]).sort(),
  );
});

test('each alert has a section in docs/RUNBOOK.md and links to it, and there is no other section', () => {
  const sections = [...readFileSync('docs/RUNBOOK.md', 'utf8').matchAll(/^## (.*)$/gm)].map(
    ([, name]) => name,
  );
  assert.deepEqual(sections, alerts);
  for (const { alert, annotations } of rules) {
    if (alert !== undefined) assert.equal(annotations?.runbook, `docs/RUNBOOK.md#${alert.toLowerCase()}`);
  }
});

test('each expression uses metrics that /metrics shows or a rule records', async () => {
  const peers = [{ ...PEER_METRICS, pathMtuBytes: 1500, probeLoss: 0.25 }];
  const metrics = new Metrics({
    source: () => ({ ...SNAPSHOT, peers }),
    perPeer: 'auto',
    onError: assert.ifError,
  });
  const text = await metrics.text();
  const known = new Set([...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name));
  for (const { record } of rules) known.add(record);
  let used = 0;
  for (const { expr } of rules) {
    for (const [name] of expr.matchAll(/\b(?:weft|nodejs|process)[_:][\w:]+/g)) {
      used++;
      assert.ok(known.has(name.replace(/_bucket$/, '')), `${name} of ${expr}`);
    }
  }
  assert.ok(used >= rules.length);
});
