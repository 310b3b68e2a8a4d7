/**
 * The remote hosts and plain endpoints that the data path may send to, each in a numbered slot that the workers' shared
 * tables use as its name. Bookkeeping only: agent.ts and mesh-link.ts act on it, control reads it.
 *
 * A slot is reused only after its previous holder was removed from every worker, so a late packet of the old holder
 * never counts for the new one.
 */
import type { Endpoint } from '../endpoint.ts';

/** Members and plain endpoints together; the shared tables of the data path have this many slots. */
export const MAX_PEERS = 1024;

export type PeerState = 'up' | 'handshaking' | 'down';

interface PeerBase {
  readonly slot: number;
  name: string;
  /** Where its sealed socket, or its plain port, listens. */
  endpoint: Endpoint;
}

/** A certified member of the mesh. */
export interface MemberPeer extends PeerBase {
  readonly kind: 'member';
  /** 64 hex digits. */
  readonly id: string;
  state: PeerState;
  /** Why it is not up; null when it is. */
  reason: string | null;
  /** Overlay address with prefix, as certified; null when the certificate has none for this segment. */
  address: string | null;
  readonly vnis: readonly number[];
  readonly signPk: Uint8Array;
  readonly dhPk: Uint8Array;
  rttMs: number | null;
  /** Share of the newest liveness probes without an answer, 0 to 1. */
  probeLoss: number | null;
  /** Where the peer sees this host's listening socket send from; null before it said so. */
  seenAs: Endpoint | null;
  /** Clock.monotonicMs of the last completed handshake. */
  lastHandshakeAtMs: number | null;
  /** Clock.wallMs of the same, for metrics. */
  lastHandshakeWallMs: number | null;
}

/** A plain VXLAN or Geneve endpoint that is no agent. */
export interface VtepPeer extends PeerBase {
  readonly kind: 'vtep';
  readonly vni: number;
}

export type Peer = MemberPeer | VtepPeer;

export class PeerTable {
  /** By slot; bounded by MAX_PEERS. */
  readonly #slots: (Peer | undefined)[] = new Array<Peer | undefined>(MAX_PEERS).fill(undefined);
  /** By node id; bounded by MAX_PEERS. */
  readonly #members = new Map<string, MemberPeer>();
  /** Slots still known to a worker; bounded by MAX_PEERS. */
  readonly #retiring = new Set<number>();

  /** The lowest slot that nobody holds or is leaving; null when the table is full. */
  #freeSlot(): number | null {
    const slot = this.#slots.findIndex((peer, i) => peer === undefined && !this.#retiring.has(i));
    return slot < 0 ? null : slot;
  }

  /** Adds a member. Null when the table is full. */
  addMember(member: Omit<MemberPeer, 'kind' | 'slot'>): MemberPeer | null {
    const slot = this.#freeSlot();
    if (slot === null) return null;
    const peer: MemberPeer = { kind: 'member', slot, ...member };
    this.#slots[slot] = peer;
    this.#members.set(peer.id, peer);
    return peer;
  }

  /** Adds a plain endpoint. Null when the table is full. */
  addVtep(vni: number, endpoint: Endpoint, name: string): VtepPeer | null {
    const slot = this.#freeSlot();
    if (slot === null) return null;
    const peer: VtepPeer = { kind: 'vtep', slot, vni, endpoint, name };
    this.#slots[slot] = peer;
    return peer;
  }

  /** Takes the peer out; its slot stays reserved until `release`. */
  remove(peer: Peer): void {
    this.#slots[peer.slot] = undefined;
    this.#retiring.add(peer.slot);
    if (peer.kind === 'member') this.#members.delete(peer.id);
  }

  /** Every worker has forgotten the slot. */
  release(slot: number): void {
    this.#retiring.delete(slot);
  }

  bySlot(slot: number): Peer | undefined {
    return this.#slots[slot];
  }

  byId(id: string): MemberPeer | undefined {
    return this.#members.get(id);
  }

  members(): readonly MemberPeer[] {
    return [...this.#members.values()];
  }

  vteps(): readonly VtepPeer[] {
    return this.#slots.filter((peer): peer is VtepPeer => peer?.kind === 'vtep');
  }
}
