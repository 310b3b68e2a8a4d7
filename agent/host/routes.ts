/** The way that the kernel would send to an address, from `ip -json route get`. Nothing is sent. */
import type { Kernel } from './kernel.ts';

export interface Route {
  readonly device: string;
  /** Source address that the kernel prefers. */
  readonly source: string | null;
  readonly gateway: string | null;
  /** Path MTU that the kernel has learned or was given for the destination, in bytes. */
  readonly mtuBytes: number | null;
}

interface IpRoute {
  readonly type?: string;
  readonly dev?: string;
  readonly prefsrc?: string;
  readonly gateway?: string;
  readonly metrics?: readonly { readonly mtu?: number }[];
}

/** Null when there is no route. */
export async function routeTo(kernel: Kernel, ip: string): Promise<Route | null> {
  const routes = await kernel.json(['ip', '-json', 'route', 'get', ip]);
  const [route] = (Array.isArray(routes) ? routes : []) as IpRoute[];
  if (route?.dev === undefined || route.type === 'unreachable' || route.type === 'blackhole') return null;
  return {
    device: route.dev,
    source: route.prefsrc ?? null,
    gateway: route.gateway ?? null,
    mtuBytes: route.metrics?.find(({ mtu }) => mtu !== undefined)?.mtu ?? null,
  };
}
