import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DROP } from '../../agent/datapath/drop.ts';
import { decodeGeneve, type GeneveFields } from '../../agent/datapath/geneve.ts';
import { decodeVxlan, VXLAN_HEADER_BYTES } from '../../agent/datapath/vxlan.ts';
import { decodeAdmissionReply, REFUSAL } from '../../agent/identity/admission-reply.ts';
import { parseNodeCert } from '../../agent/identity/node-cert.ts';
import { parseNodeRequest } from '../../agent/identity/node-request.ts';
import { parsePolicy } from '../../agent/identity/policy.ts';
import { toHex } from '../../agent/identity/sodium.ts';
import { parseSuspicion } from '../../agent/identity/suspicion.ts';
import { parseToken, parseTokenCert } from '../../agent/identity/token.ts';
import { TrustStore } from '../../agent/identity/trust-store.ts';
import { CONTROL, decodeControl } from '../../agent/session/control.ts';
import { CookieJar, MacKeys } from '../../agent/session/cookie.ts';
import { decodeCookieReply, decodeInit, decodeReset, decodeResponse } from '../../agent/session/messages.ts';
import { decodePayload } from '../../agent/session/payload.ts';
import { resetToken } from '../../agent/session/resets.ts';
import { decodeBox, decodeInner, decodeIntro, decodeIntroBody } from '../../gossip/codec.ts';
import { document } from '../unit/docs-source.ts';
import { EXAMPLES, formatHex, formatToken } from './wire-doc-examples.ts';
import * as g from './wire-doc-gossip.ts';
import * as m from './wire-doc-material.ts';
import { token } from './wire-doc-records.ts';
import * as s from './wire-doc-session.ts';

const { text } = document('docs/WIRE.md');
const blocks = new Map(
  [...text.matchAll(/```hex ([a-z0-9-]+)\n([^`]*)```/g)].map(([, name, hex]) => [name, hex]),
);

/** The bytes of an example as the document has them. */
function written(name: string): Uint8Array {
  const hex = blocks.get(name);
  assert.ok(hex !== undefined, `docs/WIRE.md has no example ${name}`);
  return m.fromHex(hex);
}

function trust(): TrustStore {
  const policy = parsePolicy(written('policy'), m.meshId);
  assert.ok(policy !== null);
  return new TrustStore({ meshId: m.meshId, policy }, m.clock);
}

test('the examples of docs/WIRE.md are those that the code makes', () => {
  assert.deepEqual([...blocks.keys()].sort(), Object.keys(EXAMPLES).sort());
  for (const [name, bytes] of Object.entries(EXAMPLES)) {
    assert.equal(blocks.get(name)?.trimEnd(), formatHex(bytes), `replace the example ${name}`);
  }
  const [, written = ''] = /```text token\n([^`]*)```/.exec(text) ?? [];
  assert.equal(written.trimEnd(), formatToken(token.text));
});

test('the VXLAN and Geneve examples carry the frame in VNI 42', () => {
  const vxlan = written('vxlan');
  assert.equal(decodeVxlan(vxlan, 0, vxlan.length), m.VNI);
  assert.deepEqual(vxlan.slice(VXLAN_HEADER_BYTES), m.FRAME);
  const fields: GeneveFields = { vni: 0, headerBytes: 0 };
  for (const name of ['geneve', 'geneve-option']) {
    const geneve = written(name);
    assert.equal(decodeGeneve(geneve, 0, geneve.length, fields), DROP.none);
    assert.equal(fields.vni, m.VNI);
    assert.deepEqual(geneve.slice(fields.headerBytes), m.FRAME);
  }
  const critical = written('geneve-critical');
  assert.equal(decodeGeneve(critical, 0, critical.length, fields), DROP.geneveCritical);
});

test('the sealed examples open under the lane keys of the document and under no other', () => {
  const frame = written('sealed-frame');
  assert.deepEqual(frame.slice(0, 16), s.sealedHeader(1, s.baseIndex, s.COUNTER));
  assert.deepEqual(s.open(frame, written('lane-0-key')), written('vxlan'));
  assert.equal(s.open(frame, written('lane-15-key')), null);
  const control = s.open(written('sealed-keepalive'), written('lane-15-key'));
  assert.deepEqual(control, written('control-keepalive'));
});

test('the control examples decode to their kinds', () => {
  const expected = {
    'control-keepalive': { kind: CONTROL.keepalive, body: new Uint8Array(0) },
    'control-probe': { kind: CONTROL.probe, body: m.some('probe', 8) },
    'control-probe-ack': {
      kind: CONTROL.probeAck,
      body: m.concatBytes(
        m.some('probe', 8),
        Uint8Array.of(0, 64, ...new Uint8Array(10), 0xff, 0xff, 192, 0, 2, 11, 0x1f, 0x0b),
      ),
    },
    'control-challenge': { kind: CONTROL.challenge, body: m.some('challenge', 8) },
  };
  for (const [name, message] of Object.entries(expected)) {
    const decoded = decodeControl(written(name));
    assert.deepEqual(decoded && { kind: decoded.kind, body: decoded.body.slice() }, message, name);
  }
});

test('the handshake examples complete a handshake and carry the certificates', () => {
  const msg1 = written('handshake-1');
  const msg2 = written('handshake-2');
  assert.ok(new MacKeys(m.psk, m.alpha.dh.publicKey).mac1Valid(msg1));
  assert.ok(new MacKeys(m.psk, m.beta.dh.publicKey).mac1Valid(msg2));
  const init = decodeInit(msg1);
  const response = decodeResponse(msg2);
  assert.ok(init !== null && response !== null);
  assert.equal(init.senderIndex, s.initiatorIndex);
  assert.equal(response.senderIndex, s.responderIndex);
  assert.equal(response.receiverIndex, s.initiatorIndex);

  const payload1 = decodePayload(
    s.handshakeOf(m.alpha, false).read(init.noise, init.header) ?? new Uint8Array(0),
  );
  assert.deepEqual(payload1?.certificates, [written('node-cert'), written('admitter-cert')]);
  assert.equal(payload1?.incarnation, 3);

  // The initiator's side once more, to where it reads the answer that the document has.
  const initiator = s.handshakeOf(m.beta, true);
  assert.deepEqual(initiator.write(s.initPayload, init.header), init.noise.slice());
  const payload2 = decodePayload(initiator.read(response.noise, response.header) ?? new Uint8Array(0));
  assert.deepEqual(payload2?.certificates, [written('admitter-cert'), written('admitter-cert')]);
  assert.deepEqual(payload2?.resetToken, decodeReset(written('reset'))?.token.slice());
});

test('the cookie example opens for the one who sent the first message and proves its address', () => {
  const reply = decodeCookieReply(written('cookie-reply'));
  assert.ok(reply !== null);
  assert.equal(reply.receiverIndex, s.initiatorIndex);
  const keys = new MacKeys(m.psk, m.alpha.dh.publicKey);
  const cookie = keys.openCookie(reply, s.mac1OfMsg1);
  assert.ok(cookie !== null);
  const again = written('handshake-1');
  keys.stamp(again, cookie);
  const jar = new CookieJar(m.fixedRng('cookie secret'));
  assert.ok(jar.mac2Valid(0, s.FROM, again));
  assert.ok(!jar.mac2Valid(0, { ...s.FROM, port: 1 }, again));
});

test('the RESET example shows the token of the boot that made the index', () => {
  const reset = decodeReset(written('reset'));
  assert.equal(reset?.index, s.responderIndex);
  assert.deepEqual(reset?.token.slice(), resetToken(m.secret('alpha reset'), s.responderIndex));
});

test('the certificates stay good under a recovery that adopts their admitter', () => {
  const first = parsePolicy(written('policy'), m.meshId);
  const next = parsePolicy(written('policy-recovered'), m.meshId);
  assert.ok(first !== null && next !== null);
  assert.deepEqual([next.seq, next.roots.length, next.recovery.length, next.adopted.length], [2, 1, 1, 1]);
  assert.deepEqual([next.signer, next.prevId], [next.recovery[0], first.id]);
  const store = new TrustStore({ meshId: m.meshId, policy: next }, m.clock);
  assert.ok(store.verifyNodeCert(written('node-cert'), written('admitter-cert')).ok);
});

test('the certificates and the state verify against the policy', () => {
  const store = trust();
  assert.equal(store.policy.meshName, 'weft');
  assert.equal(store.segment(m.VNI)?.mtuBytes, 1390);
  const verdict = store.verifyNodeCert(written('node-cert'), written('admitter-cert'));
  assert.ok(verdict.ok);
  assert.equal(verdict.cert.name, 'beta');
  assert.equal(verdict.cert.nodeIdHex, toHex(written('beta-id')));
  const state = store.verifyNodeState(written('node-state'), verdict.cert);
  assert.deepEqual(state?.endpoints, [{ ip: '192.0.2.11', sealedPort: 7947, gossipPort: 7946 }]);
  assert.equal(state?.incarnation, 3);
  assert.equal(parseNodeCert(written('admitter-cert'), m.meshId)?.nodeIdHex, toHex(written('alpha-id')));
});

test('the token, its certificate and the request belong together', () => {
  const read = parseToken(token.text, m.clock);
  const cert = parseTokenCert(written('token-cert'), written('mesh-id'), [m.root.publicKey]);
  assert.deepEqual(read.cert.record.bytes, written('token-cert'));
  assert.deepEqual([read.cert.uses, read.cert.nameRule, read.cert.name], [1, 'prefix', 'be']);
  assert.deepEqual(read.seeds[0]?.ip, '192.0.2.10');
  const request = parseNodeRequest(written('node-request'), m.meshId);
  assert.ok(cert !== null && request !== null);
  assert.ok(request.verify(cert.tokenPk));
  assert.ok(!request.verify(m.alpha.sign.publicKey));
  assert.equal(request.name, 'beta');
});

test('the refusal decodes, and the table of codes is that of the code', () => {
  const reply = decodeAdmissionReply(written('refused'));
  assert.deepEqual(reply, {
    admitted: false,
    code: REFUSAL.tokenUsedUp,
    text: 'the token is used up: 1 of 1 uses',
  });
  const codes = [...text.matchAll(/\| (\d+) \| [a-z][a-z' ]+(?= \|)/g)].map(([, code]) => Number(code));
  for (const code of Object.values(REFUSAL)) assert.ok(codes.includes(code), `code ${code} is not listed`);
});

test('the gossip box opens for its receiver and holds a ping and a want', () => {
  const frame = decodeBox(written('gossip-box'));
  assert.ok(frame !== null);
  assert.equal(frame.sender, toHex(written('alpha-id')).slice(0, 16));
  assert.equal(frame.receiver, toHex(written('beta-id')).slice(0, 16));
  const opened = g.betaTrust.open(g.alphaHex, m.alpha.dh.publicKey, frame.nonce, frame.box);
  const inner = decodeInner(opened ?? new Uint8Array(0));
  assert.deepEqual(inner, { boot: 5, seq: 12, echo: 2, messages: [g.MESSAGES.ping, g.MESSAGES.want] });
});

test('each gossip message decodes to what it says', () => {
  for (const [name, message] of Object.entries(g.MESSAGES)) {
    const header = new Uint8Array(24);
    const inner = decodeInner(m.concatBytes(header, written(`gossip-${name}`)));
    assert.deepEqual(inner?.messages, [message], name);
  }
});

test('the introduction opens under the psk and holds a state and its certificates', () => {
  const frame = decodeIntro(written('intro'));
  assert.ok(frame !== null);
  const body = decodeIntroBody(g.alphaTrust.openIntro(frame.nonce, frame.sealed) ?? new Uint8Array(4));
  assert.deepEqual(body, { record: written('node-state'), credential: g.credential });
});

test('a reflected box does not open at its sender', () => {
  const frame = decodeBox(written('gossip-box'));
  assert.ok(frame !== null);
  assert.equal(g.alphaTrust.open(g.betaHex, m.beta.dh.publicKey, frame.nonce, frame.box), null);
});

test('the suspicion is signed by its accuser', () => {
  const read = parseSuspicion(written('suspicion'), m.meshId);
  assert.deepEqual(read?.targetId, written('beta-id'));
  assert.ok(read?.signedBy(m.alpha.sign.publicKey));
  assert.ok(!read?.signedBy(m.beta.sign.publicKey));
});
