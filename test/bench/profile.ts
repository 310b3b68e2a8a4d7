#!/usr/bin/env node
/**
 * `npm run bench:profile -- [--secs 10] [--mode sealed|plain] [--wire nic]`: two agents, TCP at full load from a to b, and a
 * CPU profile of the workers of each by perf(1): where the time goes, function by function, and whether TypeScript (compiled
 * code, V8's builtins and the binding between it and the addon) has at most 10 % of it. Status 1 if it has more, 2 without
 * perf. Needs root; leaves nothing behind.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { run } from '../../agent/lab/command.ts';
import { expectOk } from '../netns/mesh.ts';
import { iperf, reachable } from '../netns/programs.ts';
import { findProgram } from './peers/programs-found.ts';
import { SIDES, type Side, Stage, WIRES, type Wire } from './peers/stage.ts';
import { startWeft } from './peers/systems.ts';
import {
  CLASSES,
  type Class,
  languageShare,
  parseSample,
  type Sample,
  type Shares,
  sharesOf,
} from './profile-classes.ts';

const ALLOWED_SHARE = 0.1;
const WARM_SEC = 4;
const SAMPLES_PER_SEC = 997;
/** A profile of fewer says nothing. */
const MIN_SAMPLES = 500;
const MEANING: Readonly<Record<Class, string>> = {
  kernel: 'kernel: sockets, TAP, copies',
  crypto: 'cipher: OpenSSL inside Node, or libipsec-mb',
  addon: 'addon (tun-tap, C)',
  typescript: 'TypeScript, compiled',
  binding: 'V8 and Node-API between them',
  libc: 'C library',
  other: 'other',
};

const { values } = parseArgs({
  options: {
    secs: { type: 'string', default: '10' },
    mode: { type: 'string', default: 'sealed' },
    wire: { type: 'string', default: 'nic' },
  },
});

async function main(): Promise<number> {
  const perf = findProgram('perf');
  if (perf === null) throw new Error('perf is not installed: apt-get install linux-perf');
  const wire = (Object.keys(WIRES) as Wire[]).find((name) => name === values.wire) ?? 'nic';
  const mode = values.mode === 'plain' ? 'plain' : 'sealed';
  const stage = await Stage.create(wire);
  try {
    await startWeft(stage, mode, ['--perf-basic-prof-only-functions']);
    const [a = 0, b = 0] = stage.pids();
    for (const pid of [a, b]) stage.stray(`/tmp/perf-${pid}.map`);
    return await profile(stage, perf, { a, b });
  } finally {
    await stage.remove();
  }
}

async function profile(stage: Stage, perf: string, pids: Readonly<Record<Side, number>>): Promise<number> {
  const seconds = Number(values.secs);
  const [a, b] = SIDES.map((side) => stage.namespace(side)) as [string, string];
  await reachable(a, stage.overlay('b'), 60_000);
  const load = (sec: number) => iperf(b, a, stage.overlay('b'), ['-C', 'cubic'], sec);
  await load(WARM_SEC);
  const file = join(stage.folder, 'perf.data');
  const record = [
    ...[perf, 'record', '-q', '-F', String(SAMPLES_PER_SEC), '-e', 'cpu-clock', '-o', file],
    ...['-p', `${pids.a},${pids.b}`, '--', 'sleep', String(seconds)],
  ];
  const [ended, { bitsPerSec }] = await Promise.all([
    run(record, { timeoutMs: (seconds + 60) * 1000 }),
    load(seconds + 1),
  ]);
  expectOk(record, ended);
  const script = [perf, 'script', '-i', file, '-F', 'pid,tid,ip,sym,dso'];
  const text = expectOk(script, await run(script, { timeoutMs: 120_000 }));
  console.log(
    `${values.mode}, wire ${values.wire}, TCP x1 at ${(bitsPerSec / 1e9).toFixed(2)} Gb/s, ${seconds} s`,
  );
  return report(text, pids);
}

/** Lines begin with `PID/TID`. */
function report(text: string, pids: Readonly<Record<Side, number>>): number {
  const samples: Record<Side, Sample[]> = { a: [], b: [] };
  for (const line of text.split('\n')) {
    const [, pid = '', rest = ''] = /^\s*(\d+)\/(\d+\s.*)$/.exec(line) ?? [];
    const sample = parseSample(rest);
    const side = SIDES.find((name) => pids[name] === Number(pid));
    // The main thread has the number of the process; all others that do anything are workers.
    if (sample !== null && side !== undefined && sample.thread !== pids[side]) samples[side].push(sample);
  }
  const sending = sharesOf(samples.a);
  const receiving = sharesOf(samples.b);
  print('sending', sending);
  print('receiving', receiving);
  const worst = Math.max(languageShare(sending), languageShare(receiving));
  if (Math.min(sending.samples, receiving.samples) < MIN_SAMPLES)
    throw new Error(`fewer than ${MIN_SAMPLES} samples: was there load?`);
  const verdict = worst <= ALLOWED_SHARE ? 'ok' : 'FAILED';
  console.log(
    `${verdict}: TypeScript with its binding has ${percent(worst)} of the workers' CPU, 10 % is allowed`,
  );
  return worst <= ALLOWED_SHARE ? 0 : 1;
}

function print(name: string, shares: Shares): void {
  console.log(`\n${name} agent, its workers: ${shares.samples} samples`);
  for (const key of CLASSES) console.log(`  ${percent(shares.share[key]).padStart(7)}  ${MEANING[key]}`);
  console.log('  most of it in');
  for (const { symbol, class: kind, share } of shares.top)
    console.log(`  ${percent(share).padStart(7)}  ${kind.padEnd(10)} ${symbol}`);
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1));
process.exitCode = await main().catch((error: Error) => {
  console.error(`bench:profile: ${error.message}`);
  return 2;
});
