/** What a process may do: capabilities (capabilities(7)) and no_new_privs of /proc/PID/status and of its threads. */
import type { Kernel } from './kernel.ts';

/** linux/capability.h */
const CAP_BIT = { NET_BIND_SERVICE: 10, NET_ADMIN: 12, NET_RAW: 13 } as const;
export type Capability = keyof typeof CAP_BIT;
const NAMES = Object.keys(CAP_BIT) as Capability[];

/** What all threads of a process have together. */
export interface ProcessRights {
  /** Effective, permitted, inheritable or ambient in any thread; those that weft has a use for by name. */
  readonly held: ReadonlySet<Capability>;
  /** Capabilities beyond NET_ADMIN and NET_BIND_SERVICE, in any of these sets of any thread. */
  readonly others: number;
  /** The same of the bounding sets, which matter only without no_new_privs. */
  readonly boundsOthers: number;
  /** No thread can gain rights by running a program. */
  readonly noNewPrivileges: boolean;
}

/** The bits of a set of capabilities. */
export const capabilityBits = (names: readonly Capability[]): number =>
  names.reduce((bits, name) => bits + 2 ** CAP_BIT[name], 0);

const NEEDED = BigInt(capabilityBits(['NET_ADMIN', 'NET_BIND_SERVICE']));

function maskOf(status: string, field: string): bigint {
  const hex = new RegExp(`^${field}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1];
  return hex === undefined ? 0n : BigInt(`0x${hex}`);
}

function countOf(bits: bigint): number {
  return [...bits.toString(2)].filter((digit) => digit === '1').length;
}

/** Rights of a process, or of this one; null when there is no such process. */
export function readRights(kernel: Kernel, pid: number | 'self'): ProcessRights | null {
  const main = kernel.read(`/proc/${pid}/status`);
  if (main === null || !/^CapEff:/m.test(main)) return null;
  const threads = kernel
    .list(`/proc/${pid}/task`)
    .map((tid) => kernel.read(`/proc/${pid}/task/${tid}/status`));
  // A thread may end between two looks.
  const all = [main, ...threads.filter((text) => text !== null)];
  const union = (fields: readonly string[]): bigint =>
    all.reduce((bits, text) => fields.reduce((sum, field) => sum | maskOf(text, field), bits), 0n);
  const held = union(['CapEff', 'CapPrm', 'CapInh', 'CapAmb']);
  return {
    held: new Set(NAMES.filter((name) => ((held >> BigInt(CAP_BIT[name])) & 1n) === 1n)),
    others: countOf(held & ~NEEDED),
    boundsOthers: countOf(union(['CapBnd']) & ~NEEDED),
    noNewPrivileges: all.every((text) => /^NoNewPrivs:\s*1$/m.test(text)),
  };
}
