/**
 * How a host that joins learns the policies that lead from the one its token names to the one in force: it asks in a join
 * session, once for each part. Called by agent-join.ts and, on the seed's side, by agent-mesh.ts. Never throws on input.
 *
 *    0       1
 *   +-------+----------------+
 *   | 3     | policy id[32]  |                             question (lane 15, kind request); zeros: from the oldest
 *   +-------+----------------+
 *   +-------+----------------------------------+
 *   | 3     | u16 length, policy; as many      |           answer (kind reply): what follows that policy, in order,
 *   |       | as fit; none if it is unknown    |           as much as fits
 *   +-------+----------------------------------+
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import type { SignedPolicy } from './policy.ts';
import { decodePolicies, encodePolicies, MAX_POLICIES } from './policy-chain.ts';
import { equalBytes } from './sodium.ts';
import type { Token } from './token.ts';

const POLICIES = 3;
const NO_ID: Uint8Array = new Uint8Array(32);

/** Whether what a joining host asks is this, and no request for admission. */
export const isPolicyQuestion = (body: Uint8Array): boolean => body[0] === POLICIES;

export function encodePolicyQuestion(after: SignedPolicy | null): Uint8Array {
  return new ByteWriter()
    .u8(POLICIES)
    .bytes(after?.id ?? NO_ID)
    .finish();
}

/** @param maxBytes what the answer may have */
export function answerPolicyQuestion(
  body: Uint8Array,
  chain: readonly SignedPolicy[],
  maxBytes: number,
): Uint8Array {
  const r = new ByteReader(body);
  r.u8();
  const id = r.bytes(32);
  const at = equalBytes(id, NO_ID) ? -1 : chain.findIndex((p) => equalBytes(p.id, id));
  const isKnown = r.done && (at >= 0 || equalBytes(id, NO_ID));
  const next = isKnown ? chain.slice(at + 1) : [];
  let count = 0;
  for (let size = 1; count < next.length; count++) {
    size += 2 + (next[count]?.bytes.length ?? 0);
    if (size > maxBytes) break;
  }
  return new ByteWriter()
    .u8(POLICIES)
    .bytes(encodePolicies(next.slice(0, count)))
    .finish();
}

/** Null for anything malformed or policies that do not follow each other. */
export function decodePolicyAnswer(bytes: Uint8Array, meshId: Uint8Array): SignedPolicy[] | null {
  return isPolicyQuestion(bytes) ? decodePolicies(bytes.subarray(1), meshId) : null;
}

/** What a joiner has learned so far; ends when it holds the policy that it was admitted under. */
export class PolicyLesson {
  readonly #token: Token;
  readonly #goal: SignedPolicy;
  #bytes: Uint8Array[] = []; // bounded by MAX_POLICIES
  #policies: readonly SignedPolicy[];

  constructor(token: Token, admittedUnder: SignedPolicy) {
    this.#token = token;
    this.#goal = admittedUnder;
    const isWhole = admittedUnder.seq === 1;
    this.#policies = isWhole ? [admittedUnder] : [];
  }

  get question(): Uint8Array {
    return encodePolicyQuestion(this.#policies.at(-1) ?? null);
  }

  get isOver(): boolean {
    return this.#policies.some((p) => equalBytes(p.id, this.#goal.id));
  }

  /** False when the answer is no part of such a chain. */
  take(answer: Uint8Array): boolean {
    const part = decodePolicyAnswer(answer, this.#token.meshId);
    if (part === null || part.length === 0 || this.#bytes.length >= MAX_POLICIES) return false;
    this.#bytes = [...this.#bytes, answer.slice(1)];
    const whole = decodePolicies(Buffer.concat(this.#bytes), this.#token.meshId);
    this.#policies = whole ?? this.#policies;
    return whole !== null;
  }

  /**
   * The policies up to the one in force, if they lead there from the one that the token names: what comes after it was
   * signed by roots of the one before, and what came before it is named by its hash. Null if they do not.
   */
  learned(): readonly SignedPolicy[] | null {
    const { policyId } = this.#token;
    const anchored = this.#policies.some((p) => equalBytes(p.id, policyId));
    return anchored && this.isOver ? this.#policies : null;
  }
}
