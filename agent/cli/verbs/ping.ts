/** `weft ping HOST|MAC`: does the other agent answer, how fast, over which path. No frame and no IP is involved. */
import { type Command, Option } from 'commander';
import { systemClock } from '../../clock.ts';
import type { FdbReport, PeerReport, PeersReport, PingReport, PingRequest } from '../../control/api-types.ts';
import { EXIT, WeftError } from '../../errors.ts';
import { duration, jsonOption, wholeNumber } from '../arguments.ts';
import type { ApiClient } from '../client.ts';
import type { Context } from '../context.ts';
import { clean, formatRtt, orDash } from '../print.ts';

interface Flags {
  readonly count: number;
  readonly interval: number;
  readonly size?: number;
  readonly json?: boolean;
}

/** `weft ping --json` */
interface PingSummary {
  readonly v: 1;
  readonly peer: string;
  readonly address: string | null;
  readonly endpoint: string | null;
  readonly path: string;
  readonly pmtu: number | null;
  readonly sent: number;
  readonly received: number;
  readonly lossPercent: number;
  /** Null when nothing came back. */
  readonly rttMs: { readonly min: number; readonly mean: number; readonly max: number } | null;
  readonly replies: readonly { readonly result: PingReport['result']; readonly rttMs: number | null }[];
}

const MAX_COUNT = 1000;

export function addPing(program: Command, context: Context): void {
  program
    .command('ping <host>')
    .summary('does the agent of HOST, or of who has a MAC, answer?')
    .description(
      "Probe a host through its session and tell path, round trip and loss. HOST is a member's name, its overlay address, or " +
        'a MAC address: then the host behind which it lives is probed. The other agent answers, not its kernel: if this ' +
        'works and ping(8) does not, look at the TAP and at what is behind it. Exits 6 if nothing comes back.',
    )
    .option('--count <number>', 'how many probes', wholeNumber(1, MAX_COUNT), 3)
    .addOption(
      new Option('--interval <duration>', 'time between them').argParser(duration).default(1000, '1s'),
    )
    .option(
      '--size <bytes>',
      'size of the outer IP packet, to try what the path carries',
      wholeNumber(92, 65_535),
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nExamples:\n  weft ping beta\n  weft ping 02:5e:00:00:00:42 --count 10\n  weft ping beta --size 1500',
    )
    .action((host: string, flags: Flags) => ping(context, host, flags));
}

async function ping(context: Context, host: string, { count, interval, size, json }: Flags): Promise<void> {
  const client = context.client();
  const peer = await peerOf(client, host);
  const { name, address, endpoint, path, pmtu } = peer;
  if (json !== true) {
    const where = [
      orDash(address),
      `at ${orDash(endpoint)}`,
      path,
      ...(pmtu === null ? [] : [`path mtu ${pmtu}`]),
    ];
    context.io.out(`${clean(name)}  ${where.join('  ')}\n`);
  }
  const request: PingRequest = { peer: name, sizeBytes: size ?? null };
  const replies: PingReport[] = []; // bounded by MAX_COUNT
  for (let i = 1; i <= count; i++) {
    if (i > 1) await new Promise<void>((resolve) => void systemClock.after(interval, resolve));
    const reply = await client.send<PingReport>('POST', '/v1/ping', request);
    replies.push(reply);
    if (json !== true) context.io.out(`${String(i).padStart(String(count).length)}  ${formatReply(reply)}\n`);
  }
  const summary = summaryOf(peer, replies);
  context.show(summary, json, formatSummary);
  if (summary.received === 0) context.exitStatus = EXIT.timedOut;
}

/** @throws WeftError E_NOT_FOUND, E_REFUSED for an endpoint that is no agent */
async function peerOf(client: ApiClient, host: string): Promise<PeerReport> {
  const { peers } = await client.get<PeersReport>('/v1/peers');
  const name = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(host)
    ? await holderOf(client, host.toLowerCase())
    : host;
  const peer = peers.find((each) => each.name === name || each.address?.split('/')[0] === name);
  if (peer === undefined) throw new WeftError('E_NOT_FOUND', `there is no host ${host}: see \`weft peers\``);
  if (peer.nodeId !== null) return peer;
  throw new WeftError(
    'E_REFUSED',
    `${peer.name} is a plain endpoint and no agent, which answers no probe: use ping(8)`,
  );
}

/** Name of the peer behind which a MAC address lives. */
async function holderOf(client: ApiClient, mac: string): Promise<string> {
  const { entries } = await client.get<FdbReport>('/v1/fdb');
  const found = entries.filter((entry) => entry.mac === mac);
  const remote = found.find(({ peer }) => peer !== null)?.peer;
  if (remote !== undefined && remote !== null) return remote;
  if (found.length > 0)
    throw new WeftError('E_NOT_FOUND', `${mac} lives behind this host: there is nothing to probe`);
  throw new WeftError('E_NOT_FOUND', `${mac} is not known: it has sent nothing lately, see \`weft fdb\``);
}

const WORDS = {
  ok: '',
  lost: 'lost: no answer within 3 s',
  'too-big': 'not sent: larger than the device it leaves by takes',
  unreachable: 'not sent: no route',
  'no-session': 'not sent: no session with it, see `weft peers`',
} as const;

function formatReply({ result, rttMs, sizeBytes }: PingReport): string {
  return rttMs === null ? WORDS[result] : `${formatRtt(rttMs)}  ${sizeBytes} bytes`;
}

function summaryOf(peer: PeerReport, replies: readonly PingReport[]): PingSummary {
  const { name, address, endpoint, path, pmtu } = peer;
  const times = replies.flatMap(({ rttMs }) => (rttMs === null ? [] : [rttMs]));
  const mean = times.reduce((sum, ms) => sum + ms, 0) / times.length;
  return {
    v: 1,
    peer: name,
    address,
    endpoint,
    path,
    pmtu,
    sent: replies.length,
    received: times.length,
    lossPercent: Math.round((1 - times.length / replies.length) * 1000) / 10,
    rttMs:
      times.length === 0
        ? null
        : { min: Math.min(...times), mean: Math.round(mean * 1000) / 1000, max: Math.max(...times) },
    replies: replies.map(({ result, rttMs }) => ({ result, rttMs })),
  };
}

function formatSummary({ sent, received, lossPercent, rttMs }: PingSummary): string {
  const times =
    rttMs === null
      ? ''
      : `; round trip ${formatRtt(rttMs.min)} at least, ${formatRtt(rttMs.mean)} mean, ${formatRtt(rttMs.max)} at most`;
  return `${sent} sent, ${received} came back, ${lossPercent} % lost${times}\n`;
}
