/**
 * Runs programs for the lab and the namespace tests: iproute2, and this very `weft`. The environment of a child is fixed,
 * so that a variable of the person who starts the lab never reaches a host inside it. Called by topology.ts and host.ts.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { WeftError } from '../errors.ts';

export interface Ended {
  /** Exit status, or null if a signal ended it. */
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  /** Fed to standard input. */
  readonly input?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly env?: Readonly<Record<string, string>>;
}

const DEFAULT_TIMEOUT_MS = 30_000;
/** More than any of our programs prints; what is beyond is cut. */
const MAX_OUTPUT_BYTES = 16_777_216;

export const CHILD_ENV: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
};

/** Start a program that stands on the command line itself, in the next argument. */
const EVAL = new Set(['-e', '--eval', '-p', '--print', '-pe']);
/**
 * Node and its flags as this process was started, for children of our own: not those of a test runner, and not a program given
 * as text, which a child would run again, and its child, without end.
 */
const NODE = [
  process.execPath,
  ...process.execArgv.filter(
    (arg, i, all) => !/^--(test|input-type)/.test(arg) && !EVAL.has(arg) && !EVAL.has(all[i - 1] ?? ''),
  ),
];

/** `node FILE` for a module next to `from` (an `import.meta.url`), as source or compiled, as this process runs. */
export function nodeCommand(path: string, from: string): readonly string[] {
  const running = from.endsWith('.ts') ? path : path.replace(/\.ts$/, '.js');
  return [...NODE, fileURLToPath(new URL(running, from))];
}

/** The command that a person types as `weft`. */
export const WEFT: readonly string[] = nodeCommand('../main.ts', import.meta.url);

/** Runs to the end; a status other than 0 is the caller's to judge. @throws WeftError E_DEVICE if it cannot be started */
export function run(command: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const [program = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...CHILD_ENV, ...options.env },
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      killSignal: 'SIGKILL',
      ...(options.signal && { signal: options.signal }),
    });
    let out = '';
    let err = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (out.length < MAX_OUTPUT_BYTES) out += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (err.length < MAX_OUTPUT_BYTES) err += text;
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input);
    child.on('error', (cause) => reject(startFailure(program, cause)));
    child.on('close', (status) => resolve({ status, out, err }));
  });
}

function startFailure(program: string, cause: NodeJS.ErrnoException): Error {
  if (cause.name === 'AbortError') return cause;
  const reason = cause.code === 'ENOENT' ? 'is not installed' : `cannot be started (${cause.code})`;
  return new WeftError('E_DEVICE', `${program} ${reason}: install the package iproute2`, { cause });
}

/** Runs `ip` and returns what it prints. @throws WeftError E_DEVICE with its complaint */
export async function ip(args: readonly string[], input?: string): Promise<string> {
  const ended = await run(['ip', ...args], input === undefined ? {} : { input });
  if (ended.status === 0) return ended.out;
  throw new WeftError('E_DEVICE', `ip ${args.join(' ')}: ${ended.err.trim().split('\n')[0] || 'failed'}`);
}
