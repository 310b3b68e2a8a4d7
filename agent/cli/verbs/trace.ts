/** `weft trace FRAME`: every stage that a frame would pass here, what decides, and where it would end. */
import type { Command } from 'commander';
import type { TraceReport, TraceRequest } from '../../control/api-types.ts';
import { WeftError } from '../../errors.ts';
import { jsonOption, wholeNumber } from '../arguments.ts';
import type { Context } from '../context.ts';
import { type CapturedFrame, framesOfFile, looksLikeFile } from '../frame/pcap-file.ts';
import { frameOfText } from '../frame/text.ts';
import { clean, paint } from '../print.ts';

interface Flags {
  readonly in?: string;
  readonly size?: number;
  readonly json?: boolean;
}

/** `weft trace --json` */
interface Traces {
  readonly v: 1;
  readonly frames: readonly TraceReport[];
}

/** Frames of one file. */
const MAX_FRAMES = 1000;
/** What the agent takes of a frame; the rest is zeros to it, which no decision looks at. */
const MAX_HEAD_BYTES = 2048;
const MAX_FRAME_BYTES = 65_535;

export function addTrace(program: Command, context: Context): void {
  program
    .command('trace <frame...>')
    .summary('what would become of a frame, and why')
    .description(
      'Say which stages a frame would pass on this host, which table entry decides, and whether it would be sent, written or ' +
        'dropped, with the drop reason as the counters name it. Asks the live tables; sends and learns nothing. FRAME is ' +
        'SRC-MAC DST-MAC [ETHERTYPE] [IP-SRC IP-DST [PROTOCOL [SRC-PORT DST-PORT]]], or hex, or a pcap or pcapng file, of which ' +
        'the first 1,000 frames are taken. What only the kernel knows, such as a firewall or a full buffer, is not foretold.',
    )
    .option('--in <peer>', 'as a frame that came from this peer, instead of one from the TAP')
    .option('--size <bytes>', 'size of the whole frame; the rest is zeros', wholeNumber(1, MAX_FRAME_BYTES))
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nExamples:\n  weft trace 02:5e:00:00:00:01 02:5e:00:00:00:02\n  weft trace 02:5e:00:00:00:01 02:5e:00:00:00:02 10.80.0.1 10.80.0.2 tcp 40000 443 --size 1400\n' +
        '  weft trace --in beta 02:5e:00:00:00:02 ff:ff:ff:ff:ff:ff arp\n  weft trace lost.pcap --json',
    )
    .action((words: readonly string[], flags: Flags) => trace(context, words, flags));
}

async function trace(
  context: Context,
  words: readonly string[],
  { in: from, size, json }: Flags,
): Promise<void> {
  const client = context.client();
  const reports: TraceReport[] = []; // bounded by MAX_FRAMES
  for (const { bytes, sizeBytes } of framesOf(words, size ?? null)) {
    const request: TraceRequest = {
      direction: from === undefined ? 'out' : 'in',
      peer: from ?? null,
      frame: Buffer.from(bytes.subarray(0, MAX_HEAD_BYTES)).toString('hex'),
      sizeBytes,
    };
    const report = await client.send<TraceReport>('POST', '/v1/trace', request);
    if (json === true) reports.push(report);
    else context.io.out(format(report, context.coloured));
  }
  const traces: Traces = { v: 1, frames: reports };
  if (json === true) context.show(traces, json, () => '');
}

function framesOf(words: readonly string[], size: number | null): readonly CapturedFrame[] {
  const [first = ''] = words;
  if (words.length > 1 || !looksLikeFile(first)) {
    const bytes = frameOfText(words, size);
    return [{ bytes, sizeBytes: bytes.length }];
  }
  const frames = framesOfFile(first, MAX_FRAMES);
  if (frames.length > 0) return frames;
  throw new WeftError('E_CONFIG', `${first} holds no frame`);
}

/** A line for each stage, then what it comes to. */
function format({ summary, steps, copies, drops, verdict }: TraceReport, coloured: boolean): string {
  const several = copies.length > 1;
  const lines = steps.map(({ stage, passed, peer, text }) => {
    const what = paint(stage.padEnd(11), passed ? null : 'red', coloured);
    return `  ${what}  ${several && peer !== null ? `${clean(peer)}: ` : ''}${clean(text)}`;
  });
  const sent = copies.filter(({ verdict: each }) => each === 'sent').map(({ peer }) => clean(peer));
  const where = sent.length === 0 ? 'to the TAP' : `to ${sent.join(', ')}`;
  const end = [
    ...(verdict === 'forwarded' ? [paint(`forwarded ${where}`, 'green', coloured)] : []),
    ...drops.map(
      ({ reason, count, why }) =>
        paint(`dropped: ${reason}`, 'red', coloured) +
        (count > 1 ? ` (${count} copies)` : '') +
        `: ${clean(why)}`,
    ),
  ];
  return `${clean(summary)}\n${lines.join('\n')}\n  ${end.join('\n  ')}\n`;
}
