#!/usr/bin/env node
/**
 * Fuzzes the pure C of tun-tap/native with libFuzzer under AddressSanitizer and UBSan: `npm run fuzz:native -- [--runs N]
 * [--only TARGET] [--save]`. Needs clang and its runtime (apt: clang libclang-rt-14-dev). Each target starts from its corpus in
 * test/fuzz/native/corpus and from what was ever found with it (test/fuzz/native/found: one input for each defect, named for
 * it). `--save` writes back the fewest inputs that reach all code that this run has reached. A finding ends it with status 1
 * and leaves the input that shows it; otherwise nothing is left. Without clang: status 2.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('native', import.meta.url));
const ADDON = fileURLToPath(new URL('../../tun-tap/native', import.meta.url));
const PURE = ['frame.c', 'checksum.c', 'repair.c', 'split.c', 'join.c'].map((name) => join(ADDON, name));
/** What a target is linked with besides the pure files. The receive path needs the cipher of the system. */
const TARGETS = {
  frame: [],
  split: [],
  join: [],
  vnet: [],
  receive: [
    join(HERE, 'no-node-api.c'),
    ...['sessions.c', 'aead.c', 'ipsec-mb.c', 'address.c'].map((name) => join(ADDON, name)),
    '-l:libcrypto.so.3',
  ],
};
const DEFAULT_RUNS = 100_000;
const MAX_INPUT_BYTES = 4096;
/** Of what a target says; the end is what counts. */
const KEPT_CHARACTERS = 1_000_000;
const FLAGS = [
  ...['-std=c11', '-D_GNU_SOURCE', '-DFUZZING', '-DNAPI_VERSION=8', '-g', '-O1', '-fno-omit-frame-pointer'],
  ...['-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=undefined'],
  ...['-Wall', '-Wextra', '-Werror'],
  ...['-isystem', join(dirname(dirname(process.execPath)), 'include', 'node')],
];

const { runs, only, save } = parse(process.argv.slice(2));
const folder = mkdtempSync(join(tmpdir(), 'weft-fuzz-'));
let findings = 0;
/** The target that runs, to be ended with this process. */
let running = null;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    running?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
    process.exit(1);
  });
}
for (const name of only === '' ? Object.keys(TARGETS) : [only]) findings += (await fuzz(name)) ? 0 : 1;
if (findings === 0) rmSync(folder, { recursive: true });
else console.log(`${findings} findings; inputs that show them are in ${folder}`);
process.exitCode = findings === 0 ? 0 : 1;

function parse(args) {
  const parsed = { runs: DEFAULT_RUNS, only: '', save: false };
  while (args.length > 0) {
    const arg = args.shift();
    if (arg === '--save') parsed.save = true;
    else if (arg === '--runs') parsed.runs = Number(args.shift());
    else if (arg === '--only') parsed.only = args.shift() ?? '';
    else fail(`no option ${arg}: there are --runs N, --only TARGET, --save`);
  }
  if (!Number.isInteger(parsed.runs) || parsed.runs < 1) fail('--runs needs a whole number above 0');
  if (parsed.only !== '' && !Object.hasOwn(TARGETS, parsed.only))
    fail(`no target ${parsed.only}: there are ${Object.keys(TARGETS).join(' ')}`);
  return parsed;
}

function fail(reason) {
  console.error(`fuzz: ${reason}`);
  process.exit(2);
}

/** True if the target ran all its runs and nothing was found. */
async function fuzz(name) {
  const program = join(folder, name);
  const sources = [join(HERE, `${name}.c`), ...PURE, ...TARGETS[name]];
  const built = spawnSync('clang', [...FLAGS, ...sources, '-o', program], { stdio: 'inherit' });
  if (built.error?.code === 'ENOENT') {
    rmSync(folder, { recursive: true });
    fail('clang is not installed: apt-get install clang libclang-rt-14-dev');
  }
  if (built.status !== 0) return report(name, 'does not build', '');
  const stored = join(HERE, 'corpus', name);
  const corpus = join(folder, `${name}-corpus`);
  mkdirSync(corpus);
  for (const seeds of [stored, join(HERE, 'found', name)])
    if (existsSync(seeds)) cpSync(seeds, corpus, { recursive: true });
  const started = readdirSync(corpus).length;
  const ended = await runTarget(program, [
    `-runs=${runs}`,
    `-max_len=${MAX_INPUT_BYTES}`,
    '-verbosity=1',
    corpus,
  ]);
  const done = /^Done (\d+) runs in (\d+) second/m.exec(ended.stderr);
  if (ended.status !== 0 || done === null || Number(done[1]) < runs)
    return report(name, 'FINDING', ended.stderr);
  const coverage = /DONE\s+cov: (\d+) ft: (\d+)/.exec(ended.stderr);
  console.log(
    `ok ${name}: ${done[1]} runs in ${done[2]} s from ${started} inputs, ${coverage?.[1]} edges, 0 findings`,
  );
  if (save) {
    mkdirSync(stored, { recursive: true });
    const fewest = join(folder, `${name}-fewest`);
    mkdirSync(fewest);
    await runTarget(program, ['-merge=1', '-use_counters=0', `-max_len=${MAX_INPUT_BYTES}`, fewest, corpus]);
    rmSync(stored, { recursive: true });
    cpSync(fewest, stored, { recursive: true });
    console.log(`   ${readdirSync(stored).length} inputs saved`);
  }
  rmSync(corpus, { recursive: true });
  return true;
}

/** Exit status, and what it said: libFuzzer writes to standard error only. */
async function runTarget(program, args) {
  running = spawn(program, [...args, `-artifact_prefix=${program}-`], {
    stdio: ['ignore', 'ignore', 'pipe'],
    // A small quarantine: the targets free what they allocate within one run.
    env: { ...process.env, ASAN_OPTIONS: 'quarantine_size_mb=16:detect_leaks=1' },
  });
  let stderr = '';
  running.stderr.setEncoding('utf8').on('data', (text) => {
    stderr = (stderr + text).slice(-KEPT_CHARACTERS);
  });
  const [status] = await once(running, 'close');
  running = null;
  return { status, stderr };
}

function report(name, what, output) {
  console.log(`FAILED ${name}: ${what}\n${output.split('\n').slice(-60).join('\n')}`);
  return false;
}
