import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Examination } from '../../agent/cli/doctor/examination.ts';
import { formatFindings } from '../../agent/cli/doctor/finding.ts';
import { judge } from '../../agent/cli/verbs/doctor.ts';
import { WeftError } from '../../agent/errors.ts';
import { ETH0, HELD, healthy, link, NOW_MS, PEER, RUNNING, WEFT0 } from './doctor-world.ts';

test('a machine on which all is well has neither failure nor warning', () => {
  const report = judge(healthy());
  assert.deepEqual(
    report.findings.filter(({ level }) => level !== 'ok'),
    [],
  );
  assert.deepEqual([report.v, report.failures, report.warnings], [1, 0, 0]);
  assert.ok(report.findings.every(({ fix }) => fix === null));
});

const underlay = healthy().underlay;
assert.ok(underlay !== null);
const socket = healthy().sockets?.[0];
assert.ok(socket !== undefined);
const offloadsWithout = (name: string): ReadonlyMap<string, boolean> =>
  new Map([...(underlay.offloads ?? [])].map(([key, on]) => [key, on && key !== name]));

const gauges = (values: Readonly<Record<string, number>>): (typeof RUNNING)['metrics'] =>
  Object.entries(values).map(([name, value]) => ({
    name,
    type: 'gauge',
    help: '',
    values: [{ name, labels: {}, value }],
  }));

/** What is spoiled, the check that must see it, and how grave it is. */
const SPOILED: readonly [string, Partial<Examination>, string, 'warn' | 'fail', RegExp][] = [
  [
    'a NAT that keeps one mapping',
    { running: { ...RUNNING, peers: [{ ...PEER, seenAs: '203.0.113.7:7947' }] } },
    'nat',
    'warn',
    /one mapping for all: this host is 192\.0\.2\.1:7947, seen by beta as 203\.0\.113\.7:7947$/,
  ],
  [
    'a NAT with a mapping for each peer',
    {
      running: {
        ...RUNNING,
        peers: ['beta', 'gamma', 'delta', 'eps'].map((name, i) => ({
          ...PEER,
          name,
          seenAs: `203.0.113.7:${40_000 + i}`,
        })),
      },
    },
    'nat',
    'warn',
    /another mapping for each peer: .*seen by beta as 203\.0\.113\.7:40000, gamma .*, \.\.\.$/,
  ],
  [
    'an address table that is full',
    {
      running: {
        ...RUNNING,
        metrics: gauges({ weft_fdb_entries: 64, weft_fdb_limit: 64, weft_fdb_evictions_total: 9 }),
      },
    },
    'fdb',
    'warn',
    /holds 64 of 64, and 9 addresses had to give way/,
  ],
  [
    'a peer with more addresses than it may have',
    { running: { ...RUNNING, metrics: gauges({ weft_fdb_limit: 64, weft_fdb_not_learned_total: 5 }) } },
    'fdb',
    'warn',
    /more addresses than fdb\.per_peer_limit: 5 frames/,
  ],
  ['an old kernel', { kernelRelease: '4.15.0' }, 'kernel', 'fail', /4\.15\.0 is too old/],
  ['a kernel without UDP_GRO', { kernelRelease: '4.19.1' }, 'kernel', 'warn', /UDP_GRO/],
  ['no TUN device', { tun: 'missing' }, 'tun', 'fail', /missing/],
  [
    'a TUN device that root may not open',
    { tun: 'denied', running: null },
    'tun',
    'fail',
    /may not be opened/,
  ],
  [
    'a TUN device that this user may not open',
    { tun: 'denied', running: null, rights: { ...HELD, of: 'this user', held: new Set() } },
    'tun',
    'warn',
    /this user may not/,
  ],
  [
    'what the agent itself warns of',
    { running: { ...RUNNING, status: { ...RUNNING.status, warnings: ['the path is narrow'] } } },
    'health',
    'warn',
    /the path is narrow/,
  ],
  ['a TUN device without driver', { tun: 'no-driver' }, 'tun', 'fail', /driver/],
  ['an agent without rights', { rights: { ...HELD, held: new Set() } }, 'rights', 'fail', /NET_ADMIN/],
  [
    'an agent with rights that it does not need',
    { rights: { ...HELD, others: 2 } },
    'rights',
    'warn',
    /does not need/,
  ],
  [
    'an agent that could gain rights',
    { rights: { ...HELD, noNewPrivileges: false } },
    'rights',
    'warn',
    /does not need/,
  ],
  [
    'small buffers',
    { sockets: [{ ...socket, receiveBufferBytes: 212_992 }] },
    'udp-buffers',
    'warn',
    /208 KiB, 8\.0 MiB wanted/,
  ],
  ['socket drops', { sockets: [{ ...socket, drops: 9 }] }, 'sockets', 'warn', /UDP 7947 has dropped 9 /],
  ['no route at all', { underlayIp: null, underlay: null }, 'underlay', 'fail', /no route/],
  ['an address that is gone', { underlay: null }, 'underlay', 'fail', /no device has .* 192\.0\.2\.1/],
  [
    'a device that is down',
    { underlay: { ...underlay, link: { ...ETH0, up: false, carrier: false } } },
    'underlay',
    'fail',
    /down/,
  ],
  [
    'a peer without route',
    { routes: [{ peer: 'beta', ip: '192.0.2.2', route: null }] },
    'route',
    'fail',
    /beta/,
  ],
  [
    'a peer behind the overlay',
    {
      routes: [
        {
          peer: 'beta',
          ip: '10.80.0.2',
          route: { device: 'weft0', source: null, gateway: null, mtuBytes: null },
        },
      ],
    },
    'route',
    'fail',
    /into the overlay/,
  ],
  [
    'a small underlay',
    { underlay: { ...underlay, link: { ...ETH0, mtuBytes: 1450 } } },
    'mtu',
    'fail',
    /eth0 takes 1450 bytes, full frames of weft0 \(mtu 1390\) need 1472/,
  ],
  [
    'a TAP with another MTU',
    { links: [ETH0, { ...WEFT0, mtuBytes: 1500 }] },
    'mtu',
    'fail',
    /weft0 has 1500, its segment 1390/,
  ],
  [
    'a tunnel below',
    { underlay: { ...underlay, link: { ...ETH0, kind: 'wireguard' } } },
    'nested',
    'warn',
    /itself a tunnel \(wireguard\)/,
  ],
  [
    'a strict reverse path filter with another way out',
    {
      underlay: { ...underlay, rpFilter: 1 },
      links: [
        ETH0,
        WEFT0,
        link('eth1', { addresses: [{ ip: '198.51.100.1', prefixLength: 24, scope: 'global' }] }),
      ],
    },
    'rp-filter',
    'warn',
    /eth1 is another way out/,
  ],
  [
    'a strict reverse path filter and an asymmetric route',
    {
      underlay: { ...underlay, rpFilter: 1 },
      routes: [
        {
          peer: 'beta',
          ip: '192.0.2.2',
          route: { device: 'eth1', source: null, gateway: null, mtuBytes: null },
        },
      ],
    },
    'rp-filter',
    'fail',
    /route to beta leaves by eth1/,
  ],
  [
    'receive offload switched off',
    { underlay: { ...underlay, offloads: offloadsWithout('generic-receive-offload') } },
    'offloads',
    'warn',
    /generic-receive-offload off on eth0/,
  ],
  [
    'a virtual function',
    { underlay: { ...underlay, srIov: { role: 'vf', physical: 'ens1', functions: 0, driver: 'iavf' } } },
    'sr-iov',
    'warn',
    /virtual function of ens1, driver iavf/,
  ],
  ['wrong checksums', { checksumErrors: 4 }, 'checksum', 'warn', /4 UDP datagrams/],
  ['a checksum that is computed wrong', { checksumTest: 'it is wrong' }, 'checksum', 'fail', /it is wrong/],
  ['a clock that went back', { stateTimeMs: NOW_MS + 3_600_000 }, 'clock', 'fail', /1h behind/],
  ['a clock that nobody sets', { synchronised: false }, 'clock', 'warn', /not synchronised/],
  [
    'a clock that peers do not share',
    {
      running: {
        ...RUNNING,
        peers: [
          PEER,
          {
            ...PEER,
            name: 'gamma',
            state: 'down',
            reason: 'certificate of gamma starts at 2027-01-15T00:00:00Z',
          },
        ],
      },
    },
    'clock',
    'fail',
    /certificate of gamma does not hold by this clock/,
  ],
  [
    'a mistake in the configuration',
    { configError: 'x.yaml:1:1: unknown key' },
    'config',
    'fail',
    /x\.yaml:1:1/,
  ],
  ['unknown rules', { ruleset: null }, 'firewall', 'warn', /unknown/],
  ['older rules', { legacyTables: ['filter'] }, 'firewall', 'warn', /older iptables/],
  [
    'every peer down',
    { running: { ...RUNNING, peers: [{ ...PEER, state: 'down', reason: 'unanswered' }] } },
    'peers',
    'fail',
    /0 of 1 up; not beta \(unanswered\)/,
  ],
  [
    'one of two peers down',
    { running: { ...RUNNING, peers: [PEER, { ...PEER, name: 'gamma', state: 'down' }] } },
    'peers',
    'warn',
    /1 of 2 up; not gamma/,
  ],
  [
    'what the agent itself complains of',
    { running: { ...RUNNING, status: { ...RUNNING.status, problems: ['the TAP is gone'] } } },
    'health',
    'fail',
    /the TAP is gone/,
  ],
];

for (const [what, spoil, check, level, text] of SPOILED) {
  test(`${what} yields a finding with its fix`, () => {
    const report = judge(healthy(spoil));
    const bad = report.findings.filter((finding) => finding.level !== 'ok');
    const found = bad.find((finding) => finding.check === check);
    assert.ok(found !== undefined, JSON.stringify(bad));
    assert.equal(found.level, level);
    assert.match(found.what, text);
    assert.ok((found.fix ?? '').length > 5);
    const line = formatFindings(report, false)
      .split('\n')
      .find((each) => each.startsWith(level) && each.includes(found.what));
    assert.match(line ?? '', /; fix: /);
  });
}

test('paths that are measured make a small underlay a warning', () => {
  const peers = [{ ...PEER, pmtu: 1400 }];
  const { findings } = judge(healthy({ running: { ...RUNNING, peers } }));
  const found = findings.find(({ check }) => check === 'mtu');
  assert.equal(found?.level, 'warn');
  assert.match(found?.what ?? '', /the path to beta takes 1400 bytes/);
  assert.match(found?.fix ?? '', /to 1318$/);
});

test('a user without the device may ask about an agent that has it', () => {
  const found = judge(healthy({ tun: 'denied' })).findings.find(({ check }) => check === 'tun');
  assert.equal(found?.level, 'ok');
});

test('without an agent it matters whether there should be one, and who holds its ports', () => {
  const agentError = new WeftError('E_NOT_RUNNING', 'nobody');
  const stopped = { running: null, agentError, sockets: [] };
  const level = (more: Partial<Examination>, check: string): string | undefined =>
    judge(healthy({ ...stopped, ...more })).findings.find((finding) => finding.check === check)?.level;
  assert.equal(level({}, 'agent'), 'fail');
  assert.equal(level({ isMember: false }, 'agent'), 'warn');
  assert.equal(level({ agentError: new WeftError('E_PRIVILEGE', 'no') }, 'agent'), 'fail');
  assert.equal(level({}, 'ports'), undefined);
  assert.equal(level({ sockets: [{ ...socket, ip: '0.0.0.0' }] }, 'ports'), 'fail');
  assert.equal(level({ sockets: [{ ...socket, ip: '127.0.0.1' }] }, 'ports'), undefined);
  assert.equal(level({ rights: null, receiveMaxBytes: 212_992 }, 'udp-buffers'), 'warn');
  assert.equal(level({ rights: null }, 'udp-buffers'), 'ok');
});

test('text from the network cannot drive the terminal', () => {
  const peers = [{ ...PEER, state: 'down' as const, reason: 'a\u001b[2Jb' }];
  const text = formatFindings(judge(healthy({ running: { ...RUNNING, peers } })), false);
  assert.ok(!text.includes('\u001b'));
  assert.match(text, /a\?\[2Jb/);
});
