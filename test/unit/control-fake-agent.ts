/** An agent that only answers: what the tests of the control socket, the CLI and the metrics talk to. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../agent/clock.ts';
import type {
  AdmitterChange,
  AdmitterRequest,
  AdmittersReport,
  TokenReport,
  TokenRequest,
} from '../../agent/control/admission-types.ts';
import type {
  AgentView,
  CaptureLoss,
  CaptureRecord,
  EventsReport,
  FdbReport,
  HealthReport,
  LeaveReport,
  MembersReport,
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
  VtepReport,
  VtepRequest,
  VtepsReport,
} from '../../agent/control/api-types.ts';
import { EventRing } from '../../agent/control/event-ring.ts';
import { Metrics } from '../../agent/control/metrics.ts';
import type { MetricsSnapshot, PeerMetrics } from '../../agent/control/metrics-source.ts';
import type { DropsReport, PageFdbReport, PageReport } from '../../agent/control/page-types.ts';
import type {
  RecoverRequest,
  RootChangeReport,
  RootsReport,
  RotateRequest,
} from '../../agent/control/root-types.ts';
import { ControlServer } from '../../agent/control/server.ts';
import { SocketGate } from '../../agent/control/socket-gate.ts';
import { WeftError } from '../../agent/errors.ts';

const NODE_ID = 'ab'.repeat(32);

const CALM = { frozen: false, frozenMs: null, rival: null, suspended: false };

export const PEER_METRICS: PeerMetrics = {
  peer: 'beta',
  state: 'up',
  family: 'ipv4',
  receiveBytes: 1500,
  transmitBytes: 3000,
  receivePackets: 15,
  transmitPackets: 30,
  lastHandshakeSec: 1_700_000_000,
  rttSec: 0.00035,
  pathMtuBytes: null,
  probeLoss: null,
};

export const SNAPSHOT: MetricsSnapshot = {
  frames: { receive: 15, transmit: 30 },
  frameBytes: { receive: 1500, transmit: 3000 },
  packets: [
    { direction: 'transmit', path: 'direct', kind: 'data', packets: 30, bytes: 4000 },
    { direction: 'transmit', path: 'direct', kind: 'gossip', packets: 5, bytes: 500 },
    { direction: 'receive', path: 'direct', kind: 'data', packets: 15, bytes: 2000 },
  ],
  drops: [
    { direction: 'receive', reason: 'replay', count: 3 },
    { direction: 'receive', reason: 'auth', count: 2 },
    { direction: 'transmit', reason: 'no_peer', count: 0 },
  ],
  floods: [{ cause: 'broadcast', count: 7 }],
  fdbEntries: [{ vni: 1, count: 4 }],
  fdbLimit: 8192,
  fdbLearned: 9,
  fdbNotLearned: 2,
  fdbMoves: 1,
  fdbFreezes: 1,
  fdbFrozen: 1,
  fdbEvictions: 0,
  peers: [
    PEER_METRICS,
    { ...PEER_METRICS, peer: 'gamma"\\\n', state: 'down', lastHandshakeSec: null, rttSec: null },
  ],
  pathProbes: 12,
  pathProbesLost: 3,
  tooBigAnswers: 2,
  mssClamped: { transmit: 1, receive: 0 },
  handshakes: [{ result: 'ok', count: 2 }],
  handshakesStarted: 3,
  rekeys: 1,
  gossipMembers: { alive: 3, suspect: 0, dead: 0, left: 0 },
  gossipMessages: [{ direction: 'receive', type: 'ping', count: 9 }],
  gossipProbes: 20,
  gossipProbeFailures: 1,
  gossipSuspicions: [{ outcome: 'refuted', count: 1 }],
  gossipHealthScore: 0,
  gossipBroadcastQueue: 0,
  gossipIncarnation: 4,
  equivocations: 0,
  policyConflicts: 0,
  stateWritable: true,
  offloads: [
    { name: 'tso', on: true },
    { name: 'gso', on: false },
  ],
  udpSocketDrops: [{ socket: 'sealed', count: 0 }],
  identityExpirySec: 1_800_000_000,
  tapQueueLength: 1000,
  tapQueueDrops: 3,
  workerChecks: 8,
  workerStalls: 0,
  controlRefused: 0,
  configValid: true,
  configReadSec: 1_790_000_000,
  revocations: [{ kind: 'node', count: 2 }],
  events: new EventRing(systemClock).counts,
  joinTokens: [{ state: 'used', count: 1 }],
  admissionRequests: { admitted: 2, tokenExpired: 1 },
  admissionOveruse: 0,
  admitters: 1,
};

export class FakeAgent implements AgentView {
  readonly tokenRequests: TokenRequest[] = []; // bounded by the test
  readonly #vteps: VtepReport[] = []; // bounded by the test
  readonly ring = new EventRing(systemClock);
  pings = 0;
  currentPolicy: PolicyReport = {
    v: 1,
    seq: 1,
    id: 'cd'.repeat(32),
    mesh: 'weft',
    signedAt: 1_800_000_000_000,
    nodeLifeMs: 2_592_000_000,
    leewayMs: 600_000,
    segments: [
      { vni: 42, mode: 'sealed', encap: 'vxlan', suite: 'aes-256-gcm', mtu: 1390, network: '10.80.0.1/24' },
    ],
  };
  /** What was revoked; bounded by the test. */
  readonly revoked: RevocationReport[] = [];
  ready = true;
  broken = false;

  status(): StatusReport {
    if (this.broken) throw new Error('a secret detail of the inside');
    return {
      v: 1,
      name: 'alpha',
      mesh: 'demo',
      address: '10.80.0.1/24',
      tap: 'weft0',
      mac: '02:00:00:00:00:01',
      mtu: 1390,
      mode: 'sealed',
      encap: 'vxlan',
      vni: 1,
      state: 'up',
      uptimeMs: 192_000,
      version: '0.1.0',
      nodeId: NODE_ID,
      endpoint: '192.0.2.1:7947',
      peers: { up: 1, total: 2 },
      members: { alive: 3, total: 3 },
      admitter: true,
      offloads: [
        { name: 'tso', on: true, why: null },
        { name: 'gso', on: false, why: 'switched off by offload.gso' },
      ],
      workers: 'single',
      rights: {
        user: 0,
        capabilities: ['NET_ADMIN'],
        bounded: true,
        noNewPrivileges: true,
        coreDumps: false,
      },
      nice: -10,
      problems: ['no answer from gamma'],
      warnings: ['the underlay interface wg0 is itself a tunnel (wireguard): packets are wrapped twice'],
    };
  }

  peers(): PeersReport {
    const up = {
      name: 'beta',
      address: '10.80.0.2/24',
      endpoint: '192.0.2.2:7947',
      state: 'up',
      path: 'direct',
      rttMs: 0.35,
      loss: 0.125,
      pmtu: null,
      txBytes: 1_572_864,
      rxBytes: 512,
      lastHandshakeMs: 61_000,
      txPackets: 10,
      rxPackets: 5,
      nodeId: NODE_ID,
      reason: null,
      seenAs: '192.0.2.1:7947',
    } as const;
    const evil = {
      ...up,
      name: 'ga\u001b[31mmma',
      state: 'down',
      rttMs: null,
      lastHandshakeMs: null,
    } as const;
    return { v: 1, peers: [up, { ...evil, reason: 'no answer' }] };
  }

  members(): MembersReport {
    const alpha = { address: '10.80.0.1/24', endpoint: '192.0.2.1:7947', nodeId: NODE_ID };
    const self = { self: true, admitter: true, quarantined: false };
    return { v: 1, members: [{ ...alpha, name: 'alpha', state: 'alive', incarnation: 4, ...self }] };
  }

  fdb(): FdbReport {
    return {
      v: 1,
      entries: [
        { mac: '02:00:00:00:00:02', vni: 1, peer: 'beta', ageMs: null, static: true, ...CALM },
        { mac: '02:00:00:00:00:01', vni: 1, peer: null, ageMs: 3000, static: false, ...CALM },
      ],
    };
  }

  async createToken(request: TokenRequest): Promise<TokenReport> {
    this.tokenRequests.push(request);
    const { uses, namePrefix, allow, ttlMs } = request;
    const { name, count, underlay } = request;
    const limits = {
      uses,
      namePrefix,
      allow,
      expiresAt: 1_700_000_000_000 + ttlMs,
      vnis: [1],
      name,
      underlay,
    };
    const admitters = count === 'each' ? ['alpha', 'beta'] : ['alpha'];
    return {
      v: 1,
      token: 'weft1_abcdefgh',
      id: '0102',
      ...limits,
      seeds: ['192.0.2.1:7947'],
      admitter: 'alpha',
      ...{ count, admitters, bound: uses * admitters.length, nodeLifeMs: 2_592_000_000 },
    };
  }

  vteps(): VtepsReport {
    return { v: 1, vteps: this.#vteps };
  }

  async addVtep({ address }: VtepRequest): Promise<VtepsReport> {
    if (address.startsWith('203.'))
      throw new WeftError('E_REFUSED', 'segment 1 is sealed: vtep works on plain ones');
    this.#vteps.push({ address, vni: 1 });
    return this.vteps();
  }

  async removeVtep({ address }: VtepRequest): Promise<VtepsReport> {
    const at = this.#vteps.findIndex((entry) => entry.address === address);
    if (at < 0) throw new WeftError('E_NOT_FOUND', `there is no vtep ${address}: see \`weft vtep list\``);
    this.#vteps.splice(at, 1);
    return this.vteps();
  }

  async leave(): Promise<LeaveReport> {
    return { v: 1, name: 'alpha', left: true };
  }

  async revoke({ kind, what, reason }: RevokeRequest): Promise<RevocationReport> {
    if (what === 'nobody') throw new WeftError('E_NOT_FOUND', `there is no ${kind} 'nobody'`);
    const report = { v: 1 as const, kind, what, target: 'ab'.repeat(32), reason: reason || null };
    this.revoked.push({ ...report, revokedAt: 1_800_000_000_000, byRoot: true, hosts: [what] });
    return { ...report, revokedAt: 1_800_000_000_000, byRoot: true, hosts: [what] };
  }

  policy(): PolicyReport {
    return this.currentPolicy;
  }

  async setPolicy({ nodeLifeMs, leewayMs }: PolicyRequest): Promise<PolicyReport> {
    const { seq, nodeLifeMs: life, leewayMs: leeway } = this.currentPolicy;
    const change = { seq: seq + 1, nodeLifeMs: nodeLifeMs ?? life, leewayMs: leewayMs ?? leeway };
    this.currentPolicy = { ...this.currentPolicy, ...change };
    return this.currentPolicy;
  }

  roots(): RootsReport {
    const root = { id: 'ab'.repeat(32), kind: 'root' as const, newest: true, here: true };
    return { v: 1, policySeq: 3, roots: [root], adopted: [], waiting: ['beta'] };
  }

  /** What was asked of the root. */
  readonly rootChanges: (RotateRequest | RecoverRequest)[] = []; // bounded by a test

  async rotateRoot(request: RotateRequest): Promise<RootChangeReport> {
    this.rootChanges.push(request);
    const state = request.finish ? 'done' : 'waiting';
    const waiting = request.finish ? [] : ['beta'];
    return {
      ...{ v: 1, state, root: 'cd'.repeat(32), policySeq: 3, waiting },
      ...{ adopted: 0, kept: [], dropped: [] },
    };
  }

  recoverRoot(request: RecoverRequest): Promise<RootChangeReport> {
    if (request.key === 'none') throw new WeftError('E_REQUEST', 'this is no recovery key');
    return this.rotateRoot({ finish: true }).then((report) => {
      this.rootChanges[this.rootChanges.length - 1] = request;
      return report;
    });
  }

  revocations(): RevocationsReport {
    return { v: 1, revocations: this.revoked.map(({ v: _, hosts: __, ...facts }) => facts) };
  }

  /** Names of those that were given the right; bounded by the test. */
  readonly granted = new Set<string>();

  admitters(): AdmittersReport {
    const facts = { nodeId: NODE_ID, state: 'alive', pending: null, expiresAt: 1_800_000_000_000 } as const;
    const alpha = { ...facts, name: 'alpha', self: true, root: true, admits: true, certified: 2 };
    const others = [...this.granted].map((name) => ({ ...alpha, name, self: false, root: false }));
    const waiting = { ...alpha, name: 'delta', self: false, root: false, admits: false, certified: 0 };
    return { v: 1, admitters: [alpha, ...others, { ...waiting, state: 'dead', pending: 'add' }] };
  }

  async addAdmitter({ name }: AdmitterRequest): Promise<AdmitterChange> {
    if (name === 'nobody') throw new WeftError('E_NOT_FOUND', "there is no member 'nobody'");
    this.granted.add(name);
    const delivered = name !== 'delta';
    return { v: 1, name, nodeId: NODE_ID, admits: true, delivered, kept: 0, hosts: [] };
  }

  async removeAdmitter({ name }: AdmitterRequest): Promise<AdmitterChange> {
    if (!this.granted.delete(name)) throw new WeftError('E_REFUSED', `host ${name} is no admitter`);
    return { v: 1, name, nodeId: NODE_ID, admits: false, delivered: true, kept: 1, hosts: ['omega'] };
  }

  health(): HealthReport {
    return { v: 1, live: true, ready: this.ready, reasons: this.ready ? [] : ['the TAP is not open'] };
  }

  drops(): DropsReport {
    return {
      v: 1,
      drops: [{ direction: 'receive', reason: 'replay', count: 3, why: 'The counter was seen before.' }],
    };
  }

  async page(after: number): Promise<PageReport> {
    return {
      v: 1,
      at: 1_800_000_000_000,
      status: this.status(),
      peers: this.peers().peers,
      members: this.members().members,
      drops: this.drops().drops,
      traffic: { txFrames: 30, rxFrames: 15, txBytes: 3000, rxBytes: 1500 },
      events: await this.events(after, 0),
    };
  }

  pageFdb(find: string): PageFdbReport {
    const { entries } = this.fdb();
    const matching = entries.filter(
      ({ mac, peer }) => mac.includes(find) || (peer ?? 'local').includes(find),
    );
    return { v: 1, total: entries.length, matching: matching.length, entries: matching };
  }

  events(after: number, waitMs: number): Promise<EventsReport> {
    return this.ring.read(after, waitMs);
  }

  async ping({ peer, sizeBytes }: PingRequest): Promise<PingReport> {
    this.pings += 1;
    const rttMs = this.pings % 2 === 1 ? 0.25 * this.pings : null;
    return { v: 1, peer, result: rttMs === null ? 'lost' : 'ok', rttMs, sizeBytes: sizeBytes ?? 92 };
  }

  trace({ direction, frame, sizeBytes }: TraceRequest): TraceReport {
    const bytes = sizeBytes ?? frame.length / 2;
    const step = { peer: null, passed: true };
    return {
      v: 1,
      direction,
      summary: `${frame.slice(0, 12)}, ${bytes} bytes`,
      verdict: 'dropped',
      drops: [{ reason: 'no_session', count: 1, why: 'There is no session with the peer.' }],
      copies: [{ peer: 'beta', verdict: 'dropped', reason: 'no_session' }],
      steps: [
        { ...step, stage: 'parse', text: `${bytes} bytes` },
        { stage: 'session', passed: false, peer: 'beta', text: 'no session with beta' },
      ],
    };
  }

  async reload(): Promise<ReloadReport> {
    return { v: 1, applied: ['log.level'], needRestart: ['tap'] };
  }

  capture(
    _snapBytes: number,
    take: (lines: readonly (CaptureRecord | CaptureLoss)[]) => boolean,
  ): () => void {
    take([{ v: 1, lost: 0 }]);
    take(this.captured);
    return () => {
      this.capturesEnded += 1;
    };
  }
  captured: (CaptureRecord | CaptureLoss)[] = []; // bounded by the test that fills it
  capturesEnded = 0;

  metrics(): MetricsSnapshot {
    return SNAPSHOT;
  }
}

export interface Served {
  readonly agent: FakeAgent;
  readonly metrics: Metrics;
  readonly folder: string;
  readonly socket: string;
  /** What the server reported as its own fault. */
  readonly internalErrors: unknown[];
  stop(): Promise<void>;
}

/** A fake agent behind a control socket in a folder of its own. */
export async function serveFakeAgent(): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-control-'));
  const socket = join(folder, 'run', 'weft.sock');
  const agent = new FakeAgent();
  const internalErrors: unknown[] = []; // bounded by the test
  const onInternalError = (error: unknown): void => void internalErrors.push(error);
  const metrics = new Metrics({ source: () => agent.metrics(), perPeer: 'auto', onError: onInternalError });
  const server = await ControlServer.start({
    socketPath: socket,
    gate: new SocketGate(socket, () => {}),
    view: agent,
    metrics,
    clock: systemClock,
    onInternalError,
  });
  const stop = async (): Promise<void> => {
    await server.close();
    rmSync(folder, { recursive: true });
  };
  return { agent, metrics, folder, socket, internalErrors, stop };
}
