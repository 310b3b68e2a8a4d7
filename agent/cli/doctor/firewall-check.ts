/** Whether the packet filter of this host lets the tunnel through, both ways. */
import { parseEndpoint } from '../../endpoint.ts';
import { type Obstacle, obstacleTo, type Probe } from '../../host/nft-verdict.ts';
import type { Examination } from './examination.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

/** Peers that rules are tried for; rules that name addresses are few. */
const MAX_PEERS = 20;

export function checkFirewall(x: Examination): Finding[] {
  const findings: Finding[] = [];
  if (x.legacyTables.length > 0)
    findings.push(
      warn(
        'firewall',
        'there are rules of the older iptables, which nft does not show',
        'iptables-legacy -S; let the UDP ports of docs/OPERATIONS.md through',
      ),
    );
  if (x.ruleset === null) {
    const why = x.rights?.held.has('NET_ADMIN') ? 'nft is missing' : 'nft is missing or needs root';
    return [...findings, warn('firewall', `its rules are unknown: ${why}`, 'install nftables, run as root')];
  }
  const blocked = new Map<string, Finding>(); // bounded by ports x directions
  for (const probe of probesOf(x)) {
    const key = `${probe.direction} ${probe.destinationPort}`;
    const obstacle = blocked.get(key)?.level === 'fail' ? null : obstacleTo(x.ruleset, probe);
    if (obstacle !== null && (obstacle.certain || !blocked.has(key)))
      blocked.set(key, findingOf(x, probe, obstacle));
  }
  findings.push(...blocked.values());
  if (findings.length > 0) return findings;
  const rules = [...x.ruleset.chains.values()].reduce((sum, { rules }) => sum + rules.length, 0);
  return [ok('firewall', rules === 0 ? 'no rules' : `${rules} rules, none in the way of our ports`)];
}

/** The first datagram of each kind, from and to each peer; from anywhere when none is known. */
function probesOf(x: Examination): Probe[] {
  const peers = (x.running?.peers ?? [])
    .slice(0, MAX_PEERS)
    .map(({ endpoint }) => parseEndpoint(endpoint ?? '', 1)?.ip ?? null);
  const device = x.underlay?.link.name ?? null;
  return x.ports.flatMap(({ port }) =>
    (peers.length === 0 ? [null] : peers).flatMap((peer) => {
      const family = (peer ?? x.underlayIp ?? '').includes(':') ? 6 : 4;
      const common = { family, device, destinationPort: port } as const;
      return [
        { ...common, direction: 'in', source: peer, destination: x.underlayIp },
        { ...common, direction: 'out', source: x.underlayIp, destination: peer },
      ] satisfies Probe[];
    }),
  );
}

function findingOf(x: Examination, probe: Probe, { certain, chain, handle, verdict }: Obstacle): Finding {
  const place = `${chain.family} ${chain.table} ${chain.name}`;
  const by =
    handle === null
      ? `policy ${verdict} of nft chain ${place}`
      : `rule ${handle} (${verdict}) of nft chain ${place}`;
  const what = x.ports.find(({ port }) => port === probe.destinationPort)?.what ?? 'sealed';
  const way = probe.direction === 'in' ? 'arriving' : 'leaving';
  const traffic = `${way} UDP ${probe.destinationPort} (${what})`;
  const fix = `nft insert rule ${place} udp dport ${probe.destinationPort} accept`;
  if (certain) return fail('firewall', `${traffic} is dropped by ${by}`, fix);
  return warn('firewall', `${traffic} may be dropped by ${by}`, `nft list chain ${place}; if it is: ${fix}`);
}
