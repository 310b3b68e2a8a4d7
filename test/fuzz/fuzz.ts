/**
 * `npm run fuzz -- [--runs 1000000] [--only NAME] [--seed 1]`: every decoder and state machine of the TypeScript side with mutated inputs. One
 * line for each: executions, how many were understood, the slowest one. A finding is a thrown error, an input that does not
 * encode to itself, or one that takes longer than 100 ms; it is printed in hex, and the exit status is 1.
 */
import { parseArgs } from 'node:util';
import { seeded } from '../netns/impairments.ts';
import { mutate } from './mutate.ts';
import type { Target } from './target.ts';
import { TARGETS } from './targets.ts';

const SLOW_MS = 100;
/** A busy machine may stop the process once or twice in the same input, but not always. */
const AGAIN = 10;
/** Inputs that were understood, kept as further ones to start from. */
const KEPT = 64;

export interface FuzzResult {
  readonly executions: number;
  readonly understood: number;
  readonly slowestMs: number;
  /** One line each; bounded by MAX_FINDINGS. */
  readonly findings: readonly string[];
}

const MAX_FINDINGS = 10;

export async function fuzzTarget(target: Target, runs: number, seed: number): Promise<FuzzResult> {
  const random = seeded(seed);
  const inputs = [...target.inputs];
  const findings: string[] = [];
  const executions = Math.max(1, Math.floor(runs / (target.costs ?? 1)));
  let understood = 0;
  let slowestMs = 0;
  for (const input of target.inputs)
    if (!(await target.run(input.slice())))
      findings.push(`a good input is refused: ${Buffer.from(input).toString('hex')}`);
  for (let i = 0; i < executions && findings.length < MAX_FINDINGS; i++) {
    const input = mutate(inputs, random);
    const startMs = performance.now();
    try {
      const answer = target.run(input);
      // A decoder answers at once; waiting for it would take longer than it does.
      if (typeof answer === 'boolean' ? answer : await answer) {
        understood++;
        inputs[target.inputs.length + (understood % KEPT)] ??= input;
      }
    } catch (error) {
      findings.push(`${(error as Error).message.split('\n')[0]}: ${Buffer.from(input).toString('hex')}`);
    }
    const tookMs = performance.now() - startMs;
    // A pause of the whole process is no finding: it does not happen twice.
    if (tookMs > (target.slowMs ?? SLOW_MS) && (await isSlow(target, input)))
      findings.push(`${Math.round(tookMs)} ms: ${Buffer.from(input).toString('hex')}`);
    slowestMs = Math.max(slowestMs, tookMs);
  }
  return { executions, understood, slowestMs, findings };
}

/** Slow each time, also at its fastest. */
async function isSlow(target: Target, input: Uint8Array): Promise<boolean> {
  for (let i = 0; i < AGAIN; i++) {
    const startMs = performance.now();
    try {
      await target.run(input);
    } catch {
      // Counted where it was thrown.
    }
    if (performance.now() - startMs <= (target.slowMs ?? SLOW_MS)) return false;
  }
  return true;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '1000000' },
      only: { type: 'string', default: '' },
      seed: { type: 'string', default: '1' },
    },
  });
  let bad = 0;
  for (const target of TARGETS.filter(({ name }) => name.includes(values.only))) {
    const startMs = performance.now();
    const { executions, understood, slowestMs, findings } = await fuzzTarget(
      target,
      Number(values.runs),
      Number(values.seed),
    );
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    console.log(
      `${findings.length === 0 ? 'ok' : 'FOUND'} ${target.name}: ${executions} executions in ${seconds} s, ${understood} understood, slowest ${slowestMs.toFixed(1)} ms`,
    );
    for (const finding of findings) console.log(`  ${finding}`);
    bad += findings.length;
  }
  process.exitCode = bad === 0 ? 0 : 1;
}

if (/fuzz\.[jt]s$/.test(process.argv[1] ?? '')) await main();
