/** docs/TROUBLESHOOTING.md on a real mesh: for each fault the one command of the document names the cause. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { run } from '../../agent/lab/command.ts';
import { until } from '../../agent/lab/wait.ts';
import { document } from '../unit/docs-source.ts';
import { Mesh } from './mesh.ts';

const guide = document('docs/TROUBLESHOOTING.md').text;

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start({ hosts: 2, config: 'fdb:\n  limit: 64\n' });
});
after(() => mesh?.remove());

/** Runs a command that the document has, on the first host, until its output names the cause. */
async function names(args: readonly string[], cause: RegExp): Promise<string> {
  assert.ok(guide.includes(`weft ${args.join(' ')}`), `the guide does not say weft ${args.join(' ')}`);
  let out = '';
  await until(`weft ${args.join(' ')}: ${cause}`, { timeoutMs: 60_000, everyMs: 1000 }, async () => {
    const ended = await mesh.host(0).weft(args);
    out = ended.out + ended.err;
    if (cause.test(out)) return true;
    throw new Error(out);
  });
  return out.split('\n').find((line) => cause.test(line)) ?? '';
}

test('a firewall rule that drops the port is named by weft doctor, with the rule', async (t) => {
  await mesh.runOk(0, ['nft', 'add table inet f; add chain inet f i { type filter hook input priority 0; }']);
  await mesh.runOk(0, ['nft', 'add rule inet f i udp dport 7947 drop']);
  t.diagnostic(await names(['doctor'], /firewall.*7947/));
  await mesh.runOk(0, ['nft', 'delete', 'table', 'inet', 'f']);
  await mesh.converged(60_000);
});

test('an underlay that is broken is named by weft doctor: the device, or the peer that is not reached', async (t) => {
  await mesh.inRouter(['ip', 'link', 'set', mesh.host(1).node.routerInterface, 'down']);
  t.diagnostic(await names(['doctor'], /(fail|warn).*(host2|peers)/));
  t.diagnostic(await names(['peers'], /host2.*(down|handshaking)/));
  await mesh.inRouter(['ip', 'link', 'set', mesh.host(1).node.routerInterface, 'up']);
});

/** Broadcasts from 200 source addresses. */
const MANY_SOURCES = `import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('weft0', 0))
for i in range(200):
    s.send(b'\\xff' * 6 + bytes([2, 0xaa, 0, 0, 0, i]) + b'\\x88\\xb5' + bytes(46))
`;

test('an address table that is full is named by weft doctor', async (t) => {
  await mesh.converged(60_000);
  await mesh.runOk(1, ['python3', '-c', MANY_SOURCES]);
  t.diagnostic(await names(['doctor'], /^warn +fdb .*addresses had to give way/m));
});

test('a clock that is wrong is named by weft doctor', async (t) => {
  const command = ['faketime', '-f', '-400d', ...mesh.host(0).command(['doctor'])];
  const ended = await run(command, { timeoutMs: 60_000 });
  const line = ended.out.split('\n').find((text) => /^(fail|warn)\s+clock/.test(text));
  assert.ok(line, ended.out + ended.err);
  t.diagnostic(line);
});

/** What answers each question of the guide's last table, on a mesh that carries traffic. */
const ANSWERS: readonly (readonly [question: string, args: readonly string[], answer: RegExp])[] = [
  ['how large a packet reaches each host?', ['peers'], /^host2 .* 1500 /m],
  [
    'why was it dropped?',
    ['drops'],
    /^no_member +transmit +\d+ +0\/s +The segment has no other member to flood to\.$/m,
  ],
  ['are all hosts well, without logging in to them?', ['sd'], /"weft_host": ?"host2"|host2/],
  ['is it encrypted?', ['status'], /^segment +vni \d+, sealed vxlan$/m],
  ['is this the slow path?', ['status'], /^offloads +\S/m],
  ['does the network card damage checksums?', ['doctor'], /^ok +checksum/m],
  ['where does this address live?', ['fdb'], /host2/],
  ['am I behind a NAT?', ['doctor'], /^ok +nat +none: 1 peers see this host as/m],
  ['who was put out of the mesh?', ['revoke', 'list'], /^nothing was revoked$/m],
  ['what changed?', ['events'], /peer-up +host2/],
];

test('each question of operators is answered by the one command beside it', async (t) => {
  await mesh.converged(60_000);
  for (const [question, args, answer] of ANSWERS) {
    const row = guide.split('\n').find((line) => line.startsWith(`| ${question} |`)) ?? '';
    assert.ok(row.includes(`\`weft ${args.join(' ')}\``), `${question} ${row}`);
    t.diagnostic(`${question} weft ${args.join(' ')}: ${await names(args, answer)}`);
  }
});
