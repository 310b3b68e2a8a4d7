/**
 * The network namespaces that this process can enter: its own, those that `ip netns` named, and those that some process
 * of this machine lives in (containers). Entering another takes root. Used by `weft graph`.
 */
import type { Kernel } from './kernel.ts';

export interface Namespace {
  /** Inode of the namespace: the same for everybody who is in it. */
  readonly inode: number;
  /** Its name, else `pid N` of a process in it, else `this namespace`. */
  readonly label: string;
  readonly isOwn: boolean;
  /** What goes in front of a command so that it runs there. */
  readonly within: readonly string[];
  /** Names of other namespaces by the number that this one gives them; bounded by MAX_NAMESPACES. */
  readonly namesById: ReadonlyMap<number, string>;
}

/** A picture of more is none. */
export const MAX_NAMESPACES = 256;

export async function listNamespaces(kernel: Kernel): Promise<Namespace[]> {
  const own = kernel.inode('/proc/self/ns/net') ?? 0;
  const doors = new Map<number, { readonly label: string; readonly path: string }>(); // bounded by MAX_NAMESPACES
  const add = (path: string, label: string): void => {
    const inode = kernel.inode(path);
    if (inode !== null && !doors.has(inode) && doors.size < MAX_NAMESPACES) doors.set(inode, { label, path });
  };
  // A name tells more than a process, and of the processes the first is the longest-lived.
  for (const name of kernel.list('/run/netns')) add(`/run/netns/${name}`, name);
  add('/proc/self/ns/net', 'this namespace');
  const pids = kernel.list('/proc').filter((name) => /^\d+$/.test(name));
  for (const pid of pids.sort((a, b) => Number(a) - Number(b))) add(`/proc/${pid}/ns/net`, `pid ${pid}`);
  const namespaces: Namespace[] = [];
  for (const [inode, { label, path }] of doors) {
    const isOwn = inode === own;
    const within = isOwn ? [] : ['nsenter', `--net=${path}`];
    const ids = await kernel.json([...within, 'ip', '-json', 'netns', 'list-id']);
    const names = (Array.isArray(ids) ? ids : []) as { readonly nsid?: number; readonly name?: string }[];
    const named = names.flatMap(({ nsid, name }): [number, string][] =>
      nsid === undefined || name === undefined ? [] : [[nsid, name]],
    );
    namespaces.push({ inode, label, isOwn, within, namesById: new Map(named) });
  }
  return namespaces;
}
