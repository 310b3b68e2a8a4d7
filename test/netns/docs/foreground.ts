/** A program in the foreground of a machine: what it says, and Ctrl-C. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { until } from '../../../agent/lab/wait.ts';

const SAYS_MS = 20_000;
const ENDS_MS = 20_000;

export class Foreground {
  readonly #line: string;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #text = '';

  constructor(line: string, argv: readonly string[], env: Readonly<Record<string, string>>) {
    this.#line = line;
    const [program = '', ...args] = argv;
    // A group of its own, as a shell gives to what runs in the foreground: Ctrl-C reaches the whole of it.
    this.#child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (piece: string) => {
        this.#text += piece;
      });
    this.#closed = once(this.#child, 'close');
  }

  /** All that it has said. */
  get text(): string {
    return this.#text;
  }

  /** Waits until it has said this. */
  says(pattern: RegExp): Promise<RegExpExecArray> {
    return until(`${pattern} from ${this.#line}`, { timeoutMs: SAYS_MS, everyMs: 20 }, () => {
      const found = pattern.exec(this.#text);
      if (found === null && this.#child.exitCode !== null) throw new Error(`it ended: ${this.#text}`);
      if (found === null) throw new Error(`it said: ${this.#text.slice(-2000)}`);
      return found;
    });
  }

  /** Ctrl-C, and what it said until its end. @param status that it must end with; null if the signal itself ends it */
  interrupt(status: number | null): Promise<string> {
    process.kill(-(this.#child.pid ?? 0), 'SIGINT');
    return this.ends(status);
  }

  /** Waits for its end by itself. */
  async ends(status: number | null): Promise<string> {
    const late = until(`end of ${this.#line}`, { timeoutMs: ENDS_MS }, () =>
      this.#child.exitCode !== null || this.#child.signalCode !== null ? true : null,
    );
    await late;
    await this.#closed;
    assert.equal(this.#child.exitCode, status, `${this.#line}: ${this.#text}`);
    return this.#text;
  }
}
