/** docker/grafana: dashboards that Grafana can lay out, built only on metrics and labels that exist. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { Metrics } from '../../agent/control/metrics.ts';
import { dashboards, expressions, type Panel } from '../prometheus/dashboards.ts';
import { PEER_METRICS, SNAPSHOT } from './control-fake-agent.ts';

/** What Prometheus itself adds. */
const OF_PROMETHEUS = new Set(['up', 'ALERTS']);
const TARGET_LABELS = ['job', 'instance'];

const boards = dashboards();

/** Metric names with their labels, as /metrics shows them, histograms by their series. */
async function exposed(): Promise<Map<string, Set<string>>> {
  const peers = [{ ...PEER_METRICS, pathMtuBytes: 1500, probeLoss: 0 }];
  const metrics = new Metrics({
    source: () => ({ ...SNAPSHOT, peers }),
    perPeer: 'auto',
    onError: assert.ifError,
  });
  const found = new Map<string, Set<string>>();
  for (const [, name = '', labels = ''] of (await metrics.text()).matchAll(/^(\w+)(?:\{(.*)\})? /gm)) {
    const known = found.get(name) ?? new Set(TARGET_LABELS);
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) known.add(label);
    found.set(name, known);
  }
  const rules = parse(readFileSync('docker/prometheus/weft-rules.yml', 'utf8')) as {
    readonly groups: readonly { readonly rules: readonly { readonly record?: string }[] }[];
  };
  for (const { record } of rules.groups.flatMap((group) => group.rules))
    if (record !== undefined) found.set(record, new Set([...TARGET_LABELS, 'direction']));
  return found;
}

const overlap = (a: Panel['gridPos'], b: Panel['gridPos']): boolean =>
  a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

test('there are two: the mesh and the host', () => {
  assert.deepEqual(boards.map(({ uid }) => uid).sort(), ['weft-host', 'weft-mesh']);
});

for (const board of boards) {
  test(`${board.title}: each expression names metrics and labels that exist`, async () => {
    const known = await exposed();
    let used = 0;
    for (const { panel, expr } of expressions(board, 'a:9586')) {
      for (const [, name = '', labels = ''] of expr.matchAll(
        /\b((?:weft|nodejs|process)[_:][\w:]+|up|ALERTS)\{([^}]*)\}/g,
      )) {
        used++;
        if (OF_PROMETHEUS.has(name)) continue;
        const has = known.get(name);
        assert.ok(has !== undefined, `${panel}: there is no ${name}`);
        for (const [, label = ''] of labels.matchAll(/(\w+)=~?!?"|(\w+)!="/g))
          if (label !== '') assert.ok(has.has(label), `${panel}: ${name} has no label ${label}`);
      }
    }
    assert.ok(used > 20, `${used} metrics`);
  });

  test(`${board.title}: panels have ids of their own, say what they show, and do not overlap`, () => {
    const { panels } = board;
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    for (const [i, panel] of panels.entries()) {
      const { x, w } = panel.gridPos;
      assert.ok(x >= 0 && x + w <= 24, panel.title);
      for (const other of panels.slice(i + 1))
        assert.ok(!overlap(panel.gridPos, other.gridPos), `${panel.title} and ${other.title}`);
      if (panel.type === 'row') continue;
      assert.ok((panel.targets ?? []).length > 0, panel.title);
      assert.notEqual(panel.title, '');
    }
  });

  test(`${board.title}: its variables are the ones that its expressions use`, () => {
    const text = JSON.stringify(board.panels);
    const used = new Set([...text.matchAll(/\$\{?(\w+)/g)].map(([, name]) => name));
    used.delete('__rate_interval');
    assert.deepEqual([...used].sort(), board.templating.list.map(({ name }) => name).sort());
  });
}

test('Grafana is told where the dashboards and Prometheus are', () => {
  const folder = 'docker/grafana/provisioning';
  const { providers } = parse(readFileSync(`${folder}/dashboards/weft.yml`, 'utf8'));
  const { datasources } = parse(readFileSync(`${folder}/datasources/prometheus.yml`, 'utf8'));
  const { services } = parse(readFileSync('docker/compose.yaml', 'utf8'), { merge: true });
  const mounts = (services.grafana.volumes as readonly string[]).map((mount) => mount.split(':')[1]);
  assert.ok(mounts.includes(providers[0].options.path));
  assert.ok(mounts.includes('/etc/grafana/provisioning'));
  const { hostname } = new URL(datasources[0].url);
  assert.ok(Object.hasOwn(services, hostname), hostname);
});
