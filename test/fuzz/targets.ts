/**
 * Every decoder of the TypeScript side, as a fuzz target: good inputs to start from, and a function that takes any bytes.
 * A decoder returns null for what it does not understand and never throws; where a decoder may throw, only a WeftError with a
 * stable code is allowed. What is sealed or signed on the wire is mutated before, so that the inner parsers are reached.
 * Where there is an encoder, what was decoded must encode to the same bytes. Targets of other kinds are in the files beside.
 */
import assert from 'node:assert/strict';
import { CONFIG_KEYS } from '../../agent/config/keys.ts';
import { layerOfYaml } from '../../agent/config/yaml-file.ts';
import { decodeGeneve } from '../../agent/datapath/geneve.ts';
import { decodeVxlan } from '../../agent/datapath/vxlan.ts';
import { canonicalIp, ipFromBytes, ipToBytes, parseEndpoint } from '../../agent/endpoint.ts';
import { decodeAdmissionReply } from '../../agent/identity/admission-reply.ts';
import {
  decodeForwardedReply,
  decodeForwardedRequest,
  encodeForwardedReply,
  encodeForwardedRequest,
} from '../../agent/identity/forwarded.ts';
import { decodeGrantOffer, encodeGrantOffer } from '../../agent/identity/grant.ts';
import { parseNodeCert } from '../../agent/identity/node-cert.ts';
import { parseNodeRequest } from '../../agent/identity/node-request.ts';
import { parseNodeState } from '../../agent/identity/node-state.ts';
import { parsePolicy } from '../../agent/identity/policy.ts';
import { parsePrefix } from '../../agent/identity/prefix.ts';
import {
  decodeReceipt,
  decodeReceiptAnswer,
  encodeReceipt,
  encodeReceiptAnswer,
} from '../../agent/identity/receipt-message.ts';
import { RECORD_TYPE, type RecordName, signRecord } from '../../agent/identity/record.ts';
import { parseRevocation, signRevocation } from '../../agent/identity/revocation.ts';
import { toHex, utf8 } from '../../agent/identity/sodium.ts';
import { parseSuspicion } from '../../agent/identity/suspicion.ts';
import { createToken, parseToken, parseTokenCert } from '../../agent/identity/token.ts';
import { decodeControl } from '../../agent/session/control.ts';
import { decodeCookieReply, decodeInit, decodeReset, decodeResponse } from '../../agent/session/messages.ts';
import { decodePayload, encodePayload } from '../../agent/session/payload.ts';
import {
  decodeBox,
  decodeInner,
  decodeIntro,
  decodeIntroBody,
  encodeInner,
  encodeIntroBody,
} from '../../gossip/codec.ts';
import { decodeBody, encodeMessage } from '../../gossip/message.ts';
import * as gossip from '../vector/wire-doc-gossip.ts';
import * as material from '../vector/wire-doc-material.ts';
import * as records from '../vector/wire-doc-records.ts';
import * as session from '../vector/wire-doc-session.ts';
import { HOST_TARGETS } from './host-targets.ts';
import { MACHINE_TARGETS } from './machine-targets.ts';
import { stateTargets } from './state-targets.ts';
import { refusing, type Target } from './target.ts';

const { meshId, root } = material;
const HEADER_BYTES = 6;
const SIGNATURE_BYTES = 64;
const text = new TextDecoder();
const bodyOf = (record: Uint8Array): Uint8Array =>
  record.slice(HEADER_BYTES, record.length - SIGNATURE_BYTES);

/** A frame around a body, with the length right and a signature that nobody made. */
function framed(name: RecordName, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + body.length + SIGNATURE_BYTES);
  bytes.set([0x4c, 1, RECORD_TYPE[name], 0, body.length >> 8, body.length & 0xff]);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

/** A parser that leaves the signature to its caller: the envelope as it comes, then the body in a right envelope. */
function unsigned(name: RecordName, good: Uint8Array, parse: (bytes: Uint8Array) => unknown): Target[] {
  return [
    { name: `${name} record`, inputs: [good], run: (bytes) => parse(bytes) !== null },
    { name: `${name} body`, inputs: [bodyOf(good)], run: (body) => parse(framed(name, body)) !== null },
  ];
}

/** A parser that wants the root's signature: the body is signed after the mutation. */
function signed(
  name: RecordName,
  good: readonly Uint8Array[],
  parse: (bytes: Uint8Array) => unknown,
): Target[] {
  const run = (body: Uint8Array): boolean =>
    body.length < 1900 && parse(signRecord(name, meshId, body, root.secretKey)) !== null;
  return [
    { name: `${name} record`, inputs: good, run: (bytes) => parse(bytes) !== null },
    { name: `${name} body, signed`, inputs: good.map(bodyOf), run, costs: 20 },
  ];
}

const sameAs = (bytes: Uint8Array, again: Uint8Array): true => {
  assert.deepEqual(Buffer.from(again), Buffer.from(bytes));
  return true;
};

const tokenBytes = new Uint8Array(Buffer.from(records.token.text.slice('weft1_'.length), 'base64url'));

const revocation = signRevocation(
  {
    kind: 'admitter',
    target: material.alpha.id,
    timeMs: material.NOW_MS,
    label: 'alpha',
    reason: 'stolen',
    keep: [material.some('kept', 16), material.some('kept too', 16)],
  },
  meshId,
  { secretKey: root.secretKey, cert: null },
);
/** A token with every limit that one can have. */
const limitedToken = createToken(
  {
    ...records.token.cert,
    count: 'each',
    underlay: [
      { ip: '192.0.2.0', length: 24 },
      { ip: '2001:db8::', length: 32 },
    ],
    ...{ meshId, rootPk: root.publicKey, rootNonce: material.rootNonce, rootSecretKey: root.secretKey },
    ...{ psk: material.psk, policySeq: 1, policyId: records.policy.id, seeds: [], suite: 2 },
  },
  material.fixedRng('limited token'),
).cert.record.bytes;
const handed = { cert: records.nodeCert, issuer: records.admitterCert };
const statementIds = [material.some('one', 8), material.some('two', 8)].map((id) => toHex(id)).sort();
const messages = [
  ...Object.values(gossip.MESSAGES),
  { type: 'statement', statement: revocation } as const,
  { type: 'statementDigest', digest: material.some('digest', 16) } as const,
  { type: 'statementWant', ids: statementIds } as const,
  {
    type: 'statementList',
    from: statementIds[0] ?? '',
    to: statementIds[1] ?? '',
    ids: statementIds,
  } as const,
].map((message) => encodeMessage(message));
const forwardedRequest = encodeForwardedRequest({
  ask: material.some('ask', 8),
  dhPk: material.beta.dh.publicKey,
  fromIp: '192.0.2.7',
  tokenCert: records.tokenCert,
  request: records.nodeRequest,
});
const forwardedReply = encodeForwardedReply({ ask: material.some('ask', 8), reply: records.admitted });
const geneveFields = { vni: 0, headerBytes: 0 };
const config = utf8(
  'name: alpha\nunderlay: 192.0.2.1\nsession:\n  rekey_after_sec: 60\nfdb: {limit: 100}\nlog: {level: info}\n',
);

export const TARGETS: readonly Target[] = [
  ...unsigned('nodeCert', records.nodeCert, (b) => parseNodeCert(b, meshId)),
  ...unsigned('nodeState', records.nodeState, (b) => parseNodeState(b, meshId)),
  ...unsigned('nodeRequest', records.nodeRequest, (b) => parseNodeRequest(b, meshId)),
  ...unsigned('suspicion', gossip.suspicion, (b) => parseSuspicion(b, meshId)),
  ...signed('policy', [records.policyBytes], (b) => parsePolicy(b, meshId)),
  ...signed('revocation', [revocation, records.grantEnd], (b) =>
    parseRevocation(b, meshId, { roots: [root.publicKey], adopted: [] }),
  ),
  ...signed('tokenCert', [records.tokenCert, limitedToken], (b) =>
    parseTokenCert(b, meshId, [root.publicKey]),
  ),
  {
    name: 'token text',
    inputs: [utf8(records.token.text)],
    run: (b) => refusing(() => parseToken(text.decode(b), material.clock)),
  },
  {
    name: 'token bytes',
    inputs: [tokenBytes],
    run: (b) => refusing(() => parseToken(`weft1_${Buffer.from(b).toString('base64url')}`, material.clock)),
  },
  {
    name: 'admission reply',
    inputs: [records.admitted, records.refused],
    run: (b) => decodeAdmissionReply(b) !== null,
  },
  {
    name: 'forwarded request',
    inputs: [forwardedRequest],
    run: (b) => {
      const read = decodeForwardedRequest(b);
      return read !== null && sameAs(b, encodeForwardedRequest(read));
    },
  },
  {
    name: 'forwarded reply',
    inputs: [forwardedReply],
    run: (b) => {
      const read = decodeForwardedReply(b);
      return read !== null && sameAs(b, encodeForwardedReply(read));
    },
  },
  {
    name: 'grant offer',
    inputs: [encodeGrantOffer(handed), encodeGrantOffer({ ...handed, issuer: new Uint8Array(0) })],
    run: (b) => {
      const read = decodeGrantOffer(b);
      return read !== null && sameAs(b, encodeGrantOffer(read));
    },
  },
  {
    name: 'receipt',
    inputs: [encodeReceipt(handed), encodeReceiptAnswer(material.some('id', 16))],
    run: (b) => {
      const [read, answer] = [decodeReceipt(b), decodeReceiptAnswer(b)];
      if (answer !== null) return sameAs(b, encodeReceiptAnswer(answer));
      return read !== null && sameAs(b, encodeReceipt(read));
    },
  },
  { name: 'first message', inputs: [session.msg1], run: (b) => decodeInit(b) !== null },
  { name: 'second message', inputs: [session.msg2], run: (b) => decodeResponse(b) !== null },
  { name: 'cookie reply', inputs: [session.cookieReply], run: (b) => decodeCookieReply(b) !== null },
  { name: 'RESET', inputs: [session.reset], run: (b) => decodeReset(b) !== null },
  {
    name: 'handshake payload',
    inputs: [session.initPayload],
    run: (b) => {
      const read = decodePayload(b);
      return read !== null && sameAs(b, encodePayload(read, b.length));
    },
  },
  {
    name: 'lane 15',
    inputs: [session.keepalive, session.probe, session.probeAck, session.challenge],
    run: (b) => decodeControl(b) !== null,
  },
  { name: 'gossip box', inputs: [gossip.box], run: (b) => decodeBox(b) !== null },
  { name: 'gossip intro', inputs: [gossip.intro], run: (b) => decodeIntro(b) !== null },
  {
    name: 'gossip intro body',
    inputs: [encodeIntroBody(records.nodeState, gossip.credential) ?? new Uint8Array(0)],
    run: (b) => decodeIntroBody(b) !== null,
  },
  {
    name: 'gossip inner',
    inputs: [encodeInner(5, 12, 2, messages.slice(0, 3)), encodeInner(1, 1, 1, messages.slice(3))],
    run: (b) => decodeInner(b) !== null,
  },
  {
    name: 'gossip message',
    inputs: messages,
    run: (b) => decodeBody(b[0] ?? 0, b.slice(Math.min(b.length, 3))) !== null,
  },
  {
    name: 'VXLAN',
    inputs: [session.vxlan],
    run: (b) => decodeVxlan(b, 0, b.length) >= 0,
  },
  {
    name: 'Geneve',
    inputs: [session.geneve, session.geneveOption],
    run: (b) => decodeGeneve(b, 0, b.length, geneveFields) === 0,
  },
  {
    name: 'configuration file',
    inputs: [config],
    run: (b) => refusing(() => layerOfYaml('config.yaml', text.decode(b), CONFIG_KEYS, 'E_CONFIG')),
    costs: 10,
  },
  {
    name: 'addresses',
    inputs: ['192.0.2.1:7947', '[2001:db8::1]:7947', '10.80.0.1/24', 'fd80::/64', '::ffff:192.0.2.1'].map(
      (t) => utf8(t),
    ),
    run: (b) => {
      const said = text.decode(b);
      const ip = canonicalIp(said);
      if (ip !== null) assert.equal(ipFromBytes(ipToBytes(ip)), ip);
      return [ip, parseEndpoint(said, 1), parsePrefix(said)].some((read) => read !== null);
    },
  },
  ...stateTargets(revocation),
  ...HOST_TARGETS,
  ...MACHINE_TARGETS,
];
