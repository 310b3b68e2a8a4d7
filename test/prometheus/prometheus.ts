/**
 * The Prometheus of Debian in a lab's router namespace, with the configuration and rules of docker/prometheus. Time is
 * pressed together: it scrapes and evaluates every second, `[5m]` becomes `[10s]`, `for: 2m` becomes `for: 2s`; what the rules
 * compare is left as it is. It finds the hosts by the file that `weft sd --underlay --out` writes. Asked through promtool.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { CHILD_ENV, run } from '../../agent/lab/command.ts';
import { until } from '../../agent/lab/wait.ts';
import { expectOk, type Mesh } from '../netns/mesh.ts';
import { inside } from '../netns/programs.ts';

const SOURCE = 'docker/prometheus';
const ADDRESS = '127.0.0.1:9090';
const RANGE_SEC = 10;
const PENDING_SEC = 2;
const STOP_TIMEOUT_MS = 15_000;

interface Rule {
  readonly alert?: string;
  expr: string;
  for?: string;
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  /** Seconds, and the value as Prometheus writes it. */
  readonly value: readonly [number, string];
}

/** An expression with the same ranges as the rules under test. */
export const pressed = (expr: string): string => expr.replace(/\[\d+m\]/g, `[${RANGE_SEC}s]`);

function pressedRules(): string {
  const file = parse(readFileSync(join(SOURCE, 'weft-rules.yml'), 'utf8')) as { groups: { rules: Rule[] }[] };
  for (const rule of file.groups.flatMap(({ rules }) => rules)) {
    rule.expr = pressed(rule.expr);
    if (rule.for !== undefined) rule.for = `${PENDING_SEC}s`;
  }
  return stringify(file);
}

/** Names of all alerts of docker/prometheus/weft-rules.yml. */
export const alertNames = (): string[] =>
  [...pressedRules().matchAll(/alert: (\w+)/g)].map(([, name]) => name ?? '');

export class Prometheus {
  readonly #namespace: string;
  readonly #process: ChildProcess;
  #said = '';

  private constructor(namespace: string, process: ChildProcess) {
    this.#namespace = namespace;
    this.#process = process;
    process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-4000);
    });
  }

  /** Runs and has scraped every host of the mesh. The hosts must serve metrics on their underlay addresses. */
  static async start(mesh: Mesh): Promise<Prometheus> {
    const folder = join(mesh.folder, 'prometheus');
    mkdirSync(folder);
    const config = parse(readFileSync(join(SOURCE, 'prometheus.yml'), 'utf8'));
    config.global = { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' };
    const [job] = config.scrape_configs;
    // In production the agent beside Prometheus; here there is none.
    job.static_configs = undefined;
    job.file_sd_configs[0].files = [join(folder, 'weft-sd.json')];
    writeFileSync(join(folder, 'prometheus.yml'), stringify(config));
    writeFileSync(join(folder, 'weft-rules.yml'), pressedRules());
    await mesh.host(0).weftOk(['sd', '--underlay', '--out', join(folder, 'weft-sd.json')]);
    const flags = [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${ADDRESS}`,
      '--log.level=warn',
    ];
    const [program = '', ...args] = inside(mesh.topology.router, ['prometheus', ...flags]);
    const child = spawn(program, args, { env: CHILD_ENV, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    const prometheus = new Prometheus(mesh.topology.router, child);
    await prometheus.value('sum(up)', mesh.hosts.length);
    return prometheus;
  }

  /** The value of an expression now; throws promtool's complaint if it is none. */
  async query(expr: string): Promise<readonly Sample[]> {
    const command = ['promtool', 'query', 'instant', '-o', 'json', `http://${ADDRESS}`, expr];
    const text = expectOk(['promtool', expr], await run(inside(this.#namespace, command)));
    return (JSON.parse(text) as readonly Sample[] | null) ?? [];
  }

  /** Waits until the expression has that value. */
  async value(expr: string, wanted: number, timeoutMs = 30_000): Promise<void> {
    await until(`${expr} to be ${wanted} (${this.#said.trim()})`, { timeoutMs, everyMs: 500 }, async () => {
      const [sample] = await this.query(expr);
      return sample !== undefined && Number(sample.value[1]) === wanted ? true : null;
    });
  }

  /** Names of the alerts that fire now, each once, sorted. */
  async firing(): Promise<string[]> {
    const samples = await this.query('ALERTS{alertstate="firing"}');
    return [...new Set(samples.map(({ metric }) => metric.alertname ?? ''))].sort();
  }

  /** @returns milliseconds until all of these fire, or, with `cleared`, until nothing fires */
  async alerts(names: readonly string[], state: 'firing' | 'cleared', timeoutMs: number): Promise<number> {
    const startMs = performance.now();
    let last: readonly string[] = [];
    const isReached = (): boolean =>
      state === 'firing' ? names.every((name) => last.includes(name)) : last.length === 0;
    await until(`${names.join(' and ')} ${state}`, { timeoutMs, everyMs: 500 }, async () => {
      last = await this.firing();
      return isReached() ? true : null;
    }).catch((error: Error) => {
      throw new Error(`${error.message}; firing: ${last.join(' ') || 'nothing'}`);
    });
    return performance.now() - startMs;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_TIMEOUT_MS);
    this.#process.kill('SIGTERM');
    await ended;
    clearTimeout(timer);
  }
}
