/** The signed records, the token and the admission replies of docs/WIRE.md, made by the project's own code. */
import { encodeAdmitted, encodeRefused } from '../../agent/identity/admission-reply.ts';
import { CAP, NO_ISSUER, parseNodeCert, signNodeCert } from '../../agent/identity/node-cert.ts';
import { signNodeRequest } from '../../agent/identity/node-request.ts';
import { signNodeState } from '../../agent/identity/node-state.ts';
import { parsePolicy, signPolicy } from '../../agent/identity/policy.ts';
import { signRevocation } from '../../agent/identity/revocation.ts';
import { hash, signingKeyPair, utf8 } from '../../agent/identity/sodium.ts';
import { createToken } from '../../agent/identity/token.ts';
import {
  alpha,
  beta,
  DAY_MS,
  fixedRng,
  HOUR_MS,
  meshId,
  NOW_MS,
  psk,
  root,
  rootNonce,
  secret,
  some,
  tokenKey,
  VNI,
} from './wire-doc-material.ts';

const BACKDATE_MS = 600_000;

export const policyBytes = signPolicy(
  {
    seq: 1,
    prevId: new Uint8Array(32),
    meshName: 'weft',
    rootNonce,
    timeMs: NOW_MS,
    nodeLifeSec: (30 * DAY_MS) / 1000,
    leewaySec: 600,
    roots: [root.publicKey],
    recovery: [],
    adopted: [],
    segments: [
      {
        vni: VNI,
        mode: 'sealed',
        encap: 'vxlan',
        suite: 2,
        mtuBytes: 1390,
        prefix: { ip: '10.80.0.1', length: 24 },
      },
    ],
  },
  meshId,
  root.secretKey,
);

function must<T>(value: T | null): T {
  if (value === null) throw new Error('an example does not parse');
  return value;
}

export const policy = must(parsePolicy(policyBytes, meshId));

const recovery = signingKeyPair(secret('recovery root'));

/** alpha's certificate, signed by the root. */
export const admitterCert = signNodeCert(
  {
    signPk: alpha.sign.publicKey,
    dhPk: alpha.dh.publicKey,
    name: alpha.name,
    caps: CAP.admit | CAP.bridge | CAP.revoke | CAP.relay,
    tokenId: new Uint8Array(16),
    slot: 0,
    issuerId: NO_ISSUER,
    requestId: new Uint8Array(16),
    notBeforeMs: NOW_MS - BACKDATE_MS,
    expiresMs: NOW_MS + 365 * DAY_MS,
    generation: 1,
    vnis: [VNI],
    addresses: [{ vni: VNI, prefix: { ip: '10.80.0.1', length: 24 } }],
  },
  meshId,
  root.secretKey,
);
const admitterId = must(parseNodeCert(admitterCert, meshId)).record.id.slice(0, 16);

/** After a recovery: another root, and alpha's certificate adopted. */
export const recoveredBytes = signPolicy(
  {
    ...policy,
    seq: 2,
    prevId: policy.id,
    timeMs: NOW_MS + HOUR_MS,
    roots: [signingKeyPair(secret('new root')).publicKey],
    recovery: [recovery.publicKey],
    adopted: [admitterId],
  },
  meshId,
  recovery.secretKey,
);

/** One use, one hour, names that begin with `be`. */
export const token = createToken(
  {
    meshId,
    rootPk: root.publicKey,
    rootNonce,
    rootSecretKey: root.secretKey,
    suite: 2,
    psk,
    policySeq: policy.seq,
    policyId: policy.id,
    notBeforeMs: NOW_MS,
    expiresMs: NOW_MS + HOUR_MS,
    uses: 1,
    count: 'strict',
    admitterId: alpha.id,
    nameRule: 'prefix',
    name: 'be',
    vnis: [VNI],
    caps: 0,
    nodeLifeSec: (30 * DAY_MS) / 1000,
    underlay: [],
    seeds: [
      {
        ip: '192.0.2.10',
        sealedPort: 7947,
        gossipPort: 7946,
        dhPk: alpha.dh.publicKey,
        signPk: alpha.sign.publicKey,
        host: null,
      },
    ],
  },
  fixedRng('token'),
);
export const tokenCert = token.cert.record.bytes;

/** The root ends beta's right to admit, and keeps one certificate. */
export const grantEnd = signRevocation(
  {
    kind: 'grant',
    target: beta.id,
    timeMs: NOW_MS,
    label: beta.name,
    reason: '',
    keep: [some('kept', 16)],
    grant: { generation: 2, part: 1, parts: 1 },
  },
  meshId,
  { secretKey: root.secretKey, cert: null },
);

export const nodeRequest = signNodeRequest(
  {
    tokenId: token.cert.id,
    signPk: beta.sign.publicKey,
    dhPk: beta.dh.publicKey,
    name: beta.name,
    vnis: [VNI],
    caps: 0,
    addresses: [],
    nonce: some('request nonce', 16),
  },
  meshId,
  tokenKey.secretKey,
  beta.sign.secretKey,
);

/** beta's certificate, signed by alpha. */
export const nodeCert = signNodeCert(
  {
    signPk: beta.sign.publicKey,
    dhPk: beta.dh.publicKey,
    name: beta.name,
    caps: 0,
    tokenId: token.cert.id,
    slot: 1,
    issuerId: admitterId,
    requestId: some('request id', 16),
    notBeforeMs: NOW_MS - BACKDATE_MS,
    expiresMs: NOW_MS + 30 * DAY_MS,
    generation: 1,
    vnis: [VNI],
    addresses: [{ vni: VNI, prefix: { ip: '10.80.0.2', length: 24 } }],
  },
  meshId,
  alpha.sign.secretKey,
);

const stateAt = (ip: string): Uint8Array =>
  signNodeState(
    {
      nodeId: beta.id,
      certId: must(parseNodeCert(nodeCert, meshId)).record.id.slice(0, 16),
      incarnation: 3,
      seq: 1,
      status: 'alive',
      policySeq: policy.seq,
      revocationDigest: hash(utf8('')).slice(0, 16),
      validUntilMs: NOW_MS + DAY_MS,
      endpoints: [{ ip, sealedPort: 7947, gossipPort: 7946 }],
    },
    meshId,
    beta.sign.secretKey,
  );

/** beta's statement of where it is, and one that contradicts it. */
export const nodeState = stateAt('192.0.2.11');
export const otherNodeState = stateAt('192.0.2.99');

export const admitted = encodeAdmitted(nodeCert, policyBytes, admitterCert);
export const refused = encodeRefused('tokenUsedUp', 'the token is used up: 1 of 1 uses');
