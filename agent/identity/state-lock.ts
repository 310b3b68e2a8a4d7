/**
 * One agent for each state directory: two would use the same keys and counters. The lock is a file with the holder's
 * pid and start time, so that what a killed agent left behind, or a pid that now is another program's, blocks nobody.
 */
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
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

/**
 * Takes the lock and returns the function that releases it.
 * @throws WeftError E_ALREADY_RUNNING while the holder lives
 */
export function lockState(directory: string): () => void {
  const path = join(directory, LOCK_FILE);
  const own = `${process.pid} ${startTime(process.pid)}`;
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const fd = openSync(path, 'wx', 0o600);
      writeSync(fd, own);
      closeSync(fd);
      return () => rmSync(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
        throw new WeftError('E_STATE', `cannot lock ${directory}: ${(error as Error).message}`, {
          cause: error,
        });
      const [pid, started] = readFileSync(path, 'utf8').split(' ');
      if (pid !== undefined && started !== undefined && startTime(Number(pid)) === started)
        throw new WeftError(
          'E_ALREADY_RUNNING',
          `an agent (pid ${pid}) already runs on ${directory}: stop it or choose another --state`,
        );
      rmSync(path, { force: true });
    }
  }
  throw new WeftError('E_ALREADY_RUNNING', `another agent is starting on ${directory}`);
}
