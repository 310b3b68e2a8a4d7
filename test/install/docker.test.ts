/**
 * The image and docker/compose.yaml with a real Docker: dockerd of this test alone, in a network namespace of its own, with its own
 * data, socket, pid file and /root; base image by debootstrap, since no registry need be reachable. The lines of
 * docs/OPERATIONS.md are typed as they stand there. `npm run test:docker`.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CHILD_ENV, type Ended, run } from '../../agent/lab/command.ts';
import { until } from '../../agent/lab/wait.ts';
import { debianTree, must, needTools, workFolder } from './machine.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const NAMESPACE = `weft-docker-${process.pid}`;
const HOSTS = { alpha: '10.80.0.1', beta: '10.80.0.2', gamma: '10.80.0.3' };

let folder: string;
let tree: string;
let daemon: ChildProcess;
let log = '';

const env = (): Record<string, string> => ({
  ...CHILD_ENV,
  DOCKER_HOST: `unix://${join(folder, 'docker.sock')}`,
  DOCKER_BUILDKIT: '0',
  HOME: folder,
  COMPOSE_PROJECT_NAME: 'weft',
});

async function docker(args: readonly string[], timeoutMs = 120_000): Promise<string> {
  const ended = await run(['/usr/bin/docker', ...args], { env: env(), timeoutMs });
  if (ended.status === 0) return ended.out;
  throw new Error(
    `docker ${args.join(' ')}: ${ended.err.slice(-3000)}${ended.out.slice(-3000)}\n${log.slice(-2000)}`,
  );
}

/** A line of the documents, typed in the clone. @throws Error unless it ends with 0 */
async function types(line: string, timeoutMs = 120_000): Promise<string> {
  const typed = ['sh', '-c', 'cd "$0" && eval "$1"', ROOT, line];
  const ended = await run(typed, { env: { ...env(), PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, timeoutMs });
  if (ended.status === 0) return ended.out;
  throw new Error(`${line}: ${ended.err.slice(-3000)}${ended.out.slice(-3000)}\n${log.slice(-2000)}`);
}

/** docker-compose with the project's file, from a copy of its folder: the token lies beside it. */
function compose(args: readonly string[], timeoutMs = 120_000): Promise<Ended> {
  const file = join(folder, 'compose', 'compose.yaml');
  return run(['docker-compose', '-f', file, ...args], { env: env(), timeoutMs });
}

async function composeOk(args: readonly string[]): Promise<string> {
  const ended = await compose(args);
  assert.equal(ended.status, 0, `docker-compose ${args.join(' ')}: ${ended.err}${ended.out}`);
  return ended.out;
}

/** Debian with the running Node, its headers, npm and a compiler; the npm cache of this machine takes the registry's place. */
async function importBase(): Promise<void> {
  const base = join(folder, 'base');
  await must(['cp', '-a', tree, base]);
  const inside = ['chroot', base, 'env', 'DEBIAN_FRONTEND=noninteractive'];
  await run([...inside, 'apt-get', 'update', '-qq'], { timeoutMs: 120_000 });
  await must([...inside, 'apt-get', 'install', '-qq', '-y', '--no-install-recommends', 'gcc', 'libc6-dev']);
  const node = dirname(dirname(process.execPath));
  await must([
    'mkdir',
    '-p',
    join(base, 'usr/lib/node_modules'),
    join(base, 'usr/include'),
    join(base, 'npm-cache'),
  ]);
  await must(['cp', process.execPath, join(base, 'usr/bin/node')]);
  await must(['cp', '-a', join(node, 'lib/node_modules/npm'), join(base, 'usr/lib/node_modules/')]);
  await must(['cp', '-a', join(node, 'include/node'), join(base, 'usr/include/')]);
  await must(['ln', '-sf', '../lib/node_modules/npm/bin/npm-cli.js', join(base, 'usr/bin/npm')]);
  const cache = (await must(['npm', 'config', 'get', 'cache'])).trim();
  await must(['cp', '-a', join(cache, '_cacache'), join(base, 'npm-cache/')]);
  const tar = join(folder, 'base.tar');
  await must([
    'tar',
    '-C',
    base,
    '--exclude=./proc/*',
    '--exclude=./sys/*',
    '--exclude=./dev/*',
    '-cf',
    tar,
    '.',
  ]);
  await docker(
    ['import', '-c', 'ENV npm_config_cache=/npm-cache npm_config_offline=true', tar, 'weft-base'],
    240_000,
  );
  await must(['rm', '-rf', tar, base]);
}

before(async () => {
  await needTools(['docker.io', 'docker-compose', 'iptables']);
  folder = workFolder();
  tree = await debianTree(folder);
  await must(['ip', 'netns', 'add', NAMESPACE]);
  await must(['ip', '-n', NAMESPACE, 'link', 'set', 'lo', 'up']);
  const own = (name: string): string => join(folder, name);
  daemon = spawn(
    'unshare',
    [
      // Its own /root: the documents mount a token from there.
      ...['-m', 'sh', '-c', 'mount -t tmpfs root /root && exec "$0" "$@"'],
      ...['nsenter', `--net=/run/netns/${NAMESPACE}`, 'dockerd', '--data-root', own('data')],
      ...['--exec-root', own('exec'), '--pidfile', own('docker.pid'), '-H', `unix://${own('docker.sock')}`],
      // The namespace has no way out: what Docker's NAT and filter rules would be for does not exist.
      ...['--iptables=false', '--ip6tables=false', '--ip-forward=false'],
    ],
    { env: { ...CHILD_ENV }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  for (const stream of [daemon.stdout, daemon.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-16_384);
    });
  process.once('exit', () => daemon.kill('SIGKILL'));
  await until('dockerd', { timeoutMs: 60_000 }, async () => {
    if (daemon.exitCode !== null) throw new Error(log);
    return existsSync(own('docker.sock')) && (await docker(['version'])) ? true : null;
  });
  await importBase();
});

after(async () => {
  await compose(['down', '-v', '-t', '5']).catch(() => null);
  if (daemon !== undefined && daemon.exitCode === null) {
    const closed = once(daemon, 'close');
    daemon.kill('SIGTERM');
    await closed;
  }
  await run(['ip', 'netns', 'delete', NAMESPACE]);
});

test('the image builds from a given base, in stages, without the tools it was built with, and has a health check', async (t) => {
  // Under the names of the registry, which the line of the documents takes them from.
  for (const name of ['node:24-bookworm', 'node:24-bookworm-slim']) await docker(['tag', 'weft-base', name]);
  await types('docker build -f docker/Dockerfile -t weft .', 280_000);
  const args = ['--build-arg', 'BUILD_BASE=weft-base', '--build-arg', 'BASE=weft-base'];
  await docker(['build', ...args, '-f', join(ROOT, 'docker/Dockerfile'), '-t', 'weft-other', ROOT], 280_000);
  const [image] = JSON.parse(await docker(['image', 'inspect', 'weft']));
  assert.deepEqual(image.Config.Healthcheck.Test, ['CMD', 'weft', 'status']);
  assert.equal(image.Config.StopSignal, 'SIGTERM');
  const [base] = JSON.parse(await docker(['image', 'inspect', 'weft-base']));
  t.diagnostic(`the image adds ${Math.round((image.Size - base.Size) / 1e6)} MB to its base`);
  assert.match(
    await docker(['run', '--rm', '--network', 'none', '--cap-drop', 'ALL', 'weft', 'version']),
    /^weft \d/,
  );
  const listed = await docker([
    'run',
    '--rm',
    '--network',
    'none',
    '--entrypoint',
    'ls',
    'weft',
    '/usr/lib/weft/node_modules',
  ]);
  assert.ok(listed.includes('tun-tap') && !listed.includes('typescript'), listed);
});

test('three containers on three networks join by token and ping, with NET_ADMIN and nothing more', async () => {
  mkdirSync(join(folder, 'compose'));
  writeFileSync(join(folder, 'compose/compose.yaml'), readFileSync(join(ROOT, 'docker/compose.yaml')));
  writeFileSync(join(folder, 'compose/token'), '', { mode: 0o600 });
  await composeOk(['run', '--rm', 'first']);
  await composeOk(['up', '-d', 'alpha']);
  const answers = async (name: string): Promise<boolean> =>
    (await compose(['exec', '-T', name, 'weft', 'status'])).status === 0;
  await until('alpha', { timeoutMs: 60_000 }, async () => ((await answers('alpha')) ? true : null));
  const token = await composeOk(['exec', '-T', 'alpha', 'weft', 'token', 'create', '--uses', '2']);
  writeFileSync(join(folder, 'compose/token'), token, { mode: 0o600 });
  await composeOk(['up', '-d', 'beta', 'gamma']);
  for (const [from, to] of [
    ['alpha', 'beta'],
    ['beta', 'gamma'],
    ['gamma', 'alpha'],
  ] as const)
    await until(`${from} to ${to}`, { timeoutMs: 60_000 }, async () =>
      (await compose(['exec', '-T', from, 'ping', '-q', '-c', '3', '-i', '0.2', '-W', '1', HOSTS[to]]))
        .status === 0
        ? true
        : null,
    );
  const status = await composeOk([
    'exec',
    '-T',
    'beta',
    'sh',
    '-c',
    'cat /proc/$(pgrep -f "weft up" | head -1 || echo 1)/status || cat /proc/1/status',
  ]);
  assert.match(status, /^CapEff:\s+0*1000$/m);
});

test('Docker calls the agents healthy and runs none of them privileged', async () => {
  const id = (await composeOk(['ps', '-q', 'gamma'])).trim();
  const health = async (): Promise<string> =>
    (await docker(['inspect', '-f', '{{.State.Health.Status}}', id])).trim();
  await until('healthy', { timeoutMs: 60_000 }, async () => ((await health()) === 'healthy' ? true : null));
  assert.equal((await docker(['inspect', '-f', '{{.HostConfig.Privileged}}', id])).trim(), 'false');
});

test('a container that is stopped says goodbye, and comes back from its volume without a token', async () => {
  await composeOk(['stop', '-t', '10', 'gamma']);
  writeFileSync(join(folder, 'compose/token'), '');
  const members = async (): Promise<string> => composeOk(['exec', '-T', 'alpha', 'weft', 'members']);
  await until('left', { timeoutMs: 20_000 }, async () => (/gamma.*left/.test(await members()) ? true : null));
  await composeOk(['start', 'gamma']);
  await until('ping', { timeoutMs: 60_000 }, async () =>
    (await compose(['exec', '-T', 'alpha', 'ping', '-q', '-c', '1', '-W', '1', HOSTS.gamma])).status === 0
      ? true
      : null,
  );
});

test('a container in the network of its machine joins by the line of the documents', async () => {
  await composeOk(['down', '-v', '-t', '5']);
  await composeOk(['run', '--rm', 'first']);
  await composeOk(['up', '-d', 'alpha']);
  const token = ['exec', '-T', 'alpha', 'weft', 'token', 'create'];
  const made = await until('a token', { timeoutMs: 60_000 }, async () => {
    const { status, out } = await compose(token);
    return status === 0 ? out : null;
  });
  const intoRoot = ['nsenter', '-t', String(daemon.pid), '-m', 'sh', '-c', 'umask 077; cat > /root/token'];
  assert.equal((await run(intoRoot, { input: made })).status, 0);
  await types(
    'docker run -d --name weft --network host --cap-drop ALL --cap-add NET_ADMIN --device /dev/net/tun -v weft-state:/var/lib/weft -v /root/token:/run/token:ro -e WEFT_NAME=beta -e WEFT_TOKEN_FILE=/run/token weft',
  );
  const status = await until('its agent', { timeoutMs: 60_000 }, () =>
    types('docker exec weft weft status'),
  ).catch(async (error) => {
    const said = await run(['docker', 'logs', '--tail', '5', 'weft'], { env: env() });
    throw new Error(`${said.out}${said.err}`, { cause: error });
  });
  assert.match(status, /^host +beta in mesh weft$/m);
  await until('beta at alpha', { timeoutMs: 30_000 }, async () =>
    /^beta .* up /m.test(await composeOk(['exec', '-T', 'alpha', 'weft', 'peers'])) ? true : null,
  );
  await docker(['rm', '-f', 'weft']);
  await docker(['volume', 'rm', 'weft-state']);
});
