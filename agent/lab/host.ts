/**
 * One host of the lab: a namespace, a folder for its state, and one real agent process, started with the commands that
 * a person would type. Used by the lab and by the namespace tests.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient } from '../cli/client.ts';
import type { MemberState, MembersReport, PeersReport, StatusReport } from '../control/api-types.ts';
import { WeftError } from '../errors.ts';
import { CHILD_ENV, type Ended, type RunOptions, run, WEFT } from './command.ts';
import type { Node } from './topology.ts';
import { until } from './wait.ts';

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 10_000;
const LOG_TAIL_LINES = 5;

export class Host {
  readonly node: Node;
  readonly stateDir: string;
  readonly socketPath: string;
  readonly logPath: string;
  readonly api: ApiClient;
  readonly #configPath: string;
  readonly #env: Readonly<Record<string, string>>;
  #agent: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();

  /**
   * @param folder where its files go; an empty configuration keeps /etc/weft/config.yaml of this machine out
   * @param configPath a configuration file that exists
   */
  constructor(
    node: Node,
    folder: string,
    configPath: string,
    env: Readonly<Record<string, string>> = CHILD_ENV,
  ) {
    this.node = node;
    this.stateDir = join(folder, node.name);
    this.socketPath = join(folder, `${node.name}.sock`);
    this.logPath = join(folder, `${node.name}.log`);
    this.#configPath = configPath;
    this.#env = env;
    this.api = new ApiClient(this.socketPath, 5000);
    mkdirSync(folder, { recursive: true });
  }

  get name(): string {
    return this.node.name;
  }

  /** Process of the agent, or null if none runs. */
  get pid(): number | null {
    return this.#agent?.pid ?? null;
  }

  /** Exit status of an agent that has ended; null while it runs or when a signal ended it. */
  get exitStatus(): number | null {
    return this.#agent?.exitCode ?? null;
  }

  /** `weft VERB...` of this host, inside its namespace, as argv. */
  command(args: readonly string[]): readonly string[] {
    const globals = ['--state', this.stateDir, '--socket', this.socketPath, '--config', this.#configPath];
    return this.inside([...WEFT, ...globals, ...args]);
  }

  /** Any program inside the namespace, as argv. */
  inside(command: readonly string[]): readonly string[] {
    return ['ip', 'netns', 'exec', this.node.namespace, ...command];
  }

  weft(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return run(this.command(args), { env: this.#env, ...options });
  }

  /** As `weft`, and what it printed. @throws WeftError E_DEVICE if it fails */
  async weftOk(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const ended = await this.weft(args, options);
    if (ended.status === 0) return ended.out;
    throw new WeftError('E_DEVICE', `${this.name}: weft ${args[0]} failed: ${ended.err.trim()}`);
  }

  /** Starts the agent with a verb that stays in the foreground; its log goes to a file, so that it may outlive us. */
  start(args: readonly string[]): void {
    const [program = '', ...rest] = this.command(args);
    const log = openSync(this.logPath, 'a', 0o600);
    const child = spawn(program, rest, {
      env: this.#env,
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    this.#agent = child;
    this.#ended = new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
  }

  /** Waits until the agent says that it is up. @throws WeftError E_TIMEOUT or E_DEVICE with the end of its log */
  async ready(signal?: AbortSignal): Promise<StatusReport> {
    const options = { timeoutMs: START_TIMEOUT_MS, everyMs: 50, ...(signal && { signal }) };
    const status = await until(`agent of ${this.name}`, options, async () => {
      if (this.#hasEnded()) return 'ended' as const;
      const report = await this.api.get<StatusReport>('/v1/status');
      return report.state === 'up' ? report : null;
    });
    if (status !== 'ended') return status;
    throw new WeftError('E_DEVICE', `agent of ${this.name} ended: ${this.logTail()}`);
  }

  async members(): Promise<MembersReport['members']> {
    return (await this.api.get<MembersReport>('/v1/members')).members;
  }

  async peers(): Promise<PeersReport['peers']> {
    return (await this.api.get<PeersReport>('/v1/peers')).peers;
  }

  /** How this host sees `name`; null if it does not know it. */
  async stateOf(name: string): Promise<MemberState | null> {
    return (await this.members()).find((member) => member.name === name)?.state ?? null;
  }

  /** SIGKILL: no farewell, no cleaning up. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#ended;
  }

  /** SIGTERM and the exit status; SIGKILL if it does not end in time. */
  async stop(): Promise<number | null> {
    this.signal('SIGTERM');
    try {
      await until(`end of ${this.name}`, { timeoutMs: STOP_TIMEOUT_MS, everyMs: 20 }, () =>
        this.#hasEnded() ? true : null,
      );
    } finally {
      await this.kill();
    }
    return this.exitStatus;
  }

  /** Lets this process end while the agent goes on. */
  release(): void {
    this.#agent?.unref();
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#agent !== null && !this.#hasEnded()) this.#agent.kill(signal);
  }

  /** Last lines of the agent's log. */
  logTail(lines = LOG_TAIL_LINES): string {
    return this.log().trimEnd().split('\n').slice(-lines).join('\n');
  }

  log(): string {
    try {
      return readFileSync(this.logPath, 'utf8');
    } catch {
      return '';
    }
  }

  #hasEnded(): boolean {
    const agent = this.#agent;
    return agent === null || agent.exitCode !== null || agent.signalCode !== null;
  }
}
