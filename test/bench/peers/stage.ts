/**
 * Where one overlay is measured: two network namespaces joined by one veth cable, `a` 10.77.0.1 and `b` 10.77.0.2, and a
 * folder. What was started and made here is removed by `remove`, and again when this process ends, however it ends but for
 * SIGKILL.
 *
 *   a  wire0 10.77.0.1 ========== veth ========== wire0 10.77.0.2  b
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CHILD_ENV, ip, run } from '../../../agent/lab/command.ts';
import { until } from '../../../agent/lab/wait.ts';
import { expectOk } from '../../netns/mesh.ts';
import { inside } from '../../netns/programs.ts';

export const SIDES = ['a', 'b'] as const;
export type Side = (typeof SIDES)[number];
export const other = (side: Side): Side => (side === 'a' ? 'b' : 'a');

/** Settings of the cable by ethtool -K, the same at both ends. */
export const WIRES = {
  /** veth as it comes: super-frames cross uncut, inside a kernel tunnel too (two guests of one host). */
  virt: [],
  /** A NIC that cuts TCP and UDP but no tunnels (most clouds). */
  nic: ['tx-udp_tnl-segmentation', 'off', 'tx-udp_tnl-csum-segmentation', 'off', 'gro', 'on'],
  /** A NIC that cuts nothing. */
  soft: [
    ...['tso', 'off', 'tx-udp-segmentation', 'off'],
    ...['tx-udp_tnl-segmentation', 'off', 'tx-udp_tnl-csum-segmentation', 'off', 'gro', 'on'],
  ],
} as const;
export type Wire = keyof typeof WIRES;

const UNDERLAY = { a: '10.77.0.1', b: '10.77.0.2' } as const;
const OVERLAY = { a: '10.99.0.1', b: '10.99.0.2' } as const;
const CABLE = 'wire0';
const UNDERLAY_MTU_BYTES = 1500;
const STOP_MS = 5000;
const LOG_TAIL_BYTES = 2000;

export class Stage {
  readonly #id = randomBytes(3).toString('hex');
  readonly folder = mkdtempSync(join(tmpdir(), 'weft-bench-'));
  /** Bounded by what one overlay starts: two daemons and their keepers. */
  readonly #daemons: ChildProcess[] = [];
  /** Files outside the folder that a daemon which was killed would leave; bounded likewise. */
  readonly #strays: string[] = [];
  readonly #log = join(this.folder, 'log');
  readonly #onExit = (): void => this.#removeNow();

  private constructor() {
    process.once('exit', this.#onExit);
  }

  static async create(wire: Wire): Promise<Stage> {
    const stage = new Stage();
    try {
      await stage.#build(wire);
    } catch (error) {
      await stage.remove();
      throw error;
    }
    return stage;
  }

  namespace(side: Side): string {
    return `weft-bench-${this.#id}-${side}`;
  }
  underlay(side: Side): string {
    return UNDERLAY[side];
  }
  overlay(side: Side): string {
    return OVERLAY[side];
  }
  readonly cable = CABLE;

  async #build(wire: Wire): Promise<void> {
    for (const side of SIDES) await ip(['netns', 'add', this.namespace(side)]);
    const [a, b] = SIDES.map((side) => this.namespace(side)) as [string, string];
    await ip(['link', 'add', CABLE, 'netns', a, 'type', 'veth', 'peer', 'name', CABLE, 'netns', b]);
    for (const side of SIDES) {
      await this.ip(side, ['link', 'set', 'lo', 'up']);
      await this.ip(side, ['link', 'set', CABLE, 'mtu', String(UNDERLAY_MTU_BYTES), 'up']);
      await this.ip(side, ['address', 'add', `${UNDERLAY[side]}/24`, 'dev', CABLE]);
      // vpncloud asks the kernel which address faces the world.
      await this.ip(side, ['route', 'add', 'default', 'dev', CABLE]);
      if (WIRES[wire].length > 0) await this.runOk(side, ['ethtool', '-K', CABLE, ...WIRES[wire]]);
    }
  }

  ip(side: Side, args: readonly string[]): Promise<string> {
    return ip(['-n', this.namespace(side), ...args]);
  }

  /** A program inside a side, to its end. @throws Error unless it ends with 0 */
  async runOk(side: Side, command: readonly string[]): Promise<string> {
    return expectOk(command, await run(inside(this.namespace(side), command), { timeoutMs: 60_000 }));
  }

  /** Starts a program that stays. */
  daemon(side: Side, command: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
    const [program = '', ...args] = inside(this.namespace(side), command);
    const log = openSync(this.#log, 'a');
    const child = spawn(program, args, {
      env: { ...CHILD_ENV, ...env },
      stdio: ['ignore', log, log],
      cwd: this.folder,
    });
    closeSync(log);
    this.#daemons.push(child);
    return child;
  }

  /** Notes a file outside the folder to be removed at the end. */
  stray(path: string): void {
    this.#strays.push(path);
  }

  /** Gives an interface, as soon as it is there, the side's overlay address. */
  async address(side: Side, device: string, mtuBytes: number): Promise<void> {
    await until(`${device} of ${side}`, { timeoutMs: 10_000 }, () => this.ip(side, ['link', 'show', device]));
    await this.ip(side, ['link', 'set', device, 'mtu', String(mtuBytes)]);
    await this.ip(side, ['address', 'replace', `${OVERLAY[side]}/24`, 'dev', device]);
    await this.ip(side, ['link', 'set', device, 'up']);
  }

  /** Process numbers of the daemons that still run. `ip netns exec` becomes the program, so they are the programs' own. */
  pids(): number[] {
    return this.#daemons.filter(runs).flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  /** The end of what the daemons said. */
  complaint(): string {
    try {
      return readFileSync(this.#log, 'utf8').slice(-LOG_TAIL_BYTES);
    } catch {
      return '';
    }
  }

  async remove(): Promise<void> {
    for (const child of this.#daemons.filter(runs)) child.kill('SIGTERM');
    await until('end of the daemons', { timeoutMs: STOP_MS, everyMs: 50 }, () =>
      this.#daemons.some(runs) ? null : true,
    ).catch(() => undefined);
    this.#removeNow();
    process.off('exit', this.#onExit);
  }

  #removeNow(): void {
    for (const child of this.#daemons.filter(runs)) child.kill('SIGKILL');
    for (const side of SIDES) {
      const left =
        spawnSync('ip', ['netns', 'pids', this.namespace(side)], { encoding: 'utf8' }).stdout ?? '';
      for (const pid of left.split(/\s+/).filter(Boolean)) spawnSync('kill', ['-9', pid]);
      spawnSync('ip', ['netns', 'delete', this.namespace(side)]);
    }
    for (const path of [...this.#strays, this.folder]) rmSync(path, { recursive: true, force: true });
  }
}

const runs = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;
