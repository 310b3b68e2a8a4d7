/** The version of this build, from the nearest package.json above this file, the same from source and from dist/. A leaf. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface BuildVersion {
  readonly version: string;
  /** Commit that a packager recorded in `gitHead`; null otherwise. */
  readonly commit: string | null;
}

let known: BuildVersion | null = null;

export function buildVersion(): BuildVersion {
  known ??= readVersion(dirname(fileURLToPath(import.meta.url)));
  return known;
}

function readVersion(folder: string): BuildVersion {
  const parent = dirname(folder);
  try {
    const found: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    if (typeof found === 'object' && found !== null && 'version' in found) {
      const commit = 'gitHead' in found && typeof found.gitHead === 'string' ? found.gitHead : null;
      return { version: String(found.version), commit };
    }
  } catch {
    // Not here: look one folder up.
  }
  return parent === folder ? { version: 'unknown', commit: null } : readVersion(parent);
}
