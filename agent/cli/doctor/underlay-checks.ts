/** Checks of what carries the tunnel: device, MTU, offloads, reverse path filter, other tunnels. */
import type { Link } from '../../host/links.ts';
import { outerBytes } from '../outer-size.ts';
import type { Examination, UnderlayDevice } from './examination.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

/** Kinds of `ip link` that are tunnels themselves. */
const TUNNELS = [
  ...[
    'vxlan',
    'geneve',
    'gre',
    'gretap',
    'ip6gre',
    'ip6gretap',
    'erspan',
    'ip6erspan',
    'ipip',
    'sit',
    'ip6tnl',
  ],
  ...['vti', 'vti6', 'wireguard', 'l2tp', 'ppp', 'xfrm', 'tun', 'gtp', 'bareudp', 'amt', 'ovpn'],
];
const FULL_MTU_BYTES = 1500;

/** Everything about the device that has the underlay address. */
export function checkUnderlay(x: Examination): Finding[] {
  if (x.links === null) return [fail('underlay', '`ip` cannot be run', 'install iproute2')];
  if (x.underlayIp === null)
    return [
      fail(
        'underlay',
        'there is no route to other hosts',
        'add a default route, or set `underlay` to an address of this host',
      ),
    ];
  const { underlay } = x;
  if (underlay === null)
    return [
      fail(
        'underlay',
        `no device has the underlay address ${x.underlayIp}`,
        'give it to a device, or correct `underlay`',
      ),
    ];
  const { link } = underlay;
  const at = `${x.underlayIp} on ${link.name}`;
  const state =
    !link.up || (!link.carrier && !link.loopback)
      ? fail(
          'underlay',
          `${at}, which is ${link.up ? 'without carrier' : 'down'}`,
          `ip link set ${link.name} up; check the cable`,
        )
      : ok('underlay', `${at}, mtu ${link.mtuBytes}`);
  return [
    state,
    ...checkRoutes(x),
    ...checkMtu(x, link),
    checkNested(x, link),
    checkRpFilter(x, underlay),
    checkOffloads(underlay),
    ...checkSrIov(underlay),
  ];
}

function checkRoutes({ routes, links, running }: Examination): Finding[] {
  const lost = routes.filter(({ route }) => route === null);
  const tap = running?.status.tap;
  // A route to a peer through the overlay would carry the tunnel inside itself.
  const inside = routes.filter(({ route }) => route !== null && route.device === tap);
  return [
    ...lost.map(({ peer, ip }) =>
      fail('route', `there is no route to ${peer} at ${ip}`, `ip route get ${ip}; add the route`),
    ),
    ...inside.map(({ peer, ip }) =>
      fail(
        'route',
        `${peer} at ${ip} is routed into the overlay (${tap})`,
        'add a route to it by the underlay device',
      ),
    ),
    ...(routes.length > 0 && lost.length + inside.length === 0 && links !== null
      ? [
          ok(
            'route',
            `every peer has a route (${[...new Set(routes.map(({ route }) => route?.device))].join(', ')})`,
          ),
        ]
      : []),
  ];
}

function checkMtu(x: Examination, link: Link): Finding[] {
  const status = x.running?.status;
  if (status === undefined || x.underlayIp === null) {
    if (link.loopback || link.mtuBytes >= FULL_MTU_BYTES)
      return [ok('mtu', `${link.name} has ${link.mtuBytes}`)];
    const what = `${link.name} has ${link.mtuBytes}, and a segment's usual MTU is made for ${FULL_MTU_BYTES}`;
    return [warn('mtu', what, `ip link set ${link.name} mtu ${FULL_MTU_BYTES} if the network allows it`)];
  }
  const { mtu, tap } = status;
  const needed = outerBytes(status, x.underlayIp);
  const paths = [
    { what: `device ${link.name}`, bytes: link.mtuBytes },
    ...x.routes.flatMap(({ peer, route }) =>
      route?.mtuBytes == null ? [] : [{ what: `the route to ${peer}`, bytes: route.mtuBytes }],
    ),
    ...(x.running?.peers ?? []).flatMap(({ name, pmtu }) =>
      pmtu === null ? [] : [{ what: `the path to ${name}`, bytes: pmtu }],
    ),
  ];
  // An agent that has measured its paths tells senders the smaller size; else large packets vanish.
  const measured = x.running?.peers.some(({ pmtu }) => pmtu !== null) === true;
  const findings = paths
    .filter(({ bytes }) => bytes < needed)
    .map(({ what, bytes }) => {
      const text = `${what} takes ${bytes} bytes, full frames of ${tap} (mtu ${mtu}) need ${needed}`;
      const fix = `raise it, or set the MTU of what uses the overlay to ${mtu - (needed - bytes)}`;
      return measured ? warn('mtu', `${text}: packets are made smaller`, fix) : fail('mtu', text, fix);
    });
  const device = x.links?.find(({ name }) => name === tap);
  if (device !== undefined && device.mtuBytes !== mtu)
    findings.push(
      fail('mtu', `${tap} has ${device.mtuBytes}, its segment ${mtu}`, `ip link set ${tap} mtu ${mtu}`),
    );
  return findings.length > 0
    ? findings
    : [ok('mtu', `full frames of ${tap} need ${needed}, ${link.name} has ${link.mtuBytes}`)];
}

function checkNested(x: Examination, link: Link): Finding {
  const devices = [
    link,
    ...x.routes.flatMap(({ route }) => x.links?.find(({ name }) => name === route?.device) ?? []),
  ];
  const tunnel = devices.find(
    ({ kind, name }) => TUNNELS.includes(kind ?? '') && name !== x.running?.status.tap,
  );
  if (tunnel === undefined) return ok('nested', 'the underlay is no tunnel');
  return warn(
    'nested',
    `the underlay ${tunnel.name} is itself a tunnel (${tunnel.kind}), which takes its own bytes from each packet`,
    'let hosts reach each other without it, or see that its MTU stands for the whole path',
  );
}

function checkRpFilter(x: Examination, { link, rpFilter }: UnderlayDevice): Finding {
  const loose = `sysctl -w net.ipv4.conf.${link.name}.rp_filter=2`;
  if (x.underlayIp?.includes(':') || rpFilter === null || rpFilter !== 1)
    return ok('rp-filter', rpFilter === 1 ? 'concerns IPv4 only' : 'not strict');
  const away = x.routes.find(({ route }) => route !== null && route.device !== link.name);
  if (away !== undefined)
    return fail(
      'rp-filter',
      `strict on ${link.name}, and the route to ${away.peer} leaves by ${away.route?.device}: its packets are dropped`,
      loose,
    );
  const others = (x.links ?? []).filter(
    ({ name, loopback, up, addresses }) =>
      !loopback &&
      up &&
      name !== link.name &&
      name !== (x.running?.status.tap ?? x.config.tap) &&
      addresses.some(({ scope }) => scope === 'global'),
  );
  if (others.length === 0) return ok('rp-filter', `strict on ${link.name}, the only way out`);
  return warn(
    'rp-filter',
    `strict on ${link.name}, and ${others[0]?.name} is another way out: answers may be dropped`,
    loose,
  );
}

function checkOffloads({ link, offloads }: UnderlayDevice): Finding {
  if (link.loopback) return ok('offloads', 'loopback needs none');
  if (offloads === null)
    return warn(
      'offloads',
      `those of ${link.name} are unknown: ethtool is missing or refuses`,
      'install ethtool',
    );
  // A veth has GRO off from birth: what comes through it is not cut up in the first place.
  const wanted = ['generic-segmentation-offload', 'tx-checksumming'];
  if (link.kind !== 'veth') wanted.unshift('generic-receive-offload');
  const off = wanted.filter((name) => offloads.get(name) === false);
  if (off.length > 0) {
    const flags = {
      'generic-receive-offload': 'gro',
      'generic-segmentation-offload': 'gso',
      'tx-checksumming': 'tx',
    } as const;
    const fix = off.map((name) => `${flags[name as keyof typeof flags]} on`).join(' ');
    return warn(
      'offloads',
      `${off.join(', ')} off on ${link.name}: every packet costs more`,
      `ethtool -K ${link.name} ${fix}`,
    );
  }
  const segmentation =
    offloads.get('tx-udp-segmentation') === true
      ? 'UDP segmentation in the card'
      : 'UDP segmentation in software';
  return ok('offloads', `checksums and segmentation on ${link.name}, ${segmentation}`);
}

function checkSrIov({ link, srIov }: UnderlayDevice): Finding[] {
  if (srIov === null) return [];
  const driver = srIov.driver === null ? '' : `, driver ${srIov.driver}`;
  if (srIov.role === 'pf')
    return [
      ok(
        'sr-iov',
        `${link.name} is a physical function with ${srIov.functions} virtual ones${driver}; what uses those bypasses the overlay`,
      ),
    ];
  const of = srIov.physical === null ? 'of a card on the host' : `of ${srIov.physical}`;
  return [
    warn(
      'sr-iov',
      `${link.name} is a virtual function ${of}${driver}: the card's switch, not weft, decides what passes, and may lack offloads`,
      'have the host set its MTU, and spoof check off if other MAC addresses leave by it',
    ),
  ];
}
