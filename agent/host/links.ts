/**
 * Network devices and their addresses as `ip -json -details address` tells them, of this network namespace or of another
 * one. MTUs are in bytes. Used by `weft doctor` and `weft graph`.
 */
import type { Kernel } from './kernel.ts';

export interface LinkAddress {
  readonly ip: string;
  readonly prefixLength: number;
  readonly scope: string;
}

export interface Link {
  readonly index: number;
  readonly name: string;
  /** veth, bridge, tun, vxlan, ...; null for hardware and loopback. */
  readonly kind: string | null;
  readonly mtuBytes: number;
  /** Set up by an administrator. */
  readonly up: boolean;
  /** The other end is there. */
  readonly carrier: boolean;
  readonly loopback: boolean;
  readonly mac: string | null;
  /** Bridge or bond that this device is a port of. */
  readonly master: string | null;
  /** Name of the device below or at the other end, if it is in the same namespace. */
  readonly lower: string | null;
  /** Index of the device below or at the other end, perhaps in another namespace. */
  readonly lowerIndex: number | null;
  readonly lowerElsewhere: boolean;
  /** Number that this namespace gives the other one. */
  readonly lowerNetnsId: number | null;
  /** Far ends that a tunnel device names. */
  readonly remotes: readonly string[];
  readonly vni: number | null;
  /** What a TUN/TAP device is: `tap` or `tun`. */
  readonly tunType: string | null;
  readonly addresses: readonly LinkAddress[];
}

/** The parts of what `ip` prints that are read here. */
interface IpLink {
  readonly ifindex?: number;
  readonly ifname?: string;
  readonly flags?: readonly string[];
  readonly mtu?: number;
  readonly link_type?: string;
  readonly address?: string;
  readonly master?: string;
  readonly link?: string | null;
  readonly link_index?: number;
  readonly link_netnsid?: number;
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_data?: {
      readonly id?: number;
      readonly remote?: string;
      readonly remote6?: string;
      readonly group?: string;
      readonly type?: string;
    };
  };
  readonly addr_info?: readonly {
    readonly local?: string;
    readonly prefixlen?: number;
    readonly scope?: string;
  }[];
}

/**
 * Devices of this namespace, or of the one that `within` enters (namespaces.ts). Null when `ip` is missing or refuses.
 */
export async function readLinks(kernel: Kernel, within: readonly string[] = []): Promise<Link[] | null> {
  const links = await kernel.json([...within, 'ip', '-json', '-details', 'address', 'show']);
  return Array.isArray(links) ? (links as IpLink[]).flatMap(linkOf) : null;
}

/** Far ends that a vxlan device floods to, besides the one it was made with. */
export async function readVxlanRemotes(
  kernel: Kernel,
  device: string,
  within: readonly string[] = [],
): Promise<string[]> {
  const entries = await kernel.json([...within, 'bridge', '-json', 'fdb', 'show', 'dev', device]);
  if (!Array.isArray(entries)) return [];
  const remotes = (entries as { readonly dst?: string }[]).flatMap(({ dst }) =>
    dst === undefined ? [] : [dst],
  );
  return [...new Set(remotes)];
}

function linkOf(link: IpLink): Link[] {
  const { ifindex, ifname, mtu, flags = [] } = link;
  // `ip` prints empty objects for what it has filtered out.
  if (ifindex === undefined || ifname === undefined || mtu === undefined) return [];
  const data = link.linkinfo?.info_data;
  const remotes = [data?.remote, data?.remote6, data?.group].filter((ip) => ip !== undefined && ip !== 'any');
  return [
    {
      index: ifindex,
      name: ifname,
      kind: link.linkinfo?.info_kind ?? null,
      mtuBytes: mtu,
      up: flags.includes('UP'),
      carrier: flags.includes('LOWER_UP'),
      loopback: flags.includes('LOOPBACK'),
      mac: link.link_type === 'ether' ? (link.address ?? null) : null,
      master: link.master ?? null,
      lower: link.link ?? null,
      lowerIndex: link.link_index ?? null,
      lowerElsewhere: link.link_netnsid !== undefined,
      lowerNetnsId: link.link_netnsid ?? null,
      remotes: remotes.filter((ip) => ip !== undefined),
      vni: data?.id ?? null,
      tunType: data?.type ?? null,
      addresses: (link.addr_info ?? []).flatMap(({ local, prefixlen, scope = 'global' }) =>
        local === undefined ? [] : [{ ip: local, prefixLength: prefixlen ?? 0, scope }],
      ),
    },
  ];
}
