/** ping(8) a hundred times a second with the time of each answer: how long a path was interrupted. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { CHILD_ENV } from '../../agent/lab/command.ts';
import { delay, until } from '../../agent/lab/wait.ts';

export interface Interruption {
  readonly sent: number;
  readonly lost: number;
  /** The longest time between two answers. */
  readonly gapMs: number;
}

const TAIL_MS = 500;

export class PingTrain {
  readonly #child: ChildProcess;
  /** Unix seconds of each answer, by ping's own clock; bounded by the time of a test. */
  readonly #answers: number[] = [];
  /** Sequence numbers that came back; bounded likewise. */
  readonly #seen = new Set<number>();

  private constructor(ping: readonly string[], address: string) {
    const [program = '', ...args] = [...ping, '-D', '-i', '0.01', '-W', '1', address];
    this.#child = spawn(program, args, { env: { ...CHILD_ENV }, stdio: ['ignore', 'pipe', 'inherit'] });
    if (this.#child.stdout === null) throw new Error('no output');
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const answer = /^\[(\d+\.\d+)\] .*icmp_seq=(\d+) .*time=/.exec(line);
      if (answer === null) return;
      this.#answers.push(Number(answer[1]));
      this.#seen.add(Number(answer[2]));
    });
  }

  /** @param ping argv that starts ping where it shall run, without its arguments */
  static async start(ping: readonly string[], address: string): Promise<PingTrain> {
    const train = new PingTrain(ping, address);
    await until('answers to ping', { timeoutMs: 10_000, everyMs: 20 }, () =>
      train.#answers.length >= 20 ? true : null,
    );
    return train;
  }

  async stop(): Promise<Interruption> {
    await delay(TAIL_MS);
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGINT');
    await closed;
    let gapMs = 0;
    for (let i = 1; i < this.#answers.length; i++)
      gapMs = Math.max(gapMs, ((this.#answers[i] ?? 0) - (this.#answers[i - 1] ?? 0)) * 1000);
    // Those at the end may have been under way.
    const sent = Math.max(...this.#seen);
    return { sent, lost: sent - this.#seen.size, gapMs };
  }
}
