/** README.md, typed: two machines in five minutes, and a kernel vxlan device as the other end. */
import assert from 'node:assert/strict';
import { linked, repositoryFor } from './install-chapter.ts';
import type { Machine } from './machine.ts';
import { MACHINES } from './site.ts';
import type { Place, Typist, Walk } from './walk.ts';

/** What the first host's administrator has anyway: an SSH server that knows the second host. */
async function sshServer(from: Machine, to: Machine, address: string): Promise<void> {
  await from.ok("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519");
  await from.write('/root/.ssh/config', 'StrictHostKeyChecking accept-new\n');
  await to.write('/root/.ssh/authorized_keys', await from.read('/root/.ssh/id_ed25519.pub'));
  await to.ok('chmod 700 /root /root/.ssh && chmod 600 /root/.ssh/authorized_keys');
  await to.ok('dropbearkey -t ed25519 -f /root/hostkey');
  await to.leave(`dropbear -E -r /root/hostkey -p ${address}:22`);
}

/** ping(8) until three answers are there, and Ctrl-C. */
export async function pingAnswers(at: Typist, line: string): Promise<void> {
  const ping = at.starts(line);
  await ping.says(/icmp_seq=3 ttl=\d+ time=/);
  assert.match(await ping.interrupt(0), /(\d+) packets transmitted, \d+ received/);
}

export async function twoMachines(walk: Walk, root: string): Promise<void> {
  const { at } = await walk.machines({ alpha: MACHINES.alpha, beta: MACHINES.beta });
  const { alpha, beta } = at;
  const fill = { URL: await repositoryFor(alpha.machine, root) };
  await alpha.types('git clone URL weft && cd weft', /^Cloning into 'weft'/, { fill });
  await alpha.machine.builtIn('/root/weft');
  await alpha.types('npm link', /added 1 package|up to date/, { cwd: '/root/weft' });
  for (const same of ['npx weft', 'node dist/agent/main.js'])
    await alpha.types(same, /Usage: weft/, { cwd: '/root/weft', status: 2 });
  await linked(beta);
  await alpha.types(
    'weft init --name alpha --address 10.80.0.1/24 --underlay 192.0.2.10',
    /warning: no recovery key/,
  );
  await alpha.types('weft run &', /^$/);
  await alpha.machine.ready();
  await alpha.types('weft token create --ttl 1h --uses 1 --out /root/token', /\/root\/token/);
  await sshServer(beta.machine, alpha.machine, MACHINES.alpha);
  await beta.types('scp 192.0.2.10:/root/token /root/token', /^/);
  await beta.types('weft up --token-file /root/token --name beta --underlay 192.0.2.11 &', /^$/);
  await beta.machine.ready();
  for (const { machine } of [alpha, beta]) assert.match(machine.console(), /"msg":"ready"/);
  await beta.types('rm /root/token', /^$/);
  await beta.machine.meets('alpha');
  await beta.types(
    'weft members',
    /^alpha +alive +10\.80\.0\.1\/24(.*\n)+beta \(this host\) +alive +10\.80\.0\.2\/24/m,
  );
  await beta.types('weft peers', /^alpha +10\.80\.0\.1\/24 +192\.0\.2\.10:7947 +up +direct/m);
  await pingAnswers(beta, 'ping 10.80.0.1');
  await beta.types('weft doctor', /^ok +peers/m);
  const ui = beta.starts('weft ui');
  const [url] = await ui.says(/http:\/\/127\.0\.0\.1:\d+\/\S+/);
  assert.match(
    await beta.machine.ok(`node -e "fetch('${url}').then((r) => r.text()).then(console.log)"`),
    /<html/i,
  );
  await ui.interrupt(0);
  await beta.types('weft metrics', /^weft_peers\{/m);
  const scraped = "fetch('http://127.0.0.1:9586/metrics').then((r) => r.text()).then(console.log)";
  assert.match(await beta.machine.ok(`node -e "${scraped}"`), /^weft_peers\{/m);
  await beta.types('weft --help', /members \[options\] +every host that gossip knows/);
}

/** The mesh of the plain chapters; the stranger has no weft. */
export type PlainPlace = Place<'alpha' | 'beta' | 'stranger'>;

export async function kernelVxlan({ at: { alpha, stranger } }: PlainPlace): Promise<void> {
  await alpha.types(
    'weft init --mode plain --vni 42 --name alpha --address 10.80.0.1/24 --underlay 192.0.2.10',
    /mesh/,
  );
  await alpha.types('weft run &', /^$/);
  await alpha.machine.ready();
  await alpha.types('weft vtep add 192.0.2.20', /192\.0\.2\.20/);
  await stranger.types(
    'ip link add vx0 mtu 1422 type vxlan id 42 remote 192.0.2.10 local 192.0.2.20 dstport 4789',
    /^$/,
  );
  await stranger.types('ip address add 10.80.0.20/24 dev vx0 && ip link set vx0 up', /^$/);
  await pingAnswers(stranger, 'ping 10.80.0.1');
}
