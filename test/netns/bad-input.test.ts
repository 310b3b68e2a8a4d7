/** Things that are wrong with the machine or its files: one line each that names thing, place and fix; nothing is lost. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Ended, run } from '../../agent/lab/command.ts';
import { Host } from '../../agent/lab/host.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { reachable } from './programs.ts';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start({ hosts: 2 });
});
after(() => mesh?.remove());

/** One line on stderr, nothing on stdout, the status. */
function oneLine(ended: Ended, status: number, says: RegExp): void {
  assert.match(ended.err, says);
  assert.match(ended.err, /^weft: [^\n]+\n$/);
  assert.deepEqual([ended.status, ended.out], [status, '']);
}

/** Another host in the namespace of host 2, which can be started wrongly without harm to the mesh. */
function bystander(name: string, index = 1): Host {
  const config = join(mesh.folder, 'bystander.yaml');
  writeFileSync(config, 'gossip_port: 7990\nmetrics:\n  address: off\n');
  return new Host({ ...mesh.host(index).node, name }, mesh.folder, config);
}

const initArgs = (host: Host, ...more: readonly string[]): string[] => {
  return ['init', '--name', host.name, '--underlay', host.node.address, ...more];
};

/** Name, size, mode and hash of every file of a state directory. */
function fingerprint(folder: string): string[] {
  return readdirSync(folder, { recursive: true })
    .map((path) => join(folder, String(path)))
    .filter((path) => statSync(path).isFile())
    .map(
      (path) =>
        `${path} ${statSync(path).mode} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`,
    )
    .sort();
}

test('without the right to make a TAP', async () => {
  const host = bystander('unprivileged');
  await host.weftOk(initArgs(host, '--tap', 'weft9', '--underlay', `${host.node.address}:7950`));
  const bare = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--no-new-privs'];
  const command = host.command(['run']);
  const ended = await run([...command.slice(0, 4), ...bare, ...command.slice(4)]);
  oneLine(ended, 4, /root|CAP_NET_ADMIN/);
});

test('without /dev/net/tun', async () => {
  const host = bystander('unprivileged');
  const hide = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /dev/net && exec "$@"', 'sh'];
  const command = host.command(['run']);
  const ended = await run([...command.slice(0, 4), ...hide, ...command.slice(4)]);
  oneLine(ended, 1, /\/dev\/net\/tun/);
});

test('with its UDP port in use', async () => {
  const host = bystander('neighbour');
  await host.weftOk(initArgs(host, '--tap', 'weft8'));
  oneLine(await host.weft(['run']), 1, /7947.*in use/);
  assert.equal((await mesh.run(1, ['ip', 'link', 'show', 'weft8'])).status, 1, 'no TAP is left behind');
});

test('with its TAP name taken by another agent, and by another kind of interface', async () => {
  const host = bystander('tap-taken', 0);
  await host.weftOk(initArgs(host, '--tap', 'weft0', '--underlay', `${host.node.address}:7950`));
  oneLine(await host.weft(['run']), 1, /weft0/);
  await mesh.runOk(0, ['ip', 'link', 'add', 'br-taken', 'type', 'bridge']);
  const other = bystander('name-taken', 0);
  await other.weftOk(initArgs(other, '--tap', 'br-taken', '--underlay', `${host.node.address}:7950`));
  oneLine(await other.weft(['run']), 1, /br-taken/);
  await mesh.runOk(0, ['ip', 'link', 'delete', 'br-taken']);
});

test('with an underlay address that the host does not have', async () => {
  const host = bystander('elsewhere');
  await host.weftOk(initArgs(host, '--tap', 'weft7', '--underlay', '192.0.2.1'));
  oneLine(await host.weft(['run']), 78, /192\.0\.2\.1/);
});

test('a second agent on the same state directory, and a second init, are refused and change nothing', async () => {
  const host = mesh.host(0);
  // It writes to its state every minute; while it stands still, whoever else writes there is seen.
  host.signal('SIGSTOP');
  try {
    const before = fingerprint(host.stateDir);
    oneLine(await host.weft(['run']), 1, /already|in use/);
    oneLine(await host.weft(initArgs(host)), 1, /host1|state|exists/);
    const twin = new Host(host.node, mesh.folder, mesh.configPath);
    oneLine(
      await run([...twin.command(['--socket', join(mesh.folder, 'twin.sock'), 'run'])]),
      1,
      /in use|already|lock/,
    );
    assert.deepEqual(fingerprint(host.stateDir), before);
  } finally {
    host.signal('SIGCONT');
  }
});

test('a garbled configuration names file, line and column, and exits 78', async () => {
  const path = join(mesh.folder, 'bad.yaml');
  const cases: [string, RegExp][] = [
    ['log:\n  level: loud\n', /bad\.yaml:2:\d+.*level/],
    ['gossip_port: 70000\n', /bad\.yaml:1:\d+.*gossip_port/],
    ['gosip_port: 7946\n', /bad\.yaml:1:\d+.*gosip_port/],
    ['log: [\n', /bad\.yaml:\d+:\d+/],
    ['\u0000\u0001\u0002', /bad\.yaml/],
  ];
  const host = mesh.host(0);
  for (const [text, says] of cases) {
    writeFileSync(path, text);
    const bad = new Host(host.node, mesh.folder, path);
    oneLine(await bad.weft(['run']), 78, says);
  }
});

test('a garbled state file is named, exits 78, and is left as it is', async () => {
  const host = bystander('garbled');
  await host.weftOk(initArgs(host, '--tap', 'weft6', '--underlay', `${host.node.address}:7951`));
  const files = readdirSync(host.stateDir).filter((name) => /\.(cert|bin|key|json|yaml)$/.test(name));
  assert.ok(files.length >= 6, files.join(' '));
  for (const name of files) {
    const path = join(host.stateDir, name);
    const good = readFileSync(path);
    const mode = statSync(path).mode;
    // The first half of a YAML file is a YAML file.
    const half = name.endsWith('.yaml') ? [] : [good.subarray(0, good.length >> 1)];
    for (const bad of [...half, Buffer.from('{"not": [what it was')]) {
      writeFileSync(path, bad);
      chmodSync(path, mode);
      const before = fingerprint(host.stateDir);
      const ended = await host.weft(['run'], { timeoutMs: 10_000 });
      oneLine(ended, 78, new RegExp(name.replace('.', '\\.')));
      assert.deepEqual(fingerprint(host.stateDir), before, name);
    }
    writeFileSync(path, good);
  }
});

test('no state at all is said, with what to do', async () => {
  const host = bystander('stateless');
  oneLine(await host.weft(['run']), 78, /weft init.*weft up/);
});

test('a clock that stands before the start of the certificate', async () => {
  const host = bystander('clock');
  await host.weftOk(initArgs(host, '--tap', 'weft5', '--underlay', `${host.node.address}:7952`));
  const command = host.command(['run']);
  const ended = await run([...command.slice(0, 4), 'faketime', '-m', '-f', '-2d', ...command.slice(4)], {
    env: { FAKETIME_DONT_FAKE_MONOTONIC: '1' },
    timeoutMs: 15_000,
  });
  oneLine(ended, 4, /clock/);
});

test('state is kept in a folder and files that only root reads', () => {
  const { stateDir } = mesh.host(0);
  assert.equal(statSync(stateDir).mode & 0o777, 0o700);
  for (const name of readdirSync(stateDir)) {
    const { mode } = statSync(join(stateDir, name));
    assert.equal(mode & 0o077, 0, name);
    if (!name.endsWith('.key')) assert.doesNotMatch(name, /key|secret|seed|psk/);
  }
  assert.deepEqual(
    readdirSync(mesh.host(1).stateDir).filter((name) => name.startsWith('token')),
    [],
  );
});

test('no log line holds a token or a key', async () => {
  const keys = mesh.hosts.flatMap((host) =>
    readdirSync(host.stateDir)
      .filter((name) => name.endsWith('.key'))
      .map((name) => readFileSync(join(host.stateDir, name))),
  );
  assert.ok(keys.length >= 4);
  for (const host of mesh.hosts) {
    const log = host.log();
    assert.ok(log.length > 0);
    assert.doesNotMatch(log, /weft1_[A-Za-z0-9_-]{20}/);
    for (const key of keys) {
      for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const) {
        assert.ok(!log.includes(key.toString(form).trim()), `a key in the log of ${host.name}`);
      }
    }
  }
});

test('a garbled request on the control socket is answered with an error and harms nobody', async () => {
  const { socketPath } = mesh.host(0);
  const requests = [
    '\u0000\u0001\u0002\r\n\r\n',
    'GET\r\n\r\n',
    'GET /v1/none HTTP/1.1\r\nhost: x\r\n\r\n',
    'POST /v1/tokens HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n{"a":',
    'POST /v1/vteps HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n[]',
    'POST /v1/leave/../x HTTP/1.1\r\nhost: x\r\n\r\n',
    `GET /${'x'.repeat(100_000)} HTTP/1.1\r\n\r\n`,
  ];
  for (const request of requests) {
    assert.match(await exchange(socketPath, request), /^HTTP\/1\.1 4\d\d /, request.slice(0, 40));
  }
  await reachable(mesh.host(0).node.namespace, await overlayOf(mesh.host(1)));
});

/** The start of the answer to raw bytes on a Unix socket. */
function exchange(path: string, request: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path);
    let answer = '';
    socket.setTimeout(5000, () => socket.destroy());
    socket.on('data', (bytes) => {
      answer += bytes;
      socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
    socket.write(request);
  });
}
