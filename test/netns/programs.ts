/** The ordinary tools that the namespace tests measure with: ping, iperf3, tcpdump. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHILD_ENV, run } from '../../agent/lab/command.ts';
import { delay, until } from '../../agent/lab/wait.ts';
import { expectOk } from './mesh.ts';

export interface PingCounts {
  readonly sent: number;
  readonly received: number;
  readonly duplicates: number;
}

/** `ip netns exec NAMESPACE` in front of a command. */
export function inside(namespace: string, command: readonly string[]): string[] {
  return ['ip', 'netns', 'exec', namespace, ...command];
}

/** Runs ping(8) to its end; whether all came back is the caller's to judge. */
export async function ping(
  namespace: string,
  address: string,
  options: { readonly count: number; readonly intervalSec?: number; readonly args?: readonly string[] },
): Promise<PingCounts> {
  const { count, intervalSec = 0.01, args = [] } = options;
  const timeoutMs = count * intervalSec * 1000 * 3 + 15_000;
  const ended = await run(
    inside(namespace, [
      'ping',
      '-q',
      '-c',
      String(count),
      '-i',
      String(intervalSec),
      '-W',
      '2',
      ...args,
      address,
    ]),
    { timeoutMs },
  );
  return countsOf(ended.out + ended.err);
}

/** What ping(8) says at its end. */
function countsOf(output: string): PingCounts {
  const counts = /(\d+) packets transmitted, (\d+) received/.exec(output);
  const duplicates = /\+(\d+) duplicates/.exec(output);
  if (counts === null) throw new Error(`ping: ${output}`);
  return { sent: Number(counts[1]), received: Number(counts[2]), duplicates: Number(duplicates?.[1] ?? 0) };
}

/** Pings 100 times a second for as long as `work` takes. */
export async function pingDuring(
  namespace: string,
  address: string,
  work: () => Promise<void>,
): Promise<PingCounts> {
  const [program = '', ...args] = inside(namespace, ['ping', '-q', '-i', '0.01', '-W', '2', address]);
  const child = spawn(program, args, { env: { ...CHILD_ENV }, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = once(child, 'close');
  try {
    await work();
    // Let what is under way come back.
    await delay(200);
  } finally {
    child.kill('SIGINT');
    await ended;
  }
  return countsOf(output);
}

/** Waits until one ping comes back. */
export async function reachable(namespace: string, address: string, timeoutMs = 15_000): Promise<void> {
  await until(`answer of ${address}`, { timeoutMs, everyMs: 50 }, async () =>
    (await run(inside(namespace, ['ping', '-q', '-c', '1', '-W', '1', address]))).status === 0 ? true : null,
  );
}

export interface Throughput {
  readonly bytes: number;
  readonly bitsPerSec: number;
  readonly packets: number;
  readonly lostPackets: number;
}

/** One run of iperf3 from `client` to `server`. @throws Error if it fails */
export async function iperf(
  server: string,
  client: string,
  address: string,
  args: readonly string[] = [],
  seconds = 2,
): Promise<Throughput> {
  const [program = '', ...rest] = inside(server, ['iperf3', '-s', '-1', '-J', '-B', address]);
  const listener = spawn(program, rest, { env: { ...CHILD_ENV }, stdio: 'ignore' });
  try {
    const listening = inside(server, ['ss', '-Hltn', 'sport', '=', ':5201']);
    await until('iperf3 server', { timeoutMs: 5000, everyMs: 20 }, async () =>
      (await run(listening)).out.includes('5201') ? true : null,
    );
    const command = inside(client, ['iperf3', '-c', address, '-J', '-t', String(seconds), ...args]);
    const out = expectOk(command, await run(command, { timeoutMs: seconds * 1000 + 20_000 }));
    return throughputOf(JSON.parse(out));
  } finally {
    // Its port is free for the next one only when it is gone.
    if (listener.exitCode === null && listener.signalCode === null) {
      const closed = once(listener, 'close');
      listener.kill('SIGKILL');
      await closed;
    }
  }
}

/**
 * UDP datagrams, v4, that a program inside the namespace was too slow to take: they had arrived whole. RFC 4113's
 * udpInErrors as Linux splits it, RcvbufErrors in /proc/net/snmp.
 */
export async function tooSlowToTake(namespace: string): Promise<number> {
  const command = inside(namespace, ['cat', '/proc/net/snmp']);
  const lines = expectOk(command, await run(command)).split('\n');
  const [names = [], values = []] = lines
    .filter((line) => line.startsWith('Udp: '))
    .map((line) => line.split(' '));
  return Number(values[names.indexOf('RcvbufErrors')]);
}

interface IperfReport {
  readonly end: {
    readonly sum?: {
      readonly bytes: number;
      readonly bits_per_second: number;
      readonly packets?: number;
      readonly lost_packets?: number;
    };
    readonly sum_received?: { readonly bytes: number; readonly bits_per_second: number };
  };
}

function throughputOf({ end }: IperfReport): Throughput {
  const received = end.sum_received ?? end.sum;
  return {
    bytes: received?.bytes ?? 0,
    bitsPerSec: received?.bits_per_second ?? 0,
    packets: end.sum?.packets ?? 0,
    lostPackets: end.sum?.lost_packets ?? 0,
  };
}

/** A recording of everything on one interface, by tcpdump(8): VLAN tags are as they were on the wire. */
export class Recording {
  readonly #child: ChildProcess;
  readonly #file: string;

  private constructor(child: ChildProcess, file: string) {
    this.#child = child;
    this.#file = file;
  }

  static #count = 0;

  /** Records from now on. @param direction `in` is what the interface receives */
  static async start(
    namespace: string,
    device: string,
    folder: string,
    options: { readonly direction?: 'in' | 'out' | 'inout'; readonly filter?: string } = {},
  ): Promise<Recording> {
    const file = join(folder, `recording-${Recording.#count++}.pcap`);
    const { direction = 'inout', filter } = options;
    const [program = '', ...args] = inside(namespace, [
      ...['tcpdump', '--immediate-mode', '-i', device, '-Q', direction, '-w', file, '-U', '-n', '-Z', 'root'],
      // In immediate mode every slot of the ring has room for the whole snapshot length: 4,096 slots.
      ...['-s', '16384', '-B', '65536'],
      ...(filter === undefined ? [] : [filter]),
    ]);
    const child = spawn(program, args, { env: { ...CHILD_ENV }, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await until('tcpdump', { timeoutMs: 5000, everyMs: 10 }, () =>
      said.includes('listening on') ? true : null,
    );
    return new Recording(child, file);
  }

  /** Ends it, after what is under way has been taken in. @param enough what has to come is there; waited for at most 5 s */
  async stop(enough: (packets: Buffer[]) => boolean = () => true): Promise<Buffer[]> {
    await until('enough', { timeoutMs: 5000, everyMs: 100 }, () => enough(this.#soFar()) || null).catch(
      () => null,
    );
    await delay(300);
    const ended = once(this.#child, 'close');
    this.#child.kill('SIGINT');
    await ended;
    return readPcap(readFileSync(this.#file));
  }

  #soFar(): Buffer[] {
    try {
      return readPcap(readFileSync(this.#file));
    } catch {
      // The last packet is being written.
      return [];
    }
  }
}

/** Packets of a classic little-endian pcap file. */
export function readPcap(file: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 24; at + 16 <= file.length; ) {
    const length = file.readUInt32LE(at + 8);
    packets.push(file.subarray(at + 16, at + 16 + length));
    at += 16 + length;
  }
  return packets;
}
