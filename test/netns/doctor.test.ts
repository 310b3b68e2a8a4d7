/** `weft doctor` in a real mesh: one thing broken at a time, by the kernel's own means, each named with its fix. */
import assert from 'node:assert/strict';
import { utimesSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '../../agent/lab/command.ts';
import { until } from '../../agent/lab/wait.ts';
import { Mesh } from './mesh.ts';
import { inside } from './programs.ts';

interface Finding {
  readonly check: string;
  readonly level: string;
  readonly what: string;
  readonly fix: string | null;
}

let mesh: Mesh;
before(async () => {
  // A path that was measured as narrow once stays narrow for a while: not what is looked at here.
  mesh = await Mesh.start({ hosts: 2, config: 'path_mtu: off\n' });
});
after(() => mesh?.remove());

/** Findings that are not ok, as `level check`, and the whole report. */
async function doctor(index = 0): Promise<{ status: number | null; findings: Finding[]; bad: string[] }> {
  const ended = await mesh.host(index).weft(['doctor', '--json']);
  assert.equal(ended.err, '');
  const report = JSON.parse(ended.out) as { v: number; findings: Finding[] };
  assert.equal(report.v, 1);
  const bad = report.findings
    .filter(({ level }) => level !== 'ok')
    .map(({ level, check }) => `${level} ${check}`);
  return { status: ended.status, findings: report.findings, bad };
}

const find = (findings: readonly Finding[], check: string): Finding => {
  const found = findings.find((finding) => finding.check === check && finding.level !== 'ok');
  assert.ok(found !== undefined, `no finding ${check}: ${JSON.stringify(findings)}`);
  return found;
};

/** Does, looks, undoes; then nothing may be left. */
async function broken(
  make: readonly string[][],
  undo: readonly string[][],
  look: (seen: Awaited<ReturnType<typeof doctor>>) => void,
): Promise<void> {
  for (const command of make) await mesh.runOk(0, command);
  try {
    look(await doctor());
  } finally {
    for (const command of undo) await mesh.run(0, command);
  }
  assert.deepEqual((await doctor()).bad, []);
}

test('a healthy host has nothing to fix, and a person reads one line for each check', async () => {
  const { status, bad, findings } = await doctor();
  assert.deepEqual([status, bad], [0, []]);
  const ended = await mesh.host(0).weft(['doctor']);
  const lines = ended.out.trimEnd().split('\n');
  assert.equal(lines.length, findings.length + 1);
  assert.equal(lines.at(-1), 'all is well');
  for (const name of [
    'agent',
    'peers',
    'tun',
    'rights',
    'underlay',
    'mtu',
    'nested',
    'rp-filter',
    'offloads',
    'firewall',
    'sockets',
    'udp-buffers',
    'clock',
    'checksum',
  ])
    assert.ok(
      findings.some(({ check }) => check === name),
      `${name} is looked at`,
    );
});

test('an nft rule on our port is named by its chain and handle', async () => {
  const rules =
    'add table inet f; add chain inet f in { type filter hook input priority 0; }; add rule inet f in udp dport { 53, 7947 } drop';
  await broken([['nft', rules]], [['nft', 'delete table inet f']], ({ status, findings }) => {
    const found = find(findings, 'firewall');
    assert.match(
      found.what,
      /^arriving UDP 7947 \(sealed\) is dropped by rule \d+ \(drop\) of nft chain inet f in$/,
    );
    assert.equal(found.fix, 'nft insert rule inet f in udp dport 7947 accept');
    assert.equal(status, 1);
  });
});

test('a firewall that lets only answers in is named, and its fix is one', async () => {
  const rules = [
    'add table inet f',
    'add chain inet f in { type filter hook input priority 0; policy drop; }',
    'add rule inet f in ct state established,related accept',
    'add rule inet f in iifname "lo" accept',
  ];
  const make = rules.map((rule) => ['nft', rule]);
  for (const rule of make) await mesh.runOk(0, rule);
  try {
    const { findings } = await doctor();
    const fixes = findings.filter(({ check }) => check === 'firewall').map(({ fix }) => fix ?? '');
    assert.equal(fixes.length, 2);
    for (const fix of fixes) await mesh.runOk(0, fix.split(' '));
    assert.deepEqual((await doctor()).bad, []);
  } finally {
    await mesh.run(0, ['nft', 'delete table inet f']);
  }
});

test('an underlay device that is too small for full frames is named with both sizes', async () => {
  await broken(
    [['ip', 'link', 'set', 'eth0', 'mtu', '1400']],
    [['ip', 'link', 'set', 'eth0', 'mtu', '1500']],
    ({ findings }) =>
      assert.match(
        find(findings, 'mtu').what,
        /^device eth0 takes 1400 bytes, full frames of weft0 .* need 1472/,
      ),
  );
});

test('a strict reverse path filter beside another way out is named', async () => {
  await broken(
    [
      ['ip', 'link', 'add', 'eth9', 'type', 'veth', 'peer', 'name', 'eth9b'],
      ['ip', 'address', 'add', '198.51.100.1/24', 'dev', 'eth9'],
      ['ip', 'link', 'set', 'eth9', 'up'],
      ['ip', 'link', 'set', 'eth9b', 'up'],
      ['sysctl', '-q', '-w', 'net.ipv4.conf.eth0.rp_filter=1'],
    ],
    [
      ['ip', 'link', 'delete', 'eth9'],
      ['sysctl', '-q', '-w', 'net.ipv4.conf.eth0.rp_filter=0'],
    ],
    ({ status, findings }) => {
      assert.match(find(findings, 'rp-filter').what, /strict on eth0, and eth9 is another way out/);
      assert.equal(status, 0, 'a warning is no failure');
    },
  );
});

test('an offload that was switched off is named', async () => {
  await broken(
    [['ethtool', '-K', 'eth0', 'tx', 'off']],
    [['ethtool', '-K', 'eth0', 'tx', 'on']],
    ({ findings }) => assert.equal(find(findings, 'offloads').fix, 'ethtool -K eth0 tx on'),
  );
});

test('a peer that is routed into the overlay is named', async () => {
  const to = `${mesh.host(1).node.address}/32`;
  await broken(
    [['ip', 'route', 'add', to, 'dev', 'weft0']],
    [['ip', 'route', 'delete', to]],
    ({ findings, status }) => {
      assert.match(find(findings, 'route').what, /^host2 at .* is routed into the overlay \(weft0\)$/);
      assert.equal(status, 1);
    },
  );
});

test('state files of the future are a clock that went back', async () => {
  const file = join(mesh.host(0).stateDir, 'node.cert');
  const ahead = new Date(Date.now() + 300_000);
  utimesSync(file, ahead, ahead);
  const { status, findings } = await doctor();
  assert.match(
    find(findings, 'clock').what,
    /^the clock is (5m|4m 5\ds) behind this host's own state files$/,
  );
  assert.equal(status, 1);
  utimesSync(file, new Date(), new Date());
  assert.deepEqual((await doctor()).bad, []);
});

test('a clock that was set back five minutes is told by what the agent wrote before', async () => {
  const ended = await run(['faketime', '-f', '-300s', ...mesh.host(0).command(['doctor', '--json'])]);
  assert.equal(ended.status, 1, ended.err);
  const { findings } = JSON.parse(ended.out) as { findings: Finding[] };
  assert.match(find(findings, 'clock').what, /^the clock is \dm.* behind this host's own state files$/);
});

test('datagrams that a full socket lost are counted', async () => {
  const host = mesh.host(0);
  const flood = `const s = require('dgram').createSocket('udp4'); let n = 0;
    const send = () => { if (n++ < 60000) s.send(Buffer.alloc(1400), 7947, '${host.node.address}', n % 64 ? undefined : () => setImmediate(send)); if (n % 64) send(); else if (n > 60000) s.close(); };
    send();`;
  host.signal('SIGSTOP');
  try {
    await run(inside(mesh.host(1).node.namespace, [process.execPath, '-e', flood]), { timeoutMs: 30_000 });
  } finally {
    host.signal('SIGCONT');
  }
  await until('agent that answers', { timeoutMs: 15_000 }, async () =>
    (await doctor()).findings.length > 0 ? true : null,
  );
  await mesh.converged();
  const found = find((await doctor()).findings, 'sockets');
  assert.match(
    found.what,
    /^UDP 7947 has dropped [1-9]\d* datagrams because its buffer of 8\.0 MiB was full$/,
  );
});

test('a member without an agent is told to start it, a host that is none is only told', async () => {
  await mesh.host(1).kill();
  const stopped = await doctor(1);
  assert.equal(stopped.status, 1);
  assert.ok(stopped.bad.includes('fail agent'), stopped.bad.join());
  const alone = await until('a peer that is down', { timeoutMs: 60_000, everyMs: 500 }, async () => {
    const { findings } = await doctor(0);
    return findings.find(({ check, level }) => check === 'peers' && level === 'fail') ?? null;
  });
  assert.match(alone.what, /^0 of 1 up; not host2 \(.+\)$/);
  const { stateDir } = mesh.host(1);
  const command = mesh.host(1).command(['doctor', '--json']);
  const fresh = await run(command.map((word) => (word === stateDir ? join(mesh.folder, 'none') : word)));
  assert.equal(fresh.status, 0, fresh.out);
  assert.match(fresh.out, /"check":"agent","level":"warn"/);
});

test('a port that another program holds is named with the program', async () => {
  const holder = `require('dgram').createSocket('udp4').bind(7946, () => console.log('bound')); setTimeout(() => {}, 20000)`;
  const child = run(inside(mesh.host(1).node.namespace, [process.execPath, '-e', holder]), {
    timeoutMs: 20_000,
  }).catch(() => null);
  const found = await until('finding about the port', { timeoutMs: 15_000 }, async () => {
    const { findings } = await doctor(1);
    return findings.find(({ check }) => check === 'ports') ?? null;
  });
  assert.match(found.what, /^UDP 7946 is held by program node$/);
  const pids = (await run(['ip', 'netns', 'pids', mesh.host(1).node.namespace])).out.trim().split(/\s+/);
  for (const pid of pids.filter(Boolean)) process.kill(Number(pid), 'SIGKILL');
  await child;
});
