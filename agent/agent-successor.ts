/**
 * Handing over to the next version: SIGUSR2 makes a running agent start its successor, by its own command line, as a
 * child. The successor loads everything that takes long and then waits; only now does the old agent stop, and the successor
 * goes on where the state directory is. What fails before that leaves the old agent running. Part of the composition root.
 *
 *   old:  SIGUSR2 -> spawn ... "prepared" -> MAINPID= -> stops, unlocks -> "go" -> ends
 *   new:             loads, "prepared", waits                              -> locks, runs
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Logger } from 'pino';
import type { Manager } from './agent-service.ts';

/** Set in the environment of a successor, and nowhere else. */
const MARK = 'WEFT_SUCCESSOR';

/** A successor that has loaded and waits. */
export interface Successor {
  readonly pid: number;
  /** The state directory is free: go on. */
  proceed(): void;
}

/**
 * Starts a successor and resolves when it waits; null, with a line in the log, when it ended before.
 * @param manager what the successor shall tell the service manager with
 */
export function startSuccessor(manager: Manager, log: Logger): Promise<Successor | null> {
  const [program = process.execPath, ...args] = [
    process.execPath,
    ...process.execArgv,
    ...process.argv.slice(1),
  ];
  const notify = manager.socket === null ? {} : { NOTIFY_SOCKET: manager.socket };
  const watchdog = manager.watchdogMs === null ? {} : { WATCHDOG_USEC: String(manager.watchdogMs * 1000) };
  const child = spawn(program, args, {
    env: { ...process.env, ...notify, ...watchdog, [MARK]: '1' },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    detached: true,
  });
  return new Promise((resolve) => {
    const failed = (why: string): void => {
      log.error({ why }, 'the successor did not start: this agent goes on');
      resolve(null);
    };
    child.once('error', (error) => failed(error.message));
    child.once('exit', (status, signal) => failed(`it ended with ${status ?? signal}`));
    child.once('message', () => resolve({ pid: child.pid ?? 0, proceed: () => release(child) }));
  });
}

function release(child: ChildProcess): void {
  child.removeAllListeners('exit');
  child.send('go', () => child.disconnect());
  child.unref();
}

/** Whether this process was started to take the place of an agent that runs. */
export function isSuccessor(): boolean {
  return process.env[MARK] !== undefined && process.send !== undefined;
}

/** In a successor: says that it has loaded and waits until its predecessor has stopped. Elsewhere: nothing. */
export async function awaitPredecessor(): Promise<void> {
  if (!isSuccessor()) return;
  delete process.env[MARK];
  await new Promise<void>((resolve) => {
    process.once('message', () => resolve());
    // It ended without a word: the lock of the state directory says whether it is really gone.
    process.once('disconnect', () => resolve());
    process.send?.('prepared');
  });
  if (process.connected) process.disconnect();
}
