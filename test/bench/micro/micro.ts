#!/usr/bin/env node
/**
 * `npm run bench:micro -- [--json] [FILTER]`: what single steps of the data path cost, by mitata; `FILTER` is a pattern for the
 * names. Compare two versions on one machine at one time, nothing else. It starts itself again inside a network namespace
 * of its own (unshare(1), as root), which ends with it, because batches.ts sends.
 */
import { spawnSync } from 'node:child_process';
import { run } from 'mitata';
import { benchBatches } from './batches.ts';
import { benchForwarding } from './forwarding.ts';
import { benchHeaders } from './headers.ts';
import { benchOffloads } from './offloads.ts';
import { benchWindows } from './windows.ts';

/** Set in the namespace. */
const INSIDE = 'WEFT_BENCH_INSIDE';
const args = process.argv.slice(2);

async function measureAll(): Promise<number> {
  benchForwarding();
  benchHeaders();
  benchWindows();
  benchOffloads();
  const close = benchBatches();
  const filter = args.find((arg) => !arg.startsWith('--'));
  await run({
    ...(args.includes('--json') && { format: 'json' as const }),
    ...(filter !== undefined && { filter: new RegExp(filter) }),
    colors: process.stdout.isTTY === true,
    throw: true,
  });
  close();
  return 0;
}

function enterNamespace(): number {
  if (process.geteuid?.() !== 0) {
    console.error('bench:micro: run it as root: it sends inside a network namespace of its own');
    return 2;
  }
  const node = [process.execPath, '--expose-gc', ...process.execArgv, ...process.argv.slice(1)];
  const command = ['--net', 'sh', '-c', 'ip link set lo up && exec "$0" "$@"', ...node];
  const ended = spawnSync('unshare', command, { stdio: 'inherit', env: { ...process.env, [INSIDE]: '1' } });
  if (ended.error !== undefined)
    console.error(`bench:micro: unshare(1) cannot be started: ${ended.error.message}`);
  return ended.status ?? 1;
}

process.exitCode = process.env[INSIDE] === '1' ? await measureAll() : enterNamespace();
