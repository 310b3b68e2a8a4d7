/**
 * The worker threads and the wire to each: a message port for commands and acks, an eventfd that ends the worker's sleep.
 * Called by data-plane.ts only.
 */
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import { closeFd, createEventFd, signalEventFd } from 'tun-tap';
import type { Clock } from '../clock.ts';
import { WeftError } from '../errors.ts';
import type { Ack, Command, CommandBody, WorkerKind, WorkerSettings } from './commands.ts';
import type { Direction } from './data-plane-types.ts';
import type { SpareWorkers } from './spare-workers.ts';
import type { WorkerStart } from './worker.ts';

/** How long workers may take to end by themselves. */
const STOP_MS = 2000;

interface WorkerHandle {
  readonly kind: WorkerKind;
  readonly pair: number;
  readonly worker: Worker;
  readonly port: MessagePort;
  readonly eventFd: number;
  readonly ended: Promise<void>;
}

interface Pending {
  readonly resolve: (ack: Ack) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A command with its keys in memory that moves to the worker. A copy that is made on the way would be freed with the key in
 * it; the worker zeroes what it got.
 */
function ownCopy(body: CommandBody): { readonly body: CommandBody; readonly moved: ArrayBuffer[] } {
  const move = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => {
    const copy = new Uint8Array(new ArrayBuffer(bytes.length));
    copy.set(bytes);
    return copy;
  };
  if (body.op === 'installReceive') {
    const laneKeys = move(body.laneKeys);
    return { body: { ...body, laneKeys }, moved: [laneKeys.buffer] };
  }
  if (body.op !== 'installTransmit') return { body, moved: [] };
  const key = move(body.key);
  return { body: { ...body, key }, moved: [key.buffer] };
}

export class WorkerPool {
  readonly #onFailure: (error: WeftError) => void;
  readonly #spare: SpareWorkers;
  /** Bounded by the number of workers. */
  readonly #workers: WorkerHandle[] = [];
  /** Commands without an answer yet; bounded by what the control plane has under way. */
  readonly #pending = new Map<number, Pending>();
  #seq = 0;
  #stopping = false;

  /**
   * @param spare where threads come from
   * @param onFailure a worker ended that should not have, or its TAP is gone
   */
  constructor(spare: SpareWorkers, onFailure: (error: WeftError) => void) {
    this.#spare = spare;
    this.#onFailure = onFailure;
  }

  launch(settings: Omit<WorkerSettings, 'eventFd'>, memory: Omit<WorkerStart, 'settings' | 'port'>): void {
    const { kind, pair } = settings;
    const eventFd = createEventFd();
    const { port1, port2 } = new MessageChannel();
    const start: WorkerStart = { ...memory, settings: { ...settings, eventFd }, port: port2 };
    const worker = this.#spare.take();
    let ended: () => void = () => {};
    const finished = new Promise<void>((done) => {
      ended = done;
    });
    worker.on('error', (error) => this.#fail(`the ${kind} worker failed: ${error.message}`, error));
    worker.on('exit', () => {
      ended();
      if (!this.#stopping) this.#fail(`the ${kind} worker ended`);
    });
    worker.postMessage(start, [port2]);
    port1.on('message', (ack: Ack) => this.#acknowledge(ack, kind));
    this.#workers.push({ kind, pair, worker, port: port1, eventFd, ended: finished });
  }

  #fail(message: string, cause?: unknown): void {
    for (const pending of this.#pending.values()) pending.reject(new WeftError('E_INTERNAL', message));
    this.#pending.clear();
    if (!this.#stopping) this.#onFailure(new WeftError('E_INTERNAL', message, { cause }));
  }

  #acknowledge(ack: Ack, kind: WorkerKind): void {
    const pending = this.#pending.get(ack.seq);
    if (pending === undefined) {
      if (ack.error !== undefined) this.#fail(`${kind} worker: ${ack.error}`);
      return;
    }
    this.#pending.delete(ack.seq);
    if (ack.error === undefined) pending.resolve(ack);
    else pending.reject(new WeftError('E_INTERNAL', `${kind} worker: ${ack.error}`));
  }

  #tell(handle: WorkerHandle, body: CommandBody): Promise<Ack> {
    const seq = ++this.#seq;
    return new Promise((resolve, reject) => {
      this.#pending.set(seq, { resolve, reject });
      const own = ownCopy(body);
      handle.port.postMessage({ ...own.body, seq } as Command, own.moved);
      signalEventFd(handle.eventFd);
    });
  }

  /**
   * To every worker, or to those that serve one direction, or to the one of a pair; resolves when all have acted. The
   * command is copied before this returns.
   */
  async broadcast(body: CommandBody, direction?: Direction, pair?: number): Promise<Ack[]> {
    if (this.#stopping) return [];
    const concerned = this.#workers.filter(
      (w) =>
        (direction === undefined || w.kind === direction || w.kind === 'both') &&
        (pair === undefined || w.pair === pair),
    );
    return Promise.all(concerned.map((w) => this.#tell(w, body)));
  }

  /** Ends the workers; their keys are zeroed as their native objects go. */
  async stop(clock: Clock): Promise<void> {
    const told = this.#workers.map((w) => this.#tell(w, { op: 'stop' }).then(() => w.ended));
    this.#stopping = true;
    await Promise.race([
      Promise.allSettled(told),
      new Promise<void>((resolve) => void clock.after(STOP_MS, resolve)),
    ]);
    for (const w of this.#workers) {
      await w.worker.terminate();
      w.port.close();
      closeFd(w.eventFd);
    }
  }
}
