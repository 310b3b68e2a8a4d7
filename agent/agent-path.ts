/**
 * The path to each peer: how large a packet it carries and which source ports it takes, kept up to date by probes inside the
 * session, and what follows from that for the data path. Part of the composition root: asks peer/path-mtu.ts and
 * peer/send-ports.ts what to try, sends the probes, tells
 * the workers each peer's packet limit, and notices when the underlay is itself a tunnel.
 */

import { constants } from 'node:os';
import type { Logger } from 'pino';
import { sendDatagram, sendRun } from 'tun-tap';
import { Pace } from '../gossip/index.ts';
import type { Clock } from './clock.ts';
import type { DataPlane } from './datapath/data-plane.ts';
import { type Endpoint, formatEndpoint } from './endpoint.ts';
import type { SegmentRule } from './identity/policy.ts';
import { contains, parsePrefix } from './identity/prefix.ts';
import { BASE_BYTES, BIG_ACTIVE_MS, PathMtu, type ProbeWanted } from './peer/path-mtu.ts';
import type { MemberPeer, PeerTable } from './peer/peer-table.ts';
import { SendPorts } from './peer/send-ports.ts';
import {
  type Interfaces,
  interfacesNow,
  tunnelKind,
  type UnderlayInterface,
  underlayInterface,
} from './peer/underlay-interface.ts';
import { outerBytes, packetLimitBytes, UNDERLAY_MTU_BYTES } from './segment/mtu.ts';
import { SMALL_DATAGRAM } from './session/control.ts';
import type { SessionManager } from './session/session-manager.ts';

export interface PathParts {
  /** Path MTUs are measured. */
  readonly enabled: boolean;
  readonly segment: SegmentRule;
  readonly tapMtuBytes: number;
  readonly tapName: string;
  /** Overlay address with prefix of this host. */
  readonly address: string | null;
  readonly sealedFd: number;
  /** The pool of sending-only sockets. */
  readonly sendFds: readonly number[];
  /** Where the peer says, under its signature, that it listens; null if it is not known. */
  readonly signedEndpoint: (id: string) => Endpoint | null;
  /** Probes left: they count as control traffic. */
  readonly onSent: (datagrams: number, bytes: number) => void;
  readonly sessions: SessionManager;
  readonly dataPlane: DataPlane;
  readonly peers: PeerTable;
  readonly clock: Clock;
  readonly log: Logger;
}

const TICK_MS = 50;
/** While no path is searched and nothing large is sent. */
const IDLE_TICK_MS = 500;
/** How often a path is looked at when no frame has gone there since the last time. */
const REST_MS = 2_000;
/** How often the interfaces towards the peers are looked at again. */
const INTERFACE_MS = 5_000;
/** The same towards a peer that no frame goes to: one too large is refused by the kernel, and that is seen at once. */
const REST_INTERFACE_MS = 15_000;
/**
 * A peer's frames are spread over the sending ports only while this much goes to it, on average of LOAD_MS. Below, one port does,
 * and that the listening one: each packet then shows the peer where this host is, so that a new address costs no frames.
 */
const SPREAD_BYTES_PER_SEC = 12_500_000;
const LOAD_MS = 1_000;
/** How long less than that is taken for a pause. */
const PAUSE_MS = 10_000;
const MAX_IP_BYTES = 65_535;
/** Different warnings kept. */
const MAX_WARNINGS = 8;

interface Watched {
  readonly mtu: PathMtu;
  readonly ports: SendPorts;
  endpoint: Endpoint;
  limitBytes: number;
  runs: boolean;
  spread: boolean;
  /** Name of the interface towards the peer that was looked at last. */
  interfaceName: string | null;
  /** When the path and its interface were last looked at, when a frame had last gone there by then, and whether something was under way. */
  watchedAtMs: number;
  lookedAtMs: number;
  watchedTxMs: number;
  isActive: boolean;
  /** When the load was looked at, what had been sent by then, and when it was last high. */
  loadAtMs: number;
  loadBytes: number;
  loadedAtMs: number;
}

export class Paths {
  readonly #p: PathParts;
  /** By node id; bounded by MAX_PEERS. */
  readonly #watched = new Map<string, Watched>();
  /** What is wrong underneath, said once each; bounded by MAX_WARNINGS. */
  readonly #warnings = new Set<string>();
  #ended = { sent: 0, lost: 0 };
  /** Of the last look; null: to be read again. */
  #interfaces: Interfaces | null = null;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  readonly #pace: Pace;

  constructor(parts: PathParts) {
    this.#p = parts;
    this.#pace = new Pace(parts.clock, {
      fastMs: TICK_MS,
      slowMs: IDLE_TICK_MS,
      run: () => this.#tick(),
    });
  }

  start(): void {
    this.#pace.start();
  }

  stop(): void {
    this.#pace.stop();
  }

  /** Largest outer IP packet to a peer, which frames keep to; null until that is known. */
  bytesOf(id: string): number | null {
    return this.#watched.get(id)?.mtu.bytes ?? null;
  }

  /** Why the path cannot be used although the peer answers, or null. */
  troubleOf(id: string): string | null {
    const small = this.#watched.get(id)?.mtu.tooSmall === true;
    return small ? `the path carries less than ${BASE_BYTES} bytes` : null;
  }

  get warnings(): readonly string[] {
    return [...this.#warnings];
  }

  /** Probes sent, and those not answered in time, since the start. */
  get counters(): { readonly sent: number; readonly lost: number } {
    const { sent, lost } = this.#ended;
    const all = [...this.#watched.values()].map((path) => path.mtu.counters);
    return {
      sent: all.reduce((sum, c) => sum + c.sent, sent),
      lost: all.reduce((sum, c) => sum + c.lost, lost),
    };
  }

  /** The peer's session is up, perhaps again. */
  up(peer: MemberPeer): void {
    const known = this.#watched.get(peer.id);
    const same = known !== undefined && formatEndpoint(known.endpoint) === formatEndpoint(peer.endpoint);
    if (same && (known.mtu.bytes !== null || !this.#p.enabled)) return;
    const { endpoint } = peer;
    const path = known ?? {
      mtu: new PathMtu(),
      ports: new SendPorts(this.#p.sendFds.length),
      endpoint,
      limitBytes: 0,
      runs: true,
      spread: false,
      interfaceName: null,
      watchedAtMs: 0,
      lookedAtMs: 0,
      watchedTxMs: 0,
      isActive: true,
      loadAtMs: 0,
      loadBytes: 0,
      loadedAtMs: Number.NEGATIVE_INFINITY,
    };
    this.#watched.set(peer.id, path);
    this.#begin(peer, path, endpoint);
  }

  /** The session said where its peer is by now. */
  moved(peer: MemberPeer, endpoint: Endpoint): void {
    const path = this.#watched.get(peer.id);
    if (path !== undefined) this.#begin(peer, path, endpoint);
  }

  /** The peer no longer answers, or is gone. */
  down(peer: MemberPeer): void {
    const path = this.#watched.get(peer.id);
    if (path === undefined) return;
    this.#watched.delete(peer.id);
    this.#ended = {
      sent: this.#ended.sent + path.mtu.counters.sent,
      lost: this.#ended.lost + path.mtu.counters.lost,
    };
    this.#p.dataPlane.switches.setPacketLimit(peer.slot, 0);
    this.#p.dataPlane.switches.setRuns(peer.slot, true);
    this.#p.dataPlane.switches.setSpread(peer.slot, false);
  }

  acked(peer: MemberPeer, probe: string): void {
    const path = this.#watched.get(peer.id);
    if (path === undefined) return;
    const now = this.#p.clock.monotonicMs();
    if (path.mtu.acked(now, probe) || path.ports.acked(now, probe)) this.#apply(peer, path);
  }

  #begin(peer: MemberPeer, path: Watched, endpoint: Endpoint): void {
    const now = this.#p.clock.monotonicMs();
    path.endpoint = endpoint;
    path.interfaceName = null;
    path.isActive = true;
    this.#interfaces = null;
    const maxBytes = this.#interfaceBytes(path);
    if (this.#p.enabled) path.mtu.begin(now, maxBytes);
    path.ports.end();
    this.#judgePorts(peer, path, now);
    this.#apply(peer, path);
    this.#probe(peer, path, now);
    this.#pace.hurry();
  }

  /** What a peer signed may become known, or change, while its session is up; and so may what goes to it. */
  #judgePorts(peer: MemberPeer, path: Watched, nowMs: number): void {
    // Pairs of workers beyond the first send from ports of their own, or not at all (datapath/tap-queues.ts).
    const isLoaded = this.#p.dataPlane.pairs > 1 || nowMs - path.loadedAtMs < PAUSE_MS;
    const spreads = isLoaded && this.#spreads(peer);
    if (spreads && !path.ports.on) path.ports.begin();
    else if (!spreads && path.ports.on) path.ports.end();
  }

  /** Looks at what goes to the peer; a load that begins is acted on at once. */
  #weigh(peer: MemberPeer, path: Watched, nowMs: number): void {
    const elapsedMs = nowMs - path.loadAtMs;
    if (elapsedMs < LOAD_MS) return;
    const { txBytes } = this.#p.dataPlane.peerCounters(peer.slot);
    const bytesPerSec = ((txBytes - path.loadBytes) / elapsedMs) * 1000;
    path.loadAtMs = nowMs;
    path.loadBytes = txBytes;
    if (bytesPerSec < SPREAD_BYTES_PER_SEC) return;
    path.loadedAtMs = nowMs;
    if (!path.ports.on) this.#judgePorts(peer, path, nowMs);
  }

  /** MTU of the interface to the peer, and a warning if that is a tunnel. */
  #interfaceBytes(path: Watched): number {
    const { ip } = path.endpoint;
    path.lookedAtMs = this.#p.clock.monotonicMs();
    this.#interfaces ??= interfacesNow();
    const found = underlayInterface(ip, this.#interfaces);
    if (found === null || found.name !== path.interfaceName) this.#noticeTunnel(ip, found);
    path.interfaceName = found?.name ?? null;
    return Math.min(found?.mtuBytes ?? UNDERLAY_MTU_BYTES, MAX_IP_BYTES);
  }

  #noticeTunnel(ip: string, found: UnderlayInterface | null): void {
    const { address, tapName } = this.#p;
    const overlay = address === null ? null : parsePrefix(address);
    if (overlay !== null && contains(overlay, ip))
      return this.#warn(
        `underlay address ${ip} lies in the overlay ${address}: frames would be sent into themselves`,
      );
    if (found === null) return;
    if (found.name === tapName)
      return this.#warn(
        `the route to ${ip} leads into ${tapName}, the overlay itself: correct the route or --underlay`,
      );
    const kind = tunnelKind(found.name);
    if (kind !== null)
      this.#warn(
        `the underlay interface ${found.name} is itself a tunnel (${kind}): packets are wrapped twice`,
      );
  }

  #warn(text: string): void {
    if (this.#warnings.has(text) || this.#warnings.size >= MAX_WARNINGS) return;
    this.#warnings.add(text);
    this.#p.log.warn({}, text);
  }

  /** @returns whether a path is measured, or needed soon */
  #tick(): boolean {
    const now = this.#p.clock.monotonicMs();
    const isLook = now - this.#lookedAtMs >= INTERFACE_MS;
    if (isLook) {
      this.#lookedAtMs = now;
      this.#interfaces = null;
    }
    let isBusy = false;
    for (const [id, path] of this.#watched) {
      const peer = this.#p.peers.byId(id);
      if (peer === undefined) this.#watched.delete(id);
      else isBusy = this.#watch(peer, path, now, isLook) || isBusy;
    }
    return isBusy;
  }

  #watch(peer: MemberPeer, path: Watched, nowMs: number, isLook: boolean): boolean {
    const { mtu } = path;
    const refused = this.#p.dataPlane.switches.takeTooBig(peer.slot);
    const txMs = this.#p.dataPlane.switches.lastTxMs(peer.slot);
    const isStill = !path.isActive && txMs === path.watchedTxMs;
    const isLookDue = isLook && (!isStill || nowMs - path.lookedAtMs >= REST_INTERFACE_MS);
    if (isStill && !refused && !isLookDue && nowMs - path.watchedAtMs < REST_MS) return false;
    path.watchedAtMs = nowMs;
    path.watchedTxMs = txMs;
    if (refused || isLookDue) {
      if (refused) this.#interfaces = null;
      this.#judgePorts(peer, path, nowMs);
      const before = mtu.bytes;
      mtu.resize(nowMs, this.#interfaceBytes(path));
      // The interface says nothing new, yet the kernel refuses what we took for fitting: measure again.
      if (refused && mtu.bytes === before) mtu.tooBig(nowMs);
    }
    this.#weigh(peer, path, nowMs);
    const isSending = this.#probe(peer, path, nowMs);
    this.#apply(peer, path);
    path.isActive = isSending || mtu.isBusy;
    return path.isActive;
  }

  /** @returns whether something large was sent a short time ago */
  #probe(peer: MemberPeer, path: Watched, nowMs: number): boolean {
    const { dataPlane } = this.#p;
    // The workers' clock in ours.
    const offsetMs = nowMs - dataPlane.nowMs();
    const bigAtMs = dataPlane.switches.lastBigTxMs(peer.slot);
    const lastBigMs = bigAtMs === 0 ? null : bigAtMs + offsetMs;
    for (const wanted of path.mtu.tick(nowMs, lastBigMs)) this.#send(peer, path, nowMs, wanted);
    const txAtMs = dataPlane.switches.lastTxMs(peer.slot);
    const lastTxMs = txAtMs === 0 ? null : txAtMs + offsetMs;
    for (const position of path.ports.tick(nowMs, lastTxMs)) this.#sendFrom(peer, path, nowMs, position);
    return lastBigMs !== null && nowMs - lastBigMs <= BIG_ACTIVE_MS;
  }

  /** Frames to a peer behind NAT, or to where it never signed to be, leave from one port (PROTOCOL.md, Source ports). */
  #spreads(peer: MemberPeer): boolean {
    if (this.#p.segment.mode === 'plain') return false;
    const signed = this.#p.signedEndpoint(peer.id);
    return signed !== null && formatEndpoint(signed) === formatEndpoint(peer.endpoint);
  }

  #sendFrom(peer: MemberPeer, path: Watched, nowMs: number, position: number): void {
    const { sessions, sendFds, onSent } = this.#p;
    const fd = sendFds[position];
    const probe = fd === undefined ? null : sessions.pathProbe(nowMs, peer.id, SMALL_DATAGRAM, false);
    if (fd === undefined || probe === null) return;
    // One that the kernel refuses to send is as good as lost.
    path.ports.sent(nowMs, position, probe.id);
    if (sendDatagram(fd, probe.bytes, probe.to.ip, probe.to.port) === 0) onSent(1, probe.bytes.length);
  }

  #send(peer: MemberPeer, path: Watched, nowMs: number, { sizeBytes, run }: ProbeWanted): void {
    const { sessions, sealedFd, onSent } = this.#p;
    const datagramBytes = sizeBytes - outerBytes(path.endpoint.ip.includes(':') ? 6 : 4);
    const first = sessions.pathProbe(nowMs, peer.id, datagramBytes);
    const second =
      run && 2 * sizeBytes <= MAX_IP_BYTES ? sessions.pathProbe(nowMs, peer.id, datagramBytes) : null;
    if (first === null) return;
    const { ip, port } = first.to;
    const bytes = second === null ? first.bytes : Buffer.concat([first.bytes, second.bytes]);
    let ids = second === null ? [first.id] : [first.id, second.id];
    let error =
      second === null
        ? sendDatagram(sealedFd, bytes, ip, port)
        : sendRun(sealedFd, bytes, ip, port, datagramBytes);
    if (second !== null && error !== 0 && error !== constants.errno.EMSGSIZE) {
      // A kernel that does not know UDP_SEGMENT: data does not leave in runs either.
      error = sendDatagram(sealedFd, first.bytes, ip, port);
      ids = [first.id];
    }
    if (error === 0) {
      path.mtu.sent(nowMs, sizeBytes, ids);
      onSent(ids.length, ids.length * datagramBytes);
    } else if (error === constants.errno.EMSGSIZE) {
      path.mtu.refused(nowMs, sizeBytes);
    }
  }

  /** Tells the workers, and the log when it matters. */
  #apply(peer: MemberPeer, path: Watched): void {
    const { segment, tapMtuBytes, dataPlane, log } = this.#p;
    const family = path.endpoint.ip.includes(':') ? 6 : 4;
    const pathBytes = path.mtu.bytes;
    if (path.ports.usable !== path.spread) {
      path.spread = path.ports.usable;
      dataPlane.switches.setSpread(peer.slot, path.spread);
      log.debug({ peer: peer.name, spread: path.spread }, 'frames leave from the pool of sending ports');
    }
    if (path.mtu.runs !== path.runs) {
      path.runs = path.mtu.runs;
      dataPlane.switches.setRuns(peer.slot, path.runs);
      log.debug({ peer: peer.name, runs: path.runs }, 'datagrams leave several in one message');
    }
    const fits =
      pathBytes === null ? tapMtuBytes : packetLimitBytes(pathBytes, family, segment.mode, segment.encap);
    const limitBytes = fits >= tapMtuBytes ? 0 : fits;
    if (limitBytes === path.limitBytes) return;
    path.limitBytes = limitBytes;
    dataPlane.switches.setPacketLimit(peer.slot, limitBytes);
    log.debug({ peer: peer.name, pathBytes, packetBytes: fits }, 'path MTU');
  }
}
