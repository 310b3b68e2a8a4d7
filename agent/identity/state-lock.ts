/**
 * One agent for each state directory: two would use the same keys and counters. The lock is a file with the holder's
 * pid, start time and boot, so that what a killed agent left behind, or a pid that now is another program's, blocks
 * nobody. It appears with its content, by link, so that no other start ever reads half of it.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '../errors.ts';

const LOCK_FILE = 'lock';

/** Field 22 of /proc/PID/stat: start time since boot in ticks; null when there is no such process. */
function startTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

/** `PID START BOOT` of a process that runs, or null. */
function holderOf(pid: number): string | null {
  const started = startTime(pid);
  return started === null
    ? null
    : `${pid} ${started} ${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`;
}

function contentOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** Whether there is a process, also one that /proc hides (hidepid, of an agent that nobody may look into). */
function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const isAlive = (content: string): boolean => {
  const [pidText, , boot] = content.split(' ');
  const pid = Number(pidText);
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  const holder = holderOf(pid);
  if (holder !== null) return holder === content;
  return boot === holderOf(process.pid)?.split(' ')[2] && exists(pid);
};

/** Moves a dead agent's lock away; a live one that took its place meanwhile is put back. */
function clearStale(path: string, aside: string): void {
  try {
    renameSync(path, aside);
    if (isAlive(contentOf(aside) ?? '')) linkSync(aside, path);
  } catch {
    // Somebody else was faster; the next attempt sees who.
  }
  rmSync(aside, { force: true });
}

/**
 * Takes the lock and returns the function that releases it.
 * @throws WeftError E_ALREADY_RUNNING while the holder lives; E_STATE
 */
export function lockState(directory: string): () => void {
  const path = join(directory, LOCK_FILE);
  const own = holderOf(process.pid) ?? String(process.pid);
  const draft = `${path}.${process.pid}`;
  try {
    writeFileSync(draft, own, { mode: 0o600 });
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        linkSync(draft, path);
        return () => {
          if (contentOf(path) === own) rmSync(path, { force: true });
        };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const content = contentOf(path) ?? '';
      if (isAlive(content))
        throw new WeftError(
          'E_ALREADY_RUNNING',
          `an agent (pid ${content.split(' ')[0]}) already runs on ${directory}: stop it or choose another --state`,
        );
      clearStale(path, `${draft}.stale`);
    }
    throw new WeftError('E_ALREADY_RUNNING', `another agent is starting on ${directory}`);
  } catch (error) {
    if (error instanceof WeftError) throw error;
    throw new WeftError('E_STATE', `cannot lock ${directory}: ${(error as Error).message}`, { cause: error });
  } finally {
    rmSync(draft, { force: true });
  }
}
