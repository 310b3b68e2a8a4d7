/** doctor, graph, ping and events on a plain Geneve mesh over IPv6, with an endpoint that is no agent. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DoctorReport } from '../../agent/cli/doctor/finding.ts';
import type { GraphReport } from '../../agent/cli/graph/model.ts';
import { Mesh } from './mesh.ts';

const STRANGER = 'fd89:0:0:1::99';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start({ hosts: 2, family: 6, mode: 'plain', encap: 'geneve', vni: 77 });
  await mesh.host(0).weftOk(['vtep', 'add', STRANGER]);
});
after(() => mesh?.remove());

const bad = async (index: number): Promise<string[]> => {
  const { out } = await mesh.host(index).weft(['doctor', '--json']);
  const { findings } = JSON.parse(out) as DoctorReport;
  return findings
    .filter(({ level }) => level !== 'ok')
    .map(({ level, check, what }) => `${level} ${check}: ${what}`);
};

test('doctor finds nothing, then the rule that drops Geneve', async () => {
  assert.deepEqual(await bad(1), []);
  const rules =
    'add table ip6 f; add chain ip6 f in { type filter hook input priority 0; }; add rule ip6 f in udp dport 6081 drop';
  await mesh.runOk(1, ['nft', rules]);
  const found = await bad(1);
  await mesh.runOk(1, ['nft', 'delete table ip6 f']);
  assert.equal(found.length, 1);
  assert.match(found[0] ?? '', /^fail firewall: arriving UDP 6081 \(plain\) is dropped by rule \d+/);
});

test('doctor compares the MTU with what frames need over IPv6', async () => {
  await mesh.runOk(1, ['ip', 'link', 'set', 'eth0', 'mtu', '1480']);
  const found = await bad(1);
  await mesh.runOk(1, ['ip', 'link', 'set', 'eth0', 'mtu', '1500']);
  // 1422 + 14 + 8 + 8 + 40
  assert.match(
    found.join(),
    /mtu: device eth0 takes 1480 bytes, full frames of weft0 \(mtu 1422\) need 1492/,
  );
});

test('ping asks the agent, and an endpoint that is none is refused with status 4', async () => {
  const answer = JSON.parse(await mesh.host(0).weftOk(['ping', 'host2', '--count', '1', '--json']));
  assert.deepEqual([answer.received, answer.path], [1, 'plain']);
  const { name } = (await mesh.host(0).peers()).find(({ nodeId }) => nodeId === null) ?? { name: '' };
  const refused = await mesh.host(0).weft(['ping', name]);
  assert.equal(refused.status, 4);
  assert.match(refused.err, /is a plain endpoint and no agent/);
});

test('graph draws the agent as a peer and the other endpoint as a remote', async () => {
  const { edges, nodes } = JSON.parse(await mesh.host(0).weftOk(['graph', '--json'])) as GraphReport;
  const kinds = edges
    .filter(({ from }) => from === 'weft')
    .map(({ kind, to }) => `${kind} ${nodes.find(({ id }) => id === to)?.kind}`);
  assert.deepEqual(kinds.sort(), ['peer peer', 'remote remote', 'underlay veth']);
});

test('events name the peer that came up', async () => {
  assert.match(await mesh.host(0).weftOk(['events']), / peer-up {5}host2 {2}up at \[fd89:/);
});
