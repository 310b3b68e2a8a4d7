/** UDP sockets of this network namespace as `ss -u -a -n -m -p` lists them: buffers that the kernel granted, and drops. */
import type { Kernel } from './kernel.ts';

export interface UdpSocketState {
  readonly ip: string;
  readonly port: number;
  /** What the kernel granted, without the half that it keeps for its own use. */
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  /** Datagrams that came while the buffer was full. */
  readonly drops: number;
  /** Program that has it open; null when it is another user's. */
  readonly program: string | null;
  readonly pid: number | null;
}

const SOCKET =
  /^\S+\s+\d+\s+\d+\s+(?:\[([^\]]*)\]|([^\s:]*))(?:%\S+?)?:(\d+)\s+\S+(?:\s+users:\(\("([^"]*)",pid=(\d+))?[^\n]*?skmem:\(([^)]*)\)/gm;

/** Null when `ss` is missing. */
export async function readUdpSockets(kernel: Kernel): Promise<UdpSocketState[] | null> {
  const ran = await kernel.run(['ss', '-H', '-u', '-a', '-n', '-m', '-p']);
  return ran === null || ran.status !== 0 ? null : parseUdpSockets(ran.out);
}

export function parseUdpSockets(text: string): UdpSocketState[] {
  // The memory of a socket may stand on a line of its own.
  const lines = text.replace(/\n\s+skmem:/g, ' skmem:');
  return [...lines.matchAll(SOCKET)].map(([, v6, v4, port, program, pid, memory = '']) => ({
    ip: v6 ?? v4 ?? '',
    port: Number(port),
    receiveBufferBytes: fieldOf(memory, 'rb') / 2,
    sendBufferBytes: fieldOf(memory, 'tb') / 2,
    drops: fieldOf(memory, 'd'),
    program: program ?? null,
    pid: pid === undefined ? null : Number(pid),
  }));
}

/** `rb` of `r0,rb212992,t0,...`. */
function fieldOf(memory: string, name: string): number {
  return Number(new RegExp(`(?:^|,)${name}(\\d+)`).exec(memory)?.[1] ?? 0);
}

/** Counters of UDP in /proc/net/snmp: how many datagrams had a wrong checksum. Null when they are not there. */
export function readUdpChecksumErrors(kernel: Kernel): number | null {
  const [names, values] = (kernel.read('/proc/net/snmp') ?? '')
    .split('\n')
    .filter((line) => line.startsWith('Udp: '))
    .map((line) => line.split(' '));
  const at = names?.indexOf('InCsumErrors') ?? -1;
  return at < 0 ? null : Number(values?.[at] ?? 0);
}
