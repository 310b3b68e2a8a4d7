/** Cipher and mode of a segment are changed at run time: nothing leaves in the wrong one, and who may not go along says so. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type {
  EventsReport,
  HealthReport,
  PolicyReport,
  StatusReport,
} from '../../agent/control/api-types.ts';
import { CHILD_ENV, run } from '../../agent/lab/command.ts';
import { Host } from '../../agent/lab/host.ts';
import { delay, until } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from './mesh.ts';

const PLAIN = 'udp dst port 4789';
const sealedBy = (suite: number): string => `udp dst port 7947 and udp[8]=4 and udp[9]=${suite}`;

let mesh: Mesh;
/** A host whose configuration allows nothing. */
let strict: Host;
let early: string;
before(async () => {
  mesh = await Mesh.underlay({ hosts: 4, env: { WEFT_ALLOW_PLAIN: '1' } });
  strict = new Host(mesh.host(2).node, mesh.folder, mesh.configPath, CHILD_ENV);
  await mesh.init();
  await mesh.join([mesh.host(1), strict]);
  await mesh.converged();
  early = await mesh.token();
});
after(async () => {
  await strict?.stop().catch(() => null);
  await mesh?.remove();
});

const statusOf = (host: Host): Promise<StatusReport> => host.api.get<StatusReport>('/v1/status');

/** Whether a datagram crosses a host's link within some seconds. */
async function crosses(host: Host, filter: string, seconds = 2): Promise<boolean> {
  const inside = ['ip', 'netns', 'exec', mesh.topology.router];
  const look = ['timeout', String(seconds), 'tcpdump', '-n', '-c', '1', '-i', host.node.routerInterface];
  const from = `src host ${host.node.address} and ${filter}`;
  return (await run([...inside, ...look, from], { timeoutMs: 30_000 })).status === 0;
}

const obeys = (host: Host, mode: 'sealed' | 'plain', seq: number): Promise<StatusReport> =>
  until(`${mode} at ${host.name}`, { timeoutMs: 30_000, everyMs: 20 }, async () => {
    const policy = await host.api.get<PolicyReport>('/v1/policy');
    const status = await statusOf(host);
    const isUp = status.state === 'up' && status.mode === mode && status.peers.up === status.peers.total;
    return policy.seq === seq && isUp && status.peers.total > 0 ? status : null;
  });

async function reaches(from: number, host: Host): Promise<boolean> {
  const target = await overlayOf(host);
  return (await mesh.run(from, ['ping', '-c', '1', '-W', '2', target])).status === 0;
}

/** Milliseconds in which pings from host 1 to host 2 were lost while something was done. */
async function gapDuring(what: () => Promise<void>): Promise<number> {
  const target = await overlayOf(mesh.host(1));
  const gapMs = 10;
  const pings = mesh.run(0, ['ping', '-i', String(gapMs / 1000), '-c', '3000', '-q', target], {
    timeoutMs: 120_000,
  });
  await delay(1000);
  await what();
  const { out } = await pings;
  const [, sent = '0', received = '0'] = /(\d+) packets transmitted, (\d+) received/.exec(out) ?? [];
  return (Number(sent) - Number(received)) * gapMs;
}

test('another cipher is used by all within seconds, and nothing is lost', async () => {
  assert.equal(await crosses(mesh.host(0), sealedBy(1)), false);
  const lostMs = await gapDuring(async () => {
    await mesh.host(0).weftOk(['policy', 'set', '--suite', 'chacha20-poly1305']);
    await until('the new cipher', { timeoutMs: 60_000 }, async () => {
      const [fresh, old] = [1, 2].map((suite) => crosses(mesh.host(0), sealedBy(suite), 3));
      return (await fresh) && !(await old) ? true : null;
    });
  });
  console.log(`lost ${lostMs} ms at the change of the cipher`);
  assert.equal(lostMs, 0);
  assert.equal(await reaches(2, mesh.host(0)), true);
});

test('a host joins with a token that was made under the other cipher', async () => {
  const host = mesh.host(3);
  host.start(['up', '--token-file', early, '--name', host.name, '--underlay', host.node.address]);
  await host.ready();
  await mesh.converged();
  assert.equal(await reaches(3, mesh.host(1)), true);
  await host.stop();
});

test('a segment becomes plain only where the host allows it, the others exchange nothing and say so', async () => {
  const refused = await mesh.host(0).weft(['policy', 'set', '--mode', 'plain', '--segment', '9']);
  assert.equal(refused.status, 5);
  const leak = crosses(strict, PLAIN, 20);
  const lostMs = await gapDuring(async () => {
    await mesh.host(0).weftOk(['policy', 'set', '--mode', 'plain']);
    for (const at of [0, 1]) await obeys(mesh.host(at), 'plain', 3);
  });
  console.log(`lost ${lostMs} ms from sealed to plain`);
  assert.ok(lostMs < 10_000, `${lostMs} ms`);
  const seen = crosses(mesh.host(0), PLAIN, 5);
  const target = await overlayOf(mesh.host(1));
  const ping = await mesh.run(0, ['ping', '-i', '0.2', '-c', '20', '-q', target]);
  assert.equal(ping.status, 0, ping.out);
  assert.equal(await seen, true);
  await until('a refusal', { timeoutMs: 20_000 }, async () =>
    (await statusOf(strict)).problems.some((text) => /allow_plain/.test(text)) ? true : null,
  );
  assert.equal((await strict.api.get<HealthReport>('/v1/health')).ready, false);
  // Told when the new mesh is built, a moment after the status says so.
  await until('the event', { timeoutMs: 5000 }, async () => {
    const { events } = await strict.api.get<EventsReport>('/v1/events?after=0');
    return events.some(({ type, text }) => type === 'policy' && /allow_plain/.test(text)) || null;
  });
  assert.match((await strict.weft(['doctor'])).out, /allow_plain/);
  for (const [from, to] of [
    [2, mesh.host(0)],
    [0, strict],
  ] as const)
    assert.equal(await reaches(from, to), false);
  assert.equal(await leak, false, 'no plain frame of the strict host');
});

test('it stays so after a restart, and a host that allows it then goes along', async () => {
  await strict.stop();
  strict.start(['run']);
  await strict.ready();
  assert.match((await statusOf(strict)).problems.join(), /allow_plain/);
  await strict.stop();
  const willing = mesh.host(2);
  willing.start(['run']);
  await willing.ready();
  await obeys(willing, 'plain', 3);
  assert.equal(await reaches(2, mesh.host(0)), true);
  await willing.stop();
  strict.start(['run']);
  await strict.ready();
});

test('sealed again, nothing plain leaves any host, and all exchange frames', async () => {
  const lostMs = await gapDuring(async () => {
    await mesh.host(0).weftOk(['policy', 'set', '--mode', 'sealed']);
    for (const host of [mesh.host(0), mesh.host(1), strict]) await obeys(host, 'sealed', 4);
  });
  console.log(`lost ${lostMs} ms from plain to sealed`);
  assert.ok(lostMs < 10_000, `${lostMs} ms`);
  const leaks = [mesh.host(0), mesh.host(1), strict].map((host) => crosses(host, PLAIN, 3));
  for (const [from, to] of [
    [0, mesh.host(1)],
    [2, mesh.host(0)],
  ] as const)
    assert.equal(await reaches(from, to), true);
  assert.deepEqual(await Promise.all(leaks), [false, false, false]);
  assert.equal((await statusOf(strict)).problems.length, 0);
});
