/**
 * Admitting on this host: what it may know of the other members (names, keys and addresses in use, uses of tokens that other
 * admitters gave), and what is told of each decision. Part of the composition root.
 */
import type { Logger } from 'pino';
import type { GossipNode } from '../gossip/index.ts';
import type { JoinAsk } from './agent-forward.ts';
import { isReleased } from './agent-view.ts';
import type { Clock } from './clock.ts';
import type { EventRing } from './control/event-ring.ts';
import type { AdmissionRow } from './identity/admission-log.ts';
import { encodeRefused, REFUSAL, type RefusalCode } from './identity/admission-reply.ts';
import type { Admitter, MeshView } from './identity/admitter.ts';
import type { ReadNodeCert } from './identity/node-cert.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import type { ReceiptBook } from './identity/receipt-book.ts';
import { equalBytes, fromHex, toHex } from './identity/sodium.ts';
import { parseTokenCert } from './identity/token.ts';
import type { GossipTrust } from './peer/gossip-trust.ts';

export interface ViewParts {
  readonly identity: NodeIdentity;
  readonly trust: GossipTrust;
  readonly receipts: ReceiptBook;
  readonly clock: Clock;
  /** Asked only while the agent runs: it is built after this. */
  readonly gossip: () => GossipNode;
}

/** What is in use is read again after this. */
const FRESH_MS = 20;

/** Names, keys and addresses by who has them; bounded by the members and receipts that are kept. */
const indexOf = (certs: readonly ReadNodeCert[]) => ({
  names: new Map(certs.map(({ name, nodeIdHex }) => [name, nodeIdHex])), // bounded by the members
  keys: new Map(
    // bounded by the members
    certs.flatMap(({ signPk, dhPk, nodeIdHex }) =>
      [signPk, dhPk].map((key): [string, string] => [toHex(key), nodeIdHex]),
    ),
  ),
  addresses: new Set(
    // bounded by the members
    certs.flatMap(({ addresses }) => addresses.map((a) => `${a.vni} ${a.prefix.ip}`)),
  ),
});

/** What a host may not be given because somebody has it: also somebody who is off, or was let in and has not been met yet. */
export function admittersView({ identity, trust, receipts, clock, gossip }: ViewParts): MeshView {
  // Whom the mesh put out holds nothing any more.
  const isGone = (nodeId: string): boolean =>
    identity.trust.revocations.holds('node', fromHex(nodeId)) ||
    isReleased(gossip(), identity.meshId, nodeId);
  /** Hosts whose certificate is good, other than this one. */
  const holders = (): ReadNodeCert[] => {
    const members = gossip()
      .swim.members()
      .flatMap(({ record }) => trust.knownCert(record.credential) ?? []);
    const now = identity.trust.nowMs();
    const heard = [...receipts.all(), ...identity.trust.knownAdmitters()].filter(
      (cert) => cert.expiresMs > now && identity.trust.verifyNodeCert(cert.record.bytes, null).ok,
    );
    return [...members, ...heard].filter(({ nodeIdHex }) => !isGone(nodeIdHex));
  };
  let read = indexOf([]);
  let readAtMs = Number.NEGATIVE_INFINITY;
  /** Read once for a decision, which asks for one address after another. */
  const held = (): ReturnType<typeof indexOf> => {
    const now = clock.monotonicMs();
    if (now - readAtMs <= FRESH_MS) return read;
    readAtMs = now;
    read = indexOf(holders());
    return read;
  };
  return {
    nameHolder: (name) =>
      name === identity.cert.name ? identity.cert.nodeIdHex : (held().names.get(name) ?? null),
    keyHolder: (signPk, dhPk) => held().keys.get(toHex(signPk)) ?? held().keys.get(toHex(dhPk)) ?? null,
    addressInUse: (vni, ip) =>
      identity.cert.addresses.some((a) => a.vni === vni && a.prefix.ip === ip) ||
      held().addresses.has(`${vni} ${ip}`),
    isReleased: isGone,
    usesOf: (tokenId) => receipts.usesOf(tokenId),
    receiptOf: (nodeId) => receipts.of(nodeId),
  };
}

/** Requests to be admitted that this host has decided, by outcome. */
export type AdmissionCounts = Record<RefusalCode | 'admitted' | 'repeated', number>;

export interface DecidingParts {
  readonly identity: NodeIdentity;
  readonly admitter: Admitter;
  readonly log: Logger;
  readonly events: EventRing;
  readonly admitted: (row: AdmissionRow) => void;
}

/** This host's decisions, and how many there were of each kind. */
export class Admissions {
  readonly #p: DecidingParts;
  readonly counts: AdmissionCounts;

  constructor(parts: DecidingParts) {
    this.#p = parts;
    const outcomes = ['admitted', 'repeated', ...Object.keys(REFUSAL)];
    this.counts = Object.fromEntries(outcomes.map((outcome) => [outcome, 0])) as AdmissionCounts;
  }

  /** The answer to a host that asks to join; null when another host is to decide. */
  decide({ tokenCert, request, dhPk, fromIp }: JoinAsk): Uint8Array | null {
    const { identity, admitter, log, events, admitted } = this.#p;
    if (!identity.trust.mayAdmit(identity.cert)) return this.#refuseOwn(tokenCert);
    const outcome = admitter.handle(tokenCert, request, { dhPk, fromIp });
    if (outcome.refused === 'notAdmitter') return null;
    this.counts[outcome.refused ?? (outcome.admitted === null ? 'repeated' : 'admitted')] += 1;
    if (outcome.admitted !== null) {
      const { name, slot } = outcome.admitted;
      log.info({ name, slot }, 'admitted');
      events.add('admitted', name, 'joined with a token of this mesh, admitted by this host');
      admitted(outcome.admitted);
    } else if (outcome.refused !== null) {
      log.info({ reason: outcome.refused }, 'refused a host');
      events.add('refused', null, outcome.refused);
    }
    return outcome.reply;
  }

  /** A token that only this host counts, which may not do so any more, is worth nothing: nobody else can say so. */
  #refuseOwn(tokenCert: Uint8Array): Uint8Array | null {
    const { cert, meshId, trust } = this.#p.identity;
    const token = parseTokenCert(tokenCert, meshId, trust.roots);
    if (token === null || token.count === 'each' || !equalBytes(token.admitterId, cert.nodeId)) return null;
    this.counts.notAdmitter += 1;
    return encodeRefused(
      'notAdmitter',
      `host ${cert.name}, which counts this token, is no admitter any more: create a new token`,
    );
  }
}
