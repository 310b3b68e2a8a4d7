/**
 * Debian machines without a hypervisor: a debootstrap tree, a writable layer for each machine, and its own systemd as pid 1 of
 * systemd-nspawn(1), with its own namespaces and the network namespace it is put into. Used by the tests of the package and of
 * the documents. What was made is removed by `remove`, and when the process ends.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { CHILD_ENV, type Ended, run } from '../../agent/lab/command.ts';
import { until } from '../../agent/lab/wait.ts';

export const SUITE = 'bookworm';
/** What a machine needs besides Debian's minimum: an init, the network tools that people use, what node is linked with. */
const PACKAGES =
  'systemd,systemd-sysv,dbus,iproute2,iputils-ping,adduser,libstdc++6,nftables,ca-certificates,tini';
const TOOLS = ['debootstrap', 'systemd-container'];
const BOOT_MS = 60_000;

/** As `run`, with a long time. @throws Error unless it ends with 0 */
export async function must(command: readonly string[], timeoutMs = 240_000): Promise<string> {
  const ended = await run(command, { timeoutMs });
  if (ended.status === 0) return ended.out;
  throw new Error(
    `${command.join(' ')}: status ${ended.status}: ${ended.err.slice(-2000)}${ended.out.slice(-2000)}`,
  );
}

/** Installs what is missing on the machine that runs the tests. */
export async function needTools(packages: readonly string[] = TOOLS): Promise<void> {
  const states = await Promise.all(packages.map((name) => run(['dpkg', '-s', name])));
  const missing = packages.filter((_, i) => !states[i]?.out.includes('\nStatus: install ok installed\n'));
  if (missing.length === 0) return;
  const apt = ['apt-get', '-o', 'DPkg::Lock::Timeout=300', '-qq', '-y'];
  const quiet = ['env', 'DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1'];
  await run([...quiet, ...apt, 'update']);
  await must([...quiet, ...apt, 'install', '--no-install-recommends', ...missing]);
}

/** A folder for trees, gone when the process ends. */
export function workFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-install-'));
  process.once('exit', () => {
    // Only what is still mounted inside this folder, deepest first.
    const mounts = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '');
    for (const mount of mounts.filter((path) => path.startsWith(`${folder}/`)).reverse())
      spawnSync('umount', ['-l', mount]);
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/**
 * A Debian tree. WEFT_DEBIAN_ROOT names one that is kept from an earlier run (made there if it is not): the network is
 * needed once.
 */
export async function debianTree(folder: string): Promise<string> {
  await needTools();
  const tree = process.env.WEFT_DEBIAN_ROOT ?? join(folder, 'debian');
  if (existsSync(join(tree, 'usr/bin/tini'))) return tree;
  const mirror = process.env.WEFT_DEBIAN_MIRROR ?? 'http://deb.debian.org/debian';
  await must(['debootstrap', '--variant=minbase', `--include=${PACKAGES}`, SUITE, tree, mirror], 580_000);
  return tree;
}

/** The Node that runs this test as the package `nodejs`: what weft's package depends on, from wherever it was installed. */
export async function nodePackage(folder: string): Promise<string> {
  const tree = join(folder, 'nodejs');
  mkdirSync(join(tree, 'DEBIAN'), { recursive: true });
  mkdirSync(join(tree, 'usr/bin'), { recursive: true });
  copyFileSync(process.execPath, join(tree, 'usr/bin/node'));
  const arch = (await must(['dpkg', '--print-architecture'])).trim();
  writeFileSync(
    join(tree, 'DEBIAN/control'),
    `Package: nodejs\nVersion: ${process.versions.node}\nArchitecture: ${arch}\nMaintainer: test <test@localhost>\nDescription: Node of the tests\n`,
  );
  const out = join(folder, 'nodejs.deb');
  await must(['dpkg-deb', '-Znone', '--root-owner-group', '-b', tree, out]);
  return out;
}

/** The same package with another version number: what an upgrade installs. */
export async function renumbered(deb: string, version: string, folder: string): Promise<string> {
  const tree = join(folder, `weft-${version}`);
  await must(['dpkg-deb', '-R', deb, tree]);
  const control = join(tree, 'DEBIAN/control');
  writeFileSync(control, readFileSync(control, 'utf8').replace(/^Version: .*$/m, `Version: ${version}`));
  const out = join(folder, `weft_${version}.deb`);
  await must(['dpkg-deb', '-Zgzip', '--root-owner-group', '-b', tree, out]);
  return out;
}

export class Machine {
  readonly name: string;
  readonly root: string;
  readonly #folder: string;
  readonly #namespace: string;
  #nspawn: ChildProcess | null = null;
  #log = '';
  #pid = 0;

  private constructor(name: string, folder: string, namespace: string) {
    this.name = name;
    this.#folder = folder;
    this.#namespace = namespace;
    this.root = join(folder, `${name}-${basename(folder)}`);
  }

  /** @param tree stays as it is; @param namespace the network that the machine sees */
  static async boot(name: string, tree: string, folder: string, namespace: string): Promise<Machine> {
    const machine = new Machine(name, folder, namespace);
    const layers = ['upper', 'work'].map((layer) => join(folder, `${name}-${layer}`));
    for (const path of [machine.root, ...layers]) mkdirSync(path, { recursive: true });
    const options = `lowerdir=${tree},upperdir=${layers[0]},workdir=${layers[1]}`;
    await must(['mount', '-t', 'overlay', 'overlay', '-o', options, machine.root]);
    await machine.start();
    return machine;
  }

  /** Boots systemd and waits until it has. */
  async start(): Promise<void> {
    // A node of its own, as udev would make it: the machine that runs the tests keeps its mode.
    const tun = join(this.#folder, `${this.name}-tun`);
    if (!existsSync(tun)) await must(['mknod', '-m', '0666', tun, 'c', '10', '200']);
    const child = spawn(
      'systemd-nspawn',
      [
        ...['--quiet', '--register=no', '--keep-unit', '--boot', '--console=read-only', '-D', this.root],
        ...[`--network-namespace-path=/run/netns/${this.#namespace}`, `--bind=${tun}:/dev/net/tun`],
        ...['--capability=CAP_NET_ADMIN', '--resolv-conf=off', '--timezone=off', '--link-journal=no'],
      ],
      { env: { ...CHILD_ENV }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    process.once('exit', () => child.kill('SIGKILL'));
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#log = (this.#log + text).slice(-8192);
      });
    this.#nspawn = child;
    await until(`boot of ${this.name}`, { timeoutMs: BOOT_MS }, async () => {
      if (child.exitCode !== null) throw new Error(`${this.name}: ${this.#log}`);
      this.#pid = this.#leader();
      if (this.#pid === 0) return null;
      const state = (await this.run(['systemctl', 'is-system-running'])).out.trim();
      return state === 'running' || state === 'degraded' ? true : null;
    });
  }

  /** Pid 1 of the machine as seen from outside: the child of nspawn; 0 before there is one. */
  #leader(): number {
    const pid = this.#nspawn?.pid ?? 0;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    return Number(children[0] ?? 0);
  }

  /** Any command inside, as root, as argv from outside. */
  inside(command: readonly string[]): string[] {
    return ['nsenter', '-t', String(this.#pid), '-m', '-u', '-i', '-n', '-p', '-r', '-w', '--', ...command];
  }

  run(command: readonly string[], timeoutMs = 60_000, input?: string): Promise<Ended> {
    return run(this.inside(command), { timeoutMs, ...(input !== undefined && { input }) });
  }

  /** As `run`, and what it printed. @throws Error unless it ends with 0 */
  ok(command: readonly string[], timeoutMs = 60_000): Promise<string> {
    return must(this.inside(command), timeoutMs);
  }

  /** A shell line inside. @throws Error unless it ends with 0 */
  sh(line: string, timeoutMs = 60_000): Promise<string> {
    return this.ok(['sh', '-ec', line], timeoutMs);
  }

  /**
   * A line of the documents as it stands there, typed in /var/tmp by somebody who answers yes. Returns what it said.
   * @throws Error unless it ends with 0
   */
  async types(line: string, timeoutMs = 60_000): Promise<string> {
    const typed = ['bash', '-c', 'cd /var/tmp && eval "$1"', 'bash', line];
    const ended = await this.run(typed, timeoutMs, 'y\n');
    if (ended.status === 0) return `${ended.out}${ended.err}`;
    throw new Error(`${this.name}: ${line}: status ${ended.status}: ${ended.err}${ended.out}`);
  }

  /** Copies a file in, under /var/tmp. Returns its path there. */
  put(file: string, name = basename(file)): string {
    const path = join('/var/tmp', name);
    copyFileSync(file, join(this.root, path));
    return path;
  }

  async remove(): Promise<void> {
    const child = this.#nspawn;
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
      // Its pid 1 goes with it (PR_SET_PDEATHSIG); its mounts a moment later.
    }
    await until('unmount', { timeoutMs: 20_000 }, async () =>
      (await run(['umount', this.root])).status === 0 || !existsSync(join(this.root, 'usr')) ? true : null,
    );
  }
}
