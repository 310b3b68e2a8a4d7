/** Where the programs of the compared overlays are: in the folder $PB_PEERS, which comes first, or on the PATH. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CHILD_ENV } from '../../../agent/lab/command.ts';

/** Path of a program, or null. */
export function findProgram(
  name: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | null {
  const folders = [env.PB_PEERS ?? '', ...`${env.PATH ?? ''}${delimiter}${CHILD_ENV.PATH}`.split(delimiter)];
  for (const folder of folders.filter((path) => path !== '')) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next folder.
    }
  }
  return null;
}

/** Path of a program that `missingOf` has found. */
export function programAt(name: string): string {
  const path = findProgram(name);
  if (path === null) throw new Error(`${name} is not installed`);
  return path;
}

export const missingOf = (programs: readonly string[]): string[] =>
  programs.filter((name) => findProgram(name) === null);
