/** Every panel of both dashboards has something to draw: each expression, asked of a Prometheus that scrapes a live mesh. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { delay } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from '../netns/mesh.ts';
import { ping } from '../netns/programs.ts';
import { dashboards, expressions } from './dashboards.ts';
import { Prometheus, pressed } from './prometheus.ts';

let mesh: Mesh;
let prometheus: Prometheus;
before(async () => {
  mesh = await Mesh.start({ hosts: 3, config: 'metrics:\n  address: 0.0.0.0:9586\n' });
  prometheus = await Prometheus.start(mesh);
  await ping(mesh.host(0).node.namespace, await overlayOf(mesh.host(1)), { count: 200 });
  // Long enough for a range of the rules, and for the first search of every path's MTU.
  await delay(12_000);
});
after(async () => {
  await prometheus?.stop();
  await mesh?.remove();
});

test('each expression of the dashboards is answered with numbers', async () => {
  const instance = `${mesh.host(0).node.address}:9586`;
  let asked = 0;
  const without: string[] = [];
  for (const dashboard of dashboards()) {
    for (const { panel, expr } of expressions(dashboard, instance)) {
      asked++;
      const samples = await prometheus.query(pressed(expr));
      const isDrawn = samples.length > 0 && samples.every(({ value }) => value[1] !== 'NaN');
      if (!isDrawn) without.push(`${panel}: ${expr}: ${JSON.stringify(samples).slice(0, 200)}`);
    }
  }
  assert.deepEqual(without, []);
  assert.ok(asked > 60, `${asked} expressions`);
});

test('a metric that does not exist is answered with nothing', async () => {
  assert.deepEqual(await prometheus.query('weft_no_such_metric{job="weft"}'), []);
});

test('the variables of the dashboards find the job and its hosts', async () => {
  const hosts = await prometheus.query('group by (job, instance) (weft_build_info)');
  assert.deepEqual(
    hosts.map(({ metric }) => `${metric.job} ${metric.instance}`).sort(),
    mesh.hosts.map(({ node }) => `weft ${node.address}:9586`).sort(),
  );
});
