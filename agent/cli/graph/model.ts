/**
 * The picture of `weft graph` as data: kernel devices of every namespace that is wired to this one, the agent, its peers,
 * the far ends of other tunnels, and how they hang together. Field and kind names are stable. Pure.
 */
import type { PeerReport, StatusReport } from '../../control/api-types.ts';
import { parseEndpoint } from '../../endpoint.ts';
import type { Link } from '../../host/links.ts';
import type { Namespace } from '../../host/namespaces.ts';

export type NodeKind = 'device' | 'veth' | 'bridge' | 'tap' | 'tunnel' | 'weft' | 'peer' | 'remote';
export type EdgeKind = 'veth' | 'port' | 'over' | 'tap' | 'underlay' | 'peer' | 'remote';

export interface GraphNode {
  /** Unique in the picture. */
  readonly id: string;
  readonly kind: NodeKind;
  readonly name: string;
  /** Label of its namespace; null for what is elsewhere. */
  readonly namespace: string | null;
  /** Null where there is none. */
  readonly mtu: number | null;
  readonly up: boolean;
  /** With prefix. */
  readonly addresses: readonly string[];
  /** A few words more: what kind of device, mesh and VNI, endpoint and round trip. */
  readonly detail: string;
}

export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly kind: EdgeKind;
}

export interface GraphWarning {
  /** Node that it is about. */
  readonly node: string;
  readonly text: string;
}

/** `weft graph --json` */
export interface GraphReport {
  readonly v: 1;
  /** Name of this host in its mesh; null when no agent answers. */
  readonly host: string | null;
  readonly namespaces: readonly { readonly name: string; readonly own: boolean }[];
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
  readonly warnings: readonly GraphWarning[];
}

/** One namespace with what is in it. */
export interface Place {
  readonly namespace: Namespace;
  readonly links: readonly Link[];
}

export interface Overlay {
  readonly status: StatusReport;
  readonly peers: readonly PeerReport[];
}

/** A device and where it is. */
export interface Device {
  readonly id: string;
  readonly link: Link;
  readonly place: Place;
}

export interface Drawing {
  readonly devices: readonly Device[];
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

const TUNNELS = [
  'vxlan',
  'geneve',
  'gre',
  'gretap',
  'ip6gre',
  'ip6gretap',
  'ipip',
  'sit',
  'ip6tnl',
  'wireguard',
];
export const WEFT_ID = 'weft';

/** Everything that is wired, directly or not, to the namespace that this process is in. */
export function draw(places: readonly Place[], overlay: Overlay | null): Drawing {
  const all = places.flatMap((place) =>
    place.links.filter(({ loopback }) => !loopback).map((link) => ({ id: idOf(place, link), link, place })),
  );
  const wires = all.flatMap((device) => wiresOf(device, all, places));
  const reached = reachableFrom(places, all, wires);
  const devices = all.filter(({ place }) => reached.has(place.namespace.inode));
  const shown = new Set(devices.map(({ id }) => id)); // bounded by the devices
  const mesh = overlay === null ? { nodes: [], edges: [] } : meshOf(devices, overlay);
  const far = remotesOf(devices);
  return {
    devices,
    nodes: [...devices.map(nodeOf), ...mesh.nodes, ...far.nodes],
    edges: [...wires.filter(({ from }) => shown.has(from)), ...mesh.edges, ...far.edges],
  };
}

const idOf = ({ namespace }: Place, { name }: Link): string => `${namespace.label}/${name}`;

function nodeOf({ id, link, place }: Device): GraphNode {
  const vni = link.vni === null ? '' : ` vni ${link.vni}`;
  return {
    id,
    kind: kindOf(link),
    name: link.name,
    namespace: place.namespace.label,
    mtu: link.mtuBytes,
    up: link.up && link.carrier,
    addresses: link.addresses
      .filter(({ scope }) => scope === 'global')
      .map(({ ip, prefixLength }) => `${ip}/${prefixLength}`),
    detail: `${link.kind === 'tun' ? (link.tunType ?? 'tun') : (link.kind ?? 'device')}${vni}`,
  };
}

function kindOf({ kind, tunType }: Link): NodeKind {
  if (kind === 'veth' || kind === 'bridge') return kind;
  if (kind === 'openvswitch') return 'bridge';
  if (kind === 'tun') return tunType === 'tun' ? 'tunnel' : 'tap';
  return TUNNELS.includes(kind ?? '') ? 'tunnel' : 'device';
}

/** What a device is plugged into. A pair of veths is told once, from the end that comes first. */
function wiresOf(device: Device, all: readonly Device[], places: readonly Place[]): GraphEdge[] {
  const { id, link, place } = device;
  const here = (name: string | null): Device | undefined =>
    name === null ? undefined : all.find((other) => other.place === place && other.link.name === name);
  const edges: GraphEdge[] = [];
  const master = here(link.master);
  if (master !== undefined) edges.push({ from: id, to: master.id, kind: 'port' });
  if (link.kind === 'veth') {
    const peer = peerOf(device, all, places);
    if (peer !== undefined && all.indexOf(device) < all.indexOf(peer))
      edges.push({ from: id, to: peer.id, kind: 'veth' });
    return edges;
  }
  const lower = here(link.lower);
  if (lower !== undefined) edges.push({ from: id, to: lower.id, kind: 'over' });
  return edges;
}

/** The other end of a veth. */
export function peerOf(device: Device, all: readonly Device[], places: readonly Place[]): Device | undefined {
  const { link, place } = device;
  const mutual = all.filter(
    (other) =>
      other.link.kind === 'veth' &&
      other !== device &&
      other.link.index === link.lowerIndex &&
      (other.link.lowerIndex ?? indexOfLower(other)) === link.index &&
      (other.place !== place) === link.lowerElsewhere,
  );
  if (!link.lowerElsewhere)
    return all.find((other) => other.place === place && other.link.name === link.lower);
  const name = place.namespace.namesById.get(link.lowerNetnsId ?? -1);
  const named = places.find(({ namespace }) => namespace.label === name);
  if (named !== undefined) return mutual.find((other) => other.place === named);
  // Without a name, only an only candidate is certain.
  return mutual.length === 1 ? mutual[0] : undefined;
}

const indexOfLower = ({ link, place }: Device): number | null =>
  place.links.find(({ name }) => name === link.lower)?.index ?? null;

/** Inodes of the namespaces that wires lead to; bounded by MAX_NAMESPACES. */
function reachableFrom(
  places: readonly Place[],
  all: readonly Device[],
  wires: readonly GraphEdge[],
): ReadonlySet<number> {
  const inodeOf = new Map(all.map(({ id, place }) => [id, place.namespace.inode])); // bounded by the devices
  const reached = new Set(
    places.filter(({ namespace }) => namespace.isOwn).map(({ namespace }) => namespace.inode),
  ); // bounded by MAX_NAMESPACES
  for (let grown = true; grown; ) {
    grown = false;
    for (const { from, to } of wires) {
      const [a, b] = [inodeOf.get(from) ?? 0, inodeOf.get(to) ?? 0];
      if (reached.has(a) === reached.has(b)) continue;
      reached.add(a).add(b);
      grown = true;
    }
  }
  return reached;
}

/** The agent between its TAP and the device that has its underlay address, and the peers beyond. */
function meshOf(devices: readonly Device[], { status, peers }: Overlay): Pick<Drawing, 'nodes' | 'edges'> {
  const own = devices.filter(({ place }) => place.namespace.isOwn);
  const tap = own.find(({ link }) => link.name === status.tap);
  const ip = parseEndpoint(status.endpoint ?? '', 1)?.ip;
  const underlay = own.find(({ link }) => link.addresses.some((address) => address.ip === ip));
  const agent: GraphNode = {
    id: WEFT_ID,
    kind: 'weft',
    name: status.name,
    namespace: tap?.place.namespace.label ?? null,
    mtu: status.mtu,
    up: status.state === 'up',
    addresses: status.address === null ? [] : [status.address],
    detail: `mesh ${status.mesh}, vni ${status.vni}, ${status.mode} ${status.encap}, ${status.endpoint ?? 'no endpoint'}`,
  };
  const far = peers.map((peer): GraphNode => {
    const rtt = peer.rttMs === null ? '' : `, ${peer.rttMs} ms`;
    return {
      id: `peer/${peer.name}`,
      kind: peer.nodeId === null ? 'remote' : 'peer',
      name: peer.name,
      namespace: null,
      mtu: peer.pmtu,
      up: peer.state === 'up',
      addresses: peer.address === null ? [] : [peer.address],
      detail: `${peer.endpoint ?? 'no endpoint'}, ${peer.state}, ${peer.path}${rtt}`,
    };
  });
  const edges: GraphEdge[] = far.map(({ id, kind }) => ({
    from: WEFT_ID,
    to: id,
    kind: kind === 'peer' ? 'peer' : 'remote',
  }));
  if (underlay !== undefined) edges.unshift({ from: WEFT_ID, to: underlay.id, kind: 'underlay' });
  if (tap !== undefined) edges.unshift({ from: tap.id, to: WEFT_ID, kind: 'tap' });
  return { nodes: [agent, ...far], edges };
}

/** Far ends of tunnels that are not weft's. */
function remotesOf(devices: readonly Device[]): Pick<Drawing, 'nodes' | 'edges'> {
  const edges = devices.flatMap(({ id, link }) =>
    link.remotes.map((ip): GraphEdge => ({ from: id, to: `remote/${ip}`, kind: 'remote' })),
  );
  const ids = [...new Set(edges.map(({ to }) => to))];
  const nodes = ids.map((id): GraphNode => {
    const name = id.slice('remote/'.length);
    return {
      id,
      kind: 'remote',
      name,
      namespace: null,
      mtu: null,
      up: true,
      addresses: [name],
      detail: 'far end of a tunnel',
    };
  });
  return { nodes, edges };
}
