/**
 * Descriptor of a UDP socket that this process has bound, found by its port: node:dgram does not tell it, and what the kernel dropped at a
 * full buffer is asked of a descriptor. Called once after the bind. Never throws: without /proc there is none.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** The sockets of this network namespace; columns of local address and inode. */
const TABLES = ['/proc/thread-self/net/udp', '/proc/thread-self/net/udp6'];
const LOCAL = 1;
const INODE = 9;

function inodesAt(port: number): Set<string> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = TABLES.flatMap((path) => {
    try {
      return readFileSync(path, 'utf8').split('\n').slice(1);
    } catch {
      return []; // a kernel without IPv6
    }
  });
  const columns = lines.map((line) => line.trim().split(/\s+/));
  return new Set(columns.flatMap((c) => (c[LOCAL]?.endsWith(wanted) ? [`socket:[${c[INODE]}]`] : [])));
}

export function udpDescriptor(port: number): number | null {
  const inodes = inodesAt(port);
  try {
    for (const fd of inodes.size === 0 ? [] : readdirSync('/proc/self/fd')) {
      try {
        if (inodes.has(readlinkSync(`/proc/self/fd/${fd}`))) return Number(fd);
      } catch {
        // It was closed meanwhile: the descriptor of this very listing is.
      }
    }
  } catch {
    // No /proc.
  }
  return null;
}
