/**
 * Where the documents take place: machines on one Ethernet, with the addresses that the documents name.
 *
 *   alpha eth0 192.0.2.10/24 --+
 *   beta  eth0 192.0.2.11/24 --+-- br0 (a namespace of its own: the switch)
 *   third eth0 192.0.2.20/24 --+
 *
 * Only namespaces: what a machine has on its disks is machine.ts. Names carry a random part. What was made is removed by
 * `remove`, and again when the process ends, however it ends. Used by the walk through the documents and by the package's test.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemRng } from '../../../agent/clock.ts';
import { ip, run } from '../../../agent/lab/command.ts';

/** Underlay address of each machine, by its name. */
export type Addresses = Readonly<Record<string, string>>;

/** The machines that the documents speak of; the last has no weft where the documents give it none. */
export const MACHINES = {
  alpha: '192.0.2.10',
  beta: '192.0.2.11',
  gamma: '192.0.2.12',
  stranger: '192.0.2.20',
} as const;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs the exit handlers, which a signal by itself would not. */
function exitBySignal(): void {
  process.exit(1);
}

export class Site {
  readonly prefix: string;
  /** For the consoles of the machines, outside of them. */
  readonly folder: string;
  readonly addresses: Addresses;
  readonly #onExit = (): void => this.#removeNow();

  private constructor(addresses: Addresses) {
    this.addresses = addresses;
    this.prefix = `weft-${Buffer.from(systemRng.fill(new Uint8Array(3))).toString('hex')}`;
    this.folder = mkdtempSync(join(tmpdir(), `${this.prefix}-`));
    process.once('exit', this.#onExit);
    for (const signal of SIGNALS) process.on(signal, exitBySignal);
  }

  static async create(addresses: Addresses): Promise<Site> {
    const site = new Site(addresses);
    await ip(['netns', 'add', site.switchboard]);
    await ip(['-n', site.switchboard, '-batch', '-'], 'link add br0 type bridge\nlink set br0 up\n');
    for (const [name, address] of Object.entries(addresses)) {
      const namespace = site.namespace(name);
      await ip(['netns', 'add', namespace]);
      await ip(
        ['-n', site.switchboard, '-batch', '-'],
        `link add ${site.port(name)} type veth peer name eth0 netns ${namespace}
         link set ${site.port(name)} master br0 up\n`,
      );
      // A way out that leads nowhere: a machine has one, and it says which address is the machine's.
      await ip(
        ['-n', namespace, '-batch', '-'],
        `link set lo up
         address add ${address}/24 dev eth0
         link set eth0 up
         route add default via 192.0.2.1\n`,
      );
    }
    return site;
  }

  /** The namespace that the machines are plugged into. */
  get switchboard(): string {
    return `${this.prefix}-switch`;
  }

  namespace(machine: string): string {
    return `${this.prefix}-${machine}`;
  }

  /** The switch's end of a machine's cable. */
  port(machine: string): string {
    return `to-${machine}`;
  }

  /** Kills what still runs inside and removes every namespace and file. */
  async remove(): Promise<void> {
    for (const namespace of this.#namespaces()) {
      const inside = await run(['ip', 'netns', 'pids', namespace]);
      for (const pid of inside.out.split(/\s+/).filter(Boolean)) await run(['kill', '-9', pid]);
      await run(['ip', 'netns', 'delete', namespace]);
    }
    rmSync(this.folder, { recursive: true, force: true });
    process.off('exit', this.#onExit);
    for (const signal of SIGNALS) process.off(signal, exitBySignal);
  }

  #namespaces(): string[] {
    return [...Object.keys(this.addresses).map((name) => this.namespace(name)), this.switchboard];
  }

  /** The same without waiting for anything, for the end of a process that did not get to `remove`. */
  #removeNow(): void {
    for (const namespace of this.#namespaces()) {
      const inside = spawnSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' }).stdout ?? '';
      for (const pid of inside.split(/\s+/).filter(Boolean)) spawnSync('kill', ['-9', pid]);
      spawnSync('ip', ['netns', 'delete', namespace]);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
