/**
 * The Debian package on machines with a systemd of their own: installed, joined, upgraded, purged. `npm run test:deb`; needs
 * debootstrap's mirror once (WEFT_DEBIAN_ROOT keeps the tree).
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '../../agent/lab/wait.ts';
import { Mesh } from '../netns/mesh.ts';
import { debianTree, Machine, must, nodePackage, renumbered, workFolder } from './machine.ts';
import { PingTrain } from './ping-train.ts';

const UPGRADE_GAP_MS = 500;
const CAP_NET_ADMIN = 1n << 12n;
const OVERLAY = { alpha: '10.80.0.1', beta: '10.80.0.2', gamma: '10.80.0.3' };

let net: Mesh;
let folder: string;
let weft: string;
/** Before anything was installed, by machine beta. */
let filesBefore: string[] = [];
const machines: Machine[] = [];

async function files(machine: Machine): Promise<string[]> {
  const out = await machine.sh(
    "find / -xdev ! -path '/proc/*' ! -path '/var/tmp/*' ! -path '/tmp/*' ! -path '/var/log/*' ! -path '/var/cache/*' " +
      "! -path '/var/lib/dpkg/*' ! -path '/var/lib/systemd/*' ! -path '/run/*' | sort; getent passwd; getent group",
  );
  return out.trim().split('\n');
}

before(async () => {
  folder = workFolder();
  const tree = await debianTree(folder);
  const node = await nodePackage(folder);
  weft = (await must(['node', 'docker/deb/package.mjs', folder])).trim();
  net = await Mesh.underlay({ hosts: 3 });
  for (const [i, name] of ['alpha', 'beta', 'gamma'].entries())
    machines.push(await Machine.boot(name, tree, folder, net.host(i).node.namespace));
  await Promise.all(machines.map((machine) => machine.ok(['dpkg', '-i', machine.put(node)])));
  filesBefore = await files(machine('beta'));
});
after(async () => {
  await Promise.all(machines.map((machine) => machine.remove()));
  await net?.remove();
});

function machine(name: string): Machine {
  const found = machines.find((m) => m.name === name);
  if (found === undefined) throw new Error(`no machine ${name}`);
  return found;
}

async function pingable(from: string, address: string): Promise<void> {
  await until(`${from} to ${address}`, { timeoutMs: 20_000 }, async () =>
    (await machine(from).run(['ping', '-q', '-c', '1', '-W', '1', address])).status === 0 ? true : null,
  );
}

test('the package installs with its dependencies met, starts nothing, and is what dpkg calls installed', async () => {
  for (const m of machines) {
    await m.ok(['dpkg', '-i', m.put(weft)]);
    assert.match(await m.ok(['dpkg', '-s', 'weft']), /^Status: install ok installed$/m);
    assert.equal((await m.run(['systemctl', 'is-active', 'weft'])).out.trim(), 'inactive');
    assert.equal((await m.ok(['stat', '-c', '%U %a', '/var/lib/weft'])).trim(), 'weft 700');
  }
  assert.match(await machine('alpha').ok(['weft', 'version']), /^weft \d/);
  const page = (await machine('alpha').ok(['ls', '/usr/lib/weft/dist/ui'])).split('\n');
  assert.ok(page.includes('index.html') && page.some((name) => name.endsWith('.js')), page.join());
  assert.equal((await machine('alpha').ok(['dpkg', '--verify', 'weft'])).trim(), '');
});

test('a service without a member fails once with the reason, and is not started again and again', async () => {
  const m = machine('gamma');
  assert.notEqual((await m.run(['systemctl', 'start', 'weft'])).status, 0);
  const shown = await m.ok(['systemctl', 'show', '-p', 'NRestarts,ExecMainStatus', 'weft']);
  assert.match(shown, /NRestarts=0/);
  assert.match(await m.ok(['journalctl', '-u', 'weft', '--no-pager']), /--token-file|--name/);
  await m.ok(['systemctl', 'reset-failed', 'weft']);
});

test('three machines form a mesh as services, by the commands of docs/OPERATIONS.md', async () => {
  const alpha = machine('alpha');
  const underlay = (i: number): string => net.host(i).node.address;
  await alpha.sh(
    `runuser -u weft -- weft init --name alpha --address ${OVERLAY.alpha}/24 --underlay ${underlay(0)}\nsystemctl enable --now weft 2>&1`,
  );
  // Type=notify: the start has waited until the agent was ready.
  assert.match(
    await alpha.ok(['systemctl', 'status', '--no-pager', 'weft']),
    /Status: "alpha of .*: 0 of 0 peers up/,
  );
  const token = await alpha.sh('weft token create --ttl 1h --uses 2');
  for (const [i, name] of ['beta', 'gamma'].entries()) {
    await machine(name).sh(
      `umask 077\nprintf '%s' '${token.trim()}' > /etc/weft/token\nchown weft /etc/weft/token
       printf 'WEFT_NAME=%s\\nWEFT_UNDERLAY=%s\\nWEFT_TOKEN_FILE=/etc/weft/token\\n' ${name} ${underlay(i + 1)} > /etc/default/weft
       systemctl enable --now weft 2>&1\nrm /etc/weft/token`,
    );
  }
  await pingable('alpha', OVERLAY.beta);
  await pingable('beta', OVERLAY.gamma);
});

test('the agent runs as an unprivileged user with CAP_NET_ADMIN and nothing else', async () => {
  const m = machine('alpha');
  const pid = (await m.ok(['systemctl', 'show', '-P', 'MainPID', 'weft'])).trim();
  const status = await m.ok(['cat', `/proc/${pid}/status`]);
  const uid = (await m.ok(['id', '-u', 'weft'])).trim();
  assert.match(status, new RegExp(`^Uid:\\s+${uid}\\s+${uid}\\s`, 'm'));
  assert.notEqual(uid, '0');
  for (const set of ['CapEff', 'CapBnd'])
    assert.equal(BigInt(`0x${new RegExp(`^${set}:\\s+(\\w+)`, 'm').exec(status)?.[1]}`), CAP_NET_ADMIN, set);
  assert.match(status, /^NoNewPrivs:\s+1$/m);
});

test(`an upgrade interrupts the upgraded host at most ${UPGRADE_GAP_MS} ms and nobody else`, async (t) => {
  const gaps: number[] = [];
  for (const version of ['9.0.1', '9.0.2', '9.0.3']) {
    const next = await renumbered(weft, version, folder);
    const beta = machine('beta');
    const path = beta.put(next);
    const toBeta = await PingTrain.start([...net.host(0).inside(['ping'])], OVERLAY.beta);
    const toGamma = await PingTrain.start([...net.host(0).inside(['ping'])], OVERLAY.gamma);
    const startMs = performance.now();
    await beta.ok(['dpkg', '-i', path]);
    const tookMs = performance.now() - startMs;
    await pingable('alpha', OVERLAY.beta);
    const [upgraded, other] = [await toBeta.stop(), await toGamma.stop()];
    gaps.push(upgraded.gapMs);
    t.diagnostic(
      `${version}: dpkg -i took ${Math.round(tookMs)} ms; host interrupted ${Math.round(upgraded.gapMs)} ms, ` +
        `${upgraded.lost} of ${upgraded.sent} pings lost; the others' longest gap ${Math.round(other.gapMs)} ms, ${other.lost} lost`,
    );
    assert.match(await beta.ok(['dpkg', '-s', 'weft']), new RegExp(`^Version: ${version}$`, 'm'));
    assert.equal(other.lost, 0);
  }
  // The best of three: what else the machine does while dpkg writes only ever makes it longer.
  assert.ok(Math.min(...gaps) <= UPGRADE_GAP_MS, `interrupted ${gaps.map(Math.round)} ms`);
});

test('a removal stops the agent and keeps its keys; a purge leaves nothing', async () => {
  const m = machine('beta');
  await m.ok(['dpkg', '--remove', 'weft']);
  assert.notEqual((await m.run(['ip', 'link', 'show', 'weft0'])).status, 0);
  await m.ok(['test', '-e', '/var/lib/weft/node.cert']);
  await m.ok(['dpkg', '--purge', 'weft']);
  const left = await files(m);
  assert.deepEqual(
    {
      new: left.filter((line) => !filesBefore.includes(line)),
      gone: filesBefore.filter((line) => !left.includes(line)),
    },
    { new: [], gone: [] },
  );
});
