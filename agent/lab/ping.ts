/**
 * ICMP echo from a raw socket (RFC 792, RFC 4443), so that the lab needs no ping program. Runs in a helper process inside
 * a host's namespace. Times are milliseconds.
 *
 *   0        8        16                31
 *   +--------+--------+-----------------+
 *   | type   | code 0 | checksum        |
 *   +--------+--------+-----------------+
 *   | identifier      | sequence        |   then the payload
 *   +-----------------+-----------------+
 */
import { closeFd, createFrameBatch, D, DESC_STRIDE, openIcmp, receiveIcmp, sendIcmp, WaitSet } from 'tun-tap';
import { type Clock, systemClock, systemRng } from '../clock.ts';

const TYPE = { request4: 8, reply4: 0, request6: 128, reply6: 129 } as const;
const HEADER_BYTES = 8;
/** How long after the last request answers still count. */
const GRACE_MS = 2000;
const BATCH_FRAMES = 64;

export interface PingOptions {
  /** Addresses of one family; at most 1000. */
  readonly targets: readonly string[];
  readonly count: number;
  readonly intervalMs: number;
  readonly payload: Uint8Array;
}

export interface PingResult {
  readonly target: string;
  readonly sent: number;
  readonly received: number;
  /** Mean round trip; null if nothing came back. */
  readonly averageMs: number | null;
  readonly largestMs: number | null;
}

/** What is known of one target. */
interface Tally {
  readonly target: string;
  sent: number;
  received: number;
  totalMs: number;
  largestMs: number;
  /** By sequence; NaN once answered. Bounded by PingOptions.count. */
  readonly sentAtMs: Float64Array;
}

/** Pings all targets side by side. @throws Error if no raw socket is to be had */
export async function pingAll(options: PingOptions, clock: Clock = systemClock): Promise<PingResult[]> {
  const family = options.targets[0]?.includes(':') ? 6 : 4;
  const fd = openIcmp(family);
  try {
    const base = Math.floor(systemRng.float() * 0x8000);
    const tallies = options.targets.map((target) => newTally(target, options.count));
    await exchange({ fd, family, base, tallies, options, clock });
    return tallies.map(resultOf);
  } finally {
    closeFd(fd);
  }
}

interface Exchange {
  readonly fd: number;
  readonly family: 4 | 6;
  /** Identifier of the first target; the others follow. */
  readonly base: number;
  readonly tallies: readonly Tally[];
  readonly options: PingOptions;
  readonly clock: Clock;
}

async function exchange(x: Exchange): Promise<void> {
  const { clock, options, tallies } = x;
  const wait = new WaitSet([x.fd]);
  const batch = createFrameBatch(BATCH_FRAMES);
  const startMs = clock.monotonicMs();
  let rounds = 0;
  for (;;) {
    const nowMs = clock.monotonicMs();
    while (rounds < options.count && nowMs >= startMs + rounds * options.intervalMs) sendRound(x, rounds++);
    const endMs = startMs + (options.count - 1) * options.intervalMs + GRACE_MS;
    if (rounds === options.count && (nowMs > endMs || tallies.every((t) => t.received === t.sent))) return;
    if (wait.wait(Math.max(1, Math.min(10, Math.floor(options.intervalMs)))) !== 0) {
      const count = receiveIcmp(x.fd, batch);
      const atMs = clock.monotonicMs();
      for (let i = 0; i < count; i++) {
        const at = batch.desc[i * DESC_STRIDE + D.OFF] ?? 0;
        const length = batch.desc[i * DESC_STRIDE + D.LEN] ?? 0;
        noteReply(x, batch.bytes.subarray(at, at + length), atMs);
      }
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function sendRound(x: Exchange, sequence: number): void {
  for (const [i, tally] of x.tallies.entries()) {
    const type = x.family === 4 ? TYPE.request4 : TYPE.request6;
    const echo = encodeEcho(type, x.base + i, sequence, x.options.payload);
    tally.sentAtMs[sequence] = x.clock.monotonicMs();
    tally.sent++;
    sendIcmp(x.fd, echo, tally.target);
  }
}

/** @param bytes what the socket gave: for IPv4 that starts with the IP header */
function noteReply(x: Exchange, bytes: Uint8Array, atMs: number): void {
  const first = bytes[0] ?? 0;
  const start = x.family === 4 && first >> 4 === 4 ? (first & 15) * 4 : 0;
  if (bytes.length < start + HEADER_BYTES) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset + start);
  if (view.getUint8(0) !== (x.family === 4 ? TYPE.reply4 : TYPE.reply6)) return;
  const tally = x.tallies[view.getUint16(4) - x.base];
  const sentAtMs = tally?.sentAtMs[view.getUint16(6)];
  if (tally === undefined || sentAtMs === undefined || Number.isNaN(sentAtMs)) return;
  tally.sentAtMs[view.getUint16(6)] = Number.NaN;
  tally.received++;
  tally.totalMs += atMs - sentAtMs;
  tally.largestMs = Math.max(tally.largestMs, atMs - sentAtMs);
}

function newTally(target: string, count: number): Tally {
  const sentAtMs = new Float64Array(count).fill(Number.NaN);
  return { target, sent: 0, received: 0, totalMs: 0, largestMs: 0, sentAtMs };
}

function resultOf({ target, sent, received, totalMs, largestMs }: Tally): PingResult {
  const answered = received > 0;
  return {
    target,
    sent,
    received,
    averageMs: answered ? totalMs / received : null,
    largestMs: answered ? largestMs : null,
  };
}

/** An echo message with its checksum; the kernel overwrites that of IPv6. */
export function encodeEcho(type: number, id: number, sequence: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, type);
  view.setUint16(4, id);
  view.setUint16(6, sequence);
  bytes.set(payload, HEADER_BYTES);
  view.setUint16(2, internetChecksum(bytes));
  return bytes;
}

/** RFC 1071 over a message whose checksum field is zero. */
export function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
