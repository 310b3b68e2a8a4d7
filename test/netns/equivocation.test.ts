/** T10 with real agents: the state of a member is copied to another machine, and both run. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type {
  EventsReport,
  MembersReport,
  PeersReport,
  StatusReport,
} from '../../agent/control/api-types.ts';
import { until } from '../../agent/lab/wait.ts';
import { Mesh } from './mesh.ts';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.underlay({ hosts: 4 });
  await mesh.init();
  await mesh.join(mesh.hosts.slice(1, 3));
  await mesh.converged();
});
after(() => mesh?.remove());

test('T10: a host that runs twice is out of use at every other host within 30 s, and is told why', async () => {
  const [victim, copy] = [mesh.host(2), mesh.host(3)];
  await victim.stop();
  cpSync(victim.stateDir, copy.stateDir, { recursive: true });
  const settings = join(copy.stateDir, 'host.yaml');
  writeFileSync(settings, readFileSync(settings, 'utf8').replaceAll(victim.node.address, copy.node.address));
  victim.start(['run']);
  copy.start(['run']);
  for (const index of [0, 1]) {
    const { api } = mesh.host(index);
    await until(`host${index + 1} leaves it alone`, { timeoutMs: 30_000 }, async () => {
      const { members } = await api.get<MembersReport>('/v1/members');
      const { peers } = await api.get<PeersReport>('/v1/peers');
      const out = members.find(({ name }) => name === victim.name)?.quarantined === true;
      return out && peers.every(({ name }) => name !== victim.name) ? true : null;
    });
    assert.ok((await mesh.metric(index, 'weft_equivocations_total')) >= 1);
    const { events } = await api.get<EventsReport>('/v1/events');
    assert.ok(events.some(({ type, subject }) => type === 'equivocation' && subject === victim.name));
    const log = readFileSync(mesh.host(index).logPath, 'utf8');
    assert.match(log, /signed two different records with one number/);
  }
  const problems = async (): Promise<string> => {
    const reports = await Promise.all(
      [victim, copy].map(({ api }) => api.get<StatusReport>('/v1/status').catch(() => null)),
    );
    return reports.flatMap((report) => report?.problems ?? []).join();
  };
  await until('one of the two says so', { timeoutMs: 30_000 }, async () =>
    /its key signed in two places/.test(await problems()) ? true : null,
  );
  assert.equal(
    await mesh
      .host(1)
      .weftOk(['peers', '--json'])
      .then((text) => text.includes(victim.name)),
    false,
  );
});
