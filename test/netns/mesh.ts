/**
 * A real mesh for one test file: namespaces around a router (agent/lab/topology.ts has the picture), one agent process in
 * each, started with the commands of the contract. Names carry a random part, so that files may run side by side. What was
 * made is removed by `remove`, and again when the process ends, however it ends.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TokenReport } from '../../agent/control/admission-types.ts';
import { CHILD_ENV, type Ended, type RunOptions, run } from '../../agent/lab/command.ts';
import { Host } from '../../agent/lab/host.ts';
import { Topology, type TopologyOptions } from '../../agent/lab/topology.ts';
import { until } from '../../agent/lab/wait.ts';

export interface MeshOptions extends TopologyOptions {
  readonly mode?: 'sealed' | 'plain';
  readonly encap?: 'vxlan' | 'geneve';
  readonly vni?: number;
  /** Prefix of the overlay, with the first host's address. */
  readonly overlay?: string;
  /** Further lines of the configuration file of all hosts. */
  readonly config?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Makes a recovery key in `recoveryPath`. */
  readonly recovery?: boolean;
}

export const OVERLAY = '10.80.0.1/24';

export class Mesh {
  readonly topology: Topology;
  readonly hosts: readonly Host[];
  readonly folder: string;
  readonly configPath: string;
  readonly #options: MeshOptions;
  readonly recoveryPath: string;
  readonly #onExit = (): void => this.#removeNow();

  private constructor(options: MeshOptions) {
    this.#options = options;
    this.topology = Topology.plan(options);
    this.folder = mkdtempSync(join(tmpdir(), `${this.topology.prefix}-`));
    this.configPath = join(this.folder, 'config.yaml');
    this.recoveryPath = join(this.folder, 'recovery.txt');
    writeFileSync(this.configPath, options.config ?? 'log:\n  level: info\n');
    const env = { ...CHILD_ENV, ...options.env };
    this.hosts = this.topology.nodes.map((node) => new Host(node, this.folder, this.configPath, env));
    process.once('exit', this.#onExit);
    for (const signal of SIGNALS) process.on(signal, exitBySignal);
  }

  /** Namespaces only: no agent runs yet. */
  static async underlay(options: MeshOptions): Promise<Mesh> {
    const mesh = new Mesh(options);
    await mesh.topology.create();
    return mesh;
  }

  /** Every host is up and has a session with every other. */
  static async start(options: MeshOptions): Promise<Mesh> {
    const mesh = await Mesh.underlay(options);
    await mesh.init();
    await mesh.join(mesh.hosts.slice(1));
    await mesh.converged();
    return mesh;
  }

  host(index: number): Host {
    const host = this.hosts[index];
    if (host === undefined) throw new Error(`this mesh has no host ${index}`);
    return host;
  }

  /** Makes the mesh on the first host and starts it. */
  async init(): Promise<void> {
    const host = this.host(0);
    const { mode = 'sealed', encap = 'vxlan', vni, overlay = OVERLAY } = this.#options;
    const numbered = vni === undefined ? [] : ['--vni', String(vni)];
    const kept = this.#options.recovery === true ? ['--recovery-out', this.recoveryPath] : [];
    const settings = [...kept, '--mode', mode, '--encap', encap, '--address', overlay, ...numbered];
    await host.weftOk(['init', '--name', host.name, '--underlay', host.node.address, ...settings]);
    host.start(['run']);
    await host.ready();
  }

  /** A token as a file. */
  async token(args: readonly string[] = []): Promise<string> {
    const file = join(this.folder, `token-${this.#tokens++}`);
    const made: TokenReport = JSON.parse(await this.host(0).weftOk(['token', 'create', '--json', ...args]));
    writeFileSync(file, `${made.token}\n`, { mode: 0o600 });
    this.tokenIds.push(made.id);
    return file;
  }
  #tokens = 0;
  /** Of the tokens made so far, in their order; bounded by what one test makes. */
  readonly tokenIds: string[] = [];

  async join(hosts: readonly Host[]): Promise<void> {
    if (hosts.length === 0) return;
    const file = await this.token(['--uses', String(hosts.length), '--allow', 'bridge']);
    for (const host of hosts) {
      host.start(['up', '--token-file', file, '--name', host.name, '--underlay', host.node.address]);
    }
    for (const host of hosts) await host.ready();
  }

  /** The hosts whose agent runs. */
  get running(): readonly Host[] {
    return this.hosts.filter((host) => host.pid !== null && host.exitStatus === null);
  }

  /** Waits until every host that runs has a session with every other that runs. */
  async converged(timeoutMs = 30_000): Promise<void> {
    const { running } = this;
    for (const host of running) {
      const others = running.filter((other) => other !== host).map((other) => other.name);
      await until(`sessions of ${host.name}`, { timeoutMs }, async () => {
        const up = (await host.peers()).filter((peer) => peer.state === 'up').map((peer) => peer.name);
        return others.every((name) => up.includes(name)) ? true : null;
      });
    }
  }

  /** A program inside a host. */
  run(index: number, command: readonly string[], options?: RunOptions): Promise<Ended> {
    return run(this.host(index).inside(command), options);
  }

  /** As `run`. @throws Error unless it ends with 0 */
  async runOk(index: number, command: readonly string[], options?: RunOptions): Promise<string> {
    return expectOk(command, await this.run(index, command, options));
  }

  async inRouter(command: readonly string[], options?: RunOptions): Promise<string> {
    const ended = await run(['ip', 'netns', 'exec', this.topology.router, ...command], options);
    return expectOk(command, ended);
  }

  /** A sum over the series of a metric whose labels all match. */
  async metric(index: number, name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const text = await this.host(index).api.getText('/v1/metrics');
    return sumOfSeries(text, name, labels);
  }

  /** Stops every agent and removes every namespace and file. */
  async remove(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.stop().catch(() => null)));
    await this.topology.remove();
    rmSync(this.folder, { recursive: true, force: true });
    process.off('exit', this.#onExit);
    for (const signal of SIGNALS) process.off(signal, exitBySignal);
  }

  /** The same without waiting for anything, for the end of a process that did not get to `remove`. */
  #removeNow(): void {
    for (const namespace of this.topology.namespaces()) {
      const inside = spawnSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' }).stdout ?? '';
      for (const pid of inside.split(/\s+/).filter(Boolean)) spawnSync('kill', ['-9', pid]);
      spawnSync('ip', ['netns', 'delete', namespace]);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs the exit handlers, which a signal by itself would not. Whoever ends a group of processes gives a test two of them, its own
 * and the runner's: the handler stays, or the second would end it in the middle of its cleaning up.
 */
function exitBySignal(): void {
  process.exit(1);
}

export function expectOk(command: readonly string[], ended: Ended): string {
  if (ended.status === 0) return ended.out;
  throw new Error(`${command.join(' ')}: status ${ended.status}: ${ended.err}${ended.out}`);
}

/** Sum of the values of all series `name` in an exposition that carry these labels. */
export function sumOfSeries(text: string, name: string, labels: Readonly<Record<string, string>>): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => wanted.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** The overlay address of a host, without its prefix. */
export async function overlayOf(host: Host): Promise<string> {
  const { address } = await host.api.get<{ address: string | null }>('/v1/status');
  if (address === null) throw new Error(`${host.name} has no overlay address`);
  return address.split('/')[0] ?? '';
}

/** Bytes of every file of a host's state, by name: to see that a failed command has changed nothing. */
export function readState(host: Host, file: string): Buffer {
  return readFileSync(join(host.stateDir, file));
}
