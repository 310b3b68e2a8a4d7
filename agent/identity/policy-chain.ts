/**
 * The policies that led to the one in force, so that a host that missed some can be told them in order: each names the one
 * before. Kept on disk in `policies.bin`, `u16 length | policy` one after another, the newest last; while there is only one
 * it may be in `policy.bin` alone. docs/adr/0013 says why the rules are what they are:
 *
 * - a policy follows another if a root or recovery root signed it that both name;
 * - a root changes no recovery root, takes away only roots that are older than itself, and adds roots only as the newest;
 * - of two that follow one policy, the higher signer's counts (recovery root, then newer root), however many follow the
 *   other; of two of one signer the lower id, but what others of that root already follow is settled.
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { equalsAny, parsePolicy, rankIn, type SignedPolicy } from './policy.ts';
import { MAX_RECORD_BYTES } from './record.ts';
import { equalBytes, toHex } from './sodium.ts';
import { STATE_FILE, type StateDir } from './state-dir.ts';

/** Policies kept; a host that missed more joins anew. */
export const MAX_POLICIES = 64;

/**
 * What became of a policy: `successor` and `override` are in force now, the latter instead of others; `conflict` stands
 * below one of its number and is to be reported; `refused` was signed by nobody who may.
 */
export type PolicyStep = 'successor' | 'override' | 'same' | 'older' | 'unchained' | 'conflict' | 'refused';

const same = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a.length === b.length && a.every((key, i) => equalBytes(key, b[i] ?? new Uint8Array(0)));

/** Whether an ordinary root, at `rank` among the roots of `held`, may leave these. */
function rootsKept(held: SignedPolicy, next: SignedPolicy, rank: number): boolean {
  const kept = held.roots.filter((key) => equalsAny(next.roots, key));
  const gone = held.roots.flatMap((key, i) => (equalsAny(next.roots, key) ? [] : [i]));
  return same(next.roots.slice(0, kept.length), kept) && gone.every((i) => i < rank);
}

/** Whether `next` may be what comes after `held`. Its own signature was verified when it was read. */
export function follows(held: SignedPolicy, next: SignedPolicy): boolean {
  if (next.seq !== held.seq + 1 || !equalBytes(next.prevId, held.id)) return false;
  if (!equalBytes(next.rootNonce, held.rootNonce)) return false;
  const rank = rankIn(held, next.signer);
  if (rank < 0) return false;
  if (equalsAny(held.recovery, next.signer)) return equalsAny(next.recovery, next.signer);
  return same(held.recovery, next.recovery) && rootsKept(held, next, rank);
}

export class PolicyChain {
  /** Oldest first, the one in force last; bounded by MAX_POLICIES. */
  #policies: readonly SignedPolicy[];

  constructor(policies: readonly SignedPolicy[]) {
    this.#policies = policies;
  }

  get all(): readonly SignedPolicy[] {
    return this.#policies;
  }

  get current(): SignedPolicy {
    const last = this.#policies.at(-1);
    if (last === undefined) throw new RangeError('a chain has at least one policy');
    return last;
  }

  /** What the policies after the newest one that `holds` knows are; all of them if it knows none. */
  after(holds: (idHex: string) => boolean): readonly SignedPolicy[] {
    const at = this.#policies.findLastIndex((p) => holds(toHex(p.id)));
    return this.#policies.slice(at + 1);
  }

  /** Takes what follows the policy in force, or stands above one that is held. */
  offer(policy: SignedPolicy): PolicyStep {
    if (equalBytes(policy.id, this.current.id)) return 'same';
    if (this.#policies.some((p) => equalBytes(p.id, policy.id))) return 'older';
    const at = this.#policies.findIndex((p) => equalBytes(p.id, policy.prevId));
    const before = this.#policies[at];
    if (before === undefined) return policy.seq > this.current.seq ? 'unchained' : 'older';
    if (!follows(before, policy)) return 'refused';
    const rival = this.#policies[at + 1];
    if (rival !== undefined && !this.#outranks(before, policy, rival)) return 'conflict';
    this.#policies = [...this.#policies.slice(0, at + 1), policy].slice(-MAX_POLICIES);
    return rival === undefined ? 'successor' : 'override';
  }

  #outranks(before: SignedPolicy, policy: SignedPolicy, rival: SignedPolicy): boolean {
    const isRecovery = equalsAny(before.recovery, policy.signer);
    // A recovery key that was replaced since must not bring back what was before.
    if (isRecovery && !equalsAny(this.current.recovery, policy.signer)) return false;
    const difference = rankIn(before, policy.signer) - rankIn(before, rival.signer);
    if (difference !== 0) return difference > 0;
    const isSettled = !isRecovery && !equalBytes(rival.id, this.current.id);
    return !isSettled && Buffer.compare(policy.id, rival.id) < 0;
  }
}

/** Reads `u16 length | policy` one after another. Null unless each is one and follows the one before. */
export function decodePolicies(bytes: Uint8Array, meshId: Uint8Array): SignedPolicy[] | null {
  const r = new ByteReader(bytes);
  const policies: SignedPolicy[] = []; // bounded by MAX_POLICIES
  while (r.remaining > 0 && policies.length < MAX_POLICIES) {
    const policy = parsePolicy(r.block(MAX_RECORD_BYTES), meshId);
    const before = policies.at(-1);
    if (policy === null || (before !== undefined && !follows(before, policy))) return null;
    policies.push(policy);
  }
  return r.done ? policies : null;
}

export const encodePolicies = (policies: readonly SignedPolicy[]): Uint8Array =>
  Buffer.concat(policies.map(({ bytes }) => new ByteWriter().block(bytes).finish()));

/**
 * The chain on disk; the policy in force is its last. `policies.bin` is written first and whole, so it is never behind.
 * @throws WeftError E_STATE for a damaged file
 */
export function readPolicyChain(state: StateDir, meshId: Uint8Array): PolicyChain {
  if (!state.has(STATE_FILE.policies)) {
    const only = parsePolicy(state.read(STATE_FILE.policy), meshId);
    if (only === null) throw state.damaged(STATE_FILE.policy, "is damaged or not signed by this mesh's root");
    return new PolicyChain([only]);
  }
  const policies = decodePolicies(state.read(STATE_FILE.policies), meshId);
  if (policies === null || policies.length === 0) throw state.damaged(STATE_FILE.policies, 'is damaged');
  return new PolicyChain(policies);
}

/** On disk before it returns. */
export function writePolicyChain(state: StateDir, chain: PolicyChain): void {
  state.write(STATE_FILE.policies, encodePolicies(chain.all));
  state.write(STATE_FILE.policy, chain.current.bytes);
}
