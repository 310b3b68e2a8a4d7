/** What a process may do: capabilities of /proc/PID/status. */
import type { Kernel } from './kernel.ts';

/** linux/capability.h */
const CAP_BIT = { NET_ADMIN: 12, NET_RAW: 13 } as const;
export type Capability = keyof typeof CAP_BIT;

/** Effective capabilities of a process, or of this one; null when there is no such process. */
export function readCapabilities(kernel: Kernel, pid: number | 'self'): ReadonlySet<Capability> | null {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(kernel.read(`/proc/${pid}/status`) ?? '')?.[1];
  if (hex === undefined) return null;
  const bits = BigInt(`0x${hex}`);
  const held = (Object.keys(CAP_BIT) as Capability[]).filter(
    (name) => ((bits >> BigInt(CAP_BIT[name])) & 1n) === 1n,
  );
  return new Set(held);
}
