/**
 * What a bug report holds: versions, configuration, what the agent says, what the doctor and the picture say, what the
 * kernel says, names and sizes of the state files, and the log. No file of the state directory is copied. A part that
 * cannot be had says why in its place.
 */
import { closeSync, fstatSync, lstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../clock.ts';
import type { PeersReport, StatusReport } from '../../control/api-types.ts';
import { WeftError } from '../../errors.ts';
import { Kernel } from '../../host/kernel.ts';
import { buildVersion } from '../../version.ts';
import type { Context } from '../context.ts';
import { examine } from '../doctor/examination.ts';
import type { Overlay } from '../graph/model.ts';
import { judge } from '../verbs/doctor.ts';
import { look } from '../verbs/graph.ts';

export interface Part {
  readonly name: string;
  readonly text: string;
}

export interface CollectOptions {
  /** A log file to take the end of, besides the journal. */
  readonly log: string | null;
}

/** The end of a log that explains a fault is near its end. */
const MAX_LOG_BYTES = 2_097_152;
const JOURNAL_LINES = 5000;

const FROM_AGENT = ['status', 'peers', 'members', 'fdb', 'vteps', 'health', 'events', 'version'];

/** Commands that only read. */
const COMMANDS: readonly (readonly [string, readonly string[]])[] = [
  ['kernel/uname.txt', ['uname', '-a']],
  ['kernel/addresses.json', ['ip', '-json', '-details', '-statistics', 'address', 'show']],
  ['kernel/routes.json', ['ip', '-json', 'route', 'show', 'table', 'all']],
  ['kernel/rules.json', ['ip', '-json', 'rule', 'show']],
  ['kernel/neighbours.json', ['ip', '-json', 'neighbour', 'show']],
  ['kernel/bridge-fdb.json', ['bridge', '-json', 'fdb', 'show']],
  ['kernel/namespaces.txt', ['ip', 'netns', 'list']],
  ['kernel/udp-sockets.txt', ['ss', '-u', '-a', '-n', '-m', '-p']],
  ['kernel/nft.txt', ['nft', 'list', 'ruleset']],
  ['kernel/modules.txt', ['lsmod']],
  [
    'log/journal.txt',
    ['journalctl', '-u', 'weft', '-n', String(JOURNAL_LINES), '--no-pager', '-o', 'short-iso'],
  ],
];

const FILES: readonly (readonly [string, string])[] = [
  ['kernel/os-release.txt', '/etc/os-release'],
  ['kernel/snmp.txt', '/proc/net/snmp'],
  ['kernel/snmp6.txt', '/proc/net/snmp6'],
  ['kernel/softnet.txt', '/proc/net/softnet_stat'],
  ['kernel/cpuinfo.txt', '/proc/cpuinfo'],
  ['kernel/meminfo.txt', '/proc/meminfo'],
  ['kernel/pressure-cpu.txt', '/proc/pressure/cpu'],
];

const SYSCTLS = [
  'net/core/rmem_max',
  'net/core/wmem_max',
  'net/core/netdev_max_backlog',
  'net/ipv4/ip_forward',
  'net/ipv4/conf/all/rp_filter',
  'net/ipv4/ip_no_pmtu_disc',
  'net/ipv6/conf/all/forwarding',
];

export async function collect(context: Context, options: CollectOptions): Promise<Part[]> {
  const kernel = new Kernel();
  const json = (value: unknown): string => JSON.stringify(value, null, 2);
  const client = context.client();
  const parts: Part[] = [];
  const add = async (name: string, make: () => Promise<string> | string): Promise<void> => {
    parts.push({ name, text: await attempt(make) });
  };
  await add('version.json', () => json({ ...buildVersion(), node: process.versions, arch: process.arch }));
  await add('config.json', () =>
    json(context.configOrigins().map(({ key, value, from }) => ({ key: key.yaml, value, from }))),
  );
  for (const name of FROM_AGENT)
    await add(`agent/${name}.json`, async () => json(await client.get(`/v1/${name}`)));
  await add('agent/metrics.txt', () => client.getText('/v1/metrics'));
  await add('doctor.json', async () => json(judge(await examine(context, kernel))));
  await add('graph.json', async () => json(await look(kernel, await overlayOf(context))));
  await add('state-dir.json', () => json(listState(context.config().stateDir)));
  for (const [name, command] of COMMANDS) await add(name, async () => outputOf(kernel, command));
  for (const [name, path] of FILES) await add(name, () => kernel.read(path) ?? `${path} cannot be read`);
  await add('kernel/sysctl.json', () =>
    json(Object.fromEntries(SYSCTLS.map((key) => [key, kernel.read(`/proc/sys/${key}`)]))),
  );
  const { log } = options;
  if (log !== null) await add('log/file.txt', () => endOf(log));
  return parts;
}

/** A part that fails holds the reason: the report is needed most when things fail. */
async function attempt(make: () => Promise<string> | string): Promise<string> {
  try {
    return await make();
  } catch (error) {
    return `not available: ${(error as Error).message}`;
  }
}

async function outputOf(kernel: Kernel, command: readonly string[]): Promise<string> {
  const ran = await kernel.run(command);
  if (ran === null) return `not available: ${command[0]} is not installed`;
  return ran.status === 0 ? ran.out : `${command.join(' ')} ended with ${ran.status}: ${ran.err}${ran.out}`;
}

async function overlayOf(context: Context): Promise<Overlay | null> {
  try {
    const client = context.client();
    const status = await client.get<StatusReport>('/v1/status');
    return { status, peers: (await client.get<PeersReport>('/v1/peers')).peers };
  } catch (error) {
    if (error instanceof WeftError) return null;
    throw error;
  }
}

/** Names, sizes, modes and times: never what is in a file. */
function listState(stateDir: string): unknown {
  return readdirSync(stateDir).map((name) => {
    const { size, mode, uid, mtime } = lstatSync(join(stateDir, name));
    return { name, size, mode: (mode & 0o7777).toString(8), uid, modified: mtime.toISOString() };
  });
}

function endOf(path: string): string {
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    const start = Math.max(0, size - MAX_LOG_BYTES);
    const bytes = Buffer.alloc(Math.min(size, MAX_LOG_BYTES));
    const read = readSync(fd, bytes, 0, bytes.length, start);
    return bytes.subarray(0, read).toString('utf8');
  } finally {
    closeSync(fd);
  }
}

/** Unix milliseconds as a part of a file name. */
export const timeStamp = (ms: number = systemClock.wallMs()): string =>
  new Date(ms).toISOString().replaceAll(/[-:]|\.\d+/g, '');
