/**
 * Far end of a helper process inside the router's namespace, started by relay.ts: a router in userspace that treats packets
 * badly, by a seed. Kernel forwarding is off, so every packet between hosts passes through here:
 *
 *   host1 eth0 --- to1 [packet socket] relay [packet socket] to2 --- eth0 host2
 *
 * Only MAC addresses change: IP addresses, ports and TTL stay as they are. The kernel goes on answering ARP and neighbour
 * solicitations for the gateway addresses.
 */
import {
  closeFd,
  createFrameBatch,
  D,
  DESC_STRIDE,
  interfaceMac,
  openPacketSocket,
  receivePackets,
  sendPacket,
  socketDrops,
  WaitSet,
} from 'tun-tap';
import { systemClock } from '../../agent/clock.ts';
import { serveProbe } from '../../agent/lab/probe-server.ts';
import { type Impairment, Impairments } from './impairments.ts';

export interface RelayPort {
  /** The router's end of the cable. */
  readonly device: string;
  /** Hardware address of the host's end. */
  readonly hostMac: Uint8Array;
  /** Of the host: 4 or 16 bytes. */
  readonly hostAddress: Uint8Array;
}

export interface RelayOptions {
  readonly ports: readonly RelayPort[];
  readonly impairment: Impairment;
  /** Only UDP datagrams to this port whose first byte is `touchType` are copied or damaged; null: all packets are. */
  readonly touchPort: number | null;
  readonly touchType?: number;
  /** So many bytes at the start of a UDP payload are never damaged. */
  readonly touchFrom?: number;
}

/** Packets by what became of them, all directions together. */
export interface RelayCounters {
  received: number;
  /** Copies included. */
  forwarded: number;
  lost: number;
  burstLost: number;
  duplicated: number;
  corrupted: number;
  /** Left after a packet that had come later. */
  reordered: number;
  /** Not for a host of ours, or not addressed to the router. */
  ignored: number;
  /** Refused because too much was waiting. */
  overflow: number;
  /** The kernel did not take it. */
  failed: number;
  /** Dropped by the kernel before the relay read them. */
  missed: number;
}

interface Waiting {
  readonly dueMs: number;
  readonly sequence: number;
  readonly port: Port;
  readonly frame: Uint8Array;
}

interface Port extends RelayPort {
  readonly fd: number;
  readonly mac: Uint8Array;
  /** Highest sequence that has left here. */
  latest: number;
}

const BATCH = 64;
const MAX_WAITING = 50_000;
const LONGEST_WAIT_MS = 2;
const PACKET_HOST = 0;
const UDP = 17;

class Relay {
  readonly #ports: readonly Port[];
  readonly #impairments: Impairments;
  readonly #options: RelayOptions;
  readonly #batch = createFrameBatch(BATCH);
  readonly #wait: WaitSet;
  /** Sorted by due time; bounded by MAX_WAITING. */
  readonly #waiting: Waiting[] = [];
  readonly #counters: RelayCounters = {
    received: 0,
    forwarded: 0,
    lost: 0,
    burstLost: 0,
    duplicated: 0,
    corrupted: 0,
    reordered: 0,
    ignored: 0,
    overflow: 0,
    failed: 0,
    missed: 0,
  };
  #impairing = true;
  #sequence = 0;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#impairments = new Impairments(options.impairment);
    this.#ports = options.ports.map((port) => ({
      ...port,
      fd: openPacketSocket(port.device),
      mac: interfaceMac(port.device),
      latest: -1,
    }));
    this.#wait = new WaitSet(this.#ports.map(({ fd }) => fd));
  }

  /** One turn; between two turns questions of the near end are answered. */
  readonly turn = (): void => {
    const next = this.#waiting[0];
    const gapMs = next === undefined ? LONGEST_WAIT_MS : next.dueMs - systemClock.monotonicMs();
    this.#wait.wait(Math.max(0, Math.min(LONGEST_WAIT_MS, Math.floor(gapMs))));
    for (const port of this.#ports) this.#receive(port);
    this.#flush();
    setImmediate(this.turn);
  };

  counters(): RelayCounters {
    const missed = this.#ports.reduce((sum, { fd }) => sum + socketDrops(fd), 0);
    return { ...this.#counters, missed };
  }

  /** Off: everything passes as it comes. */
  impair(on: boolean): void {
    this.#impairing = on;
  }

  close(): void {
    for (const { fd } of this.#ports) closeFd(fd);
  }

  #receive(port: Port): void {
    const { bytes, desc } = this.#batch;
    const count = receivePackets(port.fd, this.#batch);
    const nowMs = systemClock.monotonicMs();
    for (let i = 0; i < count; i++) {
      const at = i * DESC_STRIDE;
      const frame = bytes.subarray(desc[at + D.OFF]!, desc[at + D.OFF]! + desc[at + D.LEN]!);
      const to = desc[at + D.KIND] === PACKET_HOST ? this.#portFor(frame) : null;
      if (to === null || to === port) this.#counters.ignored++;
      else this.#take(frame.slice(), to, nowMs);
    }
  }

  /** By the destination address of IPv4 or IPv6. */
  #portFor(frame: Uint8Array): Port | null {
    const type = frame[12]! * 256 + frame[13]!;
    const at = type === 0x0800 ? 30 : type === 0x86dd ? 38 : 0;
    if (at === 0) return null;
    const length = at === 30 ? 4 : 16;
    const target = frame.subarray(at, at + length);
    return this.#ports.find(({ hostAddress }) => Buffer.compare(hostAddress, target) === 0) ?? null;
  }

  #take(frame: Uint8Array, port: Port, nowMs: number): void {
    this.#counters.received++;
    frame.set(port.hostMac, 0);
    frame.set(port.mac, 6);
    const sequence = this.#sequence++;
    if (!this.#impairing) return this.#hold({ dueMs: nowMs, sequence, port, frame });
    const { fate, delayMs, copyAfterMs, flip } = this.#impairments.decide(this.#mayTouch(frame));
    if (fate === 'lost') this.#counters.lost++;
    if (fate === 'burst-lost') this.#counters.burstLost++;
    if (fate !== 'pass') return;
    if (flip !== null) {
      flipBit(frame, flip, this.#options.touchFrom ?? 0);
      this.#counters.corrupted++;
    }
    const dueMs = nowMs + delayMs;
    this.#hold({ dueMs, sequence, port, frame });
    if (copyAfterMs === null) return;
    this.#counters.duplicated++;
    this.#hold({ dueMs: dueMs + copyAfterMs, sequence, port, frame });
  }

  #mayTouch(frame: Uint8Array): boolean {
    const { touchPort, touchType } = this.#options;
    if (touchPort === null) return true;
    const udp = udpOffset(frame);
    if (udp === 0 || frame[udp + 2]! * 256 + frame[udp + 3]! !== touchPort) return false;
    return touchType === undefined || frame[udp + 8] === touchType;
  }

  /** Packets of the same due time leave in the order in which they came. */
  #hold(item: Waiting): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#counters.overflow++;
      return;
    }
    let at = this.#waiting.length;
    while (at > 0 && this.#waiting[at - 1]!.dueMs > item.dueMs) at--;
    this.#waiting.splice(at, 0, item);
  }

  #flush(): void {
    const nowMs = systemClock.monotonicMs();
    let done = 0;
    for (; done < this.#waiting.length && this.#waiting[done]!.dueMs <= nowMs; done++) {
      const { port, frame, sequence } = this.#waiting[done]!;
      if (sendPacket(port.fd, frame) === 0) this.#counters.forwarded++;
      else this.#counters.failed++;
      if (sequence < port.latest) this.#counters.reordered++;
      else port.latest = sequence;
    }
    this.#waiting.splice(0, done);
  }
}

/** Offset of the UDP header of an unfragmented packet without options or extension headers; 0: none. */
function udpOffset(frame: Uint8Array): number {
  const isV4 = frame[12] === 0x08;
  const protocol = isV4 ? frame[23] : frame[20];
  if (protocol !== UDP || (isV4 && frame[14] !== 0x45)) return 0;
  return isV4 ? 34 : 54;
}

/**
 * Flips one bit of the UDP payload (or of the last byte), and bends the UDP checksum by as much (RFC 1624), so that the
 * damage gets past the receiving kernel to the program that has to notice it.
 */
function flipBit(frame: Uint8Array, part: number, spared: number): void {
  const udp = udpOffset(frame);
  const from = udp === 0 ? frame.length - 1 : Math.min(udp + 8 + spared, frame.length - 1);
  const bit = Math.floor(part * (frame.length - from) * 8);
  const at = from + (bit >> 3);
  if (udp > 0) {
    const isHigh = (at - udp) % 2 === 0;
    const was = frame[at]!;
    const change = (was ^ (1 << (bit & 7))) - was;
    const sum = ~(frame[udp + 6]! * 256 + frame[udp + 7]!) & 0xffff;
    const next = (((sum + change * (isHigh ? 256 : 1)) % 0xffff) + 0xffff) % 0xffff;
    const field = ~next & 0xffff || 0xffff;
    // A zero field says that there is no checksum: it stays.
    if (frame[udp + 6] !== 0 || frame[udp + 7] !== 0) frame.set([field >> 8, field & 0xff], udp + 6);
  }
  frame[at]! ^= 1 << (bit & 7);
}

let relay: Relay | null = null;

serveProbe({
  start: (options: RelayOptions) => {
    relay = new Relay(options);
    setImmediate(relay.turn);
  },
  impair: (on: boolean) => relay?.impair(on),
  counters: () => relay?.counters(),
});
