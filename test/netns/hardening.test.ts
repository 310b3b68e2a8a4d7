/**
 * What a running agent may still do, and who may tell it what to do: rights of every thread, through a hand-over too, and the
 * control socket as seen by another user. Real agents in namespaces; the other user is uid 65534 without groups.
 */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { StatusReport } from '../../agent/control/api-types.ts';
import { run } from '../../agent/lab/command.ts';
import type { Host } from '../../agent/lab/host.ts';
import { until } from '../../agent/lab/wait.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { reachable } from './programs.ts';

const NOBODY = 65534;
const NET_ADMIN = 0x1000n;

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start({ hosts: 2 });
});
after(() => mesh?.remove());

/** The process that holds the control socket's agent: `ip netns exec` became it. */
const pidOf = async (host: Host): Promise<number> => {
  const listed = (await run(['ip', 'netns', 'pids', host.node.namespace])).out
    .trim()
    .split(/\s+/)
    .map(Number);
  const agents = listed.filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('main.'));
  assert.equal(agents.length, 1, `agents of ${host.name}: ${agents}`);
  return agents[0] ?? 0;
};

/** Fails unless every thread has CAP_NET_ADMIN and nothing else, and can gain nothing. */
function assertConfined(pid: number, ambient: bigint): void {
  const threads = readdirSync(`/proc/${pid}/task`);
  assert.ok(threads.length >= 6, 'main, pool and workers');
  for (const tid of threads) {
    const status = readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8');
    const set = (name: string): bigint =>
      BigInt(`0x${new RegExp(`^${name}:\\s*(\\S+)$`, 'm').exec(status)?.[1]}`);
    const seen = ['CapEff', 'CapPrm', 'CapInh', 'CapAmb'].map(set);
    assert.deepEqual(seen, [NET_ADMIN, NET_ADMIN, ambient, ambient], `thread ${tid}`);
    assert.match(status, /^NoNewPrivs:\s*1$/m);
  }
}

const rights = async (host: Host): Promise<StatusReport['rights']> =>
  (await host.api.get<StatusReport>('/v1/status')).rights;

test('every thread of a running agent has CAP_NET_ADMIN and nothing else, and status and doctor say so', async () => {
  for (const host of mesh.hosts) {
    assertConfined(await pidOf(host), 0n);
    assert.deepEqual(await rights(host), {
      user: 0,
      capabilities: ['NET_ADMIN'],
      bounded: true,
      noNewPrivileges: true,
      coreDumps: false,
    });
  }
  const { out } = await mesh.host(0).weft(['doctor']);
  assert.match(out, /ok +rights +agent has CAP_NET_ADMIN and nothing that it does not need/);
});

/** Niceness of one thread, proc(5) stat. */
const nicenessOf = (pid: number, tid: string): number => {
  const stat = readFileSync(`/proc/${pid}/task/${tid}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
};

test('the main thread and the workers go before other programs, unless whoever started the agent says otherwise', async () => {
  const host = mesh.host(0);
  const nice = async (): Promise<number> => (await host.api.get<StatusReport>('/v1/status')).nice;
  const pid = await pidOf(host);
  const threads = readdirSync(`/proc/${pid}/task`);
  // What Node began before the agent stays where it was.
  const raised = threads.filter((tid) => nicenessOf(pid, tid) === -10);
  assert.equal(await nice(), -10);
  assert.equal(nicenessOf(pid, String(pid)), -10);
  assert.ok(raised.includes(threads.at(-1) ?? ''), `${raised} of ${threads}`);
  assert.match(
    (await host.weft(['doctor'])).out,
    /ok +priority +the agent goes before other programs \(nice -10\)/,
  );

  writeFileSync(mesh.configPath, 'log:\n  level: info\nnice: 3\n');
  await host.stop();
  host.start(['run']);
  await host.ready();
  assert.equal(await nice(), 3);
  assert.match((await host.weft(['doctor'])).out, /ok +priority +frames wait .* \(nice 3\)/);
  writeFileSync(mesh.configPath, 'log:\n  level: info\n');
  await host.stop();
  host.start(['run']);
  await host.ready();
  await mesh.converged();
});

test('no core of it can be written, and a process of the same user without rights cannot read its memory', async () => {
  const pid = await pidOf(mesh.host(0));
  const look = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', 'head', '-c1', `/proc/${pid}/auxv`];
  const { status, err } = await run(look);
  assert.notEqual(status, 0);
  assert.match(err, /Permission denied/);
});

test('a successor of a successor starts, listens again and reloads with what its predecessor kept', async () => {
  const host = mesh.host(1);
  const other = mesh.host(0);
  const seen = new Set([await pidOf(host)]);
  for (let turn = 0; turn < 2; turn++) {
    process.kill([...seen].at(-1) ?? 0, 'SIGUSR2');
    const next = await until('a successor', { timeoutMs: 20_000 }, async () => {
      const pid = await pidOf(host).catch(() => 0);
      return pid !== 0 && !seen.has(pid) && (await rights(host)).user === 0 ? pid : null;
    });
    seen.add(next);
    await until('it is up', { timeoutMs: 20_000 }, async () =>
      (await host.api.get<StatusReport>('/v1/status')).state === 'up' ? true : null,
    );
    assertConfined(next, 0n);
    await reachable(other.node.namespace, await overlayOf(host));
  }
  writeFileSync(mesh.configPath, 'log:\n  level: debug\n');
  assert.match(await host.weftOk(['reload']), /log\.level/);
  process.kill([...seen].at(-1) ?? 0, 'SIGTERM');
  await until('its end', { timeoutMs: 10_000 }, async () =>
    (await pidOf(host).catch(() => 0)) === 0 ? true : null,
  );
});

/** One request to a control socket as another user. @returns the answer, or what connect(2) said */
async function askAs(host: Host, user: readonly string[]): Promise<string> {
  const script = `import socket, sys
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
    s.sendall(b'GET /v1/status HTTP/1.1\\r\\nhost: weft\\r\\nconnection: close\\r\\n\\r\\n')
    answer = b''
    while chunk := s.recv(65536):
        answer += chunk
    print(answer.decode())
except OSError as error:
    print(error)
`;
  return (
    await run(['setpriv', `--reuid=${NOBODY}`, ...user, '/usr/bin/python3', '-c', script, host.socketPath])
  ).out;
}

test('another user may not open the socket; if its mode is made wider, the agent refuses, counts and logs it', async () => {
  const host = mesh.host(0);
  const stranger = [`--regid=${NOBODY}`, '--clear-groups'];
  // Only the folder of the tests is in the way of others.
  chmodSync(mesh.folder, 0o755);
  chmodSync(join(host.socketPath, '..'), 0o755);
  assert.match(await askAs(host, stranger), /Permission denied/);
  const before = await mesh.metric(0, 'weft_control_refused_total');
  chmodSync(host.socketPath, 0o666);
  const answer = await askAs(host, stranger);
  assert.match(answer, /^HTTP\/1\.1 403 /);
  assert.match(answer, /"code":"E_PRIVILEGE"/);
  assert.doesNotMatch(answer, /nodeId/);
  assert.equal((await mesh.metric(0, 'weft_control_refused_total')) - before, 1);
  assert.match(host.log(), /refused at the control socket/);
  assert.match(host.log(), new RegExp(`"uid":${NOBODY}`));
});

test('a member of the group that the file was given to is let in, by its main or another group, and nobody else', async () => {
  const host = mesh.host(0);
  chmodSync(host.socketPath, 0o660);
  chownSync(host.socketPath, 0, 4711);
  assert.match(await askAs(host, ['--regid=4711', '--clear-groups']), /^HTTP\/1\.1 200 /);
  assert.match(await askAs(host, [`--regid=${NOBODY}`, '--groups=5,4711']), /^HTTP\/1\.1 200 /);
  chmodSync(host.socketPath, 0o666);
  assert.match(await askAs(host, [`--regid=${NOBODY}`, '--groups=5']), /^HTTP\/1\.1 403 /);
  // The group is let in by the mode: without its bit it is not.
  chmodSync(host.socketPath, 0o606);
  assert.match(await askAs(host, ['--regid=4712', '--groups=4711']), /^HTTP\/1\.1 403 |Permission denied/);
});

test('an agent under a user of its own with one ambient capability runs, and keeps only that', async () => {
  const host = mesh.host(1);
  const log = host.logPath;
  const own = join(mesh.folder, 'own');
  mkdirSync(own, { mode: 0o700 });
  chownSync(own, NOBODY, NOBODY);
  const chown = await run(['chown', '-R', `${NOBODY}:${NOBODY}`, host.stateDir]);
  assert.equal(chown.status, 0, chown.err);
  chmodSync(mesh.configPath, 0o644);
  chmodSync(log, 0o666);
  const user = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
  const argv = host.command(['run']).map((arg) => (arg === host.socketPath ? join(own, 'weft.sock') : arg));
  const at = argv.indexOf(process.execPath);
  const caps = ['--inh-caps=+net_admin', '--ambient-caps=+net_admin'];
  // A device that this user may open, seen in the mount namespace of `ip netns exec` only.
  const device = 'mknod "$0" c 10 200 && chmod 666 "$0" && mount --bind "$0" /dev/net/tun && exec "$@"';
  const shell = ['sh', '-c', device, join(mesh.folder, 'tun')];
  const agent = run([...argv.slice(0, at), ...shell, ...user, ...caps, ...argv.slice(at)], {
    timeoutMs: 60_000,
  });
  let ended = '';
  void agent.then(({ err }) => {
    ended = err;
  });
  const pid = await until('the agent', { timeoutMs: 20_000 }, async () => {
    assert.equal(ended, '');
    const found = await pidOf(host).catch(() => 0);
    return found !== 0 && readdirSync(own).includes('weft.sock') ? found : null;
  });
  assertConfined(pid, NET_ADMIN);
  await reachable(mesh.host(0).node.namespace, '10.80.0.2');
  process.kill(pid, 'SIGTERM');
  assert.equal((await agent).status, 0);
});
