/**
 * One running agent: builds every part in order and takes them down in the reverse order, also when building fails
 * half-way. Part of the composition root.
 *
 *   state and keys -> sockets -> TAP -> workers -> sessions -> gossip -> control socket, metrics
 */
import type { Logger } from 'pino';
import type { GossipNode } from '../gossip/index.ts';
import { announce, EQUIVOCATION, OWN_EQUIVOCATION, watchEvents } from './agent-announce.ts';
import { Captures } from './agent-capture.ts';
import { Certificates } from './agent-certificates.ts';
import { followNames, readContacts } from './agent-contacts.ts';
import { openDataPath } from './agent-frames.ts';
import { startGossip } from './agent-gossip.ts';
import { LateWrites } from './agent-late.ts';
import { leaveForGood } from './agent-leave.ts';
import { Mesh } from './agent-mesh.ts';
import { metricsSource } from './agent-metrics.ts';
import { needsRebuild, placeOf } from './agent-mode.ts';
import { introduce } from './agent-neighbour.ts';
import { offloads } from './agent-offloads.ts';
import { Paths } from './agent-path.ts';
import { nextCounters, saveReplays } from './agent-persist.ts';
import { Pings } from './agent-ping.ts';
import { listenEndpoint, ownSegment } from './agent-place.ts';
import { setPolicy } from './agent-policy.ts';
import { type Live, MetricsPort, reload } from './agent-reload.ts';
import { revokeHere } from './agent-revoke.ts';
import { RootKeeper } from './agent-root.ts';
import { type Manager, serviceOf, tellManager } from './agent-service.ts';
import { createSessions, factsOf } from './agent-sessions.ts';
import { StatementBook } from './agent-statements.ts';
import { createHostToken, seedOfMember } from './agent-token.ts';
import { Verdicts } from './agent-verdicts.ts';
import { LiveView } from './agent-view.ts';
import { type Clock, systemClock, systemRng } from './clock.ts';
import type { Config } from './config/schema.ts';
import type { AgentState, ReloadReport, StatusReport } from './control/api-types.ts';
import { EventRing } from './control/event-ring.ts';
import { Metrics } from './control/metrics.ts';
import { ControlServer } from './control/server.ts';
import { SocketGate } from './control/socket-gate.ts';
import type { SpareWorkers } from './datapath/spare-workers.ts';
import { WeftError } from './errors.ts';
import { derivedMac } from './identity/derived-mac.ts';
import { readCounters, readIdentity, writeCounters } from './identity/node-identity.ts';
import { answerPolicyQuestion } from './identity/policy-question.ts';
import { formatPrefix } from './identity/prefix.ts';
import { toHex } from './identity/sodium.ts';
import { STATE_FILE, type StateDir } from './identity/state-dir.ts';
import { GossipTrust } from './peer/gossip-trust.ts';
import { PeerTable } from './peer/peer-table.ts';
import { VtepBook } from './peer/vtep-book.ts';
import { MAX_CONTROL_BODY } from './session/control.ts';

const REPLAY_SAVE_MS = 60_000;
const STOP_AFTER_LEAVE_MS = 200;
/** Whoever changed the policy here gets the answer. */
const REBUILD_AFTER_MS = 50;
/** Long enough for somebody who looks, and for a monitor that asks every few seconds. */
const STOP_AFTER_REVOCATION_MS = 5000;

/** What the process may do, and how it is weighed against others. */
export type Standing = Pick<StatusReport, 'rights' | 'nice'>;

export class Agent {
  readonly stopped: Promise<void>;
  /** Reads the configuration again. @throws WeftError */
  reload: () => Promise<ReloadReport> = () => Promise.reject(new WeftError('E_REFUSED', 'not started yet'));
  readonly #clock: Clock = systemClock;
  readonly #log: Logger;
  /** What to take down, last built first; bounded by the parts of an agent. */
  readonly #closers: { readonly what: string; readonly close: () => Promise<void> | void }[] = [];
  /** Who listens to what `agent-service.ts` tells; nobody until the agent is built. */
  readonly manager: Manager;
  /** The process that goes on with the state directory, while this one stops. */
  #successor: number | null = null;
  /** Policy wants another data path: this process is to build an agent again. */
  again = false;
  #live: Live | null = null;
  #state: AgentState = 'starting';
  #ended: string | null = null;
  #end: (error: Error | null) => void = () => {};

  private constructor(log: Logger, manager: Manager) {
    this.#log = log;
    this.manager = manager;
    this.stopped = new Promise((resolve, reject) => {
      this.#end = (error) => (error === null ? resolve() : reject(error));
    });
    // A failure before anybody waits is reported by start itself.
    this.stopped.catch(() => {});
  }

  static async start(
    config: Config,
    state: StateDir,
    log: Logger,
    reread: () => Config,
    standing: Standing,
    manager: Manager,
    spare: SpareWorkers,
  ): Promise<Agent> {
    const agent = new Agent(log, manager);
    try {
      await agent.#build(config, state, reread, standing, spare);
      return agent;
    } catch (error) {
      await agent.#takeDown();
      throw error;
    }
  }

  /** Answers questions for a moment, then stops with the reason. The data path has ended by now. */
  #revoked(reason: string): void {
    if (this.#ended !== null || this.#state === 'stopping') return;
    this.#ended = reason;
    this.#state = 'revoked';
    this.#clock.after(STOP_AFTER_REVOCATION_MS, () => this.requestStop(new WeftError('E_REVOKED', reason)));
  }

  /** Stops once; later calls change nothing. */
  requestStop(error: Error | null): void {
    if (this.#state === 'stopping') return;
    this.#state = 'stopping';
    void this.#takeDown().then(() => this.#end(error));
  }

  /** Stops for a process that waits for it: the others are not told of a leave, for there is none. */
  handOver(pid: number): void {
    if (this.#state === 'stopping') return;
    this.#successor = pid;
    this.requestStop(null);
  }

  /** What an agent that is built again starts from. */
  get config(): Config | null {
    return this.#live?.config ?? null;
  }

  /** Stops for an agent of another mode. By now no frame goes in or out; the others are told of no leave. */
  #rebuild(): void {
    if (this.#state === 'stopping' || this.again) return;
    this.again = true;
    this.#clock.after(REBUILD_AFTER_MS, () => this.requestStop(null));
  }

  #onStop(what: string, close: () => Promise<void> | void): void {
    this.#closers.push({ what, close });
  }

  async #takeDown(): Promise<void> {
    for (const { what, close } of this.#closers.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        this.#log.warn({ what, error: String(error) }, 'could not be stopped cleanly');
      }
    }
  }

  async #build(
    config: Config,
    state: StateDir,
    reread: () => Config,
    standing: Standing,
    spare: SpareWorkers,
  ): Promise<void> {
    const live: Live = { config, valid: true, readAtMs: this.#clock.wallMs() };
    const clock = this.#clock;
    const log = this.#log;
    this.#live = live;
    const identity = readIdentity(state, clock);
    const rule = ownSegment(identity);
    const { segment, closed } = placeOf(rule, config, state);
    const listen = listenEndpoint(config, readContacts(state)[0]?.address.ip);
    const counters = nextCounters(state);

    const own = identity.cert.addresses.find((a) => a.vni === segment.vni);
    const address = own === undefined ? null : formatPrefix(own.prefix);
    const mac = derivedMac(identity.cert.nodeId, segment.vni);
    const { layout, underlay, tap, dataPlane, offloadParts } = await openDataPath({
      config,
      segment,
      listen,
      mac,
      address,
      spare,
      clock,
      log,
      onStop: (what, close) => this.#onStop(what, close),
      onFailure: (error) => this.requestStop(error),
    });

    const events = new EventRing(clock);
    const peers = new PeerTable();
    const trust = new GossipTrust({
      identity,
      listen,
      gossipPort: config.gossipPort,
      incarnation: counters.incarnation,
      persistIncarnation: (incarnation) => writeCounters(state, { ...readCounters(state), incarnation }),
    });
    const sessions = createSessions(
      config,
      state,
      identity,
      segment,
      counters.incarnation,
      layout.pairs,
      closed === null,
      (id) => gossip.swim.isQuarantined(id),
    );

    const late = new LateWrites(clock, log);
    this.#onStop('late writes', () => late.stop());
    const certificates = new Certificates({ identity, state, peers, trust, clock, log, events, late });
    const paths: Paths = new Paths({
      enabled: config.pathMtu === 'on',
      segment,
      tapMtuBytes: tap.mtuBytes,
      tapName: tap.name,
      address,
      sealedFd: underlay.sealedFd,
      sendFds: underlay.sendFds,
      signedEndpoint: (id) => mesh.signedEndpoint(id),
      onSent: (datagrams, bytes) => {
        mesh.sent.control.txPackets += datagrams;
        mesh.sent.control.txBytes += bytes;
      },
      sessions,
      dataPlane,
      peers,
      clock,
      log,
    });
    const keepReplays = (): void =>
      late.keep(STATE_FILE.replays, () => saveReplays(state, sessions.replayEntries()));
    const pings = new Pings({
      sessions,
      peers,
      sealedFd: underlay.sealedFd,
      clock,
      onSent: (bytes) => {
        mesh.sent.control.txPackets += 1;
        mesh.sent.control.txBytes += bytes;
      },
    });
    // Before the first handshake, which is told to it.
    const onInternalError = (error: unknown): void => log.error({ error }, 'a request failed');
    const metrics = new Metrics({
      source: () => view.metrics(),
      get perPeer() {
        return live.config.metrics.perPeer;
      },
      onError: onInternalError,
    });
    const greet = introduce(tap.fds[0] ?? -1, { mac: tap.mac, address }, segment.vni);
    const mesh = new Mesh({
      meshId: identity.meshId,
      segment,
      trust,
      sessions,
      dataPlane,
      peers,
      sealedFd: underlay.sealedFd,
      paths,
      pings,
      clock,
      log,
      selfName: identity.cert.name,
      facts: () => factsOf(identity),
      roots: () => identity.trust.roots,
      onPolicyQuestion: (question) => answerPolicyQuestion(question, identity.chain.all, MAX_CONTROL_BODY),
      mayAdmit: (cert) => identity.trust.mayAdmit(cert),
      onMessage: (from, isReply, body) => certificates.message(from, isReply, body),
      onUp: (id, peerAddress) => {
        greet(id, peerAddress);
        certificates.up(id);
      },
      admit: (ask) => certificates.decide(ask),
      onHandshake: (result, durationSec) => {
        if (result === 'ok') metrics.observeHandshake(durationSec);
      },
    });

    const statements = new StatementBook(identity, state, late, (kept, other) => {
      const what = { kept: kept.seq, other: other.seq, signer: toHex(other.signer).slice(0, 16) };
      log.warn(what, 'two policies follow one: see docs/OPERATIONS.md, a stolen root key');
      events.add('policy-conflict', String(other.seq), `policy ${kept.seq} stays in force`);
    });
    const gossip: GossipNode = await startGossip({
      config,
      state,
      listen,
      trust,
      mesh,
      statements,
      onStatement: () => verdicts.changed(),
      onMember: (id) => certificates.member(id),
      dataPlane,
      clock,
      log,
      late,
      onEquivocation: (id) => {
        const own = id === identity.cert.nodeIdHex;
        const name = own ? identity.cert.name : (peers.byId(id)?.name ?? id.slice(0, 8));
        log.error({ host: name, id }, EQUIVOCATION);
        events.add('equivocation', name, EQUIVOCATION);
      },
      onProbe: (sec) => metrics.observeProbe(sec),
    });
    const verdicts = new Verdicts({
      identity,
      trust,
      gossip,
      mesh,
      events,
      clock,
      log,
      onRevoked: (reason) => this.#revoked(reason),
      onPolicy: () => {
        const now = ownSegment(identity);
        mesh.setSuite(now.suite);
        certificates.policyChanged();
        if (!needsRebuild(rule, now)) return;
        log.warn(
          { vni: now.vni, mode: now.mode, encap: now.encap },
          'policy changed the segment: starting anew',
        );
        void Promise.all([mesh.cutAll('the segment is another'), vteps.cutAll()]).then(() => this.#rebuild());
      },
    });
    this.#onStop('verdicts', () => verdicts.stop());
    certificates.connect({ gossip, mesh, statements, verdicts });
    this.#onStop('certificates', () => certificates.stop());
    this.#onStop('gossip', () => gossip.stop());
    this.#onStop('names of seeds', followNames(gossip, readContacts(state), clock));
    this.#onStop('mesh', () => {
      keepReplays();
      mesh.stop();
    });
    this.#onStop('membership', async () => {
      if (this.#successor === null && !this.again) await gossip.leave();
    });

    const vteps = new VtepBook(state, segment, peers, {
      setVtep: async (slot, vni, endpoint) => {
        await dataPlane.setMember(slot, { vnis: [vni], bridge: true, macs: [], plain: endpoint });
      },
      removeVtep: (slot) => dataPlane.removeMember(slot),
    });
    await vteps.load();

    const gate = new SocketGate(config.socket, (peer) => log.warn({ peer }, 'refused at the control socket'));
    const view = new LiveView({
      identity,
      segment,
      address,
      tap,
      listen,
      gossip,
      trust,
      dataPlane,
      peers,
      vteps,
      paths,
      events,
      pings,
      captures: new Captures(dataPlane, peers, clock),
      reload: () => this.reload(),
      clock,
      state: () => this.#state,
      createToken: (request) =>
        createHostToken(
          {
            identity,
            segment,
            listen,
            gossipPort: config.gossipPort,
            clock,
            member: (name) => seedOfMember(gossip, peers, identity.meshId, name),
            admitters: () => certificates.admitters.others(),
          },
          request,
        ),
      admitters: certificates.admitters,
      leave: async () => {
        await leaveForGood({ identity, trust, gossip, state });
        clock.after(STOP_AFTER_LEAVE_MS, () => this.requestStop(null));
      },
      setPolicy: (request) =>
        setPolicy({ identity, gossip, statements, verdicts, clock, allowPlain: config.allowPlain }, request),
      roots: new RootKeeper({
        ...{ identity, state, clock, rng: systemRng, gossip, trust, statements, verdicts },
        renewal: certificates.renewal,
        ...{ admissions: certificates.admissions, receipts: certificates.receiptBook },
      }),
      revoke: (request) =>
        revokeHere(
          { identity, gossip, trust, admissions: certificates.admissions, statements, verdicts, clock },
          request,
        ),
      ended: () =>
        this.#ended ??
        closed ??
        certificates.problem ??
        (gossip.swim.ownQuarantineMs > 0 ? OWN_EQUIVOCATION : null),
      offloads: () => offloads(offloadParts),
      workers: layout.single ? 'single' : layout.pairs,
      late,
      ...standing,
      metrics: metricsSource({
        offloads: () => offloads(offloadParts),
        identity,
        dataPlane,
        sessions,
        gossip,
        peers,
        paths,
        mesh,
        underlay,
        gate,
        certificates,
        trust,
        fdbLimit: config.fdb.limit,
        tapName: tap.name,
        gossipPort: config.gossipPort,
        events,
        live,
        clock,
        late,
      }),
    });
    const control = await ControlServer.start({
      socketPath: config.socket,
      gate,
      view,
      metrics,
      clock,
      onInternalError,
    });
    this.#onStop('control socket', () => {
      events.close();
      return control.close();
    });
    const pageOn = (): boolean => live.config.metrics.page === 'on';
    const port = new MetricsPort({ view, metrics, pageOn, clock, onInternalError });
    this.#onStop('metrics', () => port.close());
    await port.listen(config.metrics.address);
    this.reload = () => reload({ live, reread, log, port, sessions, offloads: offloadParts, clock });

    mesh.start(gossip);
    certificates.start();
    verdicts.start();
    this.#onStop('timers', clock.every(REPLAY_SAVE_MS, keepReplays));
    this.#onStop('events', watchEvents({ view, dataPlane, metrics, events, clock }));
    if (this.#ended === null) this.#state = 'up';
    announce({ identity, segment, closed, address, listen, tapName: tap.name, events, clock, log });
    const sayStop = tellManager(serviceOf(this.manager, dataPlane, view, clock, log));
    this.#onStop('service manager', () => sayStop(this.again ? process.pid : this.#successor));
  }
}
