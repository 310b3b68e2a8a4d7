/**
 * The running agent as the control socket sees it: reports from the live tables, and the few things that may be asked of
 * it. Part of the composition root.
 */
import type { GossipNode } from '../gossip/index.ts';
import type { Admitters } from './agent-admitters.ts';
import type { Captures } from './agent-capture.ts';
import type { LateWrites } from './agent-late.ts';
import { explainedDrops, pageFdb, pageReport } from './agent-page.ts';
import type { Paths } from './agent-path.ts';
import type { Pings } from './agent-ping.ts';
import { policyReport } from './agent-policy.ts';
import { revocations } from './agent-revoke.ts';
import type { RootKeeper } from './agent-root.ts';
import { traceFrame } from './agent-trace.ts';
import type { Clock } from './clock.ts';
import type {
  AdmitterChange,
  AdmitterRequest,
  AdmittersReport,
  TokenReport,
  TokenRequest,
} from './control/admission-types.ts';
import type {
  AgentState,
  AgentView,
  EventsReport,
  FdbReport,
  HealthReport,
  LeaveReport,
  MembersReport,
  OffloadReport,
  PeerReport,
  PeersReport,
  PingReport,
  PingRequest,
  PolicyReport,
  PolicyRequest,
  ReloadReport,
  RevocationReport,
  RevocationsReport,
  RevokeRequest,
  StatusReport,
  TraceReport,
  TraceRequest,
  VtepRequest,
  VtepsReport,
} from './control/api-types.ts';
import type { EventRing } from './control/event-ring.ts';
import type { WatchedMember, WatchedPeer } from './control/event-watch.ts';
import type { MetricsSnapshot } from './control/metrics-source.ts';
import type { DropsReport, PageFdbReport, PageReport } from './control/page-types.ts';
import type { RecoverRequest, RootChangeReport, RootsReport, RotateRequest } from './control/root-types.ts';
import type { DataPlane } from './datapath/data-plane.ts';
import { HERE_SLOT } from './datapath/shared-tables.ts';
import { type Endpoint, formatEndpoint } from './endpoint.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import { parseNodeState } from './identity/node-state.ts';
import type { SegmentRule } from './identity/policy.ts';
import type { GossipTrust } from './peer/gossip-trust.ts';
import type { MemberPeer, PeerTable } from './peer/peer-table.ts';
import type { VtepBook } from './peer/vtep-book.ts';
import { buildVersion } from './version.ts';

export interface ViewParts {
  readonly identity: NodeIdentity;
  readonly segment: SegmentRule;
  readonly address: string | null;
  readonly tap: { readonly name: string; readonly mac: Uint8Array; readonly mtuBytes: number };
  readonly listen: Endpoint;
  readonly gossip: GossipNode;
  readonly trust: GossipTrust;
  readonly dataPlane: DataPlane;
  readonly peers: PeerTable;
  readonly vteps: VtepBook;
  readonly paths: Paths;
  readonly events: EventRing;
  readonly pings: Pings;
  readonly captures: Captures;
  readonly reload: () => Promise<ReloadReport>;
  readonly clock: Clock;
  readonly state: () => AgentState;
  readonly createToken: (request: TokenRequest) => TokenReport;
  readonly leave: () => Promise<void>;
  readonly admitters: Admitters;
  readonly revoke: (request: RevokeRequest) => RevocationReport;
  readonly setPolicy: (request: PolicyRequest) => PolicyReport;
  readonly roots: RootKeeper;
  /** That this host was revoked, for people; null if it was not. */
  readonly ended: () => string | null;
  readonly late: LateWrites;
  readonly offloads: () => readonly OffloadReport[];
  readonly workers: StatusReport['workers'];
  readonly rights: StatusReport['rights'];
  readonly nice: number;
  readonly metrics: () => MetricsSnapshot;
}

const formatMac = (mac: Uint8Array): string => [...mac].map((b) => b.toString(16).padStart(2, '0')).join(':');

/** A MAC of the FDB's two words. */
function macText(hi: number, lo: number): string {
  const bytes = new Uint8Array(6);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, hi);
  view.setInt32(2, lo);
  return formatMac(bytes);
}

export class LiveView implements AgentView {
  readonly #p: ViewParts;
  readonly #startedAtMs: number;

  constructor(parts: ViewParts) {
    this.#p = parts;
    this.#startedAtMs = parts.clock.monotonicMs();
  }

  status(): StatusReport {
    const { identity, segment, address, tap, listen, peers, gossip, clock, state } = this.#p;
    const members = gossip.swim.stats().members;
    const all = peers.members();
    return {
      v: 1,
      name: identity.cert.name,
      mesh: identity.policy.meshName,
      address,
      tap: tap.name,
      mac: formatMac(tap.mac),
      mtu: tap.mtuBytes,
      mode: segment.mode,
      encap: segment.encap,
      vni: segment.vni,
      state: state(),
      uptimeMs: Math.round(clock.monotonicMs() - this.#startedAtMs),
      version: buildVersion().version,
      nodeId: identity.cert.nodeIdHex,
      endpoint: formatEndpoint(listen),
      peers: { up: all.filter((p) => p.state === 'up').length, total: all.length },
      members: { alive: members.alive, total: members.alive + members.suspect + members.dead + members.left },
      admitter: identity.trust.mayAdmit(identity.cert),
      offloads: this.#p.offloads(),
      workers: this.#p.workers,
      rights: this.#p.rights,
      nice: this.#p.nice,
      problems: this.health().reasons,
      warnings: [
        ...this.#p.paths.warnings,
        ...(this.#p.late.problem === null ? [] : [this.#p.late.problem]),
        ...(identity.trust.clockSuspect
          ? ['the clock of this machine was set to a time that cannot be right: it is not followed, set it']
          : []),
      ],
    };
  }

  #peer(peer: MemberPeer): PeerReport {
    const { clock, dataPlane, segment, paths } = this.#p;
    const trouble = paths.troubleOf(peer.id);
    const c = dataPlane.peerCounters(peer.slot);
    const now = clock.monotonicMs();
    return {
      name: peer.name,
      address: peer.address,
      endpoint: formatEndpoint(peer.endpoint),
      state: trouble === null ? peer.state : 'down',
      path: segment.mode === 'plain' ? 'plain' : 'direct',
      rttMs: peer.rttMs === null ? null : Math.round(peer.rttMs * 1000) / 1000,
      loss: peer.probeLoss === null ? null : Math.round(peer.probeLoss * 1000) / 1000,
      pmtu: paths.bytesOf(peer.id),
      txBytes: c.txBytes,
      rxBytes: c.rxBytes,
      lastHandshakeMs: peer.lastHandshakeAtMs === null ? null : Math.round(now - peer.lastHandshakeAtMs),
      txPackets: c.txFrames,
      rxPackets: c.rxFrames,
      nodeId: peer.id,
      reason: peer.reason ?? trouble,
      seenAs: peer.seenAs === null ? null : formatEndpoint(peer.seenAs),
    };
  }

  /** What can change of a peer without being counted: cheap, once a second. In no order. */
  watchedPeers(): WatchedPeer[] {
    const { peers, paths, segment } = this.#p;
    const path = segment.mode === 'plain' ? 'plain' : 'direct';
    return peers.members().map((peer) => ({
      name: peer.name,
      state: peer.state,
      reason: peer.reason,
      endpoint: formatEndpoint(peer.endpoint),
      path,
      pmtu: paths.bytesOf(peer.id),
    }));
  }

  /** Without the certificates that `members` reads. In no order. */
  watchedMembers(): WatchedMember[] {
    const { gossip, peers } = this.#p;
    return gossip.swim
      .members()
      .map(({ id, state }) => ({ nodeId: id, name: peers.byId(id)?.name ?? id.slice(0, 8), state }));
  }

  peers(): PeersReport {
    const { peers, dataPlane } = this.#p;
    const members = peers.members().map((peer) => this.#peer(peer));
    const vteps = peers.vteps().map((vtep): PeerReport => {
      const c = dataPlane.peerCounters(vtep.slot);
      return {
        name: vtep.name,
        address: null,
        endpoint: formatEndpoint(vtep.endpoint),
        state: 'up',
        path: 'plain',
        rttMs: null,
        loss: null,
        pmtu: null,
        txBytes: c.txBytes,
        rxBytes: c.rxBytes,
        lastHandshakeMs: null,
        txPackets: c.txFrames,
        rxPackets: c.rxFrames,
        nodeId: null,
        reason: null,
        seenAs: null,
      };
    });
    const byName = (a: PeerReport, b: PeerReport): number => a.name.localeCompare(b.name);
    return { v: 1, peers: [...members.sort(byName), ...vteps.sort(byName)] };
  }

  members(): MembersReport {
    const { gossip, identity, address, listen, trust, segment } = this.#p;
    const self = {
      name: identity.cert.name,
      state: 'alive' as const,
      incarnation: gossip.swim.own.incarnation,
      address,
      endpoint: formatEndpoint(listen),
      nodeId: identity.cert.nodeIdHex,
      self: true,
      admitter: identity.trust.mayAdmit(identity.cert),
      quarantined: gossip.swim.ownQuarantineMs > 0,
    };
    const others = gossip.swim.members().map((m) => {
      const cert = trust.certOf(m.record.credential);
      const node = parseNodeState(m.record.bytes, identity.meshId);
      const endpoint = node?.endpoints[0];
      const own = cert?.addresses.find((a) => a.vni === segment.vni)?.prefix;
      return {
        name: cert?.name ?? m.id.slice(0, 8),
        state: m.state,
        incarnation: m.record.incarnation,
        address: own === undefined ? null : `${own.ip}/${own.length}`,
        endpoint:
          endpoint === undefined ? null : formatEndpoint({ ip: endpoint.ip, port: endpoint.sealedPort }),
        nodeId: m.id,
        self: false,
        admitter: cert !== null && identity.trust.mayAdmit(cert),
        quarantined: gossip.swim.isQuarantined(m.id),
        // Who gave the name up comes after everybody who holds it.
        claim: node?.status === 'released' ? Number.POSITIVE_INFINITY : (cert?.notBeforeMs ?? 0),
      };
    });
    // A name that two hosts hold belongs to the earlier certificate; the other shows who it is.
    const holder = new Map<string, string>([[self.name, self.nodeId]]);
    for (const m of [...others].sort((a, b) => (a.claim < b.claim ? -1 : Number(a.claim > b.claim))))
      if (!holder.has(m.name)) holder.set(m.name, m.nodeId);
    const named = others.map(({ claim: _, ...m }) => ({
      ...m,
      name: holder.get(m.name) === m.nodeId ? m.name : `${m.name}~${m.nodeId.slice(0, 8)}`,
    }));
    return { v: 1, members: [self, ...named].sort((a, b) => a.name.localeCompare(b.name)) };
  }

  drops(): DropsReport {
    return { v: 1, drops: explainedDrops(this.#p.dataPlane) };
  }

  fdb(): FdbReport {
    const entries = this.fdbEntries();
    return { v: 1, entries: entries.sort((a, b) => a.vni - b.vni || a.mac.localeCompare(b.mac)) };
  }

  /** In no order: sorting costs more than all the rest. */
  fdbEntries(): FdbReport['entries'][number][] {
    const { dataPlane, peers } = this.#p;
    const { local, remote } = dataPlane.fdb();
    const nameOf = (slot: number): string | null =>
      slot < 0 || slot === HERE_SLOT ? null : (peers.bySlot(slot)?.name ?? `slot ${slot}`);
    const entry = (e: (typeof local)[number], peer: string | null): FdbReport['entries'][number] => ({
      mac: macText(e.macHi, e.macLo),
      vni: dataPlane.vniOf(e.segment),
      peer,
      ageMs: e.isStatic ? null : e.ageSec * 1000,
      static: e.isStatic,
      frozen: e.frozenForSec > 0,
      frozenMs: e.frozenForSec > 0 ? e.frozenForSec * 1000 : null,
      rival: e.frozenForSec > 0 ? nameOf(e.rival) : null,
      suspended: peer !== null && dataPlane.switches.isSuspended(e.port),
    });
    // One that is frozen here is shown once, with what the other table knows of it.
    const keptHere = new Set(
      remote.flatMap((e) => (e.port === HERE_SLOT ? [macText(e.macHi, e.macLo)] : [])),
    ); // bounded by fdb.limit
    return [
      ...local.map((e) => entry(e, null)).filter(({ mac }) => !keptHere.has(mac)),
      ...remote.map((e) => entry(e, nameOf(e.port))),
    ];
  }

  async createToken(request: TokenRequest): Promise<TokenReport> {
    return this.#p.createToken(request);
  }

  vteps(): VtepsReport {
    return { v: 1, vteps: this.#p.vteps.list() };
  }

  async addVtep(request: VtepRequest): Promise<VtepsReport> {
    await this.#p.vteps.add(request.address, request.segment);
    return this.vteps();
  }

  async removeVtep(request: VtepRequest): Promise<VtepsReport> {
    await this.#p.vteps.remove(request.address, request.segment);
    return this.vteps();
  }

  async leave(): Promise<LeaveReport> {
    await this.#p.leave();
    return { v: 1, name: this.#p.identity.cert.name, left: true };
  }

  async revoke(request: RevokeRequest): Promise<RevocationReport> {
    return this.#p.revoke(request);
  }

  policy(): PolicyReport {
    return policyReport(this.#p.identity);
  }

  async setPolicy(request: PolicyRequest): Promise<PolicyReport> {
    return this.#p.setPolicy(request);
  }

  roots(): RootsReport {
    return this.#p.roots.list();
  }

  async rotateRoot(request: RotateRequest): Promise<RootChangeReport> {
    return this.#p.roots.rotate(request);
  }

  async recoverRoot(request: RecoverRequest): Promise<RootChangeReport> {
    return this.#p.roots.recover(request);
  }

  revocations(): RevocationsReport {
    return revocations(this.#p.identity);
  }

  admitters(): AdmittersReport {
    return this.#p.admitters.list();
  }

  addAdmitter({ name }: AdmitterRequest): Promise<AdmitterChange> {
    return this.#p.admitters.add(name);
  }

  removeAdmitter({ name }: AdmitterRequest): Promise<AdmitterChange> {
    return this.#p.admitters.remove(name);
  }

  health(): HealthReport {
    const state = this.#p.state();
    const reasons: string[] = [];
    const ended = this.#p.ended();
    if (ended !== null) reasons.push(ended);
    else if (state !== 'up') reasons.push(`the agent is ${state}`);
    return { v: 1, live: true, ready: reasons.length === 0, reasons };
  }

  async page(after: number): Promise<PageReport> {
    const { dataPlane, clock } = this.#p;
    return pageReport({
      at: clock.wallMs(),
      status: this.status(),
      peers: this.peers().peers,
      members: this.members().members,
      dataPlane,
      events: await this.events(after, 0),
    });
  }

  pageFdb(find: string): PageFdbReport {
    return pageFdb(this.fdbEntries(), find);
  }

  events(after: number, waitMs: number): Promise<EventsReport> {
    return this.#p.events.read(after, waitMs);
  }

  ping(request: PingRequest): Promise<PingReport> {
    return this.#p.pings.ping(request);
  }

  trace(request: TraceRequest): TraceReport {
    const { dataPlane, peers, tap } = this.#p;
    return traceFrame({ dataPlane, peers, tapName: tap.name }, request);
  }

  reload(): Promise<ReloadReport> {
    return this.#p.reload();
  }

  capture(...args: Parameters<AgentView['capture']>): () => void {
    return this.#p.captures.start(...args);
  }

  metrics(): MetricsSnapshot {
    return this.#p.metrics();
  }
}

/** Whether a member gave up its name and addresses by a signed leave. */
export function isReleased(gossip: GossipNode, meshId: Uint8Array, nodeId: string): boolean {
  const member = gossip.swim.member(nodeId);
  return member !== undefined && parseNodeState(member.record.bytes, meshId)?.status === 'released';
}
