/**
 * Transfers between two namespaces whose every byte is checked: traffic_end.py at both ends. A TCP stream, UDP datagrams
 * that are sent again until all are there (also by UDP_SEGMENT, so that the sender's TAP sees super-frames), or a plain
 * stream of numbered datagrams.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { CHILD_ENV, run } from '../../agent/lab/command.ts';
import { until } from '../../agent/lab/wait.ts';
import { ROOT } from '../unit/style-source.ts';
import { expectOk } from './mesh.ts';
import { inside } from './programs.ts';

export interface Transfer {
  readonly kind: 'tcp' | 'udp' | 'stream';
  /** Namespaces. */
  readonly from: string;
  readonly to: string;
  /** Of the receiver. */
  readonly address: string;
  readonly port?: number;
  readonly bytes: number;
  readonly seed?: number;
  /** Bytes of a datagram. */
  readonly size?: number;
  /** `udp`: datagrams per UDP_SEGMENT send. `stream`: datagrams a second. */
  readonly extra?: number;
  readonly timeoutMs?: number;
}

export interface TransferReport {
  readonly sent: {
    readonly bytes: number;
    readonly digest?: string;
    readonly resent?: number;
    /** `tcp`: from the connection's first packet until the receiver said that it has all. */
    readonly seconds?: number;
  };
  readonly received: {
    readonly bytes: number;
    readonly digest?: string;
    readonly received?: number;
    readonly corrupted?: number;
    readonly duplicates?: number;
    readonly reordered?: number;
    readonly distinct?: number;
  };
}

const PROGRAM = join(ROOT, 'test/netns/traffic_end.py');
const PYTHON = '/usr/bin/python3';
const PORT = 9100;

/** @throws Error unless both ends come to their end */
export async function transfer(options: Transfer): Promise<TransferReport> {
  const { kind, from, to, address, port = PORT, bytes, seed = 1, size = 1200, extra } = options;
  const timeoutMs = options.timeoutMs ?? 120_000;
  const common = [kind, address, port, seed, bytes, size].map(String);
  const receiver = startReceiver(to, common);
  try {
    await until('receiver', { timeoutMs: 10_000, everyMs: 10 }, () => receiver.isReady() || null);
    const args = extra === undefined ? [] : [String(extra)];
    const command = inside(from, [PYTHON, PROGRAM, 'send', ...common, ...args]);
    const sent = JSON.parse(expectOk(command, await run(command, { timeoutMs })));
    return { sent, received: await receiver.report(15_000) };
  } finally {
    receiver.end();
  }
}

interface Receiver {
  isReady(): boolean;
  report(timeoutMs: number): Promise<TransferReport['received']>;
  end(): void;
}

function startReceiver(namespace: string, args: readonly string[]): Receiver {
  const [program = '', ...rest] = inside(namespace, [PYTHON, PROGRAM, 'receive', ...args]);
  const child = spawn(program, rest, { env: { ...CHILD_ENV }, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let complaint = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2000);
  });
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    isReady() {
      if (hasEnded()) throw new Error(`the receiver ended: ${complaint}`);
      return out.startsWith('ready\n');
    },
    async report(timeoutMs) {
      await until('end of the receiver', { timeoutMs, everyMs: 10 }, () => hasEnded() || null);
      const [, line] = out.split('\n');
      if (child.exitCode !== 0 || !line) throw new Error(`the receiver failed: ${complaint}`);
      return JSON.parse(line);
    },
    end() {
      if (!hasEnded()) child.kill('SIGKILL');
    },
  };
}
