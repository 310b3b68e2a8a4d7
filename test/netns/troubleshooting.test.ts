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

test('an address table that is full is named by weft metrics', async (t) => {
  await mesh.converged(60_000);
  await mesh.runOk(1, ['python3', '-c', MANY_SOURCES]);
  t.diagnostic(await names(['metrics'], /^weft_fdb_evictions_total\S* [1-9]/m));
});

test('a clock that is wrong is named by weft doctor', async (t) => {
  const command = ['faketime', '-f', '-400d', ...mesh.host(0).command(['doctor'])];
  const ended = await run(command, { timeoutMs: 60_000 });
  const line = ended.out.split('\n').find((text) => /^(fail|warn)\s+clock/.test(text));
  assert.ok(line, ended.out + ended.err);
  t.diagnostic(line);
});
