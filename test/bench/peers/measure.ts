/**
 * Measures one overlay that runs on a stage: RTT, TCP x1 and x4, UDP of 64 and 1,300 bytes unlimited and at the highest rate
 * that is not lost, CPU of the agents per byte, memory. Load by iperf3 with cubic, always from a to b. Agents are idle before
 * each part but for their own timers.
 */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { run } from '../../../agent/lab/command.ts';
import { inside, iperf, reachable, type Throughput } from '../../netns/programs.ts';
import type { Figures } from './figures.ts';
import { parseMachineTicks, parsePing, parseProcessTicks, parseResidentMb } from './readings.ts';
import type { Stage } from './stage.ts';

/** USER_HZ, which Linux fixes for /proc on every architecture that Node runs on. */
const TICKS_PER_SEC = 100;
const NS_PER_TICK = 1e9 / TICKS_PER_SEC;
/** iperf3 counts whole seconds; the first one is warm-up and not counted. */
const WARM_SEC = 1;
const PINGS = 600;
const PING_INTERVAL_SEC = 0.005;
const NO_DROP_SEC = 2;
/** RFC 2544 §26.1, with the loss that a shared machine makes by itself allowed. */
const NO_DROP_LOSS = 0.005;
/** Seven halvings: within 1 % of what was sent unlimited. */
const NO_DROP_STEPS = 7;
const UDP_BUFFER = '4M';

export async function measure(stage: Stage, seconds: number): Promise<Figures> {
  await reachable(stage.namespace('a'), stage.overlay('b'), 60_000);
  const rttUs = await roundTrip(stage);
  const tcp1 = await tcp(stage, seconds, 1);
  const tcp4 = await tcp(stage, seconds, 4);
  const small = await udp(stage, seconds, 64);
  const noDrop64Kpps = await noDrop(stage, 64, small);
  const large = await udp(stage, seconds, 1300);
  const noDrop1300Kpps = await noDrop(stage, 1300, large);
  return {
    tcp1Gbps: tcp1.gbps,
    tcp4Gbps: tcp4.gbps,
    agentNsPerByte: tcp1.agentNsPerByte,
    totalNsPerByte: tcp1.totalNsPerByte,
    noDrop64Kpps,
    udp64Kpps: small,
    noDrop1300Kpps,
    udp1300Kpps: large,
    rttUs,
    rssMb: Math.max(0, ...stage.pids().map((pid) => parseResidentMb(procFile(pid, 'status')))),
    stealPercent: tcp1.stealPercent,
  };
}

async function roundTrip(stage: Stage): Promise<number | null> {
  const command = ['ping', '-q', '-i', String(PING_INTERVAL_SEC), '-c', String(PINGS), stage.overlay('b')];
  const ended = await run(inside(stage.namespace('a'), command), { timeoutMs: 60_000 });
  return parsePing(ended.out + ended.err).averageUs;
}

interface TcpFigures {
  readonly gbps: number;
  readonly agentNsPerByte: number | null;
  readonly totalNsPerByte: number | null;
  readonly stealPercent: number;
}

async function tcp(stage: Stage, seconds: number, streams: number): Promise<TcpFigures> {
  const pids = stage.pids();
  const agents = agentTicks(pids);
  const machine = machineTicks();
  const args = ['-C', 'cubic', '-O', String(WARM_SEC), '-P', String(streams)];
  const { bitsPerSec, bytes } = await load(stage, args, seconds);
  // CPU time was counted over the warm-up too, bytes were not.
  const allBytes = (bytes * (seconds + WARM_SEC)) / seconds;
  const perByte = (ticks: number): number | null => (allBytes > 0 ? (ticks * NS_PER_TICK) / allBytes : null);
  const after = machineTicks();
  const capacity = (seconds + WARM_SEC) * TICKS_PER_SEC * cpus().length;
  return {
    gbps: bitsPerSec / 1e9,
    agentNsPerByte: perByte(agentTicks(pids) - agents),
    totalNsPerByte: perByte(after.busy - machine.busy),
    stealPercent: (100 * (after.steal - machine.steal)) / capacity,
  };
}

/** What arrives, in kpps, when the sender sends as fast as it can. */
async function udp(stage: Stage, seconds: number, bytes: number): Promise<number> {
  const { packets, lostPackets } = await load(stage, udpArgs(bytes, '0'), seconds);
  return (packets - lostPackets) / seconds / 1000;
}

const udpArgs = (bytes: number, bitsPerSec: string): string[] => [
  ...['-u', '-b', bitsPerSec, '-l', String(bytes), '-w', UDP_BUFFER],
];

/** The highest offered rate in kpps at which at most 0.5 % is lost, by bisection up to `topKpps`. */
async function noDrop(stage: Stage, bytes: number, topKpps: number): Promise<number> {
  return bisect(topKpps, NO_DROP_STEPS, async (kpps) => {
    const args = udpArgs(bytes, String(Math.round(kpps * 1000 * bytes * 8)));
    const { packets, lostPackets } = await load(stage, args, NO_DROP_SEC);
    if (packets === 0 || lostPackets / packets > NO_DROP_LOSS) return null;
    // A sender that could not keep the rate has shown no more than what it sent.
    return Math.min(kpps, packets / NO_DROP_SEC / 1000);
  });
}

/** The highest of `steps` halvings of 0 to `top` for which `holds` gives what was shown, not null. */
export async function bisect(
  top: number,
  steps: number,
  holds: (value: number) => Promise<number | null>,
): Promise<number> {
  let low = 0;
  let high = top;
  let best = 0;
  for (let step = 0; step < steps; step++) {
    const middle = (low + high) / 2;
    const shown = await holds(middle);
    if (shown === null) {
      high = middle;
    } else {
      low = middle;
      best = Math.max(best, shown);
    }
  }
  return best;
}

function load(stage: Stage, args: readonly string[], seconds: number): Promise<Throughput> {
  return iperf(stage.namespace('b'), stage.namespace('a'), stage.overlay('b'), args, seconds);
}

const machineTicks = () => parseMachineTicks(readFileSync('/proc/stat', 'utf8'));

const agentTicks = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => sum + parseProcessTicks(procFile(pid, 'stat')), 0);

function procFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}
