/**
 * What the state directory of a member holds, read and checked as a whole: keys that belong to the certificate, a
 * certificate that belongs to the mesh, and the counters that make boots and incarnations grow without a clock.
 *
 * mesh.bin is `mesh id[32] | root pk[32] | root nonce[16]`.
 */
import type { Clock } from '../clock.ts';
import { WeftError } from '../errors.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { NodeKeys } from './genesis.ts';
import type { ReadNodeCert } from './node-cert.ts';
import { meshIdOf, newestRoot, type Policy, rankIn, type SignedPolicy } from './policy.ts';
import { type PolicyChain, readPolicyChain } from './policy-chain.ts';
import { MAX_RECORD_BYTES } from './record.ts';
import { readRevocations } from './revocation-set.ts';
import { concat, dhKeyPair, equalBytes, type KeyPair, signingKeyPair } from './sodium.ts';
import { STATE_FILE, type StateDir } from './state-dir.ts';
import { TrustStore } from './trust-store.ts';

export interface MeshRef {
  readonly meshId: Uint8Array;
  /** The first root, which names the mesh whoever its roots are now. */
  readonly rootPk: Uint8Array;
  readonly rootNonce: Uint8Array;
}

export interface NodeIdentity extends MeshRef {
  readonly keys: NodeKeys;
  readonly psk: Uint8Array;
  readonly policy: SignedPolicy;
  /** Certificates are replaced when they are renewed: read them when they are needed. */
  cert: ReadNodeCert;
  certBytes: Uint8Array;
  /** The issuer's certificate; empty when a root signed ours. */
  admitterBytes: Uint8Array;
  readonly trust: TrustStore;
  /** The policies up to the one in force. */
  readonly chain: PolicyChain;
  /** Only on a host that holds a root of the policy in force: the newest that it holds. */
  readonly root: KeyPair | null;
}

/** Whether the directory holds a member that was admitted. */
export const holdsMember = (state: StateDir): boolean => state.has(STATE_FILE.cert);

export function writeMeshRef(state: StateDir, mesh: MeshRef): void {
  state.write(STATE_FILE.mesh, concat(mesh.meshId, mesh.rootPk, mesh.rootNonce));
}

/** Once the certificate is on disk, nothing of the token may stay. */
export function forgetToken(state: StateDir): void {
  for (const file of [STATE_FILE.tokenKey, STATE_FILE.request]) if (state.has(file)) state.remove(file);
}

/** The node's keys. @throws WeftError E_STATE */
export function readNodeKeys(state: StateDir): NodeKeys {
  return {
    sign: signingKeyPair(state.read(STATE_FILE.signKey, 32)),
    dh: dhKeyPair(state.read(STATE_FILE.dhKey, 32)),
  };
}

export function writeNodeKeys(state: StateDir, keys: NodeKeys): void {
  state.write(STATE_FILE.signKey, keys.sign.secretKey.slice(0, 32));
  state.write(STATE_FILE.dhKey, keys.dh.secretKey);
}

/** Both certificates are in one file before they replace two: a power cut leaves the old pair or the new one. */
function finishRenewal(state: StateDir): void {
  if (!state.has(STATE_FILE.renewed)) return;
  const r = new ByteReader(state.read(STATE_FILE.renewed));
  const cert = r.block(MAX_RECORD_BYTES);
  const admitter = r.block(MAX_RECORD_BYTES);
  if (!r.done) throw state.damaged(STATE_FILE.renewed, 'is damaged');
  if (admitter.length > 0) state.write(STATE_FILE.admitter, admitter);
  state.write(STATE_FILE.cert, cert);
  // A root signed: the admitter of the certificate before has no part in this one.
  if (admitter.length === 0 && state.has(STATE_FILE.admitter)) state.remove(STATE_FILE.admitter);
  state.remove(STATE_FILE.renewed);
}

/**
 * The newest root of the policy whose key is here. While a root is replaced there are two keys; one that is no root any
 * more gives nothing.
 */
export function heldRoot(state: StateDir, policy: Policy): KeyPair | null {
  const keys = [STATE_FILE.rootKey, STATE_FILE.nextRootKey].flatMap((file) =>
    state.has(file) ? signingKeyPair(state.read(file, 32)) : [],
  );
  const rank = ({ publicKey }: KeyPair): number => rankIn(policy, publicKey);
  const held = keys.filter((pair) => rank(pair) >= 0).sort((a, b) => rank(b) - rank(a));
  return held[0] ?? null;
}

/** The newest root of all, if its key is here: what an older one certifies is on its way out. */
export function heldNewestRoot({ root, policy }: NodeIdentity): KeyPair | null {
  return root !== null && equalBytes(root.publicKey, newestRoot(policy)) ? root : null;
}

/** The next root key is the key once no other root is in force. */
export function promoteRootKey(state: StateDir, { roots }: Policy): void {
  if (!state.has(STATE_FILE.nextRootKey)) return;
  const seed = state.read(STATE_FILE.nextRootKey, 32);
  const [only, ...others] = roots;
  if (only === undefined || others.length > 0 || !equalBytes(signingKeyPair(seed).publicKey, only)) return;
  state.write(STATE_FILE.rootKey, seed);
  state.remove(STATE_FILE.nextRootKey);
}

/** Puts a renewed certificate, which was verified, on disk and in force. */
export function installCertificate(
  identity: NodeIdentity,
  state: StateDir,
  cert: ReadNodeCert,
  certBytes: Uint8Array,
  admitterBytes: Uint8Array,
): void {
  state.write(STATE_FILE.renewed, new ByteWriter().block(certBytes).block(admitterBytes).finish());
  finishRenewal(state);
  identity.cert = cert;
  identity.certBytes = certBytes;
  identity.admitterBytes = admitterBytes;
}

/**
 * Reads and checks everything, and ends a join that was cut off after its certificate was on disk.
 * @throws WeftError E_NO_STATE, E_STATE, E_REVOKED, E_CLOCK (the certificate is out of its time, also by the floor clock), E_RECORD
 */
export function readIdentity(state: StateDir, clock: Clock): NodeIdentity {
  if (!holdsMember(state))
    throw new WeftError(
      'E_NO_STATE',
      `${state.path} holds no member: run \`weft init\` for a new mesh or \`weft up --token-file FILE\` to join one`,
    );
  const raw = state.read(STATE_FILE.mesh, 80);
  const mesh = { meshId: raw.slice(0, 32), rootPk: raw.slice(32, 64), rootNonce: raw.slice(64) };
  if (!equalBytes(meshIdOf(mesh.rootPk, mesh.rootNonce), mesh.meshId))
    throw state.damaged(STATE_FILE.mesh, 'is damaged');
  const chain = readPolicyChain(state, mesh.meshId);
  const keys = readNodeKeys(state);
  finishRenewal(state);
  const certBytes = state.read(STATE_FILE.cert);
  const admitterBytes = state.has(STATE_FILE.admitter) ? state.read(STATE_FILE.admitter) : new Uint8Array(0);
  const trust = new TrustStore(
    {
      meshId: mesh.meshId,
      policy: chain.current,
      revocations: readRevocations(state, mesh.meshId, chain.all),
    },
    clock,
  );
  const verdict = trust.verifyNodeCert(certBytes, admitterBytes);
  if (!verdict.ok) {
    if (verdict.problem === 'revoked')
      throw new WeftError(
        'E_REVOKED',
        `${verdict.reason}; its mesh accepts it no more: to join anew it needs a new token and an empty --state`,
      );
    if (verdict.problem === 'expired' || verdict.problem === 'notYetValid')
      throw new WeftError(
        'E_CLOCK',
        `${verdict.reason}, and this machine's clock says ${new Date(clock.wallMs()).toISOString()}: set the clock if it is wrong; else this host was off too long to renew, and joins anew with a new token and an empty --state`,
      );
    throw state.damaged(STATE_FILE.cert, `is refused (${verdict.reason})`);
  }
  const { cert } = verdict;
  if (!equalBytes(cert.signPk, keys.sign.publicKey) || !equalBytes(cert.dhPk, keys.dh.publicKey))
    throw state.damaged(STATE_FILE.cert, 'does not belong to the keys beside it');
  promoteRootKey(state, chain.current);
  checkRootKey(state, chain);
  forgetToken(state);
  return {
    ...mesh,
    keys,
    psk: state.read(STATE_FILE.psk, 32),
    get policy() {
      return trust.policy;
    },
    cert,
    certBytes,
    admitterBytes,
    trust,
    chain,
    get root() {
      return heldRoot(state, trust.policy);
    },
  };
}

/** A key that no policy ever named is damaged; one that was taken away since gives nothing. */
function checkRootKey(state: StateDir, { all }: PolicyChain): void {
  if (!state.has(STATE_FILE.rootKey) || all[0]?.seq !== 1) return;
  const { publicKey } = signingKeyPair(state.read(STATE_FILE.rootKey, 32));
  if (!all.some((policy) => rankIn(policy, publicKey) >= 0))
    throw state.damaged(STATE_FILE.rootKey, 'is not the root key of this mesh');
}

export interface Counters {
  /** Of gossip: grows with each start. */
  boot: number;
  /** Of this node's records. */
  incarnation: number;
}

/** The counters of the last run; zeros for a new member. @throws WeftError E_STATE */
export function readCounters(state: StateDir): Counters {
  if (!state.has(STATE_FILE.counters)) return { boot: 0, incarnation: 0 };
  try {
    const value: unknown = JSON.parse(Buffer.from(state.read(STATE_FILE.counters)).toString('utf8'));
    const { boot, incarnation } = value as Counters;
    if (Number.isSafeInteger(boot) && Number.isSafeInteger(incarnation) && boot >= 0 && incarnation >= 0)
      return { boot, incarnation };
  } catch (error) {
    if (error instanceof WeftError) throw error;
  }
  throw state.damaged(STATE_FILE.counters, 'is damaged');
}

/** On disk before it returns: use a counter only after this. */
export function writeCounters(state: StateDir, counters: Counters): void {
  state.write(STATE_FILE.counters, `${JSON.stringify(counters)}\n`);
}
