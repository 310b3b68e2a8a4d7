/**
 * A machine of the documents to type at: a network namespace of a Site, and a mount namespace in which every folder that a
 * document writes to is a layer of its own over this machine's, so that `/etc/weft`, `/var/lib/weft`, `/usr/local`, `/root`, `/tmp` and
 * the rest are as on a fresh machine and nothing outside is touched. A holder process keeps the mounts; they go with it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient } from '../../../agent/cli/client.ts';
import type { PeersReport, StatusReport } from '../../../agent/control/api-types.ts';
import { CHILD_ENV, type Ended, run } from '../../../agent/lab/command.ts';
import { until } from '../../../agent/lab/wait.ts';
import { ROOT } from '../../unit/style-source.ts';
import { Foreground } from './foreground.ts';
import type { Site } from './site.ts';

/** What `npm ci` makes in a clone. */
const MADE = ['node_modules', 'dist', 'tun-tap/build', 'tun-tap/dist'];
const START_MS = 30_000;
const LAYERS = '/run/layers';

/** Writable layers over the folders of this machine that the documents write to; then says so and stays. */
const HOLDER = `set -e
mount -t tmpfs -o mode=755 run /run
for folder in etc usr var root opt tmp; do
  mkdir -p ${LAYERS}/$folder/up ${LAYERS}/$folder/work
  chmod --reference=/$folder ${LAYERS}/$folder/up
  mount -t overlay overlay -o lowerdir=/$folder,upperdir=${LAYERS}/$folder/up,workdir=${LAYERS}/$folder/work /$folder
done
# Somebody else's settings are none of a fresh machine.
rm -rf /etc/weft /var/lib/weft /root/.npmrc
echo here
exec sleep infinity`;

const ENV = {
  ...CHILD_ENV,
  HOME: '/root',
  // No registry is reached from here: what an npm command needs is there.
  npm_config_offline: 'true',
  npm_config_audit: 'false',
  npm_config_update_notifier: 'false',
  // `npm link` and `npx` would build once more what is built.
  npm_config_ignore_scripts: 'true',
};

export interface TypeOptions {
  readonly cwd?: string;
  readonly timeoutMs?: number;
}

export class Machine {
  readonly name: string;
  readonly api: ApiClient;
  readonly #holder: ChildProcess;
  readonly #consolePath: string;

  private constructor(name: string, holder: ChildProcess, folder: string) {
    this.name = name;
    this.#holder = holder;
    this.#consolePath = join(folder, `${name}.log`);
    this.api = new ApiClient(`/proc/${holder.pid}/root/run/weft/weft.sock`, 5000);
  }

  static async boot(site: Site, name: string): Promise<Machine> {
    const inside = ['netns', 'exec', site.namespace(name), 'unshare', '-m', 'bash', '-c', HOLDER];
    const holder = spawn('ip', inside, { env: ENV, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [holder.stdout, holder.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    await until(`mounts of ${name}`, { timeoutMs: 10_000, everyMs: 10 }, () => {
      if (holder.exitCode !== null) throw new Error(said);
      return said.includes('here\n') ? true : null;
    });
    return new Machine(name, holder, site.folder);
  }

  /** The argv that types a line here: `bash` reads it as it stands. */
  #argv(line: string, cwd: string): string[] {
    const enter = ['nsenter', '-t', String(this.#holder.pid), '-m', '-n', '--'];
    return [...enter, 'bash', '-c', 'cd "$1" && eval "$2"', 'bash', cwd, line];
  }

  /** Runs a line to its end; its status is the caller's to judge. */
  run(line: string, { cwd = '/root', timeoutMs = 60_000 }: TypeOptions = {}, input?: string): Promise<Ended> {
    return run(this.#argv(line, cwd), { env: ENV, timeoutMs, ...(input !== undefined && { input }) });
  }

  /** As `run`, for what the test itself needs done. @throws Error unless it ends with 0 */
  async ok(line: string, options?: TypeOptions, input?: string): Promise<string> {
    const ended = await this.run(line, options, input);
    if (ended.status === 0) return ended.out;
    throw new Error(
      `${this.name}: ${line}: status ${ended.status}: ${ended.err}${ended.out}${this.console()}`,
    );
  }

  /** A line that leaves a program behind (`&`); what it says goes to the console. */
  async leave(line: string, { cwd = '/root' }: TypeOptions = {}): Promise<void> {
    const [program = '', ...args] = this.#argv(line, cwd);
    const log = openSync(this.#consolePath, 'a', 0o600);
    const child = spawn(program, args, { env: ENV, stdio: ['ignore', log, log] });
    closeSync(log);
    await new Promise<void>((resolve) => child.once('exit', () => resolve()));
  }

  /** A line that stays in the foreground. */
  foreground(line: string, { cwd = '/root' }: TypeOptions = {}): Foreground {
    return new Foreground(line, this.#argv(line, cwd), ENV);
  }

  /** What programs that were left behind have said. */
  console(): string {
    try {
      return readFileSync(this.#consolePath, 'utf8');
    } catch {
      return '';
    }
  }

  /** A file of this machine, put there or read by the test. */
  async write(path: string, text: string): Promise<void> {
    await this.ok(`mkdir -p "$(dirname ${path})" && cat > ${path}`, {}, text);
  }

  read(path: string): Promise<string> {
    return this.ok(`cat ${path}`);
  }

  /** Waits until the agent is up. */
  ready(): Promise<StatusReport> {
    return until(`agent of ${this.name}`, { timeoutMs: START_MS, everyMs: 50 }, async () => {
      const status = await this.api.get<StatusReport>('/v1/status');
      return status.state === 'up' ? status : null;
    });
  }

  /** Waits until these are up as peers. */
  async meets(...names: readonly string[]): Promise<void> {
    await until(`${names} at ${this.name}`, { timeoutMs: START_MS, everyMs: 50 }, async () => {
      const { peers } = await this.api.get<PeersReport>('/v1/peers');
      return names.every((name) => peers.some((peer) => peer.name === name && peer.state === 'up'))
        ? true
        : null;
    });
  }

  /** Waits until no agent answers any more. */
  async gone(): Promise<void> {
    await until(`end of the agent of ${this.name}`, { timeoutMs: START_MS, everyMs: 50 }, async () => {
      const answers = await this.api.get<StatusReport>('/v1/status').then(
        () => true,
        () => false,
      );
      return answers ? null : true;
    });
  }

  /** What `npm ci` makes in a clone, as this run of the tests has it: .ci/run types `npm ci` itself. */
  async builtIn(clone: string): Promise<void> {
    for (const [i, made] of MADE.entries()) {
      const layer = `${LAYERS}/built-${i}-${clone.replaceAll('/', '-')}`;
      const options = `lowerdir=${join(ROOT, made)},upperdir=${layer}/up,workdir=${layer}/work`;
      await this.ok(
        `mkdir -p ${layer}/up ${layer}/work ${clone}/${made} && mount -t overlay overlay -o ${options} ${clone}/${made}`,
      );
    }
  }
}
