/**
 * A network card: its offloads as `ethtool -k` lists them, and its place in SR-IOV as sysfs tells it. A virtual function
 * (VF) is a slice of a physical function (PF); the card's own switch between VFs obeys the host, not weft.
 */
import type { Kernel } from './kernel.ts';

/** `generic-receive-offload` to on or off; bounded by what the driver has. Null when ethtool is missing or refuses. */
export async function readOffloads(
  kernel: Kernel,
  device: string,
): Promise<ReadonlyMap<string, boolean> | null> {
  const ran = await kernel.run(['ethtool', '-k', device]);
  if (ran === null || ran.status !== 0) return null;
  const features = ran.out.matchAll(/^\s*([a-z0-9-]+): (on|off)\b/gm);
  return new Map([...features].map(([, name = '', state]) => [name, state === 'on']));
}

export interface SrIov {
  readonly role: 'vf' | 'pf';
  /** Network device of the PF, where the host shows it. */
  readonly physical: string | null;
  /** Virtual functions of a PF that are made. */
  readonly functions: number;
  readonly driver: string | null;
}

/** Null for a device that is no part of SR-IOV. */
export function readSrIov(kernel: Kernel, device: string): SrIov | null {
  const at = `/sys/class/net/${device}/device`;
  const driver = kernel.linkName(`${at}/driver`);
  if (kernel.linkName(`${at}/physfn`) !== null) {
    const [physical = null] = kernel.list(`${at}/physfn/net`);
    return { role: 'vf', physical, functions: 0, driver };
  }
  const functions = kernel.readNumber(`${at}/sriov_numvfs`) ?? 0;
  return functions > 0 ? { role: 'pf', physical: device, functions, driver } : null;
}
