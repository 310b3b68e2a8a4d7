/**
 * What the control socket says: the JSON of `/v1/...` and the face of the agent behind it. The CLI imports these types and
 * nothing else of the agent; agent.ts implements `AgentView`; control/server.ts stands between. Every object carries `v: 1` and
 * only ever grows: a field is never renamed, retyped or removed. Unknown is null. Times are ages or durations in milliseconds
 * unless the name ends in `At` (Unix milliseconds). Nothing here is secret but `TokenReport.token`.
 */
import type {
  AdmitterChange,
  AdmitterRequest,
  AdmittersReport,
  TokenReport,
  TokenRequest,
} from './admission-types.ts';
import type { MetricsSnapshot } from './metrics-source.ts';
import type { DropsReport, PageFdbReport, PageReport } from './page-types.ts';
import type { PolicyReport, PolicyRequest } from './policy-types.ts';
import type { RootView } from './root-types.ts';

export type { PolicyReport, PolicyRequest };

export const API_VERSION = 1;

export type AgentState = 'starting' | 'up' | 'stopping' | 'revoked';
export type PeerState = 'up' | 'handshaking' | 'down';
export type PeerPath = 'direct' | 'relay' | 'tcp' | 'plain';
export type MemberState = 'alive' | 'suspect' | 'dead' | 'left';
export type Mode = 'sealed' | 'plain';
export type Encap = 'vxlan' | 'geneve';

/** `GET /v1/status` */
/** One offload of the data path; `why` says why it is off, null when it is on. */
export interface OffloadReport {
  readonly name: 'tso' | 'uso' | 'gso' | 'gro' | 'join' | 'aes';
  readonly on: boolean;
  readonly why: string | null;
}

/** What the agent's process may do, in all its threads together. */
export interface RightsReport {
  /** Effective user id. */
  readonly user: number;
  /** `NET_ADMIN`, and `NET_BIND_SERVICE` where a port below 1024 is configured. */
  readonly capabilities: readonly string[];
  /** The bounding set holds nothing else either. False where the process may not make it smaller; noNewPrivileges stands for it. */
  readonly bounded: boolean;
  readonly noNewPrivileges: boolean;
  /** Whether the kernel would write a core. */
  readonly coreDumps: boolean;
}

export interface StatusReport {
  readonly v: 1;
  readonly name: string;
  readonly mesh: string;
  /** Overlay address with its prefix, `10.80.0.1/24`. */
  readonly address: string | null;
  readonly tap: string;
  readonly mac: string;
  readonly mtu: number;
  readonly mode: Mode;
  readonly encap: Encap;
  readonly vni: number;
  readonly state: AgentState;
  readonly uptimeMs: number;
  readonly version: string;
  /** 64 hex digits. */
  readonly nodeId: string;
  /** Where this host listens on the underlay, `IP:PORT`. */
  readonly endpoint: string | null;
  readonly peers: { readonly up: number; readonly total: number };
  readonly members: { readonly alive: number; readonly total: number };
  /** Whether this host may admit others. */
  readonly admitter: boolean;
  readonly offloads: readonly OffloadReport[];
  /** Data-plane threads: `single`, or the number of pairs. */
  readonly workers: 'single' | number;
  readonly rights: RightsReport;
  /** Of the agent's threads, -20 to 19; below 0 they go before other programs. */
  readonly nice: number;
  /** What keeps the agent from being ready; empty when all is well. */
  readonly problems: readonly string[];
  /** What works and yet deserves a look, such as an underlay that is itself a tunnel. */
  readonly warnings: readonly string[];
}

export interface PeerReport {
  readonly name: string;
  readonly address: string | null;
  /** `IP:PORT` on the underlay. */
  readonly endpoint: string | null;
  readonly state: PeerState;
  readonly path: PeerPath;
  readonly rttMs: number | null;
  /** Share of the last 32 liveness probes without an answer, 0 to 1; they go each 5 s. */
  readonly loss: number | null;
  /** Largest outer IP packet; null until probed. */
  readonly pmtu: number | null;
  /** Inner Ethernet bytes, without gossip and control. */
  readonly txBytes: number;
  readonly rxBytes: number;
  /** Age of the last completed handshake. */
  readonly lastHandshakeMs: number | null;
  readonly txPackets: number;
  readonly rxPackets: number;
  /** 64 hex digits; null for a plain endpoint that is no agent. */
  readonly nodeId: string | null;
  /** Why the peer is not up; and `IP:PORT` that it sees this host send from. */
  readonly reason: string | null;
  readonly seenAs: string | null;
}

/** `GET /v1/peers` */
export interface PeersReport {
  readonly v: 1;
  readonly peers: readonly PeerReport[];
}

export interface MemberReport {
  readonly name: string;
  readonly state: MemberState;
  readonly incarnation: number;
  readonly address: string | null;
  readonly endpoint: string | null;
  readonly nodeId: string;
  /** This host. */
  readonly self: boolean;
  /** Whether it may admit other hosts. */
  readonly admitter: boolean;
  /** It contradicted itself: no frames are exchanged with it for a while. */
  readonly quarantined: boolean;
}

/** `GET /v1/members`; includes this host. */
export interface MembersReport {
  readonly v: 1;
  readonly members: readonly MemberReport[];
}

export interface FdbReport {
  readonly v: 1;
  readonly entries: readonly FdbEntryReport[];
}

export interface FdbEntryReport {
  /** Lower case, colons. */
  readonly mac: string;
  readonly vni: number;
  /** Name of the peer or address of the plain endpoint; null for the local port. */
  readonly peer: string | null;
  /** Since last seen as a source; null for static entries. */
  readonly ageMs: number | null;
  readonly static: boolean;
  /** Two hosts claim it: it stays here for `frozenMs`, and is refused to `rival`, null for this host. */
  readonly frozen: boolean;
  readonly frozenMs: number | null;
  readonly rival: string | null;
  /** Its peer is not heard: kept, and not used until it is. */
  readonly suspended: boolean;
}

export interface VtepReport {
  /** `IP:PORT` */
  readonly address: string;
  readonly vni: number;
}

/** `GET /v1/vteps`, and the answer to adding or removing one. */
export interface VtepsReport {
  readonly v: 1;
  readonly vteps: readonly VtepReport[];
}

/** Body of `POST /v1/vteps` and `DELETE /v1/vteps`. */
export interface VtepRequest {
  /** `IP` or `IP:PORT`; the port defaults to the encapsulation's own. */
  readonly address: string;
  /** Segment name or VNI as text; null is the only segment of this host. */
  readonly segment: string | null;
}

/** Body of `POST /v1/revocations`. */
export interface RevokeRequest {
  readonly kind: 'node' | 'token' | 'admitter' | 'name';
  /** Name or node id; of a token its id. */
  readonly what: string;
  /** For people; may be empty. */
  readonly reason: string;
  /** Of an admitter: names of hosts that it certified and that stay. */
  readonly keep: readonly string[];
}

interface RevocationFacts {
  /** `grant`: the right to admit, by `weft admitter remove`. */
  readonly kind: RevokeRequest['kind'] | 'grant';
  /** As the operator named it. */
  readonly what: string;
  /** 64 hex digits. */
  readonly target: string;
  readonly reason: string | null;
  /** Unix milliseconds, by the clock of the host that signed it. */
  readonly revokedAt: number;
  /** Signed by a root of the mesh, not by a host with the right to revoke. */
  readonly byRoot: boolean;
}

/** The answer to `POST /v1/revocations`. */
export interface RevocationReport extends RevocationFacts {
  readonly v: 1;
  /** Names of the members that this host knew and that it put out. */
  readonly hosts: readonly string[];
}

/** `GET /v1/revocations`, newest first. */
export interface RevocationsReport {
  readonly v: 1;
  readonly revocations: readonly RevocationFacts[];
}

/** The answer to `POST /v1/leave`. */
export interface LeaveReport {
  readonly v: 1;
  readonly name: string;
  readonly left: true;
}

/** `GET /v1/health`, `/livez`, `/readyz`. */
export interface HealthReport {
  readonly v: 1;
  readonly live: boolean;
  readonly ready: boolean;
  /** One line for each thing that is missing; empty when ready. */
  readonly reasons: readonly string[];
}

/** `GET /v1/version` */
export interface VersionReport {
  readonly v: 1;
  readonly version: string;
  readonly commit: string | null;
  readonly node: string;
}

/** `GET /v1/metrics?format=json`: the exposition as values. */
export interface MetricsReport {
  readonly v: 1;
  readonly metrics: readonly MetricReport[];
}

export interface MetricReport {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly values: readonly {
    /** Set where it differs from the metric's own (`_bucket`, `_sum`, `_count`). */
    readonly name: string;
    readonly labels: Readonly<Record<string, string | number>>;
    readonly value: number;
  }[];
}

export type EventType =
  | 'agent'
  | 'peer-up'
  | 'peer-down'
  | 'peer-moved'
  | 'member'
  | 'mtu'
  | 'mac-move'
  | 'mac-frozen'
  | 'drop-burst'
  | 'admitted'
  | 'refused'
  | 'revocation'
  | 'policy'
  | 'policy-conflict'
  | 'renewal'
  | 'admitter'
  | 'overuse'
  | 'equivocation';

export interface EventReport {
  /** Counts from 1 from the start of the agent. */
  readonly seq: number;
  /** Unix milliseconds. */
  readonly at: number;
  /** More may be added. */
  readonly type: EventType;
  /** Host, MAC or drop reason that it is about. */
  readonly subject: string | null;
  /** For people; the words may change. */
  readonly text: string;
}

/** Body of `POST /v1/ping`. */
export interface PingRequest {
  /** Name of a member. */
  readonly peer: string;
  /** Bytes of the outer IP packet; null is the smallest. */
  readonly sizeBytes: number | null;
}

/** The answer to `POST /v1/ping`, after 3 s at most. */
export interface PingReport {
  readonly v: 1;
  readonly peer: string;
  /** `too-big`: for the device that it leaves by. */
  readonly result: 'ok' | 'lost' | 'too-big' | 'unreachable' | 'no-session';
  readonly rttMs: number | null;
  /** Bytes of the outer IP packet that was sent; 0 if none was. */
  readonly sizeBytes: number;
}

/** The answer to `POST /v1/reload`: keys as the file has them. */
export interface ReloadReport {
  readonly v: 1;
  /** Changed, and in effect now. */
  readonly applied: readonly string[];
  /** Changed, and in effect after a restart. */
  readonly needRestart: readonly string[];
}

/** Body of `POST /v1/trace`. */
export interface TraceRequest {
  /** `out`: as read from the TAP. `in`: as received from `peer`. */
  readonly direction: 'out' | 'in';
  /** Name of a peer, or address of a plain endpoint; null for `out`. */
  readonly peer: string | null;
  /** The frame, or its first 2,048 bytes, in hex. */
  readonly frame: string;
  /** Bytes of the whole frame; the rest is taken as zeros. Null: what `frame` holds. */
  readonly sizeBytes: number | null;
}

export interface TraceStepReport {
  /** More may be added. */
  readonly stage: string;
  /** False where the frame, or this copy of it, would end. */
  readonly passed: boolean;
  /** Peer of the copy that it is about; null before there are copies. */
  readonly peer: string | null;
  /** For people; the words may change. */
  readonly text: string;
}

export interface TraceCopyReport {
  readonly peer: string;
  readonly verdict: 'sent' | 'dropped';
  /** Drop reason as in `weft_dropped_frames_total`; null for a copy that would be sent. */
  readonly reason: string | null;
}

/** The answer to `POST /v1/trace`: what would become of a frame now. Nothing was sent or learned. */
export interface TraceReport {
  readonly v: 1;
  readonly direction: 'out' | 'in';
  readonly summary: string;
  /** `forwarded`: at least one copy would be sent, or the frame written to the TAP. */
  readonly verdict: 'forwarded' | 'dropped';
  /** What the drop counters would grow by; a flooded frame may be dropped for some peers and sent to others. */
  readonly drops: readonly { readonly reason: string; readonly count: number; readonly why: string }[];
  readonly copies: readonly TraceCopyReport[];
  readonly steps: readonly TraceStepReport[];
}

/**
 * A line of `GET /v1/capture?snap=BYTES`, a stream of NDJSON until the caller goes. One caller at a time; records that the ring or a
 * slow caller has no room for are lost and counted.
 */
export interface CaptureRecord {
  /** Unix milliseconds with fractions: when the batch was handled. */
  readonly at: number;
  /** `out`: from the TAP; a flooded frame is here once for each copy. */
  readonly direction: 'out' | 'in';
  /** `datagram`: dropped before there was a frame; `data` is its first bytes. */
  readonly kind: 'frame' | 'datagram';
  /** Null where no peer was found, or a datagram's sender is not known. */
  readonly peer: string | null;
  readonly vni: number | null;
  /** Drop reason; null for what was sent or written to the TAP. */
  readonly reason: string | null;
  /** Where a received one came from, `IP:PORT`. */
  readonly from: string | null;
  /** Before it was cut to the snap length. */
  readonly sizeBytes: number;
  /** Frames of a flow that were handled as one; `data` is of the first. */
  readonly segments: number;
  /** Base64. */
  readonly data: string;
}

/** Another line of the same stream: records lost since it began. The first line says 0. */
export interface CaptureLoss {
  readonly v: 1;
  readonly lost: number;
}

/** `GET /v1/events?after=SEQ&wait=MS`: what came after SEQ; waits so long, 10 s at most, if there is nothing. */
export interface EventsReport {
  readonly v: 1;
  /** Unix milliseconds of the agent's start: another value means that `seq` began anew. */
  readonly startedAt: number;
  /** Events after SEQ that the agent no longer has. */
  readonly lost: number;
  /** Newest number there is; 0 before the first. */
  readonly last: number;
  /** Oldest first. */
  readonly events: readonly EventReport[];
}

/** Every failed request, with a fitting status. */
export interface ErrorReport {
  readonly error: { readonly code: string; readonly message: string };
}

/**
 * The running agent as the control socket, /metrics and the health endpoints see it. Failures are `WeftError`s whose
 * code and message reach the caller as they are; anything else is answered as E_INTERNAL.
 */
export interface AgentView extends RootView {
  status(): StatusReport;
  peers(): PeersReport;
  members(): MembersReport;
  fdb(): FdbReport;
  drops(): DropsReport;
  /** Signs a token with the mesh's root or admitter key. */
  createToken(request: TokenRequest): Promise<TokenReport>;
  vteps(): VtepsReport;
  /** Takes effect at once and persists. E_REFUSED on a sealed segment. */
  addVtep(request: VtepRequest): Promise<VtepsReport>;
  /** E_NOT_FOUND if there is no such entry. */
  removeVtep(request: VtepRequest): Promise<VtepsReport>;
  /** Publishes the signed leave that releases name and certificate; the agent stops after the answer has gone out. */
  leave(): Promise<LeaveReport>;
  /** Ends trust in something for good. E_REFUSED on a host without the right, E_NOT_FOUND. */
  revoke(request: RevokeRequest): Promise<RevocationReport>;
  revocations(): RevocationsReport;
  admitters(): AdmittersReport;
  /** Gives a member the right to admit, or takes it. E_REFUSED on a host without the root, E_NOT_FOUND. */
  addAdmitter(request: AdmitterRequest): Promise<AdmitterChange>;
  removeAdmitter(request: AdmitterRequest): Promise<AdmitterChange>;
  policy(): PolicyReport;
  /** Signs the next policy. E_REFUSED on a host without the root. */
  setPolicy(request: PolicyRequest): Promise<PolicyReport>;
  health(): HealthReport;
  /** What the web page shows, with the events after `after`. Nothing in it is secret. */
  page(after: number): Promise<PageReport>;
  /** @param find lower case; empty for all */
  pageFdb(find: string): PageFdbReport;
  /** What happened after the event `after`; waits up to `waitMs` if there is nothing yet. */
  events(after: number, waitMs: number): Promise<EventsReport>;
  /** One probe inside the session with a member. E_NOT_FOUND for a name that is none. */
  ping(request: PingRequest): Promise<PingReport>;
  /** What would become of a frame. E_NOT_FOUND for a peer that is none. */
  trace(request: TraceRequest): TraceReport;
  /**
   * Shows what passes to `take` until the returned function is called; `take` answers false while it can take no more. E_REFUSED
   * while another captures.
   */
  capture(snapBytes: number, take: (lines: readonly (CaptureRecord | CaptureLoss)[]) => boolean): () => void;
  /** Reads the configuration again. E_CONFIG, or what the metrics address refuses, changes nothing. */
  reload(): Promise<ReloadReport>;
  /** Read once per scrape; cheap. */
  metrics(): MetricsSnapshot;
}
