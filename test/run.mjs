#!/usr/bin/env node
/**
 * The one test command: `npm test` runs everything, `node test/run.mjs SUITE...` some of it, `--only TEXT` only files whose
 * name holds TEXT. First it installs by apt what the suites need and the machine lacks (as root), then it builds. Tests run
 * compiled from dist/, by Node's own runner; a skipped test counts as failed. The last line is `N passed, N failed`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const REPORTER = new URL('./reporter.mjs', import.meta.url).href;
/** No file of tests may take longer: the runner gives its limit to files, not to the tests inside. */
const FILE_TIMEOUT_MS = 900_000;

const run = (command, args, options = {}) =>
  spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', ...options }).status ?? 1;

const tests = (folder, options = {}) => ({ run: (only) => runFiles(testFiles(folder, only), options) });

/** In the order in which they run. `root`: makes namespaces or devices. `tools`: calls a tool, but not as root. */
const SUITES = {
  lint: { run: () => oneCheck('lint', run('npx', ['biome', 'check', '.'])) },
  unit: tests('test/unit', { concurrency: 2 }),
  model: tests('test/model', { concurrency: 2 }),
  sim: tests('test/sim', { concurrency: 2 }),
  vector: { ...tests('test/vector', { concurrency: 2 }), tools: true },
  native: { ...tests('test/native'), root: true },
  sanitize: { run: runSanitized, root: true },
  netns: { ...tests('test/netns'), root: true },
  attacks: { ...tests('test/attacks'), root: true },
  e2e: { ...tests('test/e2e'), root: true },
  packaging: { ...tests('test/packaging'), root: true },
  prometheus: { ...tests('test/prometheus'), root: true },
};

/** What the tests call, where it must be, and the Debian package that brings it. */
const TOOLS = [
  ['ip', 'iproute2'],
  ['ping', 'iputils-ping'],
  ['iperf3', 'iperf3'],
  ['tcpdump', 'tcpdump'],
  ['ethtool', 'ethtool'],
  ['nft', 'nftables'],
  ['ovs-vswitchd', 'openvswitch-switch'],
  ['promtool', 'prometheus'],
  ['faketime', 'faketime'],
  ['scapy3', 'python3-scapy'],
  ['tshark', 'tshark'],
  ['zsh', 'zsh'],
  ['fish', 'fish'],
  ['systemd-analyze', 'systemd'],
  ['git', 'git'],
  ['dot', 'graphviz'],
  ['scp', 'openssh-client'],
  ['dropbear', 'dropbear-bin'],
  ['sftp-server', 'openssh-sftp-server'],
];
const TOOL_FOLDERS = [
  ...(process.env.PATH ?? '').split(delimiter),
  '/usr/sbin',
  '/sbin',
  '/usr/bin',
  '/bin',
  '/usr/lib',
];

main(process.argv.slice(2));

function main(args) {
  const { names, only } = parse(args);
  const needRoot = names.some((name) => SUITES[name].root);
  if (needRoot && process.geteuid() !== 0) {
    fail('these tests make network namespaces and TAP devices: run them as root (sudo npm test)');
  }
  if (needRoot || (process.geteuid() === 0 && names.some((name) => SUITES[name].tools))) installTools();
  const startMs = performance.now();
  const totals = { passed: 0, failed: 0 };
  const add = ({ passed, failed }) => {
    totals.passed += passed;
    totals.failed += failed;
  };
  console.log('\n== build and types');
  const built = oneCheck('build', run('npm', ['run', '--silent', 'build']));
  add(built);
  for (const name of built.failed === 0 ? names : []) {
    console.log(`\n== ${name}`);
    const counts = SUITES[name].run(only);
    add(counts);
    if (only === '' && counts.passed + counts.failed === 0) add(oneCheck(`${name}: no test ran`, 1));
  }
  if (only !== '' && totals.passed <= 1 && totals.failed === 0) fail(`no test matches ${only}`);
  const seconds = Math.round((performance.now() - startMs) / 1000);
  console.log(`\n${names.join(' ')}: ${seconds} s`);
  console.log(`${totals.passed} passed, ${totals.failed} failed`);
  process.exitCode = totals.failed === 0 ? 0 : 1;
}

function parse(args) {
  const at = args.indexOf('--only');
  const only = at < 0 ? '' : (args[at + 1] ?? fail('--only needs a part of a file name'));
  const wanted = at < 0 ? args : args.toSpliced(at, 2);
  const unknown = wanted.find((name) => !Object.hasOwn(SUITES, name));
  if (unknown !== undefined) fail(`no suite ${unknown}: there are ${Object.keys(SUITES).join(' ')}`);
  const names = Object.keys(SUITES).filter((name) => wanted.length === 0 || wanted.includes(name));
  return { names, only };
}

function fail(reason) {
  console.error(`test: ${reason}`);
  process.exit(2);
}

/** Installs all that is missing in one go, or ends with the one line that says what cannot be had. */
function installTools() {
  const missing = TOOLS.filter(
    ([tool]) => !TOOL_FOLDERS.some((folder) => existsSync(join(folder, tool))),
  ).map(([, name]) => name);
  missing.push(...missingSanitizers());
  if (missing.length === 0) return;
  console.log(`test: installing ${missing.join(' ')} with apt`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const install = () =>
    spawnSync('apt-get', ['install', '-qq', '-y', '--no-install-recommends', ...missing], {
      env,
      stdio: 'ignore',
    }).status === 0;
  if (install()) return;
  spawnSync('apt-get', ['update', '-qq'], { env, stdio: 'ignore' });
  if (!install()) {
    fail(`cannot install ${missing.join(' ')}: check the network, or run apt-get install by hand`);
  }
}

/** gcc names the runtime it links by its path, or only by its name when it is not there. */
function missingSanitizers() {
  return ['asan', 'ubsan'].flatMap((name) => {
    const found = spawnSync('cc', [`-print-file-name=lib${name}.so`], { encoding: 'utf8' }).stdout ?? '';
    if (existsSync(found.trim()) && found.startsWith('/')) return [];
    const major = spawnSync('cc', ['-dumpversion'], { encoding: 'utf8' }).stdout?.trim().split('.')[0];
    return [`libgcc-${major}-dev`];
  });
}

/** A check that is no test file, as one test. */
function oneCheck(name, status) {
  console.log(status === 0 ? `ok ${name}` : `FAILED ${name}`);
  return status === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/** Compiled files of the tests under `folder` whose source is still there and whose path holds `only`. */
function testFiles(folder, only) {
  return readdirSync(join(ROOT, folder), { recursive: true })
    .map((path) => join(folder, String(path)))
    .filter((path) => path.endsWith('.test.ts') && path.includes(only))
    .sort()
    .map((path) => join('dist', path.replace(/\.ts$/, '.js')));
}

/** Runs test files and returns the counts that the reporter wrote. */
function runFiles(files, { concurrency = 1, env = {}, nodeArgs = [] } = {}) {
  if (files.length === 0) return { passed: 0, failed: 0 };
  const folder = mkdtempSync(join(tmpdir(), 'weft-test-'));
  const counts = join(folder, 'counts.json');
  const args = [
    ...nodeArgs,
    '--test',
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${FILE_TIMEOUT_MS}`,
    `--test-reporter=${REPORTER}`,
    '--test-reporter-destination=stdout',
    ...files,
  ];
  const status = run(process.execPath, args, { env: { ...process.env, WEFT_TEST_COUNTS: counts, ...env } });
  const result = existsSync(counts) ? JSON.parse(readFileSync(counts, 'utf8')) : { passed: 0, failed: 0 };
  rmSync(folder, { recursive: true });
  // A runner that failed without a failed test has crashed.
  return status !== 0 && result.failed === 0 ? { ...result, failed: 1 } : result;
}

/** The native suite once more, in a build that stops at the first bad access or undefined behaviour. */
function runSanitized(only) {
  if (run(process.execPath, ['tun-tap/build.mjs', '--sanitize']) !== 0) return oneCheck('sanitizer build', 1);
  const runtime = spawnSync('cc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).stdout.trim();
  const env = {
    LD_PRELOAD: runtime,
    // Node keeps what it allocated until it ends, which is no leak of ours.
    ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:strict_string_checks=1',
    UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
    TUN_TAP_BUILD: 'sanitize',
  };
  // Without this the suite could run unsanitized and look the same.
  const loaded = `import('tun-tap').then(() => {
    const objects = process.report.getReport().sharedObjects.join();
    process.exit(/tun-tap-sanitize/.test(objects) && /libasan/.test(objects) && /libubsan/.test(objects) ? 0 : 1);
  })`;
  const proof = oneCheck(
    'sanitizers are loaded',
    run(process.execPath, ['-e', loaded], { env: { ...process.env, ...env } }),
  );
  const counts = runFiles(testFiles('test/native', only), { env });
  return { passed: counts.passed + proof.passed, failed: counts.failed + proof.failed };
}
