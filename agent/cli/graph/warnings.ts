/** What is wrong in the picture: MTUs that disagree along a path, devices that are down, addresses that are missing. Pure. */
import { parseEndpoint } from '../../endpoint.ts';
import { outerBytes } from '../outer-size.ts';
import type { Device, Drawing, GraphWarning, Overlay } from './model.ts';
import { WEFT_ID } from './model.ts';

/** Devices that nothing is plugged into concern nobody. */
export function warningsOf(drawing: Drawing, overlay: Overlay | null): GraphWarning[] {
  const { devices, edges } = drawing;
  const wired = new Set(edges.flatMap(({ from, to }) => [from, to])); // bounded by the devices
  const used = devices.filter(({ id }) => wired.has(id));
  return [
    ...used.flatMap(isDown),
    ...mtuAlongWires(drawing),
    ...used.flatMap((device) => addressMissing(device, overlay)),
    ...(overlay === null ? [] : overlayWarnings(devices, overlay)),
  ];
}

function isDown({ id, link }: Device): GraphWarning[] {
  if (!link.up) return [{ node: id, text: `${link.name} is down: ip link set ${link.name} up` }];
  // A bridge without carrier has no port that works, and each of those is told by itself.
  if (!link.carrier && link.kind !== 'bridge')
    return [{ node: id, text: `${link.name} has no carrier: its other end is down or gone` }];
  return [];
}

/** The two ends of a veth, and the ports of a bridge, must take the same packets. */
function mtuAlongWires({ devices, edges }: Drawing): GraphWarning[] {
  const byId = new Map(devices.map((device) => [device.id, device])); // bounded by the devices
  const pairs = edges.flatMap(({ from, to, kind }): GraphWarning[] => {
    const [a, b] = [byId.get(from)?.link, byId.get(to)?.link];
    if (kind !== 'veth' || a === undefined || b === undefined || a.mtuBytes === b.mtuBytes) return [];
    return [
      {
        node: from,
        text: `the ends of a veth disagree: ${from} has mtu ${a.mtuBytes}, ${to} has ${b.mtuBytes}`,
      },
    ];
  });
  const bridges = devices.flatMap((bridge): GraphWarning[] => {
    const ports = edges
      .filter(({ kind, to }) => kind === 'port' && to === bridge.id)
      .flatMap(({ from }) => byId.get(from) ?? []);
    const sizes = new Set(ports.map(({ link }) => link.mtuBytes)); // bounded by the ports
    if (sizes.size < 2) return [];
    const list = ports.map(({ link }) => `${link.name} ${link.mtuBytes}`).join(', ');
    return [
      {
        node: bridge.id,
        text: `the ports of ${bridge.link.name} disagree: mtu of ${list}; it drops what is too large for a port`,
      },
    ];
  });
  return [...pairs, ...bridges];
}

/** The end of a veth and a TAP are where somebody speaks IP, unless they are ports. */
function addressMissing({ id, link, place }: Device, overlay: Overlay | null): GraphWarning[] {
  const has = link.addresses.some(({ scope }) => scope === 'global');
  if (has || link.master !== null || !link.up) return [];
  const isTap = place.namespace.isOwn && link.name === overlay?.status.tap;
  if (isTap)
    return [
      {
        node: id,
        text: `${link.name} has no address: ip address add ${overlay.status.address ?? 'ADDRESS'} dev ${link.name}`,
      },
    ];
  if (link.kind === 'veth')
    return [{ node: id, text: `${link.name} has no address and is no port of a bridge` }];
  return [];
}

function overlayWarnings(devices: readonly Device[], { status, peers }: Overlay): GraphWarning[] {
  const own = devices.filter(({ place }) => place.namespace.isOwn);
  const tap = own.find(({ link }) => link.name === status.tap);
  const ip = parseEndpoint(status.endpoint ?? '', 1)?.ip ?? '';
  const underlay = own.find(({ link }) => link.addresses.some((address) => address.ip === ip));
  const warnings: GraphWarning[] = [];
  const say = (node: string, text: string): void => void warnings.push({ node, text });
  if (tap === undefined) say(WEFT_ID, `there is no device ${status.tap}: restart the agent`);
  else if (tap.link.mtuBytes !== status.mtu)
    say(tap.id, `${status.tap} has mtu ${tap.link.mtuBytes}, its segment ${status.mtu}`);
  const wanted = status.address?.split('/')[0];
  if (
    tap !== undefined &&
    wanted !== undefined &&
    tap.link.addresses.length > 0 &&
    !tap.link.addresses.some((a) => a.ip === wanted)
  )
    say(tap.id, `${status.tap} lacks the overlay address ${status.address}`);
  if (underlay === undefined) say(WEFT_ID, `no device has the underlay address ${ip}`);
  else if (underlay.link.mtuBytes < outerBytes(status, ip))
    say(
      underlay.id,
      `full frames of ${status.tap} need ${outerBytes(status, ip)} bytes, ${underlay.link.name} takes ${underlay.link.mtuBytes}`,
    );
  for (const peer of peers) {
    if (peer.state !== 'up')
      say(
        `peer/${peer.name}`,
        `${peer.name} is ${peer.state}${peer.reason === null ? '' : `: ${peer.reason}`}`,
      );
    if (peer.pmtu !== null && peer.pmtu < outerBytes(status, ip))
      say(
        `peer/${peer.name}`,
        `the path to ${peer.name} takes ${peer.pmtu} bytes, full frames need ${outerBytes(status, ip)}`,
      );
  }
  return warnings;
}
