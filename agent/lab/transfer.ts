/**
 * A TCP transfer between two helper processes, as an application sees it: one serves and counts, one sends a known text
 * over and over. Runs inside hosts' namespaces. Called by probe.ts.
 */
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { type Clock, systemClock } from '../clock.ts';

export interface Received {
  readonly bytes: number;
  /** From the first byte to the last. */
  readonly durationMs: number;
}

export interface SendOptions {
  readonly address: string;
  readonly port: number;
  /** Stop at whichever comes first. */
  readonly bytes: number;
  readonly durationMs: number;
  /** Filled into the stream over and over. */
  readonly text: string;
}

const WRITE_BYTES = 262_144;

/** Takes one connection at a time and remembers the last one. */
export class Sink {
  readonly #server: Server;
  readonly #clock: Clock;
  #done: Promise<Received>;
  #resolve: (received: Received) => void = () => undefined;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
    this.#done = this.#expect();
    this.#server = createServer((socket) => {
      let bytes = 0;
      let startMs = 0;
      let endMs = 0;
      socket.on('data', (chunk) => {
        endMs = this.#clock.monotonicMs();
        if (bytes === 0) startMs = endMs;
        bytes += chunk.length;
      });
      socket.on('error', () => undefined);
      socket.on('close', () => this.#resolve({ bytes, durationMs: endMs - startMs }));
    });
  }

  /** Listens from the first call on. @returns the port */
  async listen(address: string): Promise<number> {
    if (!this.#server.listening) {
      this.#server.listen(0, address);
      await once(this.#server, 'listening');
    }
    const bound = this.#server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : 0;
  }

  /** What the next connection to end has brought. */
  async received(): Promise<Received> {
    const received = await this.#done;
    this.#done = this.#expect();
    return received;
  }

  #expect(): Promise<Received> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }
}

/** @returns bytes sent */
export async function sendStream(options: SendOptions, clock: Clock = systemClock): Promise<number> {
  const socket = connect({ host: options.address, port: options.port });
  await once(socket, 'connect');
  const chunk = Buffer.alloc(WRITE_BYTES, options.text);
  const endMs = clock.monotonicMs() + options.durationMs;
  let sent = 0;
  while (sent < options.bytes && clock.monotonicMs() < endMs) {
    const piece = chunk.subarray(0, Math.min(chunk.length, options.bytes - sent));
    sent += piece.length;
    if (!socket.write(piece)) await once(socket, 'drain');
  }
  socket.end();
  await once(socket, 'close');
  return sent;
}
