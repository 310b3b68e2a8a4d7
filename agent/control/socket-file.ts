/**
 * The file of the control socket: made with mode 0660 in a directory in which nobody else can put another in its place,
 * removed if its agent is gone, refused if an agent answers there or if something else lies in the way. Mode and owners are
 * read back before the agent goes on.
 */
import { chmodSync, lstatSync, mkdirSync, statSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { WeftError } from '../errors.ts';

/** sun_path holds 108 bytes with its terminating zero. */
const MAX_SOCKET_PATH_BYTES = 107;
const SOCKET_MODE = 0o660;
const DIRECTORY_MODE = 0o755;
const PERMISSIONS = 0o777;
const OTHERS_WRITE = 0o002;
/** Only the owner of a file may remove it, as in /tmp. */
const STICKY = 0o1000;

/** @throws WeftError E_ALREADY_RUNNING, E_CONFIG, E_PRIVILEGE */
export async function listenOnSocket(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw new WeftError(
      'E_CONFIG',
      `socket ${path}: the path is longer than ${MAX_SOCKET_PATH_BYTES} bytes; choose a shorter one`,
    );
  }
  try {
    mkdirSync(dirname(path), { recursive: true, mode: DIRECTORY_MODE });
    checkDirectory(dirname(path));
    await removeStale(path);
    await listen(server, path);
    chmodSync(path, SOCKET_MODE);
    checkFile(path);
  } catch (cause) {
    throw explained(cause, path);
  }
}

const owners = (): readonly (number | undefined)[] => [0, process.geteuid?.()];

/** @throws WeftError E_CONFIG when somebody else could put another socket in place of ours */
function checkDirectory(path: string): void {
  const { uid, mode } = statSync(path);
  const advice = 'choose another with --socket, or let systemd make it (RuntimeDirectory=)';
  if (!owners().includes(uid))
    throw new WeftError(
      'E_CONFIG',
      `the directory of the socket, ${path}, belongs to user ${uid}: ${advice}`,
    );
  if ((mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0)
    throw new WeftError(
      'E_CONFIG',
      `the directory of the socket, ${path}, is writable by everybody: ${advice}`,
    );
}

/** @throws WeftError E_CONFIG when the file system made something else of it */
function checkFile(path: string): void {
  const found = lstatSync(path);
  const mode = found.mode & PERMISSIONS;
  if (found.isSocket() && found.uid === process.geteuid?.() && mode === SOCKET_MODE) return;
  const seen = `mode ${mode.toString(8)}, user ${found.uid}`;
  throw new WeftError(
    'E_CONFIG',
    `socket ${path} has ${seen} instead of 660 and this user: choose a file system that keeps modes with --socket`,
  );
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Removes a socket at which nobody answers. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new WeftError(
      'E_CONFIG',
      `socket ${path}: something that is no socket is there; move it or choose another path`,
    );
  }
  if (await someoneAnswers(path)) throw alreadyRunning(path);
  unlinkSync(path);
}

function someoneAnswers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', (error: NodeJS.ErrnoException) => {
      // EAGAIN: somebody listens and is busy.
      if (error.code === 'EAGAIN') resolve(true);
      else if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      else reject(error);
    });
  });
}

function alreadyRunning(path: string): WeftError {
  return new WeftError(
    'E_ALREADY_RUNNING',
    `an agent already answers at ${path}: stop it, or give this one --state and --socket`,
  );
}

function explained(cause: unknown, path: string): unknown {
  if (cause instanceof WeftError || !(cause instanceof Error)) return cause;
  const { code = cause.message } = cause as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') return alreadyRunning(path);
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new WeftError(
      'E_PRIVILEGE',
      `socket ${path} cannot be made (${code}): its directory must be this user's, or set --socket`,
      { cause },
    );
  }
  return new WeftError(
    'E_CONFIG',
    `socket ${path} cannot be made (${code}): set --socket to a path that can be`,
    { cause },
  );
}
