/** `weft ping` through real sessions: round trip, loss, size, and hosts that are down or unknown. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { FdbReport } from '../../agent/control/api-types.ts';
import { until } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from './mesh.ts';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start({ hosts: 2 });
});
after(() => mesh?.remove());

interface Summary {
  readonly peer: string;
  readonly sent: number;
  readonly received: number;
  readonly lossPercent: number;
  readonly rttMs: { readonly min: number; readonly mean: number; readonly max: number } | null;
  readonly replies: readonly { readonly result: string }[];
}

async function ping(...args: string[]): Promise<{ status: number | null; summary: Summary; err: string }> {
  const ended = await mesh.host(0).weft(['ping', '--json', '--interval', '1s', ...args]);
  return { status: ended.status, summary: ended.out === '' ? null : JSON.parse(ended.out), err: ended.err };
}

test('a host answers by name, by overlay address and by its MAC address', async () => {
  const { entries } = await mesh.host(0).api.get<FdbReport>('/v1/fdb');
  const mac = entries.find(({ peer }) => peer === 'host2')?.mac ?? 'none';
  for (const host of ['host2', await overlayOf(mesh.host(1)), mac]) {
    const { status, summary } = await ping(host, '--count', '2');
    assert.equal(status, 0);
    assert.deepEqual([summary.peer, summary.sent, summary.received], ['host2', 2, 2]);
    assert.ok((summary.rttMs?.min ?? 0) > 0 && (summary.rttMs?.max ?? 1000) < 1000);
  }
});

test('a size is carried up to what the path takes, and the device says when it is too large', async () => {
  assert.equal((await ping('host2', '--count', '1', '--size', '1500')).summary.received, 1);
  const large = await ping('host2', '--count', '1', '--size', '1501');
  assert.deepEqual([large.status, large.summary.replies[0]?.result], [6, 'too-big']);
  await mesh.inRouter(['ip', 'link', 'set', 'to2', 'mtu', '1400']);
  const lost = await ping('host2', '--count', '1', '--size', '1450');
  assert.deepEqual([lost.status, lost.summary.replies[0]?.result], [6, 'lost']);
  assert.equal((await ping('host2', '--count', '1', '--size', '1400')).summary.received, 1);
  await mesh.inRouter(['ip', 'link', 'set', 'to2', 'mtu', '1500']);
});

/** No other message has this length, so the rule counts the probes alone, and what else flows cannot shift its parity. */
const ODD_BYTES = 1003;

test('an underlay that drops every second probe costs half of them', async () => {
  const rule = `add table inet half; add chain inet half f { type filter hook forward priority 0; }; add rule inet half f oifname "to2" udp dport 7947 meta length ${ODD_BYTES} numgen inc mod 2 0 drop`;
  await mesh.inRouter(['nft', rule]);
  const { status, summary } = await ping('host2', '--count', '6', '--size', String(ODD_BYTES));
  await mesh.inRouter(['nft', 'delete table inet half']);
  assert.deepEqual([status, summary.received], [0, 3], JSON.stringify(summary));
  assert.equal(summary.replies.filter(({ result }) => result === 'lost').length, 3);
});

test('a host that was killed answers nothing and the status is 6, an unknown one 5, no agent 3', async () => {
  await mesh.host(1).kill();
  const dead = await ping('host2', '--count', '1');
  assert.deepEqual([dead.status, dead.summary.rttMs], [6, null]);
  const unknown = await ping('host9');
  assert.deepEqual([unknown.status, unknown.err], [5, 'weft: there is no host host9: see `weft peers`\n']);
  await mesh.host(0).stop();
  await until('end of the agent', { timeoutMs: 5000 }, async () =>
    (await ping('host2')).status === 3 ? true : null,
  );
});
