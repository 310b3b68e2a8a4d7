/**
 * Certificates are judged again when something ended some of them: a statement of the mesh, or time. Whoever fails is put
 * out at once: session cut, keys zeroed, FDB entries flushed. If that is this host, it says so and stops. Part of the
 * composition root.
 */
import type { Logger } from 'pino';
import type { GossipNode } from '../gossip/index.ts';
import type { Mesh } from './agent-mesh.ts';
import { type Clock, systemRng } from './clock.ts';
import type { EventRing } from './control/event-ring.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import type { ReadRevocation } from './identity/revocation.ts';
import { equalBytes, toHex } from './identity/sodium.ts';
import { revokedText } from './identity/trust-store.ts';
import type { GossipTrust } from './peer/gossip-trust.ts';

export interface VerdictParts {
  readonly identity: NodeIdentity;
  readonly trust: GossipTrust;
  readonly gossip: GossipNode;
  readonly mesh: Mesh;
  readonly events: EventRing;
  readonly clock: Clock;
  readonly log: Logger;
  /** This host itself was revoked; the reason is for people. */
  readonly onRevoked: (reason: string) => void;
  /** Another policy is in force. */
  readonly onPolicy: () => void;
}

/** A record of a host is good for 30 days: it says it again long before. */
const DAY_MS = 86_400_000;
/** Between two looks at who has ended. */
const LONGEST_WAIT_MS = 60_000;
const SHORTEST_WAIT_MS = 500;
/** Each host says once what it knows now, spread over more time in a larger mesh. */
const RESTATE_MS = 500;
const RESTATE_MS_PER_MEMBER = 20;

const subjectOf = ({ kind, target }: ReadRevocation): string => `${kind} ${toHex(target)}`;

export class Verdicts {
  readonly #p: VerdictParts;
  /** What was revoked and reported; bounded by MAX_REVOCATIONS. */
  #reported = new Set<string>();
  #cancelRestate: (() => void) | null = null;
  #cancelExpiry: () => void = () => {};
  #cancelDaily: () => void = () => {};
  #policyId: Uint8Array;
  #over = false;

  constructor(parts: VerdictParts) {
    this.#p = parts;
    this.#policyId = parts.identity.policy.id;
    this.#reported = new Set(parts.identity.trust.revocations.all().map(subjectOf));
  }

  stop(): void {
    this.#over = true;
    this.#cancelRestate?.();
    this.#cancelExpiry();
    this.#cancelDaily();
  }

  start(): void {
    this.#cancelDaily = this.#p.clock.every(DAY_MS, () => this.#p.gossip.restate());
    this.#untilExpiry();
  }

  /** Looks when the next certificate ends, and now and then, for the clock may be set and certificates come. */
  #untilExpiry(): void {
    const { identity, gossip, trust, clock } = this.#p;
    const leewayMs = identity.trust.policy.leewaySec * 1000;
    const now = identity.trust.nowMs();
    let waitMs = LONGEST_WAIT_MS;
    for (const m of gossip.swim.members()) {
      const endsMs = trust.endOf(m.record.credential);
      if (endsMs !== null) waitMs = Math.min(waitMs, endsMs + leewayMs - now);
    }
    this.#cancelExpiry();
    this.#cancelExpiry = clock.after(Math.max(SHORTEST_WAIT_MS, waitMs), () => {
      trust.forgetVerdicts();
      this.recheck();
      this.#untilExpiry();
    });
  }

  /** A statement came into force. */
  changed(): void {
    if (this.#over) return;
    const { identity, trust } = this.#p;
    trust.forgetVerdicts();
    for (const r of identity.trust.revocations.all()) this.#report(r);
    this.#reportPolicy();
    this.#p.mesh.agree();
    const own = identity.trust.revocationOf(identity.certBytes, identity.admitterBytes);
    if (own !== null) return this.#end(revokedText(identity.cert, own));
    this.recheck();
    this.#restateSoon();
  }

  /** Puts out whoever's certificate is good no more. */
  recheck(): void {
    this.#p.gossip.recheck();
    this.#p.mesh.forgetStrangers();
  }

  #report(r: ReadRevocation): void {
    // A new root says again what older ones had said.
    const id = subjectOf(r);
    if (this.#reported.has(id)) return;
    this.#reported.add(id);
    const { events, log } = this.#p;
    const why = r.reason === '' ? '' : `: ${r.reason}`;
    events.add('revocation', r.label, `${r.kind} revoked${why}`);
    log.warn({ kind: r.kind, what: r.label, reason: r.reason || undefined }, 'revoked');
  }

  #reportPolicy(): void {
    const { identity, events, log } = this.#p;
    const { seq, id } = identity.policy;
    if (equalBytes(id, this.#policyId)) return;
    this.#policyId = id;
    events.add('policy', String(seq), 'a new policy is in force');
    log.info({ seq }, 'policy in force');
    this.#p.onPolicy();
  }

  #restateSoon(): void {
    if (this.#cancelRestate !== null) return;
    const { clock, gossip } = this.#p;
    const members = gossip.swim.stats().members.alive;
    const spreadMs = RESTATE_MS + RESTATE_MS_PER_MEMBER * members;
    this.#cancelRestate = clock.after(systemRng.float() * spreadMs, () => {
      this.#cancelRestate = null;
      gossip.restate();
    });
  }

  #end(reason: string): void {
    this.stop();
    const { gossip, mesh, log, events, identity, onRevoked } = this.#p;
    log.error({ reason }, 'this host was revoked: it stops');
    events.add('revocation', identity.cert.name, reason);
    void mesh.cutAll('this host was revoked').then(
      () => gossip.stop(),
      (error) => log.warn({ error: String(error) }, 'could not be cut cleanly'),
    );
    onRevoked(`${reason}; to join anew this host needs a new token and an empty --state`);
  }
}
