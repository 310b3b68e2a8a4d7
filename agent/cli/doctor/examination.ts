/**
 * Everything that `weft doctor` judges, gathered once: the configuration, what the running agent says, and what the kernel
 * says. Gathering never fails: what cannot be read is null, and a check says so.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, systemClock } from '../../clock.ts';
import { type Config, configSchema, GOSSIP_PORT, SEALED_PORT } from '../../config/schema.ts';
import type { MetricsReport, PeersReport, StatusReport } from '../../control/api-types.ts';
import { parseEndpoint } from '../../endpoint.ts';
import { WeftError } from '../../errors.ts';
import { Kernel } from '../../host/kernel.ts';
import { type Link, readLinks } from '../../host/links.ts';
import { type NftRuleset, readNftRuleset } from '../../host/nft-ruleset.ts';
import { readOffloads, readSrIov, type SrIov } from '../../host/nic.ts';
import { type ProcessRights, readRights } from '../../host/process-rights.ts';
import { type Route, routeTo } from '../../host/routes.ts';
import { probeTun, type TunState } from '../../host/tun-device.ts';
import { readUdpChecksumErrors, readUdpSockets, type UdpSocketState } from '../../host/udp-sockets.ts';
import type { Context } from '../context.ts';

/** RFC 7348 and RFC 8926. */
const PLAIN_PORT = { vxlan: 4789, geneve: 6081 } as const;
/** An address of RFC 5737: routed like any other. */
const ANYWHERE = '192.0.2.1';
/** Routes are asked for so many peers at most. */
const MAX_ROUTES = 50;
/** Written at least once a minute by a running agent, and never by a person. */
const CLOCK_FILES = ['counters.json', 'replays.json', 'node.cert', 'policy.bin'];

export interface Running {
  readonly status: StatusReport;
  readonly peers: PeersReport['peers'];
  readonly metrics: MetricsReport['metrics'];
}

export interface UnderlayDevice {
  readonly link: Link;
  /** Null when ethtool is missing. */
  readonly offloads: ReadonlyMap<string, boolean> | null;
  readonly srIov: SrIov | null;
  /** Value in force: the larger of `all` and the device's. */
  readonly rpFilter: number | null;
}

export interface PeerRoute {
  readonly peer: string;
  readonly ip: string;
  readonly route: Route | null;
}

export interface Examination {
  readonly config: Config;
  /** Why the configuration cannot be used. */
  readonly configError: string | null;
  readonly socket: string;
  readonly running: Running | null;
  /** Why no agent could be asked. */
  readonly agentError: WeftError | null;
  /** The state directory holds a member, so an agent should run. */
  readonly isMember: boolean;
  readonly kernelRelease: string | null;
  readonly tun: TunState;
  /** Of the agent if it runs and may be looked at, else of this process. */
  readonly rights: (ProcessRights & { readonly of: 'agent' | 'this user' }) | null;
  readonly receiveMaxBytes: number | null;
  readonly sendMaxBytes: number | null;
  readonly links: readonly Link[] | null;
  readonly underlayIp: string | null;
  readonly underlay: UnderlayDevice | null;
  readonly routes: readonly PeerRoute[];
  readonly sockets: readonly UdpSocketState[] | null;
  readonly checksumErrors: number | null;
  /** Null when nft is missing or refuses. */
  readonly ruleset: NftRuleset | null;
  /** Tables of the older iptables, which nft does not show. */
  readonly legacyTables: readonly string[];
  /** UDP ports of this host, with what they are for. */
  readonly ports: readonly { readonly port: number; readonly what: 'sealed' | 'membership' | 'plain' }[];
  readonly nowMs: number;
  /** Newest time stamp of the state files, Unix milliseconds. */
  readonly stateTimeMs: number | null;
  /** Whether a time daemon says that the clock is synchronised; null when none was found. */
  readonly synchronised: boolean | null;
  /** Null when checksums come out right, else what went wrong. */
  readonly checksumTest: string | null;
}

export async function examine(
  context: Context,
  kernel: Kernel = new Kernel(),
  clock: Clock = systemClock,
): Promise<Examination> {
  const { config, configError } = readConfig(context);
  const { running, agentError } = await askAgent(context);
  const links = await readLinks(kernel);
  const sockets = await readUdpSockets(kernel);
  const underlayIp = await underlayIpOf(config, running, kernel);
  const ports = portsOf(config, running);
  const holder = sockets?.find(({ port, pid }) => port === ports[0]?.port && pid !== null)?.pid ?? null;
  return {
    config,
    configError,
    socket: context.socketPath(),
    running,
    agentError,
    isMember: isFile(join(config.stateDir, 'node.cert')),
    kernelRelease: kernel.read('/proc/sys/kernel/osrelease'),
    tun: probeTun(),
    rights: rightsOf(kernel, running === null ? null : holder),
    receiveMaxBytes: kernel.readNumber('/proc/sys/net/core/rmem_max'),
    sendMaxBytes: kernel.readNumber('/proc/sys/net/core/wmem_max'),
    links,
    underlayIp,
    underlay: await underlayOf(kernel, links, underlayIp),
    routes: await routesOf(kernel, running),
    sockets,
    checksumErrors: readUdpChecksumErrors(kernel),
    ruleset: await readNftRuleset(kernel),
    legacyTables: ['ip_tables_names', 'ip6_tables_names'].flatMap((file) =>
      (kernel.read(`/proc/net/${file}`) ?? '')
        .split('\n')
        .filter((name) => name === 'filter' || name === 'raw'),
    ),
    ports,
    nowMs: clock.wallMs(),
    stateTimeMs: newestOf(config.stateDir),
    synchronised: await isSynchronised(kernel),
    checksumTest: await checksumTest(),
  };
}

function readConfig(context: Context): { config: Config; configError: string | null } {
  try {
    return { config: context.config(), configError: null };
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    return { config: configSchema.parse({}), configError: error.message };
  }
}

async function askAgent(context: Context): Promise<Pick<Examination, 'running' | 'agentError'>> {
  try {
    const client = context.client();
    const status = await client.get<StatusReport>('/v1/status');
    const { peers } = await client.get<PeersReport>('/v1/peers');
    const { metrics } = await client.get<MetricsReport>('/v1/metrics?format=json');
    return { running: { status, peers, metrics }, agentError: null };
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    return { running: null, agentError: error };
  }
}

function portsOf(config: Config, running: Running | null): Examination['ports'] {
  const sealed = endpointOf(running)?.port ?? config.underlay?.port ?? SEALED_PORT;
  const ports: Examination['ports'][number][] = [
    { port: sealed, what: 'sealed' },
    { port: config.gossipPort ?? GOSSIP_PORT, what: 'membership' },
  ];
  if (running?.status.mode === 'plain') ports.push({ port: PLAIN_PORT[running.status.encap], what: 'plain' });
  return ports;
}

const endpointOf = (running: Running | null): { ip: string; port: number } | null =>
  parseEndpoint(running?.status.endpoint ?? '', SEALED_PORT);

async function underlayIpOf(config: Config, running: Running | null, kernel: Kernel): Promise<string | null> {
  const known = endpointOf(running)?.ip ?? config.underlay?.ip;
  return known ?? (await routeTo(kernel, ANYWHERE))?.source ?? null;
}

async function underlayOf(
  kernel: Kernel,
  links: readonly Link[] | null,
  ip: string | null,
): Promise<UnderlayDevice | null> {
  const link = links?.find(({ addresses }) => addresses.some((address) => address.ip === ip));
  if (link === undefined) return null;
  const filters = ['all', link.name].map((name) =>
    kernel.readNumber(`/proc/sys/net/ipv4/conf/${name}/rp_filter`),
  );
  return {
    link,
    offloads: await readOffloads(kernel, link.name),
    srIov: readSrIov(kernel, link.name),
    rpFilter: filters.every((value) => value === null)
      ? null
      : Math.max(...filters.map((value) => value ?? 0)),
  };
}

async function routesOf(kernel: Kernel, running: Running | null): Promise<PeerRoute[]> {
  const peers = (running?.peers ?? []).slice(0, MAX_ROUTES);
  const routes: PeerRoute[] = [];
  for (const { name, endpoint } of peers) {
    const ip = parseEndpoint(endpoint ?? '', SEALED_PORT)?.ip;
    if (ip !== undefined) routes.push({ peer: name, ip, route: await routeTo(kernel, ip) });
  }
  return routes;
}

function rightsOf(kernel: Kernel, agentPid: number | null): Examination['rights'] {
  const agents = agentPid === null ? null : readRights(kernel, agentPid);
  if (agents !== null) return { of: 'agent', ...agents };
  const own = readRights(kernel, 'self');
  return own === null ? null : { of: 'this user', ...own };
}

function newestOf(stateDir: string): number | null {
  const times = CLOCK_FILES.flatMap((name) => {
    const stat = statOf(join(stateDir, name));
    return stat === null ? [] : [stat.mtimeMs];
  });
  return times.length === 0 ? null : Math.max(...times);
}

function statOf(path: string): { readonly mtimeMs: number } | null {
  try {
    return statSync(path, { throwIfNoEntry: false }) ?? null;
  } catch {
    return null;
  }
}

const isFile = (path: string): boolean => statOf(path) !== null;

/** chrony first: where both run, it is the one that keeps time. */
async function isSynchronised(kernel: Kernel): Promise<boolean | null> {
  const chrony = await kernel.run(['chronyc', '-n', 'tracking']);
  if (chrony?.status === 0) return /^Leap status\s*: Normal/m.test(chrony.out);
  const systemd = await kernel.run(['timedatectl', 'show', '-p', 'NTPSynchronized', '--value']);
  return systemd?.status === 0 ? systemd.out.trim() === 'yes' : null;
}

/** Loaded only here: no other verb of the command line needs the packet library. */
async function checksumTest(): Promise<string | null> {
  try {
    const { testChecksums } = await import('../../host/checksum-test.ts');
    return await testChecksums();
  } catch (error) {
    return `the packet library failed: ${String((error as Error).message)}`;
  }
}
