/** A certificate of a few seconds is renewed in a real mesh, without a token, while traffic goes on. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { EventsReport } from '../../agent/control/api-types.ts';
import { until } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from './mesh.ts';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.underlay({ hosts: 3 });
  await mesh.init();
  await mesh.join([mesh.host(1)]);
  const host = mesh.host(2);
  const file = await mesh.token(['--node-life', '12s']);
  host.start(['up', '--token-file', file, '--name', host.name, '--underlay', host.node.address]);
  await host.ready();
  await mesh.converged();
});
after(() => mesh?.remove());

const renewals = async (index: number): Promise<number> => {
  const { events } = await mesh.host(index).api.get<EventsReport>('/v1/events?after=0');
  return events.filter(({ type }) => type === 'renewal').length;
};

test('a host renews at two thirds of the lifetime, again and again, and nobody loses it', async () => {
  const expiry = (): Promise<number> => mesh.metric(2, 'weft_identity_expiry_timestamp_seconds');
  const first = await expiry();
  await until('the second renewal', { timeoutMs: 60_000 }, async () =>
    (await renewals(2)) >= 2 ? true : null,
  );
  assert.ok((await expiry()) >= first + 8);
  assert.equal(await renewals(1), 0, 'whose certificate lasts a month');
  for (const at of [0, 1]) {
    assert.equal(await mesh.host(at).stateOf(mesh.host(2).name), 'alive');
    const ping = await mesh.run(at, ['ping', '-c', '1', '-W', '2', await overlayOf(mesh.host(2))]);
    assert.equal(ping.status, 0, ping.out);
  }
});

test('the renewed certificate is good after a restart of that host and of one that knew the old one', async () => {
  for (const at of [2, 1]) {
    await mesh.host(at).stop();
    mesh.host(at).start(['run']);
    await mesh.host(at).ready();
    await mesh.converged();
  }
});
