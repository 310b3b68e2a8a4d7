/** `weft capture`: frames and datagrams with what became of them, as pcapng for tshark and Wireshark, or a line each. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { systemClock } from '../../clock.ts';
import type { CaptureLoss, CaptureRecord, PeersReport, StatusReport } from '../../control/api-types.ts';
import { ipFromBytes } from '../../endpoint.ts';
import { WeftError } from '../../errors.ts';
import type { PacketWatch } from '../../host/packet-watch.ts';
import { buildVersion } from '../../version.ts';
import { duration, wholeNumber } from '../arguments.ts';
import { type Filter, headersOf, type Packet, parseFilter } from '../capture/filter.ts';
import { commentOf, type Places, packetOfDevice, packetOfRecord, placesOf } from '../capture/packets.ts';
import { interfaceBlock, LINK, packetBlock, sectionBlock, statisticsBlock } from '../capture/pcapng.ts';
import type { ApiClient } from '../client.ts';
import type { Context } from '../context.ts';
import { clean } from '../print.ts';

interface Flags {
  readonly interface?: 'inner' | 'outer';
  readonly write?: string;
  readonly count?: number;
  readonly duration?: number;
  readonly snaplen: number;
}

const MAX_PACKETS = 1_000_000_000;
const MAX_SNAP_BYTES = 2048;
const WATCH_MS = 10;
const SIDES: readonly Packet['side'][] = ['inner', 'outer', 'dropped'];

export function addCapture(program: Command, context: Context): void {
  program
    .command('capture [filter...]')
    .summary('frames and datagrams with what became of them')
    .description(
      'Capture what passes the agent: frames as the TAP has them (inner) and datagrams on the underlay device (outer, as root). In ' +
        'pcapng every packet has a comment with peer, VNI, verdict and drop reason; datagrams that were dropped before they were a ' +
        'frame stand on an interface of their own. FILTER is terms that must all hold: host IP, ether MAC, port N, tcp, udp, icmp, icmp6, ' +
        'arp, ip, ip6, peer NAME, vni N, in, out, inner, outer, dropped, sent, reason NAME, each also after `not`. What ' +
        'finds no room is lost, and counted, not waited for. Ends on Ctrl-C.',
    )
    .addOption(new Option('-i, --interface <side>', 'only one side').choices(['inner', 'outer']))
    .option(
      '-w, --write <file>',
      'pcapng to a file, or to standard output for -; a line for each packet otherwise',
    )
    .option('--count <number>', 'end after so many packets', wholeNumber(1, MAX_PACKETS))
    .option('--duration <duration>', 'end after so long', duration)
    .option('--snaplen <bytes>', 'bytes kept of each packet', wholeNumber(64, MAX_SNAP_BYTES), MAX_SNAP_BYTES)
    .addHelpText(
      'after',
      '\nExamples:\n  weft capture dropped\n  weft capture -i inner -w - | tshark -r -\n  weft capture -w /tmp/weft.pcapng --duration 10s peer beta not port 22',
    )
    .action((words: readonly string[], flags: Flags) => capture(context, words, flags));
}

async function capture(context: Context, words: readonly string[], flags: Flags): Promise<void> {
  const filter = parseFilter(words);
  const client = context.client();
  const status = await client.get<StatusReport>('/v1/status');
  const places = placesOf(status, await client.get<PeersReport>('/v1/peers'), context.config().gossipPort);
  const watch = flags.interface === 'inner' ? null : await watchOf(places);
  const end = new AbortController();
  const stop = (): void => end.abort();
  const sink = openSink(context, flags.write ?? null);
  try {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
    const cancels = flags.duration === undefined ? [] : [systemClock.after(flags.duration, stop)];
    const taker = new Taker(filter, sink, flags.count ?? MAX_PACKETS, stop);
    if (watch !== null)
      cancels.push(systemClock.every(WATCH_MS, () => takeFromDevice(watch, taker, flags.snaplen, places)));
    const begin = (): void => context.note('capturing, Ctrl-C ends it');
    await takeFromAgent(client, taker, { flags, places, begin }, end.signal);
    for (const cancel of cancels) cancel();
    const lost = taker.lost + (watch?.lost ?? 0);
    sink.end(lost);
    context.note(`${taker.taken} packets, ${lost} lost`);
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, stop);
    watch?.close();
    sink.close();
  }
}

/** Loads the packet library, which other verbs do without. */
async function watchOf({ own }: Places): Promise<PacketWatch> {
  const { deviceOf, PacketWatch } = await import('../../host/packet-watch.ts');
  const device = deviceOf(own.ip);
  if (device !== null) return new PacketWatch(device);
  throw new WeftError(
    'E_DEVICE',
    `no device here has the underlay address ${own.ip}: use -i inner, or look in the agent's namespace`,
  );
}

function takeFromDevice(watch: PacketWatch, taker: Taker, snapBytes: number, places: Places): void {
  const at = systemClock.wallMs();
  watch.drain((frame, outgoing) => {
    const packet = packetOfDevice(frame, outgoing, at, snapBytes, places);
    if (packet !== null) taker.take(packet);
  });
}

/** Returns when it was stopped, or the agent is gone. */
async function takeFromAgent(
  client: ApiClient,
  taker: Taker,
  { flags, places, begin }: { readonly flags: Flags; readonly places: Places; readonly begin: () => void },
  signal: AbortSignal,
): Promise<void> {
  const wanted = (side: Packet['side']): boolean =>
    flags.interface === undefined || (side === 'inner') === (flags.interface === 'inner');
  try {
    for await (const line of client.lines(`/v1/capture?snap=${flags.snaplen}`, signal)) {
      if (signal.aborted) return;
      const said = JSON.parse(line) as CaptureRecord | CaptureLoss;
      if ('lost' in said) {
        if (said.lost === 0) begin();
        taker.lost = said.lost;
      } else {
        const packet = packetOfRecord(said, places);
        if (wanted(packet.side)) taker.take(packet);
      }
    }
    if (!signal.aborted) throw new WeftError('E_NOT_RUNNING', 'the agent ended, and the capture with it');
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Passes on what the filter lets through, up to a number of packets. */
class Taker {
  readonly #filter: Filter;
  readonly #sink: Sink;
  readonly #most: number;
  readonly #stop: () => void;
  taken = 0;
  /** Of the agent's records. */
  lost = 0;

  constructor(filter: Filter, sink: Sink, most: number, stop: () => void) {
    this.#filter = filter;
    this.#sink = sink;
    this.#most = most;
    this.#stop = stop;
  }

  take(packet: Packet): void {
    if (this.taken >= this.#most || !this.#filter(packet)) return;
    this.taken++;
    this.#sink.packet(packet);
    if (this.taken >= this.#most) this.#stop();
  }
}

/** Where packets go. */
interface Sink {
  packet(packet: Packet): void;
  end(lost: number): void;
  close(): void;
}

/** @throws WeftError E_CONFIG */
function openSink(context: Context, file: string | null): Sink {
  if (file === null)
    return {
      packet: (packet) => context.io.out(format(packet)),
      end: () => undefined,
      close: () => undefined,
    };
  const fd = file === '-' ? null : open(file);
  const write = (bytes: Uint8Array): void => {
    if (fd === null) context.io.outBytes(bytes);
    else writeSync(fd, bytes);
  };
  write(sectionBlock(`weft ${buildVersion().version}`));
  write(interfaceBlock(LINK.ethernet, 'inner', 'frames of the TAP'));
  write(interfaceBlock(LINK.ethernet, 'outer', 'datagrams on the underlay device'));
  write(
    interfaceBlock(LINK.ip, 'dropped', 'datagrams that were dropped unopened: their ends and first bytes'),
  );
  return {
    packet: (packet) => {
      const { side, at, data, sizeBytes } = packet;
      write(packetBlock(SIDES.indexOf(side), at, data, sizeBytes, commentOf(packet)));
    },
    end: (lost) => write(statisticsBlock(0, systemClock.wallMs(), lost)),
    close: () => {
      if (fd !== null) closeSync(fd);
    },
  };
}

function open(file: string): number {
  try {
    return openSync(file, 'w', 0o600);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new WeftError('E_CONFIG', `capture file ${file} cannot be written (${reason})`, { cause });
  }
}

/** `14:40:01.123456  inner  02:.. > 02:..  10.80.0.1.40000 > 10.80.0.2.80 tcp  74 bytes  direction=out ...` */
function format(packet: Packet): string {
  const { macs, ips, ports, protocol, type } = headersOf(packet);
  const when = new Date(packet.at).toISOString().slice(11, 23);
  const address = (i: number): string => {
    const ip = ipFromBytes(Buffer.from(ips[i] ?? '', 'hex'));
    return ports[i] === undefined ? ip : `${ip}.${ports[i]}`;
  };
  const [to, from] = macs.map((mac) => mac.match(/../g)?.join(':') ?? mac);
  const inner =
    ips.length < 2
      ? `0x${type.toString(16).padStart(4, '0')}`
      : `${address(0)} > ${address(1)} ${PROTOCOL_NAMES[protocol] ?? `protocol ${protocol}`}`;
  const ends = from === undefined ? '' : `${from} > ${to}  `;
  return `${when}  ${packet.side.padEnd(7)}  ${ends}${inner}  ${packet.sizeBytes} bytes  ${clean(commentOf(packet))}\n`;
}

const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'icmp6',
  [-1]: 'arp',
};
