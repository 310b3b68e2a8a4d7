/**
 * The state directory: keys, certificates and counters of one host. Mode 0700, files 0600, each secret in a `*.key` of
 * its own. A file is written to a temporary name, synced, renamed, and the directory synced, so that a power cut leaves
 * the old or the new content. What cannot be read is refused with the file's name; nothing is ever regenerated silently.
 *
 * The only file of identity that touches the disk.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '../errors.ts';
import type { AppendFile } from './admission-log.ts';

/** Every file that a state directory can hold. */
export const STATE_FILE = {
  host: 'host.yaml',
  signKey: 'node-sign.key',
  dhKey: 'node-dh.key',
  rootKey: 'mesh-root.key',
  nextRootKey: 'mesh-root-next.key',
  psk: 'mesh-psk.key',
  tokenKey: 'token.key',
  mesh: 'mesh.bin',
  cert: 'node.cert',
  admitter: 'admitter.cert',
  policy: 'policy.bin',
  request: 'request.bin',
  counters: 'counters.json',
  admissions: 'admissions.log',
  vteps: 'vteps.json',
  members: 'members.bin',
  resetKey: 'reset.key',
  replays: 'replays.json',
  contacts: 'contacts.json',
  revocations: 'revocations.bin',
  renewed: 'renewed.bin',
  policies: 'policies.bin',
  grants: 'grants.bin',
  receipts: 'receipts.log',
  sealed: 'sealed.json',
} as const;

export type StateFile = (typeof STATE_FILE)[keyof typeof STATE_FILE];

/**
 * The agent keeps no right to use other users' files, so one would fail it later, in the middle of a write.
 * @throws WeftError E_STATE naming the first file that belongs to somebody else
 */
function checkOwners(path: string, uid: number): void {
  for (const name of Object.values(STATE_FILE)) {
    const file = lstatSync(join(path, name), { throwIfNoEntry: false });
    if (file !== undefined && file.uid !== uid)
      throw new WeftError(
        'E_STATE',
        `${join(path, name)} belongs to user ${file.uid}, this is user ${uid}: run chown -R ${uid} ${path}`,
      );
  }
}

export class StateDir {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Opens the directory, making it (0700) if it does not exist. @throws WeftError E_STATE */
  static open(path: string): StateDir {
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      const stat = statSync(path);
      if (!stat.isDirectory())
        throw new WeftError('E_STATE', `${path} is no directory: choose another with --state`);
      const uid = process.geteuid?.();
      if (uid !== undefined && stat.uid !== uid)
        throw new WeftError(
          'E_STATE',
          `${path} belongs to user ${stat.uid}, this is user ${uid}: run it as that user (runuser -u weft for the package's), or run chown -R ${uid} ${path}`,
        );
      if (stat.mode & 0o077)
        throw new WeftError('E_STATE', `${path} is readable by others: run chmod 0700 ${path}`);
      if (uid !== undefined) checkOwners(path, uid);
      return new StateDir(path);
    } catch (error) {
      if (error instanceof WeftError) throw error;
      throw new WeftError('E_STATE', `state directory ${path}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  file(name: StateFile): string {
    return join(this.path, name);
  }

  has(name: StateFile): boolean {
    return existsSync(this.file(name));
  }

  /** The file's bytes. @throws WeftError E_STATE when it is missing, unreadable, or not of `size` bytes */
  read(name: StateFile, size?: number): Uint8Array {
    const path = this.file(name);
    let bytes: Uint8Array;
    try {
      bytes = new Uint8Array(readFileSync(path));
    } catch (error) {
      throw new WeftError(
        'E_STATE',
        `${path}: ${(error as Error).message}; restore it from a backup or join anew with an empty --state`,
        { cause: error },
      );
    }
    if (name.endsWith('.key') && statSync(path).mode & 0o077)
      throw new WeftError('E_STATE', `${path} is readable by others: run chmod 0600 ${path}`);
    if (size !== undefined && bytes.length !== size)
      throw this.damaged(name, `has ${bytes.length} bytes instead of ${size}`);
    return bytes;
  }

  /** The error for a file whose content makes no sense. */
  damaged(name: StateFile, what: string): WeftError {
    return new WeftError(
      'E_STATE',
      `${this.file(name)} ${what}: restore it from a backup or join anew with an empty --state`,
    );
  }

  /** Writes the whole file so that a power cut leaves the old or the new content. @throws WeftError E_STATE */
  write(name: StateFile, content: Uint8Array | string): void {
    const path = this.file(name);
    const partial = `${path}.new`;
    try {
      const fd = openSync(partial, 'w', 0o600);
      try {
        const bytes = typeof content === 'string' ? Buffer.from(content) : content;
        for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(partial, path);
      this.#sync();
    } catch (error) {
      rmSync(partial, { force: true });
      throw new WeftError('E_STATE', `cannot write ${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  remove(name: StateFile): void {
    rmSync(this.file(name), { force: true });
    this.#sync();
  }

  #sync(): void {
    const fd = openSync(this.path, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** A file that only grows. */
  appendFile(name: StateFile): AppendFile {
    const path = this.file(name);
    return {
      path,
      read: () => (this.has(name) ? Buffer.from(this.read(name)).toString('utf8') : ''),
      truncate: (text) => this.write(name, text),
      append: (text) => {
        const fresh = !this.has(name);
        const fd = openSync(path, 'a', 0o600);
        const before = fstatSync(fd).size;
        try {
          const bytes = Buffer.from(text);
          for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
          fsyncSync(fd);
          // A new file's name is in the directory only after this.
          if (fresh) this.#sync();
        } catch (error) {
          // A full disk must not leave half a row for the next one to be joined to.
          ftruncateSync(fd, before);
          throw new WeftError('E_STATE', `cannot append to ${path}: ${(error as Error).message}`, {
            cause: error,
          });
        } finally {
          closeSync(fd);
        }
      },
    };
  }
}
