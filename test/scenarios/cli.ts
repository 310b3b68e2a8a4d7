/**
 * `npm run scenarios -- [--runs N] [--only 5,14,31a] [--short|--long] [--table]`: the scenarios of docs/RELIABILITY.md with real
 * agents in namespaces. One line for each: how many runs held, and of each value the median and the largest. Exit status 1 if
 * any run broke its criterion. Run as root.
 */
import { parseArgs } from 'node:util';
import { Broken, type Form, type Scenario, type Values, World } from './scenario.ts';
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

export async function runScenario(scenario: Scenario, runs: number, form: Form): Promise<Outcome> {
  const all: Values[] = [];
  const failures: string[] = [];
  let held = 0;
  const begin = async (): Promise<World> => {
    const begun = await World.start(scenario, form);
    await scenario.prepare?.(begun);
    return begun;
  };
  let world = await begin();
  try {
    for (let i = 0; i < runs; i++) {
      world.notes.splice(0);
      let isUsed = scenario.isFresh === true;
      try {
        all.push(await scenario.run(world));
        held++;
      } catch (error) {
        failures.push([error instanceof Error ? error.message : String(error), ...world.notes].join('; '));
        if (error instanceof Broken) all.push(error.values);
        // What a broken run leaves behind must not break the next one.
        isUsed = true;
      }
      if (!isUsed || i + 1 === runs) continue;
      await world.remove();
      world = await begin();
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
      long: { type: 'boolean', default: false },
      table: { type: 'boolean', default: false },
    },
  });
  const wanted = values.only?.split(',');
  // `31` is all of 31a, 31b, ...
  const isWanted = (number: string): boolean =>
    wanted === undefined || wanted.some((each) => each === number || each === number.replace(/[a-z]$/, ''));
  const chosen = SCENARIOS.filter(({ number }) => isWanted(number));
  const form = values.short ? 'short' : values.long ? 'long' : 'usual';
  const runs = Math.max(1, Number(values.runs) || 1);
  let isBad = false;
  for (const scenario of chosen) {
    const outcome = await runScenario(scenario, runs, form);
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
