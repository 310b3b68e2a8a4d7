/** The lab's steps that send traffic through the mesh: pings of every pair, a TCP transfer, and the search of the underlay. */
import { formatBytes, formatRtt } from '../cli/print.ts';
import { systemRng } from '../clock.ts';
import type { StatusReport } from '../control/api-types.ts';
import { ipToBytes } from '../endpoint.ts';
import { WeftError } from '../errors.ts';
import type { CaptureReport } from './capture.ts';
import type { Host } from './host.ts';
import type { PingResult } from './ping.ts';
import { formatRate } from './report.ts';
import { type Lab, probeOf } from './setting.ts';
import type { Received } from './transfer.ts';
import { until, type WaitOptions } from './wait.ts';

const PINGS = 20;
const PING_INTERVAL_MS = 20;
/** What two cores carry without queues, all hosts together: more hosts ping more slowly. */
const PINGS_PER_SEC = 1500;
/** Pairs that are listed one by one; more are summed up. */
const SHOWN_PAIRS = 12;
const TRANSFER = { bytes: 1_073_741_824, durationMs: 3000 } as const;
const SEARCHED_TRANSFER = { bytes: 4_194_304, durationMs: 10_000 } as const;
const SEALED_PORT = 7947;

/** Waits until a host answers the first one through the mesh. @throws WeftError E_TIMEOUT */
export async function reach(lab: Lab, host: Host, options: WaitOptions): Promise<void> {
  const targets = [overlayIp(await host.api.get<StatusReport>('/v1/status'))];
  const once = { targets, count: 1, intervalMs: 10, payload: new Uint8Array(56) };
  await until(`answer of ${host.name}`, options, async () => {
    const [result] = await probeOf(lab, 0).ask<PingResult[]>('ping', once);
    return result?.received === 1 ? true : null;
  });
}

interface Pair extends PingResult {
  readonly from: string;
  readonly to: string;
}

export async function pingPairs(lab: Lab): Promise<string> {
  const payload = new TextEncoder().encode('weft lab ping'.padEnd(56, '.'));
  const statuses = await allStatuses(lab);
  const pairCount = statuses.length * (statuses.length - 1);
  const intervalMs = Math.max(PING_INTERVAL_MS, (pairCount * 1000) / PINGS_PER_SEC);
  const results = await Promise.all(
    lab.hosts.map(async (host, i) => {
      const others = statuses.filter((_, k) => k !== i);
      const targets = others.map(overlayIp);
      const options = { targets, count: PINGS, intervalMs, payload };
      const answers = await probeOf(lab, i).ask<PingResult[]>('ping', options);
      return answers.map((answer, k): Pair => ({ ...answer, from: host.name, to: others[k]?.name ?? '' }));
    }),
  );
  const pairs = results.flat();
  lab.report.details(pairs.length <= SHOWN_PAIRS ? pairs.map(pairLine).join('\n') : summary(pairs));
  const lossy = pairs.find((pair) => pair.received < pair.sent);
  if (lossy !== undefined) throw new WeftError('E_UNREACHABLE', `lost pings: ${pairLine(lossy)}`);
  return `${pairs.length} pairs, ${pairs.length * PINGS} pings, 0 % loss`;
}

function pairLine({ from, to, sent, received, averageMs, largestMs }: Pair): string {
  const loss = `${(((sent - received) * 100) / sent).toFixed(0)} % loss`;
  const time =
    averageMs === null ? '' : `  rtt ${formatRtt(averageMs)}, at most ${formatRtt(largestMs ?? 0)}`;
  return `${from} -> ${to}  ${received}/${sent}, ${loss}${time}`;
}

function summary(pairs: readonly Pair[]): string {
  const known = pairs.flatMap((pair) => pair.averageMs ?? []);
  const mean = known.reduce((sum, ms) => sum + ms, 0) / Math.max(1, known.length);
  return `mean rtt ${formatRtt(mean)}, worst ${formatRtt(Math.max(...pairs.map((pair) => pair.largestMs ?? 0)))}`;
}

export async function transfer(lab: Lab): Promise<string> {
  const { received } = await stream(lab, { ...TRANSFER, text: 'weft lab ' });
  const [from, to] = lab.hosts;
  return `${from?.name} -> ${to?.name}: ${formatBytes(received.bytes)} at ${formatRate(received.bytes, received.durationMs)}`;
}

/** Sends TCP from the first host to the second. @throws WeftError if a byte is missing */
async function stream(
  lab: Lab,
  options: { readonly bytes: number; readonly durationMs: number; readonly text: string },
): Promise<{ readonly received: Received }> {
  const [, target] = await allStatuses(lab);
  const address = overlayIp(target);
  const port = await probeOf(lab, 1).ask<number>('listen', address);
  const [received, sent] = await Promise.all([
    probeOf(lab, 1).ask<Received>('received'),
    probeOf(lab, 0).ask<number>('send', { ...options, address, port }),
  ]);
  if (received.bytes === sent && sent > 0) return { received };
  throw new WeftError('E_UNREACHABLE', `of ${sent} bytes sent, ${received.bytes} arrived`);
}

/** First proves that the search finds what crosses the underlay in the clear, then that the mesh shows none of it. */
export async function searchUnderlay(lab: Lab): Promise<string> {
  const [a, b] = await allStatuses(lab);
  const marker = `weft-lab-${Buffer.from(systemRng.fill(new Uint8Array(12))).toString('hex')};`;
  const needles = [Buffer.from(marker), macBytes(a), addressPair(a, b)];
  const names = ['payload', 'MAC address', 'pair of overlay addresses'];

  const clear = await captured(lab, needles, async () => {
    const bytes = Buffer.concat(needles);
    const address = lab.hosts[1]?.node.address;
    await probeOf(lab, 0).ask('datagram', { address, port: 9, bytes });
  });
  const blind = clear.found.indexOf(0);
  if (blind >= 0)
    throw new WeftError('E_DEVICE', `the search does not see a ${names[blind]} sent in the clear`);

  const sealed = await captured(lab, needles, async () => {
    const payload = Buffer.alloc(1000, marker);
    await probeOf(lab, 0).ask('ping', { targets: [overlayIp(b)], count: 10, intervalMs: 10, payload });
    await stream(lab, { ...SEARCHED_TRANSFER, text: marker });
  });
  const leaked = sealed.found.findIndex((count) => count > 0);
  if (leaked >= 0)
    throw new WeftError('E_DEVICE', `a ${names[leaked]} of the mesh is readable on the underlay`);
  if (sealed.bytes < SEARCHED_TRANSFER.bytes || sealed.ofPort === 0) {
    throw new WeftError(
      'E_DEVICE',
      `the search saw only ${sealed.bytes} bytes of ${SEARCHED_TRANSFER.bytes}`,
    );
  }
  lab.report.details(
    `sent in the clear, each of ${names.join(', ')} was found;\n` +
      `through the mesh, none in ${sealed.frames} frames (${formatBytes(sealed.bytes)})`,
  );
  return 'no inner byte is readable on the underlay';
}

/** What the router's interfaces carried while `work` ran. */
async function captured(
  lab: Lab,
  needles: readonly Uint8Array[],
  work: () => Promise<void>,
): Promise<CaptureReport> {
  const router = probeOf(lab, lab.hosts.length);
  const interfaces = lab.topology.nodes.map((node) => node.routerInterface);
  await router.ask('startCapture', { interfaces, needles, port: SEALED_PORT });
  await work();
  return router.ask<CaptureReport>('stopCapture');
}

function allStatuses(lab: Lab): Promise<StatusReport[]> {
  return Promise.all(lab.hosts.map((host) => host.api.get<StatusReport>('/v1/status')));
}

/** The overlay address without its prefix. */
function overlayIp(status: StatusReport | undefined): string {
  const ip = status?.address?.split('/')[0];
  if (ip === undefined) throw new WeftError('E_DEVICE', `${status?.name} has no overlay address`);
  return ip;
}

function macBytes(status: StatusReport | undefined): Buffer {
  return Buffer.from((status?.mac ?? '').replaceAll(':', ''), 'hex');
}

/** Source and destination as they stand in an IPv4 header. */
function addressPair(a: StatusReport | undefined, b: StatusReport | undefined): Buffer {
  return Buffer.concat([a, b].map((status) => ipToBytes(overlayIp(status)).subarray(12)));
}
