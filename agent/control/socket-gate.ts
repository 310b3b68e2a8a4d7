/**
 * Who may use the control socket: root, the agent's own user, and members of the file's group if its mode lets them write.
 * The kernel checks the same when a process connects; this asks it who did (SO_PEERCRED), so that a mode that somebody made
 * wider, or that was wide for a moment, lets nobody in. Called by server.ts once per connection.
 */
import { lstatSync } from 'node:fs';
import type { Socket } from 'node:net';
import { type PeerCredentials, peerCredentials } from 'tun-tap';

const ROOT_UID = 0;
const GROUP_WRITES = 0o020;

export class SocketGate {
  readonly #path: string;
  readonly #onRefused: (peer: PeerCredentials | null) => void;
  /** Connections that were refused. */
  refused = 0;

  /** @param onRefused told of each refusal; null when the kernel did not say who it was */
  constructor(path: string, onRefused: (peer: PeerCredentials | null) => void) {
    this.#path = path;
    this.#onRefused = onRefused;
  }

  /** Whether the other end of a new connection may ask anything. Never throws. */
  admits(socket: Socket): boolean {
    const peer = credentialsOf(socket);
    if (peer !== null && this.#allows(peer)) return true;
    this.refused += 1;
    this.#onRefused(peer);
    return false;
  }

  #allows({ uid, gids }: PeerCredentials): boolean {
    if (uid === ROOT_UID || uid === process.geteuid?.()) return true;
    // Asked each time: the operator may give the file to a group while the agent runs.
    const file = lstatSync(this.#path, { throwIfNoEntry: false });
    return file !== undefined && (file.mode & GROUP_WRITES) !== 0 && gids.includes(file.gid);
  }
}

function credentialsOf(
  socket: Socket & { readonly _handle?: { readonly fd?: number } },
): PeerCredentials | null {
  const fd = socket._handle?.fd;
  if (fd === undefined || fd < 0) return null;
  try {
    return peerCredentials(fd);
  } catch {
    return null;
  }
}
