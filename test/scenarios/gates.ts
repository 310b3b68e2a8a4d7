/**
 * `npm run gates -- [--hosts 20] [--settle 240] [--idle 60]`: one real mesh of 20 agents in namespaces of this machine, against the gates of
 * docs/RELIABILITY.md: full mesh in 20 s from nothing, back in 20 s after kill -9 of all, and per idle agent 0.5 % of a core
 * and 80 MB PSS. Prints the values; the exit status is 1 when a time or the memory misses its gate. Processor time is that
 * of the machine as it is: only an otherwise idle machine gives a figure to keep. Run as root.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Host } from '../../agent/lab/host.ts';
import { delay } from '../../agent/lab/wait.ts';
import { Mesh } from '../netns/mesh.ts';
import { World } from './scenario.ts';
import { monotonicMs } from './stream.ts';

const FULL_MS = 20_000;
const PSS_MB = 80;
const TICKS_PER_SECOND = 100;

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
const spread = (values: readonly number[]): string =>
  `median ${median(values).toFixed(2)}, max ${Math.max(...values).toFixed(2)}`;

/** Seconds of processor time of one thread or, with its pid, of a process. */
function cpuSeconds(path: string): number {
  const fields = readFileSync(path, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Voluntary context switches: how often its threads woke up. */
function wakeUps(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, task) => {
    const status = readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8');
    return sum + Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  }, 0);
}

function pssMb(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0) / 1024;
}

async function wholeAfter(world: World, startMs: number, what: string): Promise<number> {
  await world.timed(what, 120_000, () => world.isWhole(world.all()));
  return monotonicMs() - startMs;
}

async function idle(hosts: readonly Host[], seconds: number): Promise<void> {
  const pids = hosts.flatMap(({ pid }) => pid ?? []);
  const cpu = (): number[] => pids.map((pid) => cpuSeconds(`/proc/${pid}/stat`));
  const [cpuBefore, wakesBefore] = [cpu(), pids.map(wakeUps)];
  await delay(seconds * 1000);
  const percent = cpu().map((after, i) => ((after - (cpuBefore[i] ?? 0)) / seconds) * 100);
  const wakes = pids.map((pid, i) => (wakeUps(pid) - (wakesBefore[i] ?? 0)) / seconds);
  console.log(`idle for ${seconds} s: % of a core per agent: ${spread(percent)} (target 0.5)`);
  console.log(`idle for ${seconds} s: wake-ups per agent and second: ${spread(wakes)}`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      hosts: { type: 'string', default: '20' },
      settle: { type: 'string', default: '240' },
      idle: { type: 'string', default: '60' },
    },
  });
  const mesh = await Mesh.underlay({ hosts: Number(values.hosts) });
  try {
    const world = new World(mesh, 'usual');
    const startMs = monotonicMs();
    await mesh.init();
    await mesh.join(mesh.hosts.slice(1));
    const fullMs = await wholeAfter(world, startMs, 'full mesh');
    console.log(`full mesh of ${mesh.hosts.length} from nothing: ${Math.round(fullMs)} ms (gate ${FULL_MS})`);
    // Until V8 has compiled what an idle agent does, a few minutes long, that compiling is a third of its processor time.
    await delay(Number(values.settle) * 1000);
    await idle(mesh.hosts, Number(values.idle));
    const memory = mesh.hosts.flatMap(({ pid }) => (pid === null ? [] : pssMb(pid)));
    console.log(`PSS in MB per agent: ${spread(memory)} (gate ${PSS_MB})`);
    await Promise.all(mesh.hosts.map((host) => host.kill()));
    const restartMs = monotonicMs();
    for (const host of mesh.hosts) host.start(['run']);
    const backMs = await wholeAfter(world, restartMs, 'full mesh after kill -9 of all');
    console.log(`full mesh after kill -9 of all: ${Math.round(backMs)} ms (gate ${FULL_MS})`);
    process.exitCode = fullMs <= FULL_MS && backMs <= FULL_MS && Math.max(...memory) <= PSS_MB ? 0 : 1;
  } finally {
    await mesh.remove();
  }
}

await main();
