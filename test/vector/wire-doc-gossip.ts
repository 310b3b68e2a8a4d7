/** The gossip datagrams of docs/WIRE.md, made by the project's own code: alpha to beta. */

import { parseNodeCert } from '../../agent/identity/node-cert.ts';
import { PolicyChain } from '../../agent/identity/policy-chain.ts';
import { toHex } from '../../agent/identity/sodium.ts';
import { signSuspicion } from '../../agent/identity/suspicion.ts';
import { TrustStore } from '../../agent/identity/trust-store.ts';
import { GossipTrust } from '../../agent/peer/gossip-trust.ts';
import {
  encodeBox,
  encodeInner,
  encodeIntro,
  encodeIntroBody,
  encodeMessage,
  type Message,
} from '../../gossip/codec.ts';
import { alpha, beta, clock, concatBytes, meshId, psk, root, rootNonce, some } from './wire-doc-material.ts';
import { admitterCert, nodeCert, nodeState, otherNodeState, policy } from './wire-doc-records.ts';

const GOSSIP_PORT = 7946;

/** What a node would box and open with. */
function trustOf(
  own: typeof alpha,
  ip: string,
  certBytes: Uint8Array,
  admitterBytes: Uint8Array,
): GossipTrust {
  const cert = parseNodeCert(certBytes, meshId);
  if (cert === null) throw new Error('the certificate of an example does not parse');
  const identity = {
    meshId,
    rootPk: root.publicKey,
    rootNonce,
    keys: { sign: own.sign, dh: own.dh },
    psk,
    policy,
    cert,
    certBytes,
    admitterBytes,
    trust: new TrustStore({ meshId, policy }, clock),
    chain: new PolicyChain([policy]),
    root: null,
  };
  return new GossipTrust({
    identity,
    listen: { ip, port: 7947 },
    gossipPort: GOSSIP_PORT,
    incarnation: 3,
    persistIncarnation: () => {},
  });
}

export const alphaTrust = trustOf(alpha, '192.0.2.10', admitterCert, new Uint8Array(0));
export const betaTrust = trustOf(beta, '192.0.2.11', nodeCert, admitterCert);
export const alphaHex = toHex(alpha.id);
export const betaHex = toHex(beta.id);

/** NodeCert, then its admitter's. */
export const credential = concatBytes(nodeCert, admitterCert);

/** alpha doubts beta's incarnation 3. */
export const suspicion = signSuspicion(
  { accuserId: alpha.id, targetId: beta.id, targetIncarnation: 3 },
  meshId,
  alpha.sign.secretKey,
);

const PROBE = new DataView(some('probe id', 8).buffer).getBigUint64(0);

/** In the order of the numbers. */
export const MESSAGES = {
  ping: { type: 'ping', probe: PROBE },
  ack: { type: 'ack', probe: PROBE },
  'ping-req': { type: 'pingReq', probe: PROBE, target: betaHex },
  record: { type: 'record', record: nodeState, credential },
  suspect: { type: 'suspect', accusation: suspicion },
  boot: { type: 'boot', mine: 5, yours: 2 },
  digest: { type: 'digest', buckets: Array.from({ length: 16 }, (_, i) => BigInt(i)) },
  summary: {
    type: 'summary',
    bucket: 7,
    entries: [{ id: betaHex.slice(0, 16), incarnation: 3, seq: 1 }],
  },
  want: { type: 'want', ids: [betaHex.slice(0, 16)] },
  'credential-ack': { type: 'credentialAck', ids: [betaHex.slice(0, 16)] },
  refresh: { type: 'refresh', ids: [betaHex.slice(0, 16)] },
  equivocation: { type: 'equivocation', a: nodeState, b: otherNodeState },
} as const satisfies Record<string, Message>;

function must(bytes: Uint8Array | null): Uint8Array {
  if (bytes === null) throw new Error('an example cannot be sealed');
  return bytes;
}

const boxNonce = some('box nonce', 24);
const inner = encodeInner(5, 12, 2, [encodeMessage(MESSAGES.ping), encodeMessage(MESSAGES.want)]);
export const box = encodeBox(
  alphaHex,
  betaHex,
  boxNonce,
  must(alphaTrust.seal(betaHex, beta.dh.publicKey, boxNonce, inner)),
);

const introNonce = some('intro nonce', 24);
export const intro = encodeIntro(
  introNonce,
  betaTrust.sealIntro(introNonce, must(encodeIntroBody(nodeState, credential))),
);
