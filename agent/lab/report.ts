/**
 * What the person who runs the lab reads: one line for each step with its time, details below it. Plain text; colour only
 * on a terminal that wants it (NO_COLOR is heard).
 */
import { paint } from '../cli/print.ts';
import { type Clock, systemClock } from '../clock.ts';

export interface Screen {
  write(text: string): void;
  readonly terminal: boolean;
  readonly coloured: boolean;
}

/** Standard output of this process. */
export function processScreen(): Screen {
  const { stdout } = process;
  const terminal = stdout.isTTY === true;
  return {
    write: (text) => void stdout.write(text),
    terminal,
    coloured: terminal && stdout.hasColors(),
  };
}

const TITLE_COLUMNS = 11;
const TEXT_COLUMNS = 66;

export class Report {
  readonly #screen: Screen;
  readonly #clock: Clock;
  /** Details of the step under way, shown below its line; bounded by what one step says. */
  #held: string[] | null = null;

  constructor(screen: Screen = processScreen(), clock: Clock = systemClock) {
    this.#screen = screen;
    this.#clock = clock;
  }

  get coloured(): boolean {
    return this.#screen.coloured;
  }

  line(text = ''): void {
    if (this.#held !== null) this.#held.push(text);
    else this.#screen.write(`${text}\n`);
  }

  /** Lines under a step. */
  details(text: string): void {
    for (const line of text.trimEnd().split('\n')) this.line(`      ${line}`);
  }

  /**
   * Runs a step; `work` returns the sentence that says what is true now.
   * @throws what `work` throws, after saying that the step failed
   */
  async step(title: string, work: () => Promise<string>): Promise<void> {
    const startMs = this.#clock.monotonicMs();
    const name = title.padEnd(TITLE_COLUMNS);
    if (this.#screen.terminal) this.#screen.write(`  … ${name}\r`);
    this.#held = [];
    try {
      const text = await work();
      this.#ended('✓', 'green', name, text, startMs);
    } catch (error) {
      this.#ended('✗', 'red', name, (error as Error).message, startMs);
      throw error;
    }
  }

  #ended(mark: string, colour: 'green' | 'red', name: string, text: string, startMs: number): void {
    const took = `${((this.#clock.monotonicMs() - startMs) / 1000).toFixed(1)} s`;
    const details = this.#held ?? [];
    this.#held = null;
    const time = paint(took.padStart(7), 'dim', this.coloured);
    this.line(`  ${paint(mark, colour, this.coloured)} ${name} ${text.padEnd(TEXT_COLUMNS)} ${time}`);
    for (const line of details) this.line(line);
  }
}

/** `1.25 Gbit/s` from bytes and milliseconds. */
export function formatRate(bytes: number, durationMs: number): string {
  const bitsPerSec = (bytes * 8 * 1000) / Math.max(1, durationMs);
  if (bitsPerSec >= 1e9) return `${(bitsPerSec / 1e9).toFixed(2)} Gbit/s`;
  return `${(bitsPerSec / 1e6).toFixed(1)} Mbit/s`;
}
