/**
 * The file of the control socket: made with mode 0660 in a directory that only its owner writes, removed if its agent is
 * gone, refused if an agent answers there or if something else lies in the way.
 */
import { chmodSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { WeftError } from '../errors.ts';

/** sun_path holds 108 bytes with its terminating zero. */
const MAX_SOCKET_PATH_BYTES = 107;
const SOCKET_MODE = 0o660;
const DIRECTORY_MODE = 0o755;

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
    await removeStale(path);
    await listen(server, path);
    chmodSync(path, SOCKET_MODE);
  } catch (cause) {
    throw explained(cause, path);
  }
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
      `socket ${path} cannot be made (${code}): run as root or set --socket`,
      { cause },
    );
  }
  return new WeftError(
    'E_CONFIG',
    `socket ${path} cannot be made (${code}): set --socket to a path that can be`,
    { cause },
  );
}
