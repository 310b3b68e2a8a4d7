/**
 * What comes after the policy in force when a root or a segment changes: made here, signed with the key of a root or
 * recovery root. Called by agent-policy.ts and agent-root.ts. Touches no disk; who may sign is judged by everybody that
 * reads it (policy-chain.ts).
 */
import { WeftError } from '../errors.ts';
import { equalsAny, MAX_ADOPTED, type Policy, type SignedPolicy, signPolicy } from './policy.ts';
import { toHex } from './sodium.ts';

/** What an admission's answer has room for beside two certificates of one segment and the longest name. */
const MAX_POLICY_BYTES = 560;

export type PolicyChange = Partial<
  Pick<Policy, 'nodeLifeSec' | 'leewaySec' | 'roots' | 'recovery' | 'adopted' | 'segments'>
>;

/** @throws WeftError E_REQUEST when it would be too large to be told to hosts that join */
export function signNext(
  held: SignedPolicy,
  change: PolicyChange,
  key: { readonly meshId: Uint8Array; readonly secretKey: Uint8Array; readonly nowMs: number },
): Uint8Array {
  const { id: prevId, seq, timeMs } = held;
  const next = { ...held, ...change, seq: seq + 1, prevId, timeMs: Math.max(key.nowMs, timeMs) };
  const bytes = signPolicy(next, key.meshId, key.secretKey);
  if (bytes.length > MAX_POLICY_BYTES)
    throw new WeftError(
      'E_REQUEST',
      `the policy would have ${bytes.length} bytes, and hosts that join are told at most ${MAX_POLICY_BYTES}`,
    );
  return bytes;
}

/**
 * The certificates to adopt when roots go: what was adopted and is in use, then what is in use now.
 * @param inUse first 16 bytes of the ids of root-signed certificates that somebody's membership hangs on
 * @throws WeftError E_REFUSED when there are more than a policy holds
 */
export function adoptedFrom(held: SignedPolicy, inUse: readonly Uint8Array[]): readonly Uint8Array[] {
  const earlier = held.adopted.filter((id) => equalsAny(inUse, id));
  const ids = [...new Set([...earlier, ...inUse].map(toHex))];
  if (ids.length > MAX_ADOPTED)
    throw new WeftError(
      'E_REFUSED',
      `${ids.length} certificates of admitters are still in use under the old root, and a policy adopts at most ${MAX_ADOPTED}: ` +
        'start the admitters that are down, let them renew, and run it again',
    );
  return ids.map((hex) => new Uint8Array(Buffer.from(hex, 'hex')));
}
