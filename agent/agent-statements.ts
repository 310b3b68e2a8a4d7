/**
 * What the mesh's roots say of trust, as gossip's store of statements: reads what arrives, puts it on disk, and only then
 * lets it count. Part of the composition root; what a statement means is decided in identity/.
 */
import type { Banned, StatementStore } from '../gossip/index.ts';
import type { LateWrites } from './agent-late.ts';
import { parseNodeCert } from './identity/node-cert.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import { parseNodeState } from './identity/node-state.ts';
import { parsePolicy, type SignedPolicy } from './identity/policy.ts';
import { type PolicyChain, writePolicyChain } from './identity/policy-chain.ts';
import { announcedLength, RECORD_TYPE } from './identity/record.ts';
import { parseRevocation, type ReadRevocation } from './identity/revocation.ts';
import { type RevocationSet, writeRevocations } from './identity/revocation-set.ts';
import { equalBytes, hash, toHex } from './identity/sodium.ts';
import { STATE_FILE, type StateDir } from './identity/state-dir.ts';

const ID_DIGITS = 16;

/** Policies told at once; whoever lacks more asks again. */
const MAX_TOLD = 64;

/** Policies that stood below others and were reported; the oldest is forgotten. */
const MAX_REPORTED = 64;

const idOf = (s: ReadRevocation | SignedPolicy): string =>
  toHex('record' in s ? s.record.id : s.id).slice(0, ID_DIGITS);

export class StatementBook implements StatementStore {
  readonly #identity: NodeIdentity;
  readonly #state: StateDir;
  readonly #late: LateWrites;
  readonly #onConflict: (kept: SignedPolicy, other: SignedPolicy) => void;

  /** Conflicts that were reported since the start. */
  conflicts = 0;
  /** Oldest first; bounded by MAX_REPORTED. */
  #reported: readonly string[] = [];

  /** @param onConflict two policies follow one, which a root's holder does not do by mistake */
  constructor(
    identity: NodeIdentity,
    state: StateDir,
    late: LateWrites,
    onConflict: (kept: SignedPolicy, other: SignedPolicy) => void,
  ) {
    this.#identity = identity;
    this.#state = state;
    this.#late = late;
    this.#onConflict = onConflict;
  }

  get #chain(): PolicyChain {
    return this.#identity.chain;
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
    // In order, for each is taken only after the one before; enough for whoever was away for a while. Revocations go before
    // the newest, which may take away the root that had signed them before.
    const next = this.#chain.after((id) => there.has(id.slice(0, ID_DIGITS))).map(idOf);
    const told = next.slice(-MAX_TOLD);
    return [...told.slice(0, -1), ...lacking, ...told.slice(-1)];
  }

  knows(id: string): boolean {
    return this.get(id) !== null;
  }

  holds(statement: Uint8Array): boolean {
    return [...this.#set.all(), ...this.#chain.all].some(({ bytes }) => equalBytes(bytes, statement));
  }

  /**
   * On disk before it counts for anybody else, for a host that restarts must not have forgotten what it passed on; unless the
   * disk takes nothing: a revocation must not wait for that.
   */
  receive(statement: Uint8Array): 'refused' | 'known' | { readonly id: string } {
    const { meshId, policy } = this.#identity;
    if (statement[2] === RECORD_TYPE.policy) return this.#policy(statement);
    const read = parseRevocation(statement, meshId, policy);
    if (read === null) return 'refused';
    if (!this.#set.add(read)) return 'known';
    this.#keepRevocations();
    return { id: idOf(read) };
  }

  #policy(statement: Uint8Array): 'refused' | 'known' | { readonly id: string } {
    const { meshId, trust } = this.#identity;
    const policy = parsePolicy(statement, meshId);
    if (policy === null) return 'refused';
    const before = this.#chain.current;
    const step = this.#chain.offer(policy);
    if (step === 'conflict') this.#report(before, policy);
    if (step === 'override') this.#report(policy, before);
    if (step === 'unchained' || step === 'refused') return 'refused';
    if (step !== 'successor' && step !== 'override') return 'known';
    this.#late.keep(STATE_FILE.policies, () => writePolicyChain(this.#state, this.#chain));
    const revoked = this.#set.digest;
    trust.takePolicy(policy);
    // After the policy: until then the file holds what its roots said, and is judged by it when it is read.
    if (!equalBytes(revoked, this.#set.digest)) this.#keepRevocations();
    return { id: idOf(policy) };
  }

  #keepRevocations(): void {
    this.#late.keep(STATE_FILE.revocations, () => writeRevocations(this.#state, this.#set));
  }

  /** Once for each. */
  #report(kept: SignedPolicy, other: SignedPolicy): void {
    const id = idOf(other);
    if (this.#reported.includes(id)) return;
    this.#reported = [...this.#reported.slice(1 - MAX_REPORTED), id];
    this.conflicts += 1;
    this.#onConflict(kept, other);
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
