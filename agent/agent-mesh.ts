/**
 * Where membership, sessions and the data path meet: a member that gossip found gets a slot and a session, and what the
 * workers hand up goes to the sessions; what these want done is done in agent-outputs.ts. Part of the composition root;
 * decides nothing about trust (identity), liveness (gossip, session) or frames (datapath).
 */
import { KIND } from 'tun-tap';
import { type GossipNode, type Member, Pace } from '../gossip/index.ts';
import { Agreement } from './agent-agreement.ts';
import { Forward, type JoinAsk } from './agent-forward.ts';
import { type NewPeerOutput, type OutputParts, Outputs } from './agent-outputs.ts';
import { systemRng } from './clock.ts';
import type { ControlMessage } from './datapath/data-plane-types.ts';
import { SIGHTED } from './datapath/ring.ts';
import type { Endpoint } from './endpoint.ts';
import { derivedMac } from './identity/derived-mac.ts';
import { CAP, type ReadNodeCert } from './identity/node-cert.ts';
import { parseNodeState } from './identity/node-state.ts';
import type { SegmentRule } from './identity/policy.ts';
import { formatPrefix } from './identity/prefix.ts';
import type { GossipTrust } from './peer/gossip-trust.ts';
import type { MemberPeer } from './peer/peer-table.ts';
import { PLAIN_PORT } from './peer/underlay.ts';
import type { LocalFacts } from './session/types.ts';

export interface MeshParts extends OutputParts {
  readonly meshId: Uint8Array;
  readonly trust: GossipTrust;
  /** Answers a host that asks to join; null when another host counts its token. */
  readonly admit: (ask: JoinAsk) => Uint8Array | null;
  readonly selfName: string;
  /** What this host knows of policy and revocations now. */
  readonly facts: () => LocalFacts;
  /** The keys that may have signed a token. */
  readonly roots: () => readonly Uint8Array[];
  /** Whether a member's certificate gives the right to admit. */
  readonly mayAdmit: (cert: ReadNodeCert) => boolean;
}

const TICK_MS = 50;
/** While no handshake is under way: the liveness of sessions is counted in seconds. */
const IDLE_TICK_MS = 500;
/** A little less than an idle tick, so that it never waits for a second. */
const ACTIVITY_MS = 450;
/** What a session heard since the last look outweighs doubt (gossip/doubt.ts). */
const HEARD_MS = 1000;
/** A doubted member whose session was silent for so long is out of use. */
const SUSPEND_AFTER_MS = 2000;

export class Mesh {
  readonly #p: MeshParts;
  readonly #forward: Forward;
  readonly #pace: Pace;
  readonly #agreement: Agreement;
  #nextActivityMs = 0;
  #gossip: GossipNode | null = null;
  #cancel: (() => void)[] = [];
  readonly #outputs: Outputs;

  constructor(parts: MeshParts) {
    this.#p = parts;
    const { meshId, roots, selfName, clock, sessions, admit } = parts;
    this.#agreement = new Agreement({
      clock,
      local: parts.facts,
      recordOf: (id) => {
        const member = this.#gossip?.swim.member(id);
        return member === undefined ? null : parseNodeState(member.record.bytes, meshId);
      },
      compare: (id) => this.#gossip?.compare(id),
      install: (key) => this.#outputs.installTransmit(key),
    });
    this.#pace = new Pace(clock, { fastMs: TICK_MS, slowMs: IDLE_TICK_MS, run: () => this.#tick() });
    this.#forward = new Forward({
      ...{ meshId, roots, selfName, clock, rng: systemRng },
      admitters: () => this.admitters(),
      nameOf: (id) => this.#certOf(id)?.name ?? `host ${id.slice(0, 8)}`,
      tell: (id, reply, body) => this.tell(id, reply, body),
      answer: (joinId, reply) => this.#outputs.carryOut(sessions.reply(clock.monotonicMs(), joinId, reply)),
      decide: admit,
    });
    this.#outputs = new Outputs(parts, {
      agreement: this.#agreement,
      forward: this.#forward,
      compare: (id) => this.#gossip?.compare(id),
      judge: (peer, nowMs) => this.#judge(peer, nowMs),
      newPeer: (output) => this.#newPeer(output),
    });
  }

  /** What the agent says of this host's sealed traffic besides data. */
  get sent(): Outputs['sent'] {
    return this.#outputs.sent;
  }

  /** @returns whether something is under way that a tick moves on */
  #tick(): boolean {
    const { sessions, clock } = this.#p;
    const now = clock.monotonicMs();
    this.#outputs.carryOut(sessions.tick(now));
    this.#forward.tick(now);
    if (now >= this.#nextActivityMs) {
      this.#nextActivityMs = now + ACTIVITY_MS;
      this.#reportActivity();
    }
    return sessions.isBusy || this.#forward.isBusy;
  }

  /** Also of a member that is off, which is no peer then. */
  #certOf(id: string): ReadNodeCert | null {
    const member = this.#gossip?.swim.member(id);
    return member === undefined ? null : this.#p.trust.knownCert(member.record.credential);
  }

  #mayAdmit(id: string): boolean {
    const cert = this.#certOf(id);
    return cert !== null && this.#p.mayAdmit(cert);
  }

  /** Node ids of members that may admit and whose session is up. */
  admitters(): string[] {
    return this.#p.peers
      .members()
      .flatMap(({ id, state }) => (state === 'up' && this.#mayAdmit(id) ? id : []));
  }

  /** Policy names another cipher: everybody handshakes anew. */
  setSuite(suite: SegmentRule['suite']): void {
    const { sessions, clock } = this.#p;
    this.#outputs.carryOut(sessions.setSuite(clock.monotonicMs(), suite));
    this.#pace.hurry();
  }

  /** One message to a member inside its session. */
  tell(id: string, isReply: boolean, body: Uint8Array): void {
    const { sessions, clock } = this.#p;
    this.#outputs.carryOut(sessions.tell(clock.monotonicMs(), id, isReply, body));
  }

  /** Begins to act on what gossip finds and workers hand up. */
  start(gossip: GossipNode): void {
    const { dataPlane } = this.#p;
    this.#gossip = gossip;
    dataPlane.onControl((message) => this.#control(message));
    this.#p.paths.start();
    this.#cancel = [() => this.#p.paths.stop(), () => this.#pace.stop()];
    this.#pace.start();
    for (const member of gossip.swim.members()) this.memberChanged(member.id);
  }

  stop(): void {
    for (const cancel of this.#cancel.splice(0)) cancel();
    this.#p.sessions.close();
  }

  /** Ends what gossip does not know to be a member: it begins anew if it still is one. */
  forgetStrangers(): void {
    for (const peer of this.#p.peers.members())
      if (this.#gossip?.swim.member(peer.id) === undefined) void this.#forget(peer, 'not a known member');
  }

  /** Ends everything with everybody: keys are zeroed, what was learned is flushed. */
  async cutAll(why: string): Promise<void> {
    for (const cancel of this.#cancel.splice(0)) cancel();
    await Promise.all(this.#p.peers.members().map((peer) => this.#forget(peer, why)));
    this.#p.sessions.close();
  }

  // --- members -----------------------------------------------------------------------------------------------------

  /** Gossip says that something about a member is new. */
  memberChanged(id: string): void {
    this.#agreement.look();
    const member = this.#gossip?.swim.member(id);
    const peer = this.#p.peers.byId(id);
    const quarantined = this.#gossip?.swim.isQuarantined(id) === true;
    if (member === undefined || member.state === 'left' || quarantined) {
      const why = member === undefined ? 'forgotten' : quarantined ? 'it contradicted itself' : 'left';
      if (peer !== undefined) void this.#forget(peer, why);
      return;
    }
    if (peer === undefined) void this.#admit(member);
    else this.#update(peer, member);
  }

  /** Where a member says that it listens; null if nobody has heard. */
  signedEndpoint(id: string): Endpoint | null {
    const member = this.#gossip?.swim.member(id);
    return member === undefined ? null : this.#sealedEndpoint(member);
  }

  #sealedEndpoint(member: Member): Endpoint | null {
    const endpoint = parseNodeState(member.record.bytes, this.#p.meshId)?.endpoints[0];
    return endpoint === undefined ? null : { ip: endpoint.ip, port: endpoint.sealedPort };
  }

  /** A new member: a slot, its addresses in the workers, then a session once its endpoint has proved to be its own. */
  async #admit(member: Member): Promise<void> {
    const cert = this.#p.trust.certOf(member.record.credential);
    const endpoint = this.#sealedEndpoint(member);
    if (cert === null || endpoint === null || !cert.vnis.includes(this.#p.segment.vni)) return;
    const peer = await this.#addPeer(cert, endpoint);
    if (peer !== null && member.channel.opened) this.#connect(peer, cert);
  }

  async #addPeer(cert: ReadNodeCert, endpoint: Endpoint): Promise<MemberPeer | null> {
    const { peers, segment, log } = this.#p;
    const address = cert.addresses.find((a) => a.vni === segment.vni);
    const peer = peers.addMember({
      id: cert.nodeIdHex,
      name: cert.name,
      endpoint,
      address: address === undefined ? null : formatPrefix(address.prefix),
      vnis: cert.vnis,
      signPk: cert.signPk,
      dhPk: cert.dhPk,
      state: 'down',
      reason: 'not heard from yet',
      rttMs: null,
      probeLoss: null,
      seenAs: null,
      lastHandshakeAtMs: null,
      lastHandshakeWallMs: null,
    });
    if (peer === null) {
      log.warn({ peer: cert.name }, 'no room for another peer');
      return null;
    }
    await this.#place(peer, cert, endpoint);
    return peer;
  }

  /** Tells the workers who has the slot. */
  async #place(peer: MemberPeer, cert: ReadNodeCert, endpoint: Endpoint): Promise<void> {
    const { dataPlane, segment, log } = this.#p;
    const pinned = await dataPlane.setMember(peer.slot, {
      vnis: cert.vnis,
      bridge: (cert.caps & CAP.bridge) !== 0,
      macs: cert.vnis.map((vni) => ({ vni, mac: derivedMac(cert.nodeId, vni) })),
      plain: segment.mode === 'plain' ? { ip: endpoint.ip, port: PLAIN_PORT[segment.encap] } : null,
    });
    if (!pinned) log.warn({ peer: peer.name }, 'no room to pin its address: raise fdb.limit');
  }

  #update(peer: MemberPeer, member: Member): void {
    this.#judge(peer, this.#p.clock.monotonicMs());
    const cert = this.#p.trust.certOf(member.record.credential);
    const endpoint = this.#sealedEndpoint(member);
    if (cert === null || endpoint === null || member.state === 'dead') return;
    if (this.#p.segment.mode === 'plain' && peer.endpoint.ip !== endpoint.ip)
      void this.#place(peer, cert, endpoint);
    // While a session is up it knows best where its peer is.
    if (peer.state !== 'up') peer.endpoint = endpoint;
    if (member.channel.opened) this.#connect(peer, cert);
  }

  /**
   * What membership doubts and the session does not hear gets no copies and no frames until one of the two hears of it.
   * While there is doubt the session asks, so that a peer whose gossip alone is cut off goes on.
   */
  #judge(peer: MemberPeer, nowMs: number): void {
    const { sessions, dataPlane, log } = this.#p;
    const member = this.#gossip?.swim.member(peer.id);
    const doubted = member?.state === 'suspect' || member?.state === 'dead';
    if (doubted && peer.state === 'up') this.#outputs.carryOut(sessions.ask(nowMs, peer.id));
    const askedAtMs = member?.state === 'suspect' ? member.stateSinceMs : Number.NEGATIVE_INFINITY;
    const silentMs = nowMs - Math.max(askedAtMs, sessions.heardAtMs(peer.id));
    const suspended = doubted && silentMs >= SUSPEND_AFTER_MS;
    if (suspended === dataPlane.switches.isSuspended(peer.slot)) return;
    dataPlane.switches.setSuspended(peer.slot, suspended);
    log.info({ peer: peer.name, suspended }, suspended ? 'nobody hears it' : 'heard again');
  }

  /** Something authenticated came from the member's endpoint: only now may a handshake go there. */
  reachable(id: string): void {
    const member = this.#gossip?.swim.member(id);
    const peer = this.#p.peers.byId(id);
    const cert = member === undefined ? null : this.#p.trust.certOf(member.record.credential);
    if (peer !== undefined && cert !== null) this.#connect(peer, cert);
  }

  #connect(peer: MemberPeer, cert: ReadNodeCert): void {
    const { sessions, clock } = this.#p;
    if (peer.state === 'down') {
      peer.state = 'handshaking';
      peer.reason = 'handshake under way';
    }
    const { id, endpoint } = peer;
    this.#outputs.carryOut(
      sessions.connect(clock.monotonicMs(), { id, dhPk: cert.dhPk, signPk: cert.signPk, endpoint }),
    );
    this.#pace.hurry();
  }

  async #forget(peer: MemberPeer, why: string): Promise<void> {
    const { peers, sessions, dataPlane, clock, log } = this.#p;
    this.#p.paths.down(peer);
    peers.remove(peer);
    this.#p.trust.forgetKeys(peer.id);
    this.#agreement.forget(peer.id);
    this.#outputs.carryOut(sessions.forget(clock.monotonicMs(), peer.id));
    log.info({ peer: peer.name, why }, 'peer gone');
    await dataPlane.removeMember(peer.slot);
    peers.release(peer.slot);
  }

  // --- sessions ----------------------------------------------------------------------------------------------------

  #control(m: ControlMessage): void {
    const { sessions, clock } = this.#p;
    const now = clock.monotonicMs();
    if (m.kind === SIGHTED)
      return this.#outputs.carryOut(sessions.sighted(now, m.index, m.from, m.wireBytes));
    const outputs =
      m.kind === KIND.CONTROL
        ? sessions.control(now, m.index, m.counter, m.bytes, m.wireBytes, m.from, m.fromListener)
        : sessions.datagram(now, m.kind, m.bytes, m.from, m.wireBytes);
    this.#outputs.carryOut(outputs);
    if (m.kind !== KIND.CONTROL) this.#pace.hurry();
  }

  /** Tells each session what its data did, and hurries those that frames are waiting for. */
  #reportActivity(): void {
    const { peers, sessions, dataPlane, clock } = this.#p;
    const now = clock.monotonicMs();
    const offset = now - dataPlane.nowMs();
    for (const peer of peers.members()) {
      const c = dataPlane.peerCounters(peer.slot);
      const activity = {
        lastTxMs: c.lastTxMs === 0 ? null : c.lastTxMs + offset,
        lastRxMs: c.lastRxMs === 0 ? null : c.lastRxMs + offset,
        nextCounter: c.nextCounter,
      };
      this.#outputs.carryOut(sessions.activity(now, peer.id, activity));
      if (now - sessions.heardAtMs(peer.id) < HEARD_MS) this.#gossip?.swim.heard(peer.id);
      this.#judge(peer, now);
      if (dataPlane.switches.takeWanted(peer.slot) && peer.state === 'down') this.reachable(peer.id);
    }
  }

  /** What this host knows of policy and revocations has changed. */
  agree(): void {
    this.#agreement.look();
  }

  /** A certified member that gossip has not told of yet began a handshake. */
  #newPeer(o: NewPeerOutput): void {
    const { trust, sessions, clock } = this.#p;
    const credential = Buffer.concat(o.certificates);
    const cert = trust.certOf(new Uint8Array(credential));
    if (cert === null || !cert.vnis.includes(this.#p.segment.vni)) {
      this.#outputs.carryOut(sessions.forget(clock.monotonicMs(), o.peer));
      return;
    }
    // The slot is taken at once; what the workers need follows in order on the same ports.
    void this.#addPeer(cert, o.endpoint);
  }
}
