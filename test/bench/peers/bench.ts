#!/usr/bin/env node
/**
 * `npm run bench`: weft, kernel VXLAN and every peer that is installed, side by side between two namespaces of this machine.
 * Rounds go over all systems in turn, so that a noisy machine hits everybody. Prints a table for each wire, writes a JSON file,
 * and with --compare ends with 1 when a ratio of weft fell. Needs root, iperf3, ping, ethtool, iproute2.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { type BenchOptions, parseArguments, USAGE } from './arguments.ts';
import { COLUMNS, comparable, drops, type Figures, type RunResult, type WireResult } from './figures.ts';
import { measure } from './measure.ts';
import { missingOf } from './programs-found.ts';
import { tableOf } from './report.ts';
import { Stage, type Wire } from './stage.ts';
import { type System, YARDSTICK } from './systems.ts';

/** Without these nothing can be measured. */
const LOAD_PROGRAMS = ['ip', 'iperf3', 'ping', 'ethtool', 'ss'];
/** Ours: a rival that got slower fails nothing. */
const JUDGED = ['weft', 'weft-plain'];
/** Processes that are ready to run besides the benchmark; a kernel tunnel does not mind them, an agent does. */
const MAX_LOAD = 0.7;

async function main(): Promise<number> {
  const options = parseArguments(process.argv.slice(2));
  if (process.geteuid?.() !== 0) throw new Error('run it as root: it makes network namespaces');
  const lacking = missingOf(LOAD_PROGRAMS);
  if (lacking.length > 0) throw new Error(`not installed: ${lacking.join(', ')}`);
  const base =
    options.compare === null ? null : (JSON.parse(readFileSync(options.compare, 'utf8')) as RunResult);
  const about = machine();
  if (Number(about.load) > MAX_LOAD)
    console.log(
      `load average ${about.load} on ${about.cores} cores: overlays in user space wait for others, repeat it`,
    );
  const wires: WireResult[] = [];
  for (const wire of options.wires) {
    const result = await benchWire(wire, options);
    wires.push(result);
    console.log(`\n${tableOf(result, options.systems, YARDSTICK)}\n`);
  }
  const result: RunResult = { machine: about, wires };
  writeFileSync(options.json, `${JSON.stringify(result, null, 1)}\n`);
  console.log(`written to ${options.json}`);
  return base === null ? 0 : judge(result, base, options);
}

function judge(result: RunResult, base: RunResult, { compare, systems }: BenchOptions): number {
  if (!comparable(result, base)) throw new Error(`${compare} has no wire of this run: nothing to compare`);
  const judged = systems.map(({ name }) => name).filter((name) => JUDGED.includes(name));
  const worse = drops(result, base, judged, YARDSTICK);
  for (const line of worse) console.log(`DROP ${line}`);
  console.log(
    worse.length === 0 ? `no ratio fell by more than 10 % against ${compare}` : `${worse.length} drops`,
  );
  return worse.length === 0 ? 0 : 1;
}

async function benchWire(wire: Wire, options: BenchOptions): Promise<WireResult> {
  const missing: Record<string, string> = {};
  const rounds: Record<string, Figures[]> = {};
  const present: System[] = [];
  for (const system of options.systems) {
    const lacking = missingOf(system.programs);
    if (lacking.length === 0) present.push(system);
    else missing[system.name] = `missing: ${lacking.join(' and ')} not installed`;
  }
  for (let round = 1; round <= options.rounds; round++) {
    for (const system of present) {
      const outcome = await benchSystem(wire, system, options.seconds);
      const label = `${wire} ${round}/${options.rounds} ${system.name}`;
      if (typeof outcome === 'string') {
        missing[system.name] = `failed in round ${round}: ${outcome.split('\n')[0]}`;
        console.log(`${label}: FAILED ${outcome}`);
        continue;
      }
      rounds[system.name] = [...(rounds[system.name] ?? []), outcome];
      console.log(`${label}: ${shortly(outcome)}`);
    }
  }
  return { wire, rounds, missing };
}

const shortly = (figures: Figures): string =>
  COLUMNS.map(({ column, title, digits }) => `${title} ${figures[column]?.toFixed(digits) ?? '-'}`).join(
    ', ',
  );

/** Figures, or why there are none. */
async function benchSystem(wire: Wire, system: System, seconds: number): Promise<Figures | string> {
  const stage = await Stage.create(wire);
  try {
    await system.start(stage);
    return await measure(stage, seconds);
  } catch (error) {
    return `${(error as Error).message}\n${stage.complaint()}`.trim();
  } finally {
    await stage.remove();
  }
}

/** As it is before the first round. */
function machine(): Record<string, string | number> {
  const [first] = cpus();
  const [load = 0] = loadavg();
  const known = { cpu: first?.model ?? '?', cores: cpus().length, kernel: release(), node: process.version };
  return { ...known, load: Number(load.toFixed(2)) };
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1));
process.exitCode = await main().catch((error: Error) => {
  console.error(`bench: ${error.message}\n\n${USAGE}`);
  return 2;
});
