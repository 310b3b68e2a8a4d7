/**
 * The joiner's side of admission, without a socket: what to put on disk before the request leaves, and how to check what
 * comes back. The keys and the request are synced before they are sent, so that a crash in between asks again as the same
 * host and gets the same certificate; the token's key is deleted once the certificate is on disk.
 */
import type { Clock, Rng } from '../clock.ts';
import { WeftError } from '../errors.ts';
import { type AdmissionReply, decodeAdmissionReply, REFUSAL } from './admission-reply.ts';
import { type NodeKeys, newNodeKeys } from './genesis.ts';
import { forgetToken, readNodeKeys, writeMeshRef, writeNodeKeys } from './node-identity.ts';
import { parseNodeRequest, signNodeRequest } from './node-request.ts';
import { parsePolicy, type SignedPolicy } from './policy.ts';
import { PolicyChain, writePolicyChain } from './policy-chain.ts';
import { PolicyLesson } from './policy-question.ts';
import type { Prefix } from './prefix.ts';
import { equalBytes, signingKeyPair } from './sodium.ts';
import { STATE_FILE, type StateDir } from './state-dir.ts';
import type { Token } from './token.ts';
import { TrustStore } from './trust-store.ts';

export interface JoinPlan {
  readonly keys: NodeKeys;
  readonly request: Uint8Array;
}

/**
 * Keys and request for this token, kept from an earlier attempt with the same token if there was one.
 * @throws WeftError E_STATE_EXISTS when the directory holds the root key of a mesh; E_STATE
 */
export function prepareJoin(
  state: StateDir,
  token: Token,
  name: string,
  address: Prefix | null,
  rng: Rng,
): JoinPlan {
  if (state.has(STATE_FILE.rootKey))
    throw new WeftError(
      'E_STATE_EXISTS',
      `${state.file(STATE_FILE.rootKey)} is the root key of a mesh, and joining would bury it: choose another --state`,
    );
  const earlier = earlierRequest(state, token, name);
  if (earlier !== null) return earlier;
  const keys =
    state.has(STATE_FILE.signKey) && state.has(STATE_FILE.dhKey) ? readNodeKeys(state) : newNodeKeys(rng);
  const request = signNodeRequest(
    {
      tokenId: token.cert.id,
      signPk: keys.sign.publicKey,
      dhPk: keys.dh.publicKey,
      name,
      vnis: token.cert.vnis,
      caps: 0,
      addresses: address === null ? [] : token.cert.vnis.map((vni) => ({ vni, prefix: address })),
      nonce: rng.fill(new Uint8Array(16)),
    },
    token.meshId,
    signingKeyPair(token.seed).secretKey,
    keys.sign.secretKey,
  );
  writeNodeKeys(state, keys);
  writeMeshRef(state, token);
  state.write(STATE_FILE.psk, token.psk);
  state.write(STATE_FILE.tokenKey, token.seed);
  state.write(STATE_FILE.request, request);
  return { keys, request };
}

/** The request of an attempt that was cut off before its answer; null when there was none for this token and name. */
function earlierRequest(state: StateDir, token: Token, name: string): JoinPlan | null {
  if (!state.has(STATE_FILE.request) || !state.has(STATE_FILE.tokenKey)) return null;
  const request = state.read(STATE_FILE.request);
  const read = parseNodeRequest(request, token.meshId);
  if (read === null) throw state.damaged(STATE_FILE.request, 'is damaged');
  if (read.name !== name || !equalBytes(read.tokenId, token.cert.id)) return null;
  return { keys: readNodeKeys(state), request };
}

/**
 * What an admitter's answer leaves to learn: the policies from the token's to the one that the answer names.
 * @throws WeftError E_REFUSED with the admitter's reason; E_RECORD when the answer makes no sense
 */
export function lessonOf(state: StateDir, token: Token, reply: Uint8Array): PolicyLesson {
  const policy = parsePolicy(admittedBy(state, reply).policy, token.meshId);
  if (policy === null)
    throw new WeftError('E_RECORD', "the seed sent a policy that this mesh's root did not sign");
  return new PolicyLesson(token, policy);
}

/** @throws WeftError E_REFUSED, E_RECORD */
function admittedBy(state: StateDir, reply: Uint8Array): AdmissionReply & { readonly admitted: true } {
  const answer = decodeAdmissionReply(reply);
  if (answer === null)
    throw new WeftError('E_RECORD', 'the seed sent an answer that makes no sense: is it a newer weft?');
  if (!answer.admitted) {
    if (!PASSING.includes(answer.code)) forgetJoin(state);
    throw new WeftError('E_REFUSED', `refused: ${answer.text}`);
  }
  return answer;
}

/** @throws WeftError E_RECORD when the policies do not lead from the token's to the one in force */
function chainOf(token: Token, lesson: PolicyLesson): readonly SignedPolicy[] {
  const policies = lesson.learned();
  if (policies === null)
    throw new WeftError(
      'E_RECORD',
      `the seed's policies do not lead from the token's policy ${token.policySeq} to the one in force: create a new token`,
    );
  return policies;
}

/**
 * Checks the admitter's answer against the policy that follows from the token's and puts it on disk.
 * @throws WeftError E_REFUSED with the admitter's reason; E_RECORD when the answer does not verify
 */
export function acceptAdmission(
  state: StateDir,
  token: Token,
  plan: JoinPlan,
  reply: Uint8Array,
  lesson: PolicyLesson,
  clock: Clock,
): void {
  const answer = admittedBy(state, reply);
  const chain = new PolicyChain(chainOf(token, lesson));
  const trust = new TrustStore({ meshId: token.meshId, policy: chain.current }, clock);
  const verdict = trust.verifyNodeCert(answer.cert, answer.admitter);
  if (!verdict.ok && (verdict.problem === 'notYetValid' || verdict.problem === 'expired'))
    throw new WeftError(
      'E_CLOCK',
      `${verdict.reason}, and this machine's clock says ${new Date(clock.wallMs()).toISOString()}: set the clock, then start again`,
    );
  if (!verdict.ok)
    throw new WeftError('E_RECORD', `the seed sent a certificate that is refused: ${verdict.reason}`);
  const { cert } = verdict;
  if (!equalBytes(cert.signPk, plan.keys.sign.publicKey) || !equalBytes(cert.dhPk, plan.keys.dh.publicKey))
    throw new WeftError('E_RECORD', 'the seed sent the certificate of another host');
  const asked = parseNodeRequest(plan.request, token.meshId);
  const answers = asked !== null && equalBytes(cert.requestId, asked.id.subarray(0, 16));
  if (!answers || cert.name !== asked.name)
    throw new WeftError('E_RECORD', 'the seed sent a certificate that answers another request');
  writePolicyChain(state, chain);
  state.write(STATE_FILE.admitter, answer.admitter);
  // Last: from here on the directory holds a member.
  state.write(STATE_FILE.cert, answer.cert);
  forgetToken(state);
}

/** Refusals that the next attempt, or another seed, may not repeat: the request stays, for its slot may be given. */
const PASSING: readonly number[] = [REFUSAL.notAdmitter, REFUSAL.tooFast, REFUSAL.admitterUnreachable];

/** Why a seed could not let this host in at this moment; null for an answer that is final. */
export function passingRefusal(reply: Uint8Array): string | null {
  const answer = decodeAdmissionReply(reply);
  return answer !== null && !answer.admitted && PASSING.includes(answer.code) ? answer.text : null;
}

/** After a final refusal nothing of the attempt stays, so that the next token starts afresh. */
function forgetJoin(state: StateDir): void {
  for (const file of [
    STATE_FILE.request,
    STATE_FILE.tokenKey,
    STATE_FILE.psk,
    STATE_FILE.mesh,
    STATE_FILE.signKey,
    STATE_FILE.dhKey,
  ])
    state.remove(file);
}
