/**
 * Membership on a UDP socket: dgram-as-promised for bind, send and close, its socket's own `message` event for receiving
 * (the package's `recv()` loses what comes between two calls). One timer; everything else is in swim.ts.
 */
import { DgramAsPromised, type SocketAsPromised } from 'dgram-as-promised';
import type { SwimParts } from './core.ts';
import { Pace } from './pace.ts';
import { Swim } from './swim.ts';
import type { Address, Clock, SwimOutput } from './types.ts';

const TICK_MS = 100;
/** While there is neither news nor a probe under way. */
const IDLE_TICK_MS = 500;

export interface GossipOptions extends SwimParts {
  readonly listen: Address;
  readonly clock: Clock;
  /** Everything but datagrams to send. */
  readonly onOutput: (output: Exclude<SwimOutput, { type: 'send' }>) => void;
  readonly tickMs?: number;
  /** The disk refused a counter or the member list: that step was not done. Without this the error is thrown. */
  readonly onFailure?: (error: unknown) => void;
}

export interface TrafficCounts {
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
}

export class GossipNode {
  readonly swim: Swim;
  readonly #socket: SocketAsPromised;
  readonly #o: GossipOptions;
  readonly #pace: Pace;
  #closed = false;
  #traffic = { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 };

  private constructor(options: GossipOptions, socket: SocketAsPromised) {
    this.#o = options;
    this.#socket = socket;
    this.swim = new Swim(options, options.clock.monotonicMs());
    const fastMs = options.tickMs ?? TICK_MS;
    this.#pace = new Pace(options.clock, {
      fastMs,
      slowMs: Math.max(fastMs, IDLE_TICK_MS),
      run: () => {
        this.#step(() => this.swim.tick(options.clock.monotonicMs()));
        return this.swim.isBusy;
      },
    });
  }

  /** Binds and starts. Rejects with the system's error (EADDRINUSE, EADDRNOTAVAIL). */
  static async start(options: GossipOptions): Promise<GossipNode> {
    const type = options.listen.ip.includes(':') ? 'udp6' : 'udp4';
    const socket = DgramAsPromised.createSocket({ type });
    await socket.bind({ address: options.listen.ip, port: options.listen.port, exclusive: true });
    const node = new GossipNode(options, socket);
    // A send may fail at any time (no route, interface down); membership lives with loss.
    socket.socket.on('error', () => {});
    socket.socket.on('message', (bytes, from) => {
      node.#traffic.rxPackets += 1;
      node.#traffic.rxBytes += bytes.length;
      const address = from.address.startsWith('::ffff:') ? from.address.slice(7) : from.address;
      const source = { ip: address, port: from.port };
      node.#step(() => node.swim.datagram(options.clock.monotonicMs(), new Uint8Array(bytes), source));
      if (node.swim.isBusy) node.#pace.hurry();
    });
    node.#pace.start();
    return node;
  }

  get traffic(): TrafficCounts {
    return this.#traffic;
  }

  #step(run: () => readonly SwimOutput[]): void {
    let outputs: readonly SwimOutput[];
    try {
      outputs = run();
    } catch (error) {
      if (this.#o.onFailure === undefined) throw error;
      return this.#o.onFailure(error);
    }
    this.#handle(outputs);
  }

  #handle(outputs: readonly SwimOutput[]): void {
    for (const output of outputs) {
      if (output.type !== 'send') this.#o.onOutput(output);
      else if (!this.#closed) void this.#send(output.bytes, output.to);
    }
  }

  async #send(bytes: Uint8Array, to: Address): Promise<void> {
    this.#traffic.txPackets += 1;
    this.#traffic.txBytes += bytes.length;
    try {
      await this.#socket.send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), to.port, to.ip);
    } catch {
      // Lost like any datagram; the probe notices.
    }
  }

  /** A statement of this host's own store is news. */
  tell(id: string): void {
    this.#step(() => this.swim.tell(this.#o.clock.monotonicMs(), id));
    this.#pace.hurry();
  }

  /** Verifies every member again; those who fail are forgotten. */
  recheck(): void {
    this.#step(() => this.swim.recheck(this.#o.clock.monotonicMs()));
  }

  /** Compares statements with a member at once. */
  compare(id: string): void {
    this.#step(() => this.swim.compare(this.#o.clock.monotonicMs(), id));
  }

  /** Publishes a new record of this host. */
  restate(): void {
    this.#step(() => this.swim.restate());
    this.#pace.hurry();
  }

  /** Says that this host leaves and waits until it is on the wire. */
  async leave(): Promise<void> {
    const sends = this.swim.leave(this.#o.clock.monotonicMs());
    for (const output of sends) if (output.type === 'send') await this.#send(output.bytes, output.to);
  }

  async stop(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#pace.stop();
    await this.#socket.close();
  }
}
