import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDot, formatGraph } from '../../agent/cli/graph/format.ts';
import { draw, type GraphReport, type Overlay, type Place } from '../../agent/cli/graph/model.ts';
import { warningsOf } from '../../agent/cli/graph/warnings.ts';
import type { Link } from '../../agent/host/links.ts';
import { ETH0, link, PEER, RUNNING, WEFT0 } from './doctor-world.ts';

const address = (ip: string): Link['addresses'] => [{ ip, prefixLength: 24, scope: 'global' }];

function place(
  label: string,
  links: readonly Link[],
  namesById: ReadonlyMap<number, string> = new Map(),
): Place {
  const isOwn = label === 'own';
  return {
    namespace: { inode: label.length * 7 + label.charCodeAt(0), label, isOwn, within: [], namesById },
    links,
  };
}

/** One end of a veth whose other end has `far` as its index. */
const veth = (name: string, index: number, far: number, more: Partial<Link> = {}): Link =>
  link(name, {
    kind: 'veth',
    index,
    lowerIndex: far,
    lowerElsewhere: true,
    lowerNetnsId: 0,
    addresses: address('198.51.100.1'),
    ...more,
  });

const OVERLAY: Overlay = { status: RUNNING.status, peers: [PEER] };

function picture(places: readonly Place[], overlay: Overlay | null = OVERLAY): GraphReport {
  const drawing = draw(places, overlay);
  const namespaces = places
    .filter((each) => drawing.devices.some((device) => device.place === each))
    .map(({ namespace }) => ({ name: namespace.label, own: namespace.isOwn }));
  return {
    v: 1,
    host: 'alpha',
    namespaces,
    nodes: drawing.nodes,
    edges: drawing.edges,
    warnings: warningsOf(drawing, overlay),
  };
}

const edges = (report: GraphReport): string[] =>
  report.edges.map(({ from, to, kind }) => `${from} ${kind} ${to}`);
const warnings = (places: readonly Place[], overlay: Overlay | null = OVERLAY): string[] =>
  picture(places, overlay).warnings.map(({ text }) => text);

test('a host is drawn from its TAP over the agent to its peers', () => {
  const report = picture([place('own', [ETH0, WEFT0, link('lo', { loopback: true })])]);
  assert.deepEqual(edges(report), ['own/weft0 tap weft', 'weft underlay own/eth0', 'weft peer peer/beta']);
  assert.deepEqual(report.warnings, []);
  assert.deepEqual(
    report.nodes.map(({ id, kind }) => `${kind} ${id}`),
    ['device own/eth0', 'tap own/weft0', 'weft weft', 'peer peer/beta'],
  );
});

test('bridges, stacked devices, tunnels and other namespaces hang together as in the kernel', () => {
  const own = place(
    'own',
    [
      ETH0,
      { ...WEFT0, master: 'br0', mtuBytes: 1390 },
      link('br0', { index: 4, kind: 'bridge', mtuBytes: 1390 }),
      veth('vm0', 5, 2, { master: 'br0', mtuBytes: 1390 }),
      link('eth0.7', { index: 6, kind: 'vlan', lower: 'eth0' }),
      link('vx0', { index: 7, kind: 'vxlan', vni: 42, remotes: ['192.0.2.20'] }),
    ],
    new Map([[0, 'guest']]),
  );
  const guest = place('guest', [veth('eth0', 2, 5, { mtuBytes: 1390 })], new Map([[0, 'own']]));
  const stranger = place('stranger', [veth('eth0', 2, 9)]);
  const report = picture([own, guest, stranger]);
  assert.deepEqual(edges(report), [
    'own/weft0 port own/br0',
    'own/vm0 port own/br0',
    'own/vm0 veth guest/eth0',
    'own/eth0.7 over own/eth0',
    'own/weft0 tap weft',
    'weft underlay own/eth0',
    'weft peer peer/beta',
    'own/vx0 remote remote/192.0.2.20',
  ]);
  assert.deepEqual(
    report.namespaces.map(({ name }) => name),
    ['own', 'guest'],
  );
  assert.deepEqual(report.warnings, []);
});

test('a pair of veths whose namespaces have no names is matched only if there is one candidate', () => {
  const own = place('own', [veth('vm0', 5, 2)]);
  const one = [own, place('pid 7', [veth('eth0', 2, 5)])];
  assert.deepEqual(edges(picture(one, null)), ['own/vm0 veth pid 7/eth0']);
  assert.deepEqual(edges(picture([...one, place('pid 88', [veth('eth0', 2, 5)])], null)), []);
});

test('both ends of a veth in one namespace are one wire', () => {
  const a = link('a', { index: 2, kind: 'veth', lower: 'b', addresses: address('198.51.100.1') });
  const b = link('b', { index: 3, kind: 'veth', lower: 'a', addresses: address('198.51.100.2') });
  assert.deepEqual(edges(picture([place('own', [a, b])], null)), ['own/a veth own/b']);
});

test('what disagrees, is down or lacks an address is told', () => {
  const guestOf = (more: Partial<Link>, own: Partial<Link> = {}): Place[] => [
    place('own', [veth('vm0', 5, 2, own)], new Map([[0, 'guest']])),
    place('guest', [veth('eth0', 2, 5, more)]),
  ];
  assert.deepEqual(warnings(guestOf({}), null), []);
  assert.match(
    warnings(guestOf({ mtuBytes: 1400 }), null).join(),
    /ends of a veth disagree: own\/vm0 has mtu 1500, guest\/eth0 has 1400/,
  );
  assert.match(warnings(guestOf({ up: false }), null).join(), /^eth0 is down: ip link set eth0 up/);
  assert.match(warnings(guestOf({ carrier: false }), null).join(), /^eth0 has no carrier/);
  assert.match(warnings(guestOf({ addresses: [] }), null).join(), /^eth0 has no address and is no port/);
  const ports = [
    link('br0', { kind: 'bridge' }),
    { ...WEFT0, master: 'br0' },
    link('eth5', { master: 'br0' }),
  ];
  assert.match(
    warnings([place('own', ports)], null).join(),
    /ports of br0 disagree: mtu of weft0 1390, eth5 1500/,
  );
  assert.deepEqual(
    warnings([place('own', [link('ifb0', { up: false })])], null),
    [],
    'an unused device concerns nobody',
  );
});

test('what is wrong between the mesh and the devices is told', () => {
  const own = (links: readonly Link[]): Place[] => [place('own', links)];
  const peer = (more: Partial<typeof PEER>): Overlay => ({ ...OVERLAY, peers: [{ ...PEER, ...more }] });
  assert.match(warnings(own([ETH0])).join(), /^there is no device weft0/);
  assert.match(
    warnings(own([ETH0, { ...WEFT0, mtuBytes: 1500 }])).join(),
    /^weft0 has mtu 1500, its segment 1390/,
  );
  assert.match(
    warnings(own([ETH0, { ...WEFT0, addresses: [] }])).join(),
    /^weft0 has no address: ip address add 10\.80\.0\.1\/24 dev weft0/,
  );
  assert.match(
    warnings(own([ETH0, { ...WEFT0, addresses: address('10.9.9.9') }])).join(),
    /^weft0 lacks the overlay address 10\.80\.0\.1\/24/,
  );
  assert.match(warnings(own([WEFT0])).join(), /^no device has the underlay address 192\.0\.2\.1/);
  assert.match(
    warnings(own([{ ...ETH0, mtuBytes: 1400 }, WEFT0])).join(),
    /need 1472 bytes, eth0 takes 1400/,
  );
  assert.match(
    warnings(own([ETH0, WEFT0]), peer({ state: 'down', reason: 'unanswered' })).join(),
    /^beta is down: unanswered/,
  );
  assert.match(
    warnings(own([ETH0, WEFT0]), peer({ pmtu: 1300 })).join(),
    /^the path to beta takes 1300 bytes/,
  );
});

test('names from the network can neither drive the terminal nor break out of a DOT string', () => {
  const evil = 'x"]; y\\\u001b[2J';
  const report = picture([place('own', [ETH0, WEFT0])], { ...OVERLAY, peers: [{ ...PEER, name: evil }] });
  const dot = formatDot(report);
  assert.ok(!dot.includes('\u001b') && !formatGraph(report, false).includes('\u001b'));
  const strings = /"(?:[^"\\\n]|\\.)*"/g;
  for (const line of dot.split('\n')) assert.ok(!line.replace(strings, '').includes('"'), line);
  assert.ok(dot.includes('"peer/x\\"]; y\\\\?[2J"'));
});

test('the text shows namespaces, wires, the mesh and warnings', () => {
  const report = picture([place('own', [{ ...ETH0, mtuBytes: 1400 }, WEFT0])]);
  assert.equal(
    formatGraph(report, false),
    [
      'namespace own (this one)',
      '  eth0  device  192.0.2.1/24  mtu 1400  up',
      '    <- weft alpha',
      '  weft0  tap  10.80.0.1/24  mtu 1390  up',
      '    -> weft alpha',
      'weft alpha',
      '  mesh demo, vni 1, sealed vxlan, 192.0.2.1:7947',
      '    -- beta  10.80.0.2/24  192.0.2.2:7947, up, direct, 0.3 ms',
      'warning  full frames of weft0 need 1472 bytes, eth0 takes 1400',
      '',
    ].join('\n'),
  );
});
