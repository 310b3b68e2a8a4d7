/**
 * Listens on interfaces of the router with AF_PACKET and looks for byte strings in everything that passes: the proof that
 * the underlay sees no inner byte. Runs in a helper process inside the router's namespace. Called by probe.ts.
 */
import {
  closeFd,
  createFrameBatch,
  D,
  DESC_STRIDE,
  openPacketSocket,
  receivePackets,
  WaitSet,
} from 'tun-tap';

const BATCH_FRAMES = 64;
const WAIT_MS = 5;
const ETHERNET_BYTES = 14;
const ETHERTYPE = { ipv4: 0x0800, ipv6: 0x86dd } as const;
const UDP = 17;

export interface CaptureOptions {
  readonly interfaces: readonly string[];
  /** At most 16. */
  readonly needles: readonly Uint8Array[];
  /** Frames to this UDP port are counted apart. */
  readonly port: number;
}

export interface CaptureReport {
  readonly frames: number;
  readonly bytes: number;
  /** Frames to or from the port asked for. */
  readonly ofPort: number;
  /** Frames that hold needle i. */
  readonly found: readonly number[];
}

export class Capture {
  readonly #options: CaptureOptions;
  readonly #fds: readonly number[];
  readonly #wait: WaitSet;
  readonly #batch = createFrameBatch(BATCH_FRAMES);
  readonly #found: number[]; // bounded by CaptureOptions.needles
  readonly #finished: Promise<void>;
  #frames = 0;
  #bytes = 0;
  #ofPort = 0;
  #stopping = false;

  /** Listens from now on. @throws Error if a socket is not to be had */
  constructor(options: CaptureOptions) {
    this.#options = options;
    this.#found = options.needles.map(() => 0);
    this.#fds = options.interfaces.map(openPacketSocket);
    this.#wait = new WaitSet(this.#fds);
    this.#finished = this.#run();
  }

  /** Takes in what has already passed, then stops. */
  async stop(): Promise<CaptureReport> {
    this.#stopping = true;
    await this.#finished;
    for (const fd of this.#fds) closeFd(fd);
    return { frames: this.#frames, bytes: this.#bytes, ofPort: this.#ofPort, found: this.#found };
  }

  async #run(): Promise<void> {
    for (;;) {
      const last = this.#stopping;
      this.#wait.wait(last ? 0 : WAIT_MS);
      let taken = 0;
      for (const fd of this.#fds) taken += this.#take(fd);
      if (last && taken === 0) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #take(fd: number): number {
    const count = Math.max(0, receivePackets(fd, this.#batch));
    const { bytes, desc } = this.#batch;
    for (let i = 0; i < count; i++) {
      const at = desc[i * DESC_STRIDE + D.OFF] ?? 0;
      const length = desc[i * DESC_STRIDE + D.LEN] ?? 0;
      this.#look(Buffer.from(bytes.buffer, bytes.byteOffset + at, length));
    }
    return count;
  }

  #look(frame: Buffer): void {
    this.#frames++;
    this.#bytes += frame.length;
    if (usesPort(frame, this.#options.port)) this.#ofPort++;
    for (const [i, needle] of this.#options.needles.entries()) {
      if (frame.indexOf(needle) >= 0) this.#found[i] = (this.#found[i] ?? 0) + 1;
    }
  }
}

/** Whether an Ethernet frame holds a first fragment of UDP from or to `port`. */
export function usesPort(frame: Buffer, port: number): boolean {
  if (frame.length < ETHERNET_BYTES + 28) return false;
  const type = frame.readUInt16BE(12);
  const at = ETHERNET_BYTES;
  if (type === ETHERTYPE.ipv4 && frame[at + 9] === UDP) {
    return portsInclude(frame, at + ((frame[at] ?? 0) & 15) * 4, port);
  }
  return type === ETHERTYPE.ipv6 && frame[at + 6] === UDP && portsInclude(frame, at + 40, port);
}

function portsInclude(frame: Buffer, at: number, port: number): boolean {
  return frame.length >= at + 4 && (frame.readUInt16BE(at) === port || frame.readUInt16BE(at + 2) === port);
}
