#!/usr/bin/env node
/**
 * Builds the addon with the system's C compiler against the headers of the running Node (its OpenSSL among them).
 * Downloads nothing. `--sanitize` builds the AddressSanitizer and UBSan variant beside it; index.ts loads that one when
 * TUN_TAP_BUILD=sanitize. Does nothing when the result is newer than its sources and was
 * built with the same options.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const native = join(here, 'native');
const sanitize = process.argv.includes('--sanitize');
const variant = sanitize ? 'tun-tap-sanitize.node' : 'tun-tap.node';
const target = join(here, 'build', `${process.platform}-${process.arch}`, variant);

function fail(message) {
  process.stderr.write(`tun-tap: ${message}\n`);
  process.exit(1);
}

const include = join(dirname(dirname(process.execPath)), 'include', 'node');
if (!existsSync(join(include, 'node_api.h')))
  fail(
    `no ${join(include, 'node_api.h')}: install Node from nodejs.org's archive, or the libnode-dev package`,
  );
if (!existsSync(join(include, 'openssl', 'evp.h')))
  fail(`no OpenSSL headers in ${include}: install Node from nodejs.org's archive, or the libssl-dev package`);

/** Debian: libipsec-mb-dev. Its library is looked for at run time, so the result runs without it too. */
const ipsecMb = existsSync('/usr/include/intel-ipsec-mb.h') ? ['-DWEFT_IPSEC_MB'] : [];

const all = readdirSync(native).map((name) => join(native, name));
const sources = all.filter((name) => name.endsWith('.c'));
const newest = Math.max(
  ...[...all, process.execPath, fileURLToPath(import.meta.url)].map((f) => statSync(f).mtimeMs),
);
const compiler = process.env.CC ?? 'cc';
const flags = sanitize
  ? [
      '-O1',
      '-g',
      '-fno-omit-frame-pointer',
      '-fsanitize=address,undefined',
      '-fno-sanitize-recover=undefined',
    ]
  : ['-O3'];
const warnings = ['-Wall', '-Wextra', '-Werror'];
const language = ['-std=c11', '-D_GNU_SOURCE', '-DNAPI_VERSION=8', '-fPIC', '-shared', '-fvisibility=hidden'];
const options = [...flags, ...warnings, ...language, ...ipsecMb, '-isystem', include];
const stamp = `${target}.built-with`;
const builtWith = `${[compiler, ...options].join(' ')}\n`;
if (
  existsSync(target) &&
  statSync(target).mtimeMs > newest &&
  existsSync(stamp) &&
  readFileSync(stamp, 'utf8') === builtWith
)
  process.exit(0);

mkdirSync(dirname(target), { recursive: true });
const partial = `${target}.${process.pid}`;
const run = spawnSync(compiler, [...options, ...sources, '-o', partial], {
  stdio: ['ignore', 'inherit', 'inherit'],
});
if (run.error?.code === 'ENOENT')
  fail(`no C compiler '${compiler}': install the gcc package (apt install gcc)`);
if (run.status !== 0) fail(`${compiler} failed`);
renameSync(partial, target);
writeFileSync(stamp, builtWith);
