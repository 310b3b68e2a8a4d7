/**
 * The near end of a helper process inside a namespace: questions go over the IPC channel that `ip netns exec` passes on,
 * answers come back by number. Used by the lab (probe.ts is the far end) and by the namespace tests (with ends of their
 * own). A helper ends when this process does.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { WeftError } from '../errors.ts';
import { CHILD_ENV, nodeCommand } from './command.ts';

/** What the far end sends. */
export type ProbeAnswer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failure: string };

export interface ProbeQuestion {
  readonly id: number;
  readonly op: string;
  readonly args: unknown;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const PROBE = nodeCommand('./probe.ts', import.meta.url);

export class Probe {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>(); // bounded by the questions of one lab step
  readonly #ended: Promise<void>;
  #errors = '';
  #next = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-2000);
    });
    child.on('message', (answer: ProbeAnswer) => this.#settle(answer));
    this.#ended = new Promise((resolve) => {
      const end = (): void => {
        for (const waiting of this.#waiting.values()) waiting.reject(this.#gone());
        this.#waiting.clear();
        resolve();
      };
      child.once('close', end);
      child.once('error', end);
    });
  }

  /** @param command the far end; the lab's own unless said */
  static start(namespace: string, command: readonly string[] = PROBE): Probe {
    const child = spawn('ip', ['netns', 'exec', namespace, ...command], {
      env: { ...CHILD_ENV },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
    });
    return new Probe(child);
  }

  /** @throws WeftError E_DEVICE with what the far end says */
  ask<T>(op: string, args: unknown = null): Promise<T> {
    const id = this.#next++;
    return new Promise<unknown>((resolve, reject) => {
      if (!this.#child.connected) return reject(this.#gone());
      this.#waiting.set(id, { resolve, reject });
      const question: ProbeQuestion = { id, op, args };
      this.#child.send(question, (error) => {
        if (error) this.#settle({ id, failure: error.message });
      });
    }) as Promise<T>;
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  #settle(answer: ProbeAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('failure' in answer) waiting?.reject(new WeftError('E_DEVICE', answer.failure));
    else waiting?.resolve(answer.value);
  }

  #gone(): WeftError {
    return new WeftError('E_DEVICE', `the helper process ended: ${this.#errors.trim() || 'it said nothing'}`);
  }
}
