/**
 * What every verb gets: where to write, the environment, the global options, and the two ways to do something: ask the
 * running agent, or act in this process. The environment is read here and in main.ts only.
 */
import { resolve } from 'node:path';
import { type ConfigSources, loadConfig, loadSocketPath, type Origin, originsOf } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { Actions } from './actions.ts';
import { ApiClient } from './client.ts';

export interface Io {
  /** Data. */
  out(text: string): void;
  /** Data that is no text, in order with `out`. */
  outBytes(bytes: Uint8Array): void;
  /** Everything else. */
  err(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly outIsTerminal: boolean;
  /** A person can be asked. */
  readonly interactive: boolean;
  readStdin(): Promise<string>;
  /** One line that the person types after `question`. */
  ask(question: string): Promise<string>;
}

export interface GlobalOptions {
  readonly state?: string;
  readonly socket?: string;
  readonly config?: string;
}

export class Context {
  readonly io: Io;
  readonly actions: Actions;
  readonly #globals: () => GlobalOptions;
  /** Status of the verb that ran; verbs that succeed leave it. */
  exitStatus = 0;

  constructor(io: Io, actions: Actions, globals: () => GlobalOptions) {
    this.io = io;
    this.actions = actions;
    this.#globals = globals;
  }

  get coloured(): boolean {
    const { NO_COLOR: noColor, TERM: term } = this.io.env;
    return this.io.outIsTerminal && !noColor && term !== 'dumb';
  }

  socketPath(): string {
    return loadSocketPath(this.#sources({}));
  }

  client(): ApiClient {
    return new ApiClient(this.socketPath());
  }

  /** @param flags host settings given on the command line, under their YAML keys */
  config(flags: ConfigSources['flags'] = {}): Config {
    return loadConfig(this.#sources(flags));
  }

  /** Every configuration key with where its value comes from. */
  configOrigins(): Origin[] {
    return originsOf(this.#sources({}));
  }

  /** State directory of the command line or the environment, when the rest of the configuration is of no use. */
  stateDirFlag(): string | null {
    return this.#globals().state ?? this.io.env.WEFT_STATE_DIR ?? null;
  }

  /** Prints `report` as JSON, or `text` of it for people. */
  show<T>(report: T, json: boolean | undefined, text: (report: T) => string): void {
    if (json === true) this.io.out(`${JSON.stringify(report, null, this.io.outIsTerminal ? 2 : 0)}\n`);
    else this.io.out(text(report));
  }

  note(line: string): void {
    this.io.err(`weft: ${line}\n`);
  }

  #sources(flags: ConfigSources['flags']): ConfigSources {
    const { state, socket, config } = this.#globals();
    return {
      flags: {
        ...flags,
        ...(state && { state_dir: resolve(state) }),
        ...(socket && { socket: resolve(socket) }),
      },
      env: this.io.env,
      file: config,
    };
  }
}

/** stdin, stdout and stderr of this process. */
export const processIo: Io = {
  out: (text) => void process.stdout.write(text),
  outBytes: (bytes) => void process.stdout.write(bytes),
  err: (text) => void process.stderr.write(text),
  env: process.env,
  outIsTerminal: process.stdout.isTTY === true,
  interactive: process.stdin.isTTY === true && process.stderr.isTTY === true,
  async readStdin() {
    const chunks: Buffer[] = []; // bounded by STDIN_LIMIT_BYTES
    let size = 0;
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > STDIN_LIMIT_BYTES) break;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  },
  async ask(question) {
    const { createInterface } = await import('node:readline/promises');
    const reader = createInterface({ input: process.stdin, output: process.stderr });
    const answer = await reader.question(question);
    reader.close();
    return answer;
  },
};

/** Only tokens are read from stdin, and none is this long. */
const STDIN_LIMIT_BYTES = 65_536;
