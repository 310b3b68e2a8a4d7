/**
 * A stream of numbered datagrams from one namespace to another while something happens, and what became of it: lost,
 * doubled, out of order, and how long nothing came. stream_end.py is at both ends; times are of the machine's monotonic
 * clock, in milliseconds.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { CHILD_ENV } from '../../agent/lab/command.ts';
import { until } from '../../agent/lab/wait.ts';
import { inside } from '../netns/programs.ts';
import { ROOT } from '../unit/style-source.ts';

const PROGRAM = join(ROOT, 'test/scenarios/stream_end.py');
const PYTHON = '/usr/bin/python3';

export interface StreamReport {
  readonly sent: number;
  /** When the first datagram was sent. */
  readonly startedMs: number;
  readonly received: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly reordered: number;
  /** The longest time without an arrival between two that came. */
  readonly gapMs: number;
  /** Number, time sent and time received of each that came, in order of arrival. */
  readonly arrivals: readonly Arrival[];
}

interface Arrival {
  readonly number: number;
  readonly sentMs: number;
  readonly atMs: number;
}

/** Milliseconds of CLOCK_MONOTONIC, as stream_end.py has them. */
export const monotonicMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

interface End {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly ended: Promise<unknown>;
}

function startEnd(namespace: string, args: readonly string[]): End {
  const [program = '', ...rest] = inside(namespace, [PYTHON, PROGRAM, ...args]);
  const child = spawn(program, rest, { env: { ...CHILD_ENV }, stdio: ['pipe', 'pipe', 'inherit'] });
  let out = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  return { child, out: () => out, ended: once(child, 'close') };
}

export class Stream {
  readonly #sender: End;
  readonly #receiver: End;

  private constructor(sender: End, receiver: End) {
    this.#sender = sender;
    this.#receiver = receiver;
  }

  /** Sends from now on. @param to where the receiver listens: its namespace and address */
  static async start(
    from: string,
    to: { readonly namespace: string; readonly address: string },
    options: { readonly port?: number; readonly pps?: number } = {},
  ): Promise<Stream> {
    const { port = 9300, pps = 1000 } = options;
    const receiver = startEnd(to.namespace, ['receive', to.address, String(port)]);
    await until('receiver of the stream', { timeoutMs: 10_000, everyMs: 10 }, () =>
      receiver.out().startsWith('ready') ? true : null,
    );
    return new Stream(startEnd(from, ['send', to.address, String(port), String(pps)]), receiver);
  }

  async stop(): Promise<StreamReport> {
    this.#sender.child.stdin?.end();
    await this.#sender.ended;
    this.#receiver.child.stdin?.end();
    await this.#receiver.ended;
    const { sent, startedMs } = JSON.parse(this.#sender.out());
    const [, line = '[]'] = this.#receiver.out().split('\n');
    return reportOf(sent, startedMs, JSON.parse(line));
  }

  /** Ends both at once, for the end of a scenario that failed. */
  kill(): void {
    this.#sender.child.kill('SIGKILL');
    this.#receiver.child.kill('SIGKILL');
  }
}

export function reportOf(
  sent: number,
  startedMs: number,
  rows: readonly (readonly [number, number, number])[],
): StreamReport {
  const arrivals = rows.map(([number, sentUs, atUs]) => ({
    number,
    sentMs: sentUs / 1000,
    atMs: atUs / 1000,
  }));
  const seen = new Set<number>();
  let duplicates = 0;
  let reordered = 0;
  let gapMs = 0;
  let highest = -1;
  let lastMs = arrivals[0]?.atMs ?? 0;
  for (const { number, atMs } of arrivals) {
    if (seen.has(number)) duplicates++;
    else if (number < highest) reordered++;
    seen.add(number);
    highest = Math.max(highest, number);
    gapMs = Math.max(gapMs, atMs - lastMs);
    lastMs = atMs;
  }
  return {
    sent,
    startedMs,
    received: seen.size,
    lost: sent - seen.size,
    duplicates,
    reordered,
    gapMs,
    arrivals,
  };
}

/** How long after `eventMs` until a datagram that was sent after it arrived; infinity if none did. */
export function resumedAfterMs(report: StreamReport, eventMs: number): number {
  const first = report.arrivals.find(({ sentMs }) => sentMs > eventMs);
  return first === undefined ? Number.POSITIVE_INFINITY : first.atMs - eventMs;
}
