/**
 * What the mesh's roots say of trust, as gossip's store of statements: reads what arrives, puts it on disk, and only then
 * lets it count. Part of the composition root; what a statement means is decided in identity/.
 */
import type { Banned, StatementStore } from '../gossip/index.ts';
import { parseNodeCert } from './identity/node-cert.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import { parseNodeState } from './identity/node-state.ts';
import { parsePolicy, type SignedPolicy } from './identity/policy.ts';
import { type PolicyChain, readPolicyChain, writePolicyChain } from './identity/policy-chain.ts';
import { announcedLength, RECORD_TYPE } from './identity/record.ts';
import { parseRevocation, type ReadRevocation } from './identity/revocation.ts';
import { type RevocationSet, writeRevocations } from './identity/revocation-set.ts';
import { equalBytes, hash, toHex } from './identity/sodium.ts';
import type { StateDir } from './identity/state-dir.ts';

const ID_DIGITS = 16;

/** Policies told at once; whoever lacks more asks again. */
const MAX_TOLD = 64;

const idOf = (s: ReadRevocation | SignedPolicy): string =>
  toHex('record' in s ? s.record.id : s.id).slice(0, ID_DIGITS);

export class StatementBook implements StatementStore {
  readonly #identity: NodeIdentity;
  readonly #state: StateDir;

  readonly #chain: PolicyChain;

  constructor(identity: NodeIdentity, state: StateDir) {
    this.#identity = identity;
    this.#state = state;
    this.#chain = readPolicyChain(state, identity.policy, identity.meshId, identity.rootPk);
  }

  get #set(): RevocationSet {
    return this.#identity.trust.revocations;
  }

  digest(): Uint8Array {
    return hash(this.#set.digest, this.#chain.current.id).slice(0, 16);
  }

  ids(): readonly string[] {
    return [...this.#set.all(), this.#chain.current].map(idOf).sort();
  }

  get(id: string): Uint8Array | null {
    return [...this.#set.all(), ...this.#chain.all].find((s) => idOf(s) === id)?.bytes ?? null;
  }

  missing(from: string, to: string, there: ReadonlySet<string>): readonly string[] {
    const lacking = this.#set
      .all()
      .map(idOf)
      .filter((id) => id >= from && id <= to && !there.has(id));
    const current = idOf(this.#chain.current);
    if (current < from || current > to || there.has(current)) return lacking;
    // In order, for each is taken only after the one before; enough for whoever was away for a while.
    const next = this.#chain.after((id) => there.has(id.slice(0, ID_DIGITS))).map(idOf);
    return [...next.slice(-MAX_TOLD), ...lacking];
  }

  knows(id: string): boolean {
    return this.get(id) !== null;
  }

  holds(statement: Uint8Array): boolean {
    return [...this.#set.all(), ...this.#chain.all].some(({ bytes }) => equalBytes(bytes, statement));
  }

  /** On disk before it counts for anybody else: a host that restarts must not have forgotten what it passed on. */
  receive(statement: Uint8Array): 'refused' | 'known' | { readonly id: string } {
    const { meshId, rootPk } = this.#identity;
    if (statement[2] === RECORD_TYPE.policy) return this.#policy(statement);
    const read = parseRevocation(statement, meshId, rootPk);
    if (read === null) return 'refused';
    if (!this.#set.add(read)) return 'known';
    writeRevocations(this.#state, this.#set);
    return { id: idOf(read) };
  }

  #policy(statement: Uint8Array): 'refused' | 'known' | { readonly id: string } {
    const { meshId, rootPk, trust } = this.#identity;
    const policy = parsePolicy(statement, meshId, rootPk);
    if (policy === null) return 'refused';
    const step = this.#chain.offer(policy);
    if (step === 'unchained' || step === 'opens') return 'refused';
    if (step !== 'successor' && step !== 'conflictTake') return 'known';
    writePolicyChain(this.#state, this.#chain);
    trust.takePolicy(policy);
    return { id: idOf(policy) };
  }

  banned(record: Uint8Array, credential: Uint8Array): Banned | null {
    const { meshId, trust } = this.#identity;
    const length = announcedLength(credential);
    if (length === 0 || length > credential.length) return null;
    const certBytes = credential.subarray(0, length);
    const by = trust.revocationOf(certBytes, credential.subarray(length));
    const cert = by === null ? null : parseNodeCert(certBytes, meshId);
    const state = parseNodeState(record, meshId);
    const at = state?.endpoints[0];
    if (by === null || cert === null || state === null || at === undefined) return null;
    if (!equalBytes(state.nodeId, cert.nodeId)) return null;
    return {
      id: cert.nodeIdHex,
      boxKey: cert.dhPk,
      address: { ip: at.ip, port: at.gossipPort },
      statement: by.bytes,
    };
  }
}
