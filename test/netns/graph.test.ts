/** `weft graph` of a real host with a guest behind a bridge, a kernel vxlan device, and what may be wrong with them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { GraphReport } from '../../agent/cli/graph/model.ts';
import { run } from '../../agent/lab/command.ts';
import { Mesh } from './mesh.ts';

let mesh: Mesh;
let host = '';
let guest = '';

before(async () => {
  mesh = await Mesh.start({ hosts: 2 });
  host = mesh.host(0).node.namespace;
  guest = `${mesh.topology.prefix}-guest`;
  const commands = [
    `netns add ${guest}`,
    `link add vm0 netns ${host} mtu 1390 type veth peer name eth0 mtu 1390 netns ${guest}`,
    `-n ${host} link add br0 type bridge`,
    `-n ${host} link set br0 up`,
    `-n ${host} link set weft0 master br0`,
    `-n ${host} link set vm0 master br0 up`,
    `-n ${guest} address add 10.80.0.77/24 dev eth0`,
    `-n ${guest} link set eth0 up`,
    `-n ${host} link add vx9 type vxlan id 9 local ${mesh.host(0).node.address} dstport 4789`,
  ];
  for (const command of commands) assert.equal((await run(['ip', ...command.split(' ')])).status, 0, command);
  await mesh.runOk(0, ['bridge', 'fdb', 'append', '00:00:00:00:00:00', 'dev', 'vx9', 'dst', '192.0.2.99']);
});
after(async () => {
  await mesh?.remove();
  if (guest !== '') await run(['ip', 'netns', 'delete', guest]);
});

async function graph(): Promise<GraphReport> {
  return JSON.parse(await mesh.host(0).weftOk(['graph', '--json']));
}

test('the picture holds every namespace that is wired to the host, each device, the mesh and other far ends', async () => {
  const { v, host: name, namespaces, edges, nodes } = await graph();
  assert.deepEqual([v, name], [1, 'host1']);
  const router = mesh.topology.router;
  const other = mesh.host(1).node.namespace;
  assert.deepEqual(namespaces[0], { name: host, own: true });
  assert.deepEqual(namespaces.map((each) => each.name).sort(), [guest, host, other, router].sort());
  const drawn = edges.map(({ from, to, kind }) => [kind, ...[from, to].sort()].join(' '));
  const wire = (kind: string, a: string, b: string): string => [kind, ...[a, b].sort()].join(' ');
  for (const wanted of [
    wire('veth', `${host}/vm0`, `${guest}/eth0`),
    wire('veth', `${host}/eth0`, `${router}/to1`),
    wire('veth', `${other}/eth0`, `${router}/to2`),
    wire('port', `${host}/vm0`, `${host}/br0`),
    wire('port', `${host}/weft0`, `${host}/br0`),
    wire('tap', `${host}/weft0`, 'weft'),
    wire('underlay', 'weft', `${host}/eth0`),
    wire('peer', 'weft', 'peer/host2'),
    wire('remote', `${host}/vx9`, 'remote/192.0.2.99'),
  ])
    assert.ok(drawn.includes(wanted), `${wanted} is missing in ${drawn.join('; ')}`);
  assert.equal(new Set(nodes.map(({ id }) => id)).size, nodes.length);
});

test('a healthy picture has no warning but for the device that is down', async () => {
  assert.deepEqual(
    (await graph()).warnings.map(({ text }) => text),
    ['vx9 is down: ip link set vx9 up'],
  );
});

test('a guest that was given a larger MTU, no address and a downed device is told for each', async () => {
  const tell = async (make: string, undo: string): Promise<string> => {
    assert.equal((await run(['ip', ...make.split(' ')])).status, 0, make);
    const { warnings } = await graph();
    assert.equal((await run(['ip', ...undo.split(' ')])).status, 0, undo);
    return warnings.map(({ text }) => text).join('\n');
  };
  const mtu = await tell(`-n ${guest} link set eth0 mtu 1500`, `-n ${guest} link set eth0 mtu 1390`);
  assert.match(
    mtu,
    /ends of a veth disagree: .*\/vm0 has mtu 1390, .*\/eth0 has 1500|ends of a veth disagree: .*\/eth0 has mtu 1500, .*\/vm0 has 1390/,
  );
  const port = await tell(`-n ${host} link set vm0 mtu 1500`, `-n ${host} link set vm0 mtu 1390`);
  assert.match(port, /ports of br0 disagree: mtu of weft0 1390, vm0 1500/);
  const none = await tell(
    `-n ${guest} address delete 10.80.0.77/24 dev eth0`,
    `-n ${guest} address add 10.80.0.77/24 dev eth0`,
  );
  assert.match(none, /eth0 has no address and is no port/);
  const down = await tell(`-n ${host} link set vm0 down`, `-n ${host} link set vm0 up`);
  assert.match(down, /vm0 is down: ip link set vm0 up/);
  const small = await tell(`-n ${host} link set eth0 mtu 1400`, `-n ${host} link set eth0 mtu 1500`);
  assert.match(small, /full frames of weft0 need 1472 bytes, eth0 takes 1400/);
});

test('text is for people, dot for Graphviz, and two forms at once are a usage error', async () => {
  assert.match(await mesh.host(0).weftOk(['graph']), new RegExp(`^namespace ${host} \\(this one\\)\n`));
  assert.match(
    await mesh.host(0).weftOk(['graph', '--dot']),
    /^graph weft \{\n(?:.*\n)* {2}"weft" -- "peer\/host2" \[label="peer"\];\n(?:.*\n)*\}\n$/,
  );
  assert.equal((await mesh.host(0).weft(['graph', '--dot', '--json'])).status, 2);
});

test('without an agent the devices are drawn and the reason is on stderr', async () => {
  const command = mesh
    .host(0)
    .command(['graph', '--json'])
    .map((word) => (word === mesh.host(0).socketPath ? '/nonexistent/weft.sock' : word));
  const ended = await run(command);
  assert.equal(ended.status, 0);
  assert.match(ended.err, /^weft: without the mesh: no agent answers at \/nonexistent\/weft\.sock/);
  const report = JSON.parse(ended.out) as GraphReport;
  assert.equal(report.host, null);
  assert.ok(report.nodes.some(({ id }) => id === `${host}/weft0`));
});
