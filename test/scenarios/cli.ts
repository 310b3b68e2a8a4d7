/**
 * `npm run scenarios -- [--runs N] [--only 5,14] [--short] [--table]`: the scenarios of docs/RELIABILITY.md with real agents
 * in namespaces. One line for each: how many runs held, and of each value the median and the largest. Exit status 1 if any
 * run broke its criterion. Run as root.
 */
import { parseArgs } from 'node:util';
import { Broken, type Scenario, type Values, World } from './scenario.ts';
import { SCENARIOS } from './table.ts';

interface Outcome {
  readonly scenario: Scenario;
  readonly held: number;
  readonly runs: number;
  readonly text: string;
  readonly failures: readonly string[];
}

const number = (value: number): string =>
  Number.isFinite(value) ? String(Math.round(value * 10) / 10) : 'never';

/** Median and largest of each value. */
export function summary(all: readonly Values[]): string {
  const names = [...new Set(all.flatMap((values) => Object.keys(values)))];
  return names
    .map((name) => {
      const sorted = all.flatMap((values) => values[name] ?? []).sort((a, b) => a - b);
      const median = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
      const max = sorted.at(-1) ?? Number.NaN;
      return sorted.every((value) => value === max)
        ? `${name} ${number(max)}`
        : `${name} p50 ${number(median)} max ${number(max)}`;
    })
    .join(', ');
}

export async function runScenario(scenario: Scenario, runs: number, isShort: boolean): Promise<Outcome> {
  const all: Values[] = [];
  const failures: string[] = [];
  let held = 0;
  let world = await World.start(scenario.mesh, isShort);
  try {
    await scenario.prepare?.(world);
    for (let i = 0; i < runs; i++) {
      world.notes.splice(0);
      try {
        all.push(await scenario.run(world));
        held++;
      } catch (error) {
        failures.push([error instanceof Error ? error.message : String(error), ...world.notes].join('; '));
        if (error instanceof Broken) all.push(error.values);
        // What a broken run leaves behind must not break the next one.
        await world.remove();
        if (i + 1 === runs) break;
        world = await World.start(scenario.mesh, isShort);
        await scenario.prepare?.(world);
      }
    }
  } finally {
    await world.remove();
  }
  return { scenario, held, runs, text: summary(all), failures };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '3' },
      only: { type: 'string' },
      short: { type: 'boolean', default: false },
      table: { type: 'boolean', default: false },
    },
  });
  const wanted = values.only?.split(',');
  const chosen = SCENARIOS.filter(({ number }) => wanted === undefined || wanted.includes(number));
  const runs = Math.max(1, Number(values.runs) || 1);
  let isBad = false;
  for (const scenario of chosen) {
    const outcome = await runScenario(scenario, runs, values.short);
    isBad ||= outcome.held < outcome.runs;
    console.log(values.table ? row(outcome) : line(outcome));
    for (const failure of new Set(outcome.failures)) console.error(`  ${scenario.number}: ${failure}`);
  }
  process.exitCode = isBad ? 1 : 0;
}

function line({ scenario, held, runs, text }: Outcome): string {
  const verdict = held === runs ? 'ok' : 'FAILED';
  return `${verdict} ${scenario.number} ${scenario.title} (${scenario.criterion}): ${held}/${runs} runs; ${text}`;
}

function row({ scenario, held, runs, text }: Outcome): string {
  return `| ${scenario.number} | ${scenario.title} | ${scenario.criterion} | ${held}/${runs} | ${text} |`;
}

if (process.argv[1]?.endsWith('cli.js') || process.argv[1]?.endsWith('cli.ts')) await main();
