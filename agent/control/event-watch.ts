/**
 * Turns the agent's state into events: looks once a second at what the verbs show, and tells what has
 * changed since. What comes and goes within a second is not seen. Called by the composition root; touches nothing.
 */
import type { FdbReport, MemberReport, PeerReport } from './api-types.ts';
import type { EventRing } from './event-ring.ts';
import type { DropCount } from './metrics-source.ts';

export type WatchedPeer = Pick<PeerReport, 'name' | 'state' | 'reason' | 'endpoint' | 'path' | 'pmtu'>;
export type WatchedMember = Pick<MemberReport, 'nodeId' | 'name' | 'state'>;

/** What is looked at; cheap but for `fdbEntries`. */
export interface Watched {
  peers(): readonly WatchedPeer[];
  /** Without this host. */
  members(): readonly WatchedMember[];
  drops(): readonly DropCount[];
  /** Addresses so far that changed their peer, or that were frozen because two hosts claim them. */
  fdbTotal(of: 'MOVES' | 'FREEZES'): number;
  /** In any order. */
  fdbEntries(): FdbReport['entries'];
}

/** Drops of one reason between two looks that are worth an event. */
export const BURST_DROPS = 50;
/** A burst that goes on is told again after so many looks. */
const BURST_QUIET_LOOKS = 30;
/** Addresses whose place is remembered; beyond, moves are counted and not named. */
export const MAX_WATCHED_MACS = 4096;
const FDB_EVERY_LOOKS = 2;
/** Moves told one by one in one look. */
const MAX_MOVES_TOLD = 10;

export class EventWatch {
  readonly #watched: Watched;
  readonly #ring: EventRing;
  #look = 0;
  /** Bounded by the peers. */
  #peers = new Map<string, WatchedPeer>();
  /** State by node id; bounded by the members. */
  #members = new Map<string, string>();
  /** By direction and reason, bounded by the drop table: the count, and the look at which a burst was last told. */
  readonly #drops = new Map<string, { count: number; toldAtLook: number }>();
  /** Peer by VNI and address; bounded by MAX_WATCHED_MACS. */
  #macs = new Map<string, string>();
  #moves: number;
  #freezes: number;
  /** VNI and address of those frozen at the last look; bounded by MAX_WATCHED_MACS. */
  #frozen = new Set<string>();

  constructor(watched: Watched, ring: EventRing) {
    this.#watched = watched;
    this.#ring = ring;
    this.#moves = watched.fdbTotal('MOVES');
    this.#freezes = watched.fdbTotal('FREEZES');
    for (const { direction, reason, count } of watched.drops())
      this.#drops.set(`${direction} ${reason}`, { count, toldAtLook: Number.NEGATIVE_INFINITY });
  }

  /** Compares with the look before. */
  look(): void {
    this.#look += 1;
    this.#lookAtPeers();
    this.#lookAtMembers();
    this.#lookAtDrops();
    this.#lookAtMacs();
  }

  #lookAtPeers(): void {
    const before = this.#peers;
    const now = new Map(this.#watched.peers().map((peer) => [peer.name, peer])); // bounded by the peers
    for (const [name, peer] of now) {
      const old = before.get(name);
      if (peer.state !== old?.state && (peer.state === 'up' || old?.state === 'up')) {
        if (peer.state === 'up')
          this.#ring.add('peer-up', name, `up at ${peer.endpoint ?? 'no endpoint'}, ${peer.path}`);
        else this.#ring.add('peer-down', name, peer.reason ?? peer.state);
      }
      if (old !== undefined && peer.endpoint !== old.endpoint)
        this.#ring.add('peer-moved', name, `from ${old.endpoint} to ${peer.endpoint}`);
      const was = old?.pmtu ?? null;
      if (peer.pmtu !== null && peer.pmtu !== was)
        this.#ring.add('mtu', name, `path MTU ${peer.pmtu} bytes${was === null ? '' : `, was ${was}`}`);
    }
    for (const [name, old] of before)
      if (!now.has(name))
        this.#ring.add('peer-down', name, old.state === 'up' ? 'gone while it was up' : 'gone');
    this.#peers = now;
  }

  #lookAtMembers(): void {
    const before = this.#members;
    const now = new Map<string, string>(); // bounded by the members
    for (const { nodeId, name, state } of this.#watched.members()) {
      now.set(nodeId, state);
      const old = before.get(nodeId);
      if (old !== state) this.#ring.add('member', name, old === undefined ? state : `${state}, was ${old}`);
    }
    this.#members = now;
  }

  #lookAtDrops(): void {
    for (const { direction, reason, count } of this.#watched.drops()) {
      const key = `${direction} ${reason}`;
      const old = this.#drops.get(key);
      const more = count - (old?.count ?? 0);
      const quiet = this.#look - (old?.toldAtLook ?? Number.NEGATIVE_INFINITY) >= BURST_QUIET_LOOKS;
      const tell = more >= BURST_DROPS && quiet;
      if (tell)
        this.#ring.add(
          'drop-burst',
          reason,
          `${more} dropped on ${direction} within a second, ${count} since the start`,
        );
      this.#drops.set(key, {
        count,
        toldAtLook: tell ? this.#look : (old?.toldAtLook ?? Number.NEGATIVE_INFINITY),
      });
    }
  }

  #lookAtMacs(): void {
    const moves = this.#watched.fdbTotal('MOVES');
    const moved = moves - this.#moves;
    const freezes = this.#watched.fdbTotal('FREEZES');
    if (moved === 0 && freezes === this.#freezes && this.#look % FDB_EVERY_LOOKS === 0) return;
    this.#moves = moves;
    this.#freezes = freezes;
    const now = new Map<string, string>(); // bounded by MAX_WATCHED_MACS
    const entries = this.#watched.fdbEntries();
    this.#tellFrozen(entries);
    for (const { mac, vni, peer } of entries) {
      if (peer !== null && now.size < MAX_WATCHED_MACS) now.set(`${vni} ${mac}`, peer);
    }
    let told = 0;
    for (const [key, peer] of moved > 0 ? now : []) {
      const old = this.#macs.get(key);
      if (old === undefined || old === peer || told >= MAX_MOVES_TOLD) continue;
      told += 1;
      const [vni, mac = ''] = key.split(' ');
      this.#ring.add('mac-move', mac, `from ${old} to ${peer}, vni ${vni}`);
    }
    if (moved > told)
      this.#ring.add('mac-move', null, `${moved - told} ${told === 0 ? '' : 'more '}moves between peers`);
    this.#macs = now;
  }

  #tellFrozen(entries: FdbReport['entries']): void {
    const now = new Set<string>(); // bounded by MAX_WATCHED_MACS
    let told = 0;
    for (const { mac, vni, peer, rival, frozenMs } of entries) {
      if (frozenMs === null || now.size >= MAX_WATCHED_MACS) continue;
      const key = `${vni} ${mac}`;
      now.add(key);
      if (this.#frozen.has(key) || told >= MAX_MOVES_TOLD) continue;
      told += 1;
      const text = `${peer ?? 'this host'} keeps it for ${Math.round(frozenMs / 1000)} s, ${rival ?? 'this host'} claims it too, vni ${vni}`;
      this.#ring.add('mac-frozen', mac, text);
    }
    this.#frozen = now;
  }
}
