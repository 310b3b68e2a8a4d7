/**
 * Several admitters: the host with the root gives members the right to admit and takes it again; a member takes the certificate
 * that it is handed. A grant waits on disk until its host shows it. Part of the composition root.
 */
import type { Logger } from 'pino';
import type { GossipNode } from '../gossip/index.ts';
import { findMember } from './agent-revoke.ts';
import type { StatementBook } from './agent-statements.ts';
import type { Verdicts } from './agent-verdicts.ts';
import type { Clock } from './clock.ts';
import type { AdmitterChange, AdmitterReport, AdmittersReport } from './control/admission-types.ts';
import type { EventRing } from './control/event-ring.ts';
import { WeftError } from './errors.ts';
import {
  decodeGrantOffer,
  encodeGrantOffer,
  problemOfOffer,
  signGrant,
  signOrdinary,
} from './identity/grant.ts';
import type { GrantBook } from './identity/grant-book.ts';
import { CAP, type ReadNodeCert } from './identity/node-cert.ts';
import { installCertificate, type NodeIdentity } from './identity/node-identity.ts';
import { recordSignedBy } from './identity/record.ts';
import { MAX_GRANT_PARTS, MAX_KEPT_CERTS, signRevocation } from './identity/revocation.ts';
import { fromHex, toHex } from './identity/sodium.ts';
import type { StateDir } from './identity/state-dir.ts';
import type { GossipTrust } from './peer/gossip-trust.ts';

export interface AdmittersParts {
  readonly identity: NodeIdentity;
  readonly state: StateDir;
  readonly grants: GrantBook;
  readonly gossip: GossipNode;
  readonly trust: GossipTrust;
  readonly statements: StatementBook;
  readonly verdicts: Verdicts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRing;
  /** Certificates that admitters have issued and told of, for whom they are kept when one of them goes. */
  readonly issued: () => readonly ReadNodeCert[];
  readonly hasSession: (id: string) => boolean;
  readonly tell: (id: string, reply: boolean, body: Uint8Array) => void;
  /** Another certificate is in force: others should hear of it. */
  readonly renewed: () => void;
}

/** Between two attempts to hand a certificate over. */
const DELIVER_MS = 2000;
/** How long a verb waits to see that the host has it. */
const SEEN_MS = 3000;
const LOOK_MS = 50;

export class Admitters {
  readonly #p: AdmittersParts;
  /** Ordinary certificates for hosts that may admit no more, by node id; bounded by the grants that were ended. */
  readonly #ordinary = new Map<string, ReadNodeCert>();
  #stop: () => void = () => {};

  constructor(parts: AdmittersParts) {
    this.#p = parts;
  }

  start(): void {
    const { identity, clock } = this.#p;
    // A host may come to hold the root while it runs.
    this.#stop = clock.every(DELIVER_MS, () => {
      if (identity.root !== null) this.#deliver();
    });
  }

  stop(): void {
    this.#stop();
  }

  #certOf(id: string): ReadNodeCert | null {
    const { gossip, trust } = this.#p;
    const member = gossip.swim.member(id);
    return member === undefined ? null : trust.knownCert(member.record.credential);
  }

  // --- on the host with the root ---------------------------------------------------------------------------------------

  #root(): Uint8Array {
    const { root } = this.#p.identity;
    if (root !== null) return root.secretKey;
    throw new WeftError(
      'E_REFUSED',
      'this host does not hold the root of the mesh: change admitters on the host that ran `weft init`',
    );
  }

  /** @throws WeftError E_NOT_FOUND, E_REQUEST */
  #member(what: string): ReadNodeCert {
    const { identity, gossip, trust } = this.#p;
    const certs = gossip.swim.members().flatMap(({ record }) => trust.knownCert(record.credential) ?? []);
    const cert = findMember([identity.cert, ...certs], what);
    if (cert !== null) return cert;
    throw new WeftError('E_NOT_FOUND', `there is no member '${what}': see \`weft members\``);
  }

  /** The next number of a host's certificates, above all that were signed for it and that a grant's end names. */
  #nextGeneration(cert: ReadNodeCert): number {
    const { identity, grants } = this.#p;
    const ended = identity.trust.revocations
      .all()
      .flatMap(({ grant, target }) => (grant && toHex(target) === cert.nodeIdHex ? grant.generation : []));
    const signed = [grants.of(cert.nodeIdHex), this.#ordinary.get(cert.nodeIdHex)];
    return Math.max(cert.generation, ...ended, ...signed.map((c) => c?.generation ?? 0)) + 1;
  }

  /** @throws WeftError E_REFUSED, E_NOT_FOUND, E_REQUEST */
  async add(what: string): Promise<AdmitterChange> {
    const root = this.#root();
    const { identity, grants } = this.#p;
    const cert = this.#member(what);
    if (identity.trust.mayAdmit(cert))
      throw new WeftError(
        'E_REFUSED',
        `host ${cert.name} may admit others already: see \`weft admitter list\``,
      );
    if (grants.isFull)
      throw new WeftError(
        'E_REFUSED',
        'too many grants wait for hosts that are off: start some of them first',
      );
    this.#grant(cert, root);
    return this.#seen(cert, true, [], 0);
  }

  #grant(cert: ReadNodeCert, root: Uint8Array): void {
    const { identity, grants } = this.#p;
    const generation = this.#nextGeneration(cert);
    const bytes = signGrant(cert, root, { trust: identity.trust, generation });
    const verdict = identity.trust.verifyNodeCert(bytes, null);
    if (!verdict.ok) throw new WeftError('E_REFUSED', `host ${cert.name}: ${verdict.reason}`);
    grants.put(verdict.cert);
    this.#ordinary.delete(cert.nodeIdHex);
    this.#deliver();
  }

  /** @throws WeftError E_REFUSED, E_NOT_FOUND, E_REQUEST */
  async remove(what: string): Promise<AdmitterChange> {
    const root = this.#root();
    const { identity, grants, statements, gossip, verdicts, clock } = this.#p;
    const cert = this.#member(what);
    if (cert.nodeIdHex === identity.cert.nodeIdHex)
      throw new WeftError(
        'E_REFUSED',
        `host ${cert.name} holds the root of the mesh: it remains an admitter`,
      );
    const granted = grants.of(cert.nodeIdHex);
    if (granted === undefined && !identity.trust.mayAdmit(cert))
      throw new WeftError('E_REFUSED', `host ${cert.name} is no admitter: see \`weft admitter list\``);
    const generation = Math.max(cert.generation, granted?.generation ?? 0);
    const keep = this.#issuedBy(cert.nodeIdHex);
    const parts = Math.max(1, Math.ceil(keep.length / MAX_KEPT_CERTS));
    if (parts > MAX_GRANT_PARTS)
      throw new WeftError(
        'E_REFUSED',
        `host ${cert.name} certified ${keep.length} hosts, more than ${MAX_GRANT_PARTS * MAX_KEPT_CERTS}: wait until others have renewed some of them`,
      );
    const timeMs = Math.max(clock.wallMs(), identity.trust.nowMs());
    const before = this.#names();
    const ids = Array.from({ length: parts }, (_, i) => {
      const end = {
        kind: 'grant' as const,
        target: cert.nodeId,
        label: cert.name,
        reason: '',
        keep: keep.slice(i * MAX_KEPT_CERTS, (i + 1) * MAX_KEPT_CERTS),
        grant: { generation, part: i + 1, parts },
        timeMs,
      };
      const statement = signRevocation(end, identity.meshId, { secretKey: root, cert: null });
      return statements.receive(statement);
    });
    grants.remove(cert.nodeIdHex);
    for (const taken of ids) {
      if (typeof taken === 'string')
        throw new WeftError('E_REFUSED', 'the statement was not taken: there are too many revocations');
      gossip.tell(taken.id);
    }
    verdicts.changed();
    this.#deliver();
    const left = this.#names();
    const out = [...before].flatMap(([id, name]) => (left.has(id) ? [] : name));
    return this.#seen(cert, false, out.sort(), keep.length);
  }

  /** Names of the members that are known now, by node id. */
  #names(): Map<string, string> {
    const members = this.#p.gossip.swim.members();
    return new Map(members.map(({ id }) => [id, this.#certOf(id)?.name ?? id.slice(0, 8)]));
  }

  /** First bytes of the ids of all certificates that a host has issued, as far as this one knows. */
  #issuedBy(nodeIdHex: string): Uint8Array[] {
    const { identity, gossip, trust, issued } = this.#p;
    const certs = gossip.swim.members().flatMap(({ record }) => trust.knownCert(record.credential) ?? []);
    const ids = new Set<string>();
    for (const cert of [identity.cert, ...certs, ...issued()])
      if (identity.trust.issuerOf(cert)?.nodeIdHex === nodeIdHex) ids.add(toHex(cert.record.id).slice(0, 32));
    return [...ids].sort().map(fromHex);
  }

  /** What to hand to a host: a grant that waits, or the certificate without a right that was ended. */
  #due(cert: ReadNodeCert): ReadNodeCert | null {
    const { identity, grants } = this.#p;
    const { trust, keys } = identity;
    const waiting = grants.of(cert.nodeIdHex);
    if (waiting !== undefined) {
      if (trust.mayAdmit(cert)) {
        grants.remove(cert.nodeIdHex);
        return null;
      }
      // It was renewed in between, or the root is another now: what waits is worth nothing any more.
      const isStale = waiting.generation <= cert.generation || !this.#isOfRoot(waiting);
      if (isStale && identity.root !== null) this.#grant(cert, identity.root.secretKey);
      return grants.of(cert.nodeIdHex) ?? null;
    }
    if (!(cert.caps & CAP.admit) || trust.mayAdmit(cert)) {
      this.#ordinary.delete(cert.nodeIdHex);
      return null;
    }
    const known = this.#ordinary.get(cert.nodeIdHex);
    if (known !== undefined && known.generation > cert.generation) return known;
    const parts = { trust, generation: this.#nextGeneration(cert) };
    const bytes = signOrdinary(cert, identity.cert, keys.sign.secretKey, parts);
    const verdict = trust.verifyNodeCert(bytes, identity.certBytes);
    if (!verdict.ok) return null;
    this.#ordinary.set(cert.nodeIdHex, verdict.cert);
    return verdict.cert;
  }

  #isOfRoot({ record }: ReadNodeCert): boolean {
    const { root } = this.#p.identity;
    return root !== null && recordSignedBy(record, root.publicKey);
  }

  /** Hands over what is due to whom there is a session with; again until its own record shows it. */
  #deliver(): void {
    const { identity, grants, hasSession, tell } = this.#p;
    const ids = new Set([
      ...grants.all().map(({ nodeIdHex }) => nodeIdHex),
      ...identity.trust.revocations.grantsEnded(),
    ]);
    for (const id of ids) {
      const cert = hasSession(id) ? this.#certOf(id) : null;
      const due = cert === null ? null : this.#due(cert);
      if (due === null) continue;
      const issuer = due.caps & CAP.admit ? new Uint8Array(0) : identity.certBytes;
      tell(id, false, encodeGrantOffer({ cert: due.record.bytes, issuer }));
    }
  }

  /** Waits a moment for the host to show its new certificate. */
  async #seen(
    { name, nodeIdHex }: ReadNodeCert,
    admits: boolean,
    hosts: readonly string[],
    kept: number,
  ): Promise<AdmitterChange> {
    const { identity, clock } = this.#p;
    const endMs = clock.monotonicMs() + SEEN_MS;
    const has = (): boolean => {
      const cert = this.#certOf(nodeIdHex);
      return cert !== null && (admits ? identity.trust.mayAdmit(cert) : !(cert.caps & CAP.admit));
    };
    while (!has() && clock.monotonicMs() < endMs)
      await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
    return { v: 1, name, nodeId: nodeIdHex, admits, delivered: has(), kept, hosts };
  }

  // --- on any host -----------------------------------------------------------------------------------------------------

  /** Names of the other members that may admit. */
  others(): string[] {
    const { identity, gossip } = this.#p;
    const certs = gossip.swim.members().flatMap(({ id }) => this.#certOf(id) ?? []);
    return certs.flatMap((cert) => (identity.trust.mayAdmit(cert) ? cert.name : [])).sort();
  }

  list(): AdmittersReport {
    const { identity, gossip, trust, grants } = this.#p;
    const { cert: self } = identity;
    const row = (cert: ReadNodeCert, state: AdmitterReport['state']): AdmitterReport => {
      const waits = grants.of(cert.nodeIdHex) !== undefined;
      const admits = identity.trust.mayAdmit(cert);
      const removing = identity.root !== null && !admits && !waits;
      return {
        name: cert.name,
        nodeId: cert.nodeIdHex,
        state,
        self: cert.nodeIdHex === self.nodeIdHex,
        root: cert.nodeIdHex === self.nodeIdHex && identity.root !== null,
        admits,
        expiresAt: cert.expiresMs,
        pending: waits && !admits ? 'add' : removing ? 'remove' : null,
        certified: this.#issuedBy(cert.nodeIdHex).length,
      };
    };
    const shown = (cert: ReadNodeCert): boolean =>
      (cert.caps & CAP.admit) !== 0 || grants.of(cert.nodeIdHex) !== undefined;
    const others = gossip.swim.members().flatMap((m) => {
      const cert = trust.knownCert(m.record.credential);
      return cert !== null && shown(cert) ? row(cert, m.state) : [];
    });
    const known = new Set(others.map(({ nodeId }) => nodeId));
    // After a restart a host that is off may not have been heard of yet.
    const unheard = grants
      .all()
      .filter(({ nodeIdHex }) => !known.has(nodeIdHex))
      .map((cert): AdmitterReport => ({ ...row(cert, null), admits: false, pending: 'add' }));
    const all = [...(shown(self) ? [row(self, 'alive')] : []), ...others, ...unheard];
    return { v: 1, admitters: all.sort((a, b) => a.name.localeCompare(b.name)) };
  }

  /** A message of another member: a certificate for this host. What it says is all that counts, not who brings it. */
  message(body: Uint8Array): void {
    const { identity, state, events, log, renewed } = this.#p;
    const offer = decodeGrantOffer(body);
    if (offer === null || Buffer.compare(offer.cert, identity.certBytes) === 0) return;
    const problem = problemOfOffer(identity.trust, identity.cert, offer);
    const verdict = identity.trust.verifyNodeCert(offer.cert, offer.issuer);
    if (problem !== null || !verdict.ok) return log.debug({ problem }, 'a certificate was not taken');
    const { cert } = verdict;
    installCertificate(identity, state, cert, offer.cert, offer.issuer);
    const admits = identity.trust.mayAdmit(cert);
    const text = admits ? 'this host may admit others' : 'this host may admit nobody any more';
    log.info({ generation: cert.generation }, text);
    events.add('admitter', cert.name, text);
    renewed();
  }
}
