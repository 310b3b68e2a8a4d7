/**
 * The door to what the kernel of this machine says: files under /proc and /sys, and the programs that print its state as
 * JSON or text (ip, ss, nft, ethtool). Read only: nothing here changes a setting. Used by `weft doctor`, `graph` and
 * `bugreport`; a test gives another root or its own programs.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

export interface Ran {
  /** Exit status; 1 when a signal ended it. */
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a program to its end; null when it is not installed. */
export type RunProgram = (command: readonly string[]) => Promise<Ran | null>;

/** More than `ip` prints of a host with thousands of interfaces. */
const MAX_OUTPUT_BYTES = 67_108_864;
const TIMEOUT_MS = 10_000;

/** sbin too: an unprivileged shell often lacks it, and the programs answer reading there as well. */
const ENV = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' };

function runProgram(command: readonly string[]): Promise<Ran | null> {
  const [program = '', ...args] = command;
  const options = { env: ENV, maxBuffer: MAX_OUTPUT_BYTES, timeout: TIMEOUT_MS };
  return new Promise((resolve) => {
    execFile(program, args, options, (error, out, err) => {
      const code = error?.code;
      if (code === 'ENOENT') return resolve(null);
      resolve({ status: error === null ? 0 : typeof code === 'number' ? code : 1, out, err });
    });
  });
}

export class Kernel {
  readonly #root: string;
  readonly run: RunProgram;

  constructor(options: { readonly root?: string; readonly run?: RunProgram } = {}) {
    this.#root = options.root ?? '/';
    this.run = options.run ?? runProgram;
  }

  /** A small file's text without its last newline; null when it is not there or not readable. */
  read(path: string): string | null {
    try {
      return readFileSync(join(this.#root, path), 'utf8').trimEnd();
    } catch {
      return null;
    }
  }

  /** A file that holds one whole number. */
  readNumber(path: string): number | null {
    const text = this.read(path);
    return text !== null && /^-?\d+$/.test(text) ? Number(text) : null;
  }

  /** Names in a directory; empty when there is none. */
  list(path: string): string[] {
    try {
      return readdirSync(join(this.#root, path));
    } catch {
      return [];
    }
  }

  /** Last component of what a symbolic link points to; null when there is no link. */
  linkName(path: string): string | null {
    try {
      return basename(readlinkSync(join(this.#root, path)));
    } catch {
      return null;
    }
  }

  /** Number by which the kernel tells one file from another; null when it is not there. */
  inode(path: string): number | null {
    try {
      return statSync(join(this.#root, path)).ino;
    } catch {
      return null;
    }
  }

  /** What a program prints as JSON; null when it is missing, fails or prints something else. */
  async json(command: readonly string[]): Promise<unknown> {
    const ran = await this.run(command);
    if (ran === null || ran.status !== 0) return null;
    try {
      return JSON.parse(ran.out === '' ? '[]' : ran.out);
    } catch {
      return null;
    }
  }
}
