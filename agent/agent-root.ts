/**
 * `weft root` on a host that holds the root of the mesh, or is about to: replaces the root, or names this host's as the new
 * one with the recovery key. Each step is on disk before the next begins and is found done when the verb is given again, so
 * that whatever ends the agent in between costs nothing. Part of the composition root; the rules are in identity/.
 *
 *   new key on disk -> policy that adds it -> own certificate and revocations signed by it -> the others renew
 *     -> policy that takes the old roots away and adopts certificates still in use -> the new key is the key
 */
import type { GossipNode } from '../gossip/index.ts';
import type { Renewal } from './agent-renewal.ts';
import { certifiedMembers, findMember } from './agent-revoke.ts';
import type { StatementBook } from './agent-statements.ts';
import type { Verdicts } from './agent-verdicts.ts';
import type { Clock, Rng } from './clock.ts';
import type { RecoverRequest, RootChangeReport, RootsReport, RotateRequest } from './control/root-types.ts';
import { WeftError } from './errors.ts';
import type { AdmissionLog } from './identity/admission-log.ts';
import { ADMITTER_LIFE_MS } from './identity/genesis.ts';
import { adoptedFrom, type PolicyChange, signNext } from './identity/next-policy.ts';
import { CAP, NO_ISSUER, parseNodeCert, type ReadNodeCert } from './identity/node-cert.ts';
import { type NodeIdentity, promoteRootKey } from './identity/node-identity.ts';
import { equalsAny, newestRoot } from './identity/policy.ts';
import type { ReceiptBook } from './identity/receipt-book.ts';
import { recordSignedBy } from './identity/record.ts';
import { parseRecoveryKey } from './identity/recovery-key.ts';
import { signByRoot } from './identity/renewal.ts';
import {
  MAX_KEPT_CERTS,
  type ReadRevocation,
  type Revocation,
  signRevocation,
} from './identity/revocation.ts';
import { equalBytes, type KeyPair, signingKeyPair, toHex } from './identity/sodium.ts';
import { STATE_FILE, type StateDir } from './identity/state-dir.ts';
import type { GossipTrust } from './peer/gossip-trust.ts';

export interface RootParts {
  readonly identity: NodeIdentity;
  readonly state: StateDir;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly gossip: GossipNode;
  readonly trust: GossipTrust;
  readonly statements: StatementBook;
  readonly verdicts: Verdicts;
  readonly renewal: Renewal;
  readonly admissions: AdmissionLog;
  readonly receipts: ReceiptBook;
}

const FIRST_HOST_CAPS = CAP.admit | CAP.revoke | CAP.relay;
const SHORT = 16;
/** A host that runs has been heard of again so long after this one started. */
const HEARD_MS = 15_000;
const NOTHING_TOLD = { kept: [], dropped: [] } as const;

export class RootKeeper {
  readonly #p: RootParts;
  readonly #startedMs: number;

  constructor(parts: RootParts) {
    this.#p = parts;
    this.#startedMs = parts.clock.monotonicMs();
  }

  list(): RootsReport {
    const { identity } = this.#p;
    const { policy, root } = identity;
    const isHere = (pk: Uint8Array): boolean => root !== null && equalBytes(root.publicKey, pk);
    return {
      v: 1,
      policySeq: policy.seq,
      roots: [
        ...policy.roots.map((pk) => ({
          id: toHex(pk),
          kind: 'root' as const,
          newest: equalBytes(pk, newestRoot(policy)),
          here: isHere(pk),
        })),
        ...policy.recovery.map((pk) => ({
          id: toHex(pk),
          kind: 'recovery' as const,
          newest: false,
          here: false,
        })),
      ],
      adopted: policy.adopted.map(toHex),
      waiting: this.#waiting(),
    };
  }

  /** Living members whose membership hangs on an older root. */
  #waiting(): string[] {
    const { gossip, trust, identity } = this.#p;
    const waiting = gossip.swim.members().flatMap(({ state, record: { credential } }) => {
      const cert = state === 'alive' ? trust.certOf(credential) : null;
      if (cert === null) return [];
      const length = cert.record.bytes.length;
      const issuer = credential.subarray(length);
      return identity.trust.hangsOnOlderRoot(credential.subarray(0, length), issuer) ? cert.name : [];
    });
    return [...new Set([...waiting, ...this.#unheard()])].sort();
  }

  /**
   * Hosts that this one or another admitter let in and that this start has not heard of yet: whether their membership hangs on
   * an older root is not known, and to end that root would put them out.
   */
  #unheard(): string[] {
    const { gossip, identity, receipts, clock } = this.#p;
    if (clock.monotonicMs() - this.#startedMs >= HEARD_MS) return [];
    return [...this.#known(), ...receipts.all()]
      .filter(({ nodeIdHex }) => nodeIdHex !== identity.cert.nodeIdHex)
      .filter(({ nodeIdHex }) => gossip.swim.member(nodeIdHex) === undefined)
      .filter(({ record }) => identity.trust.revocationOf(record.bytes, null) === null)
      .map(({ name }) => name);
  }

  /** @throws WeftError E_REFUSED on a host without the root */
  rotate({ finish }: RotateRequest): RootChangeReport {
    const { identity } = this.#p;
    const held = identity.root;
    if (held === null)
      throw new WeftError(
        'E_REFUSED',
        'this host does not hold the root of the mesh: rotate it where it is, or see `weft root recover`',
      );
    const next = this.#nextKey();
    const { roots } = identity.policy;
    if (!equalsAny(roots, next.publicKey)) this.#step({ roots: [...roots, next.publicKey] }, held.secretKey);
    return this.#settle(next, finish, NOTHING_TOLD);
  }

  /** @throws WeftError E_REQUEST, E_REFUSED for a key that is none of this mesh, E_NOT_FOUND */
  recover(request: RecoverRequest): RootChangeReport {
    const { identity } = this.#p;
    const key = parseRecoveryKey(request.key, identity.meshId);
    if (!equalsAny(identity.policy.recovery, key.publicKey))
      throw new WeftError(
        'E_REFUSED',
        'the policy in force does not name this recovery key: it was replaced, or this host has not heard of it yet',
      );
    return request.stolenFrom === null
      ? this.#recoverLost(key, request.finish)
      : this.#recoverStolen(key, request.stolenFrom, request.keep);
  }

  /** The old root is nobody's: it stays beside the new one until what it signed was signed again. */
  #recoverLost(key: KeyPair, finish: boolean): RootChangeReport {
    const { identity, state } = this.#p;
    const { root } = identity;
    const { roots } = identity.policy;
    // Done before, and asked for again.
    if (root !== null && roots.length === 1 && !state.has(STATE_FILE.nextRootKey))
      return this.#settle(root, finish, NOTHING_TOLD);
    const next = this.#nextKey();
    if (!equalsAny(roots, next.publicKey)) this.#step({ roots: [...roots, next.publicKey] }, key.secretKey);
    return this.#settle(next, finish, NOTHING_TOLD);
  }

  /** The old root is somebody else's: it ends with the first step, and so does what it signed, but what is kept by name. */
  #recoverStolen(key: KeyPair, from: string, keep: readonly string[]): RootChangeReport {
    const { identity, statements, state } = this.#p;
    const { root } = identity;
    const ended = identity.trust.revocations.all().find((r) => r.kind === 'admitter' && r.label === from);
    if (ended !== undefined && root !== null && !state.has(STATE_FILE.nextRootKey))
      return this.#settle(root, true, NOTHING_TOLD);
    const thief = this.#find(from);
    if (thief.nodeIdHex === identity.cert.nodeIdHex)
      throw new WeftError(
        'E_REFUSED',
        `'${from}' is this host, whose keys were stolen: recover on another member`,
      );
    const kept = this.#toKeep(thief, keep);
    const next = this.#nextKey();
    const dropped = this.#ofOlderRoots(next);
    const adopted = adoptedFrom(identity.policy, this.#inUse(next));
    if (!equalsAny(identity.policy.roots, next.publicKey) || identity.policy.roots.length > 1)
      this.#step({ roots: [next.publicKey], adopted }, key.secretKey);
    const set = identity.trust.revocations;
    if (!set.holds('admitter', thief.nodeId)) {
      const facts = {
        kind: 'admitter' as const,
        target: thief.nodeId,
        label: thief.name,
        reason: 'the root key was stolen there',
        keep: kept.map((cert) => cert.record.id.slice(0, SHORT)),
        timeMs: identity.trust.nowMs(),
      };
      const taken = statements.receive(this.#revocation(facts, next));
      if (typeof taken !== 'string') this.#p.gossip.tell(taken.id);
      this.#p.verdicts.changed();
    }
    const told = { kept: kept.map(({ name }) => name).sort(), dropped: dropped.map(({ label }) => label) };
    return this.#settle(next, true, told);
  }

  #find(name: string): ReadNodeCert {
    const cert = findMember(this.#known(), name);
    if (cert === null) throw new WeftError('E_NOT_FOUND', `there is no host '${name}': see \`weft members\``);
    return cert;
  }

  #known(): ReadNodeCert[] {
    const { identity, gossip, trust, admissions } = this.#p;
    const rows = admissions.rows().flatMap(({ cert }) => parseNodeCert(cert, identity.meshId) ?? []);
    return [identity.cert, ...certifiedMembers(gossip, trust), ...rows];
  }

  /** Whom the host that lost its keys certified, and who stays. */
  #toKeep(thief: ReadNodeCert, names: readonly string[]): ReadNodeCert[] {
    const { identity, gossip, trust } = this.#p;
    const members = [identity.cert, ...certifiedMembers(gossip, trust)].filter(
      (cert) => cert.nodeIdHex !== thief.nodeIdHex && !equalBytes(cert.issuerId, NO_ISSUER),
    );
    const own = identity.cert.nodeIdHex;
    const named = names.length === 0 ? members : names.map((name) => this.#find(name));
    const kept = new Map([identity.cert, ...named].map((cert) => [cert.nodeIdHex, cert]));
    if (equalBytes(identity.cert.issuerId, NO_ISSUER)) kept.delete(own);
    if (kept.size > MAX_KEPT_CERTS)
      throw new WeftError(
        'E_REQUEST',
        `${kept.size} hosts would be kept, and a revocation keeps at most ${MAX_KEPT_CERTS}: name them with --keep, the others join anew`,
      );
    return [...kept.values()];
  }

  /** The key that is to be the root: begun before, or made now, and on disk before anybody hears of it. */
  #nextKey(): KeyPair {
    const { state, rng } = this.#p;
    if (!state.has(STATE_FILE.nextRootKey)) state.write(STATE_FILE.nextRootKey, rng.fill(new Uint8Array(32)));
    return signingKeyPair(state.read(STATE_FILE.nextRootKey, 32));
  }

  #step(change: PolicyChange, secretKey: Uint8Array): void {
    const { identity, clock, statements, gossip, verdicts } = this.#p;
    const { policy, meshId } = identity;
    const taken = statements.receive(signNext(policy, change, { meshId, secretKey, nowMs: clock.wallMs() }));
    if (typeof taken === 'string')
      throw new WeftError('E_INTERNAL', 'the new policy does not follow the old one');
    gossip.tell(taken.id);
    verdicts.changed();
  }

  /** All that follows once the new root is in force beside older ones. */
  #settle(
    next: KeyPair,
    finish: boolean,
    told: Pick<RootChangeReport, 'kept' | 'dropped'>,
  ): RootChangeReport {
    const { identity, state } = this.#p;
    this.#certifySelf(next);
    for (const r of this.#ofOlderRoots(next)) this.#sayAgain(r, next);
    const waiting = this.#waiting();
    const isDone = finish || waiting.length === 0;
    const { policy } = identity;
    if (isDone && policy.roots.length > 1) {
      // A record from before, found after a crash, would not hold under the new policy, and its host not be known.
      this.#p.gossip.swim.save();
      this.#step(
        { roots: [next.publicKey], adopted: adoptedFrom(policy, this.#inUse(next)) },
        next.secretKey,
      );
    }
    if (isDone) promoteRootKey(state, identity.policy);
    return {
      v: 1,
      state: isDone ? 'done' : 'waiting',
      root: toHex(next.publicKey),
      policySeq: identity.policy.seq,
      waiting,
      adopted: identity.policy.adopted.length,
      ...told,
    };
  }

  /** An admitter's certificate for this host, signed by the new root. */
  #certifySelf(root: KeyPair): void {
    const { identity, renewal } = this.#p;
    const { cert, trust, certBytes, admitterBytes } = identity;
    const caps = cert.caps | FIRST_HOST_CAPS;
    if (caps === cert.caps && !trust.hangsOnOlderRoot(certBytes, admitterBytes)) return;
    const grant = { ...cert, caps, tokenId: new Uint8Array(SHORT), slot: 0 };
    renewal.take(signByRoot(grant, trust, root, ADMITTER_LIFE_MS));
  }

  #ofOlderRoots(root: KeyPair): ReadRevocation[] {
    return this.#p.identity.trust.revocations
      .all()
      .filter((r) => r.signerNode === null && (r.root === null || !equalBytes(r.root, root.publicKey)));
  }

  /** A revocation of an older root ends with it. */
  #sayAgain(r: ReadRevocation, root: KeyPair): void {
    const taken = this.#p.statements.receive(this.#revocation(r, root));
    if (typeof taken !== 'string') this.#p.gossip.tell(taken.id);
  }

  #revocation(facts: Omit<Revocation, 'signerId'>, root: KeyPair): Uint8Array {
    return signRevocation(facts, this.#p.identity.meshId, { secretKey: root.secretKey, cert: null });
  }

  /** Root-signed certificates, not of the new root, that some membership or revocation hangs on. */
  #inUse(root: KeyPair): Uint8Array[] {
    const { identity } = this.#p;
    const top = (cert: ReadNodeCert): Uint8Array =>
      equalBytes(cert.issuerId, NO_ISSUER) ? cert.record.id.slice(0, SHORT) : cert.issuerId;
    const own = parseNodeCert(identity.admitterBytes, identity.meshId);
    const known = this.#known();
    const fresh = known
      .filter((cert) => recordSignedBy(cert.record, root.publicKey))
      .map((cert) => cert.record.id.slice(0, SHORT));
    const signers = identity.trust.revocations
      .all()
      .flatMap(({ signerNode, signerId }) => (signerNode === null ? [] : signerId));
    const all = [...known, ...(own === null ? [] : [own])].map(top);
    const distinct = new Map([...all, ...signers].map((id) => [toHex(id), id]));
    return [...distinct.values()].filter((id) => !equalsAny(fresh, id));
  }
}
