/**
 * The policies that led to the one in force, so that a host that missed some can be told them in order: each names the one
 * before. Kept on disk in `policies.bin`, `u16 length | policy` one after another, the newest last; the newest is
 * `policy.bin` too, which is written last.
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { type PolicyStep, parsePolicy, policyStep, type SignedPolicy } from './policy.ts';
import { MAX_RECORD_BYTES } from './record.ts';
import { toHex } from './sodium.ts';
import { STATE_FILE, type StateDir } from './state-dir.ts';

/** Policies kept; a host that missed more joins anew. */
export const MAX_POLICIES = 64;

/** A VNI that was sealed and would not be any more: nobody is moved into the open from afar. */
export function opened(held: SignedPolicy, offered: SignedPolicy): number | null {
  const sealed = held.segments.filter((s) => s.mode === 'sealed');
  const found = sealed.find((s) => offered.segments.some((o) => o.vni === s.vni && o.mode === 'plain'));
  return found?.vni ?? null;
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

  /** Takes what follows the policy in force, or stands above it; the result says what it was. */
  offer(policy: SignedPolicy): PolicyStep | 'opens' {
    const step = policyStep(this.current, policy);
    if (step !== 'successor' && step !== 'conflictTake') return step;
    if (opened(this.current, policy) !== null) return 'opens';
    const before = step === 'successor' ? this.#policies : this.#policies.slice(0, -1);
    this.#policies = [...before, policy].slice(-MAX_POLICIES);
    return step;
  }
}

/** @throws WeftError E_STATE for a damaged file */
export function readPolicyChain(
  state: StateDir,
  current: SignedPolicy,
  meshId: Uint8Array,
  rootPk: Uint8Array,
): PolicyChain {
  if (!state.has(STATE_FILE.policies)) return new PolicyChain([current]);
  const r = new ByteReader(state.read(STATE_FILE.policies));
  const policies: SignedPolicy[] = []; // bounded by MAX_POLICIES
  while (r.remaining > 0 && policies.length < MAX_POLICIES) {
    const policy = parsePolicy(r.block(MAX_RECORD_BYTES), meshId, rootPk);
    if (policy === null) throw state.damaged(STATE_FILE.policies, 'is damaged');
    policies.push(policy);
  }
  if (!r.done) throw state.damaged(STATE_FILE.policies, 'is damaged');
  // A power cut between the two files leaves one policy more here than is in force.
  const at = policies.findLastIndex((p) => toHex(p.id) === toHex(current.id));
  return new PolicyChain(at < 0 ? [current] : policies.slice(0, at + 1));
}

/** On disk before it returns. */
export function writePolicyChain(state: StateDir, chain: PolicyChain): void {
  const parts = chain.all.map(({ bytes }) => new ByteWriter().block(bytes).finish());
  state.write(STATE_FILE.policies, Buffer.concat(parts));
  state.write(STATE_FILE.policy, chain.current.bytes);
}
