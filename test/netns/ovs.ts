/**
 * Open vSwitch in a namespace, userspace datapath, with one tunnel port: the foreign end of the interoperation tests. The
 * underlay interface becomes a port of br-phy, which takes over its address; br-int holds the tunnel and the overlay
 * address. Its daemons and files are its own and end with `stop`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CHILD_ENV, ip, run } from '../../agent/lab/command.ts';
import type { Node } from '../../agent/lab/topology.ts';
import { until } from '../../agent/lab/wait.ts';
import { expectOk } from './mesh.ts';
import { inside } from './programs.ts';

export interface OvsOptions {
  readonly node: Node;
  /** Router's address in the node's subnet. */
  readonly gateway: string;
  readonly folder: string;
  readonly kind: 'vxlan' | 'geneve';
  readonly vni: number;
  /** Underlay addresses of the far ends. */
  readonly remotes: readonly string[];
  /** Overlay address with prefix. */
  readonly address: string;
  readonly mtuBytes: number;
}

const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';

export class Ovs {
  readonly #options: OvsOptions;
  readonly #folder: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #daemons: ChildProcess[] = [];

  private constructor(options: OvsOptions) {
    this.#options = options;
    this.#folder = join(options.folder, `ovs-${options.kind}`);
    this.#env = { ...CHILD_ENV, OVS_RUNDIR: this.#folder, OVS_LOGDIR: this.#folder, OVS_DBDIR: this.#folder };
  }

  static async start(options: OvsOptions): Promise<Ovs> {
    const ovs = new Ovs(options);
    try {
      await ovs.#startDaemons();
      await ovs.#configure();
    } catch (error) {
      await ovs.stop();
      throw error;
    }
    return ovs;
  }

  async stop(): Promise<void> {
    for (const daemon of this.#daemons.reverse()) {
      daemon.kill('SIGKILL');
      await until(
        'end of ovs',
        { timeoutMs: 5000, everyMs: 10 },
        () => (daemon.signalCode ?? daemon.exitCode) !== null || null,
      );
    }
  }

  /** Runs a command of ours inside, with the environment that points at these daemons. */
  async #run(command: readonly string[]): Promise<string> {
    const full = inside(this.#options.node.namespace, command);
    return expectOk(command, await run(full, { env: this.#env }));
  }

  async #startDaemons(): Promise<void> {
    mkdirSync(this.#folder);
    await this.#run(['ovsdb-tool', 'create', join(this.#folder, 'conf.db'), SCHEMA]);
    this.#spawn(['ovsdb-server', join(this.#folder, 'conf.db'), `--remote=punix:${this.#socket}`]);
    await until('ovsdb-server', { timeoutMs: 5000, everyMs: 50 }, async () => {
      await this.#vsctl(['--no-wait', 'init']);
      return true;
    });
    this.#spawn(['ovs-vswitchd', `unix:${this.#socket}`]);
  }

  get #socket(): string {
    return join(this.#folder, 'db.sock');
  }

  #spawn(command: readonly string[]): void {
    const [program = '', ...args] = inside(this.#options.node.namespace, command);
    this.#daemons.push(spawn(program, args, { env: this.#env, stdio: 'ignore' }));
  }

  #vsctl(args: readonly string[]): Promise<string> {
    return this.#run(['ovs-vsctl', `--db=unix:${this.#socket}`, '--timeout=20', ...args]);
  }

  async #configure(): Promise<void> {
    const { node, gateway, kind, vni, remotes, address, mtuBytes } = this.#options;
    const userspace = ['datapath_type=netdev'];
    await this.#vsctl([
      'add-br',
      'br-phy',
      '--',
      'set',
      'bridge',
      'br-phy',
      ...userspace,
      '--',
      'add-port',
      'br-phy',
      'eth0',
    ]);
    await this.#vsctl(['add-br', 'br-int', '--', 'set', 'bridge', 'br-int', ...userspace]);
    for (const [i, remote] of remotes.entries()) {
      const port = `tun${i}`;
      const settings = [`type=${kind}`, `options:remote_ip=${remote}`, `options:key=${vni}`];
      await this.#vsctl(['add-port', 'br-int', port, '--', 'set', 'interface', port, ...settings]);
    }
    const batch = ['-n', node.namespace, '-batch', '-'];
    await ip(
      batch,
      `address flush dev eth0
       address add ${node.address}/24 dev br-phy
       link set br-phy up
       route replace default via ${gateway}
       link set br-int mtu ${mtuBytes}
       address add ${address} dev br-int
       link set br-int up\n`,
    );
  }
}
