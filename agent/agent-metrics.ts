/**
 * One snapshot of numbers for /metrics, from the workers' counters and the control plane's state. Part of the
 * composition root; read once per scrape.
 */
import { readFileSync } from 'node:fs';
import { socketDrops } from 'tun-tap';
import type { GossipNode } from '../gossip/index.ts';
import type { Certificates } from './agent-certificates.ts';
import type { LateWrites } from './agent-late.ts';
import type { Mesh } from './agent-mesh.ts';
import type { Paths } from './agent-path.ts';
import type { Live } from './agent-reload.ts';
import type { Clock } from './clock.ts';
import type { EventRing } from './control/event-ring.ts';
import type { HandshakeResult, MetricsSnapshot, PeerMetrics } from './control/metrics-source.ts';
import type { DataPlane } from './datapath/data-plane.ts';
import { udpDescriptor } from './host/udp-descriptor.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import { REVOCATION_KINDS } from './identity/revocation.ts';
import type { GossipTrust } from './peer/gossip-trust.ts';
import type { PeerTable } from './peer/peer-table.ts';
import type { Underlay } from './peer/underlay.ts';
import type { SessionManager } from './session/session-manager.ts';

export interface MetricsParts {
  readonly identity: NodeIdentity;
  readonly dataPlane: DataPlane;
  readonly sessions: SessionManager;
  readonly gossip: GossipNode;
  readonly peers: PeerTable;
  readonly mesh: Mesh;
  readonly paths: Paths;
  readonly underlay: Underlay;
  readonly gate: { readonly refused: number };
  readonly certificates: Certificates;
  readonly trust: GossipTrust;
  readonly offloads: () => readonly { readonly name: string; readonly on: boolean }[];
  readonly fdbLimit: number;
  readonly tapName: string;
  readonly gossipPort: number;
  readonly events: EventRing;
  readonly live: Live;
  readonly clock: Clock;
  readonly late: LateWrites;
}

function peerMetrics(p: MetricsParts): PeerMetrics[] {
  const members = p.peers.members().map((peer) => ({
    peer: peer.name,
    state: peer.state,
    slot: peer.slot,
    ip: peer.endpoint.ip,
    lastHandshakeSec: peer.lastHandshakeWallMs === null ? null : peer.lastHandshakeWallMs / 1000,
    rttSec: peer.rttMs === null ? null : peer.rttMs / 1000,
    pathMtuBytes: p.paths.bytesOf(peer.id),
    probeLoss: peer.probeLoss,
  }));
  const vteps = p.peers.vteps().map((vtep) => ({
    peer: vtep.name,
    state: 'up' as const,
    slot: vtep.slot,
    ip: vtep.endpoint.ip,
    lastHandshakeSec: null,
    rttSec: null,
    pathMtuBytes: null,
    probeLoss: null,
  }));
  return [...members, ...vteps].map(({ slot, ip, ...peer }) => {
    const c = p.dataPlane.peerCounters(slot);
    return {
      ...peer,
      family: ip.includes(':') ? ('ipv6' as const) : ('ipv4' as const),
      receiveBytes: c.rxBytes,
      transmitBytes: c.txBytes,
      receivePackets: c.rxFrames,
      transmitPackets: c.txFrames,
    };
  });
}

function handshakes(p: MetricsParts): { readonly result: HandshakeResult; readonly count: number }[] {
  const h = p.sessions.counters.handshakes;
  return [
    { result: 'ok', count: h.ok },
    { result: 'timeout', count: h.timeout },
    { result: 'refused', count: h.refused },
    { result: 'invalid', count: h.mac1 + h.auth + h.replay + h.rate + h.garbage + h.full },
  ];
}

function joinTokens(p: MetricsParts): MetricsSnapshot['joinTokens'] {
  const now = p.clock.wallMs();
  const expiresMs = new Map(p.certificates.admissions.rows().map((row) => [row.tokenId, row.tokenExpiresMs]));
  const used = [...expiresMs.values()].filter((ms) => ms > now).length;
  return [
    { state: 'used', count: used },
    { state: 'expired', count: expiresMs.size - used },
  ];
}

/** Members that may admit and are alive, this host included. */
function admitters({ identity, gossip, trust }: MetricsParts): number {
  const certs = gossip.swim
    .members()
    .flatMap(({ record, state }) => (state === 'alive' ? (trust.knownCert(record.credential) ?? []) : []));
  return [identity.cert, ...certs].filter((cert) => identity.trust.mayAdmit(cert)).length;
}

const revocationCounts = (all: readonly { readonly kind: string }[]): MetricsSnapshot['revocations'] =>
  REVOCATION_KINDS.map((kind) => ({ kind, count: all.filter((r) => r.kind === kind).length }));

const dropsOf = (fds: readonly number[]): number => fds.reduce((sum, fd) => sum + socketDrops(fd), 0);

const messagesOf = (
  direction: 'transmit' | 'receive',
  counts: ReadonlyMap<string, number>,
): MetricsSnapshot['gossipMessages'] => [...counts].map(([type, count]) => ({ direction, type, count }));

/** The kernel's own view of the TAP; this network namespace's, whoever mounted /sys. */
function tapQueue(name: string): Pick<MetricsSnapshot, 'tapQueueLength' | 'tapQueueDrops'> {
  const read = (path: string): string | null => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return null;
    }
  };
  const line = read('/proc/thread-self/net/dev')
    ?.split('\n')
    .find((text) => text.trim().startsWith(`${name}:`));
  // Eight columns of receive, then packets, bytes, errors and drops of transmit: from the kernel to the agent.
  const drops = line
    ?.slice(line.indexOf(':') + 1)
    .trim()
    .split(/\s+/)[11];
  const length = read(`/sys/class/net/${name}/tx_queue_len`);
  return {
    tapQueueDrops: drops === undefined ? null : Number(drops),
    tapQueueLength: line === undefined || length === null ? null : Number(length),
  };
}

/** Call when the sockets are bound; the result gives one snapshot at a time. */
export function metricsSource(p: MetricsParts): () => MetricsSnapshot {
  const gossipFd = udpDescriptor(p.gossipPort);
  return () => snapshot(p, gossipFd);
}

function snapshot(p: MetricsParts, gossipFd: number | null): MetricsSnapshot {
  const { dataPlane, gossip, mesh } = p;
  const stats = gossip.swim.stats();
  const traffic = gossip.traffic;
  const { local, remote } = dataPlane.fdb();
  const byVni = new Map<number, number>(); // bounded by the segments
  for (const each of [...local, ...remote]) {
    const vni = dataPlane.vniOf(each.segment);
    byVni.set(vni, (byVni.get(vni) ?? 0) + 1);
  }
  const total = dataPlane.total.bind(dataPlane);
  const { control, handshake } = mesh.sent;
  return {
    frames: { transmit: total('transmit', 'FRAMES'), receive: total('receive', 'FRAMES') },
    frameBytes: { transmit: total('transmit', 'FRAME_BYTES'), receive: total('receive', 'FRAME_BYTES') },
    packets: [
      {
        direction: 'transmit',
        path: 'direct',
        kind: 'data',
        packets: total('transmit', 'PACKETS'),
        bytes: total('transmit', 'PACKET_BYTES'),
      },
      {
        direction: 'receive',
        path: 'direct',
        kind: 'data',
        packets: total('receive', 'PACKETS'),
        bytes: total('receive', 'PACKET_BYTES'),
      },
      {
        direction: 'transmit',
        path: 'plain',
        kind: 'data',
        packets: total('transmit', 'PLAIN_PACKETS'),
        bytes: total('transmit', 'PLAIN_BYTES'),
      },
      {
        direction: 'receive',
        path: 'plain',
        kind: 'data',
        packets: total('receive', 'PLAIN_PACKETS'),
        bytes: total('receive', 'PLAIN_BYTES'),
      },
      {
        direction: 'transmit',
        path: 'direct',
        kind: 'control',
        packets: control.txPackets,
        bytes: control.txBytes,
      },
      {
        direction: 'receive',
        path: 'direct',
        kind: 'control',
        packets: total('receive', 'CONTROL_PACKETS'),
        bytes: total('receive', 'CONTROL_BYTES'),
      },
      {
        direction: 'transmit',
        path: 'direct',
        kind: 'handshake',
        packets: handshake.txPackets,
        bytes: handshake.txBytes,
      },
      {
        direction: 'receive',
        path: 'direct',
        kind: 'handshake',
        packets: total('receive', 'HANDSHAKE_PACKETS'),
        bytes: total('receive', 'HANDSHAKE_BYTES'),
      },
      {
        direction: 'transmit',
        path: 'direct',
        kind: 'gossip',
        packets: traffic.txPackets,
        bytes: traffic.txBytes,
      },
      {
        direction: 'receive',
        path: 'direct',
        kind: 'gossip',
        packets: traffic.rxPackets,
        bytes: traffic.rxBytes,
      },
    ],
    drops: dataPlane.drops(),
    floods: [
      { cause: 'unknown', count: total('transmit', 'FLOOD_UNKNOWN') },
      { cause: 'broadcast', count: total('transmit', 'FLOOD_BROADCAST') },
      { cause: 'multicast', count: total('transmit', 'FLOOD_MULTICAST') },
    ],
    fdbEntries: [...byVni].map(([vni, count]) => ({ vni, count })),
    fdbLimit: p.fdbLimit,
    fdbLearned: total('receive', 'LEARNED'),
    fdbNotLearned: total('receive', 'NOT_LEARNED'),
    fdbMoves: total('receive', 'MOVES'),
    fdbFreezes: total('receive', 'FREEZES'),
    fdbFrozen: remote.filter((e) => e.frozenForSec > 0).length,
    fdbEvictions: total('receive', 'EVICTIONS'),
    peers: peerMetrics(p),
    pathProbes: p.paths.counters.sent,
    pathProbesLost: p.paths.counters.lost,
    tooBigAnswers: total('transmit', 'TOO_BIG_ANSWERS'),
    mssClamped: { transmit: total('transmit', 'MSS_CLAMPED'), receive: total('receive', 'MSS_CLAMPED') },
    handshakes: handshakes(p),
    handshakesStarted: p.sessions.counters.started,
    rekeys: p.sessions.counters.rekeys,
    gossipMembers: stats.members,
    gossipMessages: [...messagesOf('transmit', stats.messages), ...messagesOf('receive', stats.received)],
    gossipProbes: stats.probes,
    gossipProbeFailures: stats.probeFailures,
    gossipSuspicions: [
      { outcome: 'refuted', count: stats.refuted },
      { outcome: 'dead', count: stats.dead },
    ],
    gossipHealthScore: stats.healthScore,
    gossipBroadcastQueue: stats.broadcastQueue,
    gossipIncarnation: stats.incarnation,
    equivocations: stats.equivocations,
    policyConflicts: p.certificates.policyConflicts,
    stateWritable: p.late.problem === null,
    offloads: p.offloads(),
    udpSocketDrops: [
      { socket: 'sealed', count: dropsOf(p.underlay.sealedFds) },
      ...(p.underlay.plainFds.length === 0
        ? []
        : [{ socket: 'plain' as const, count: dropsOf(p.underlay.plainFds) }]),
      ...(gossipFd === null ? [] : [{ socket: 'gossip' as const, count: dropsOf([gossipFd]) }]),
    ],
    ...tapQueue(p.tapName),
    workerChecks: dataPlane.sweeps,
    workerStalls: dataPlane.stalls,
    controlRefused: p.gate.refused,
    configValid: p.live.valid,
    configReadSec: p.live.readAtMs / 1000,
    revocations: revocationCounts(p.identity.trust.revocations.all()),
    identityExpirySec: p.identity.cert.expiresMs / 1000,
    events: p.events.counts,
    joinTokens: joinTokens(p),
    admissionRequests: p.certificates.counts,
    admissionOveruse: p.certificates.receiptBook.overuse,
    admitters: admitters(p),
  };
}
