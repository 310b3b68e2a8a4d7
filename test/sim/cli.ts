/**
 * `npm run sim`: the membership core in virtual time. Either one large run against the gates (plan.ts) or many small ones
 * with random faults (scenario.ts). The last line says how much was simulated, in what time and memory; exit 1 if a gate
 * was missed or an invariant broken.
 */
import { parseArgs } from 'node:util';
import { Breach } from './invariants.ts';
import { Plan } from './plan.ts';
import { runScenario, tellFailure } from './scenario.ts';

const HELP = `npm run sim -- [--members 100] [--seconds 60] [--loss PERCENT] [--duplicate PERCENT] [--delay PERCENT]
               [--crash HOSTS] [--partition 50/50 [--partition-seconds 90]] [--join] [--seed N]
npm run sim -- --seeds COUNT [--seed FIRST]       runs with random faults, one for each seed`;

const { values } = parseArgs({
  options: {
    members: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '60' },
    loss: { type: 'string', default: '0' },
    duplicate: { type: 'string', default: '0' },
    delay: { type: 'string', default: '0' },
    crash: { type: 'string', default: '0' },
    partition: { type: 'string' },
    'partition-seconds': { type: 'string', default: '90' },
    join: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

function number(name: string, text: string, most: number): number {
  const n = Number(text);
  if (text !== '' && n >= 0 && n <= most) return n;
  throw new RangeError(`--${name} ${text}: a number from 0 to ${most} is wanted`);
}

/** The smaller share of `A/B`, in percent. */
function smallerShare(text: string): number {
  const [a, b] = text.split('/').map(Number);
  if (a === undefined || b === undefined || !(a > 0 && b > 0))
    throw new RangeError(`--partition ${text}: two shares like 10/90 are wanted`);
  return (100 * Math.min(a, b)) / (a + b);
}

const startMs = performance.now();

function resources(): string {
  const { maxRSS, userCPUTime } = process.resourceUsage();
  const wall = ((performance.now() - startMs) / 1000).toFixed(1);
  return `${wall} s (${(userCPUTime / 1e6).toFixed(1)} s of processor), ${Math.round(maxRSS / 1024)} MB`;
}

function seeds(count: number, first: number): boolean {
  let [failed, datagrams, deaths] = [0, 0, 0];
  for (let seed = first; seed < first + count; seed++) {
    const outcome = runScenario(seed);
    datagrams += outcome.datagrams;
    deaths += outcome.deaths;
    if (outcome.failure === null) continue;
    failed += 1;
    console.log(tellFailure(outcome));
  }
  const last = first + count - 1;
  console.log(
    `seeds ${first} to ${last}: ${failed} failed, ${datagrams} datagrams, ${deaths} deaths, ${resources()}`,
  );
  return failed === 0;
}

function large(): boolean {
  const options = {
    members: number('members', values.members, 16_384),
    seconds: number('seconds', values.seconds, 86_400),
    seed: number('seed', values.seed, 2 ** 32),
    loss: number('loss', values.loss, 100) / 100,
    duplicated: number('duplicate', values.duplicate, 100) / 100,
    delayed: number('delay', values.delay, 100) / 100,
    crashes: number('crash', values.crash, 1000),
    partition: values.partition === undefined ? null : smallerShare(values.partition),
    partitionSeconds: number('partition-seconds', values['partition-seconds'], 86_400),
    join: values.join,
  };
  console.log(
    `${options.members} members, seed ${options.seed}${options.join ? ', from nothing' : ', settled'}`,
  );
  const plan = new Plan(options, (line) => console.log(line));
  let broken = false;
  try {
    plan.run();
  } catch (error) {
    if (!(error instanceof Breach)) throw error;
    broken = true;
    console.log(`BROKEN at ${(plan.world.nowMs / 1000).toFixed(1)} s: ${error.message}`);
    for (const line of plan.recorder.lines(error.hosts, 60)) console.log(`  ${line}`);
  }
  const { world, missed } = plan;
  if (broken || missed.length > 0) console.log(`again: npm run sim -- ${process.argv.slice(2).join(' ')}`);
  console.log(
    `${(world.nowMs / 1000).toFixed(0)} s of virtual time, ${world.datagrams} datagrams, ${resources()}`,
  );
  return !broken && missed.length === 0;
}

try {
  if (values.help) console.log(HELP);
  else if (values.seeds !== undefined)
    process.exitCode = seeds(number('seeds', values.seeds, 1e6), number('seed', values.seed, 2 ** 32))
      ? 0
      : 1;
  else process.exitCode = large() ? 0 : 1;
} catch (error) {
  if (!(error instanceof RangeError)) throw error;
  console.error(`sim: ${error.message}`);
  process.exitCode = 2;
}
