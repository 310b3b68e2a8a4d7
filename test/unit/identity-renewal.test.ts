import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodeAdmissionReply } from '../../agent/identity/admission-reply.ts';
import { BACKDATE_MS } from '../../agent/identity/genesis.ts';
import { parseNodeCert, type ReadNodeCert } from '../../agent/identity/node-cert.ts';
import {
  installCertificate,
  readIdentity,
  writeMeshRef,
  writeNodeKeys,
} from '../../agent/identity/node-identity.ts';
import { signNodeState } from '../../agent/identity/node-state.ts';
import {
  decodeRenewalReply,
  decodeRenewalRequest,
  encodeRenewalReply,
  encodeRenewalRequest,
  renew,
  renewalDueMs,
} from '../../agent/identity/renewal.ts';
import { parseRevocation, signRevocation } from '../../agent/identity/revocation.ts';
import { STATE_FILE, StateDir } from '../../agent/identity/state-dir.ts';
import { DAY_MS, HOUR_MS, NOW_MS, VNI, World } from './identity-world.ts';

const ASK = new Uint8Array(8).fill(9);

function joined(name = 'mesh') {
  const world = new World(name);
  const host = world.ask(world.token(), { name: 'beta' });
  const cert = host.cert as ReadNodeCert;
  const issuer = world.self.record.bytes;
  const ask = (of = cert, peerId = cert.nodeIdHex) => {
    const { sign } = world.mesh.keys;
    const parts = { trust: world.trust, self: world.self, signSecretKey: sign.secretKey, root: null };
    const request = { ask: ASK, cert: of.record.bytes, admitter: issuer };
    const reply = decodeAdmissionReply(renew(parts, peerId, request));
    assert.ok(reply);
    const next = reply.admitted ? parseNodeCert(reply.cert, world.mesh.meshId) : null;
    return { next, text: reply.admitted ? '' : reply.text };
  };
  return { world, host, cert, issuer, ask };
}

test('a certificate is renewed from two thirds of its lifetime, with the same rights, keys and length', () => {
  const { world, cert, issuer, ask } = joined();
  assert.equal(renewalDueMs(cert), NOW_MS + 20 * DAY_MS);
  world.clock.pass(20 * DAY_MS);
  const { next } = ask();
  assert.ok(next);
  assert.deepEqual(
    [next.notBeforeMs, next.expiresMs],
    [NOW_MS + 20 * DAY_MS - BACKDATE_MS, NOW_MS + 50 * DAY_MS],
  );
  assert.equal(next.generation, cert.generation + 1);
  const rest = ({ nodeIdHex, name, caps, tokenId, slot, requestId, vnis, addresses }: ReadNodeCert) => ({
    ...{ nodeIdHex, name, caps, tokenId, slot, requestId, vnis, addresses },
  });
  assert.deepEqual(rest(next), rest(cert));
  assert.equal(world.trust.verifyNodeCert(next.record.bytes, issuer).ok, true);
});

test('nothing is renewed early, for another host, after its end, after a revocation, or for a root', () => {
  const { world, cert, ask } = joined();
  assert.match(ask().text, /not half over/);
  world.clock.pass(20 * DAY_MS);
  assert.match(ask(cert, world.self.nodeIdHex).text, /another host/);
  assert.match(ask(world.self, world.self.nodeIdHex).text, /only the root/);
  const { meshId, root } = world.mesh;
  const facts = {
    kind: 'node' as const,
    target: cert.nodeId,
    timeMs: NOW_MS,
    label: 'beta',
    reason: '',
    keep: [],
  };
  const statement = parseRevocation(
    signRevocation(facts, meshId, { secretKey: root.secretKey, cert: null }),
    meshId,
    world.trust.policy,
  );
  assert.ok(statement);
  world.trust.revocations.add(statement);
  assert.match(ask().text, /was revoked/);
  const late = joined('late');
  late.world.clock.pass(30 * DAY_MS + HOUR_MS);
  assert.match(late.ask().text, /expired/);
});

test('request and reply read back as they were written, and nothing else does', () => {
  const { cert, issuer } = joined();
  const request = encodeRenewalRequest({ ask: ASK, cert: cert.record.bytes, admitter: issuer });
  assert.deepEqual(decodeRenewalRequest(request), { ask: ASK, cert: cert.record.bytes, admitter: issuer });
  for (let cut = 0; cut < request.length; cut++)
    assert.equal(decodeRenewalRequest(request.subarray(0, cut)), null);
  const reply = encodeRenewalReply(ASK, new Uint8Array([1, 2]));
  assert.deepEqual(decodeRenewalReply(reply), { ask: ASK, reply: new Uint8Array([1, 2]) });
  assert.equal(decodeRenewalReply(reply.subarray(0, 9)), null);
});

test('a renewed certificate is found after a restart, whenever the power was cut', () => {
  const { world, host, cert, issuer, ask } = joined();
  const folder = mkdtempSync(join(tmpdir(), 'weft-renewal-'));
  try {
    const state = StateDir.open(join(folder, 'state'));
    const { meshId, root, policy, psk } = world.mesh;
    writeMeshRef(state, { meshId, rootPk: root.publicKey, rootNonce: policy.rootNonce });
    writeNodeKeys(state, host.request.keys);
    state.write(STATE_FILE.psk, psk);
    state.write(STATE_FILE.policy, policy.bytes);
    state.write(STATE_FILE.admitter, issuer);
    state.write(STATE_FILE.cert, cert.record.bytes);
    world.clock.pass(20 * DAY_MS);
    const identity = readIdentity(state, world.clock);
    const { next } = ask();
    assert.ok(next);
    installCertificate(identity, state, next, next.record.bytes, issuer);
    const whole = readIdentity(state, world.clock);
    assert.equal(whole.cert.expiresMs, next.expiresMs);
    // Cut off between the two files: the pair lies ready.
    state.write(STATE_FILE.cert, cert.record.bytes);
    const pair = Buffer.concat(
      [next.record.bytes, issuer].flatMap((b) => [Buffer.from([b.length >> 8, b.length & 0xff]), b]),
    );
    state.write(STATE_FILE.renewed, pair);
    assert.equal(readIdentity(state, world.clock).cert.expiresMs, next.expiresMs);
    assert.equal(state.has(STATE_FILE.renewed), false);
    world.clock.pass(40 * DAY_MS);
    assert.throws(() => readIdentity(state, world.clock), {
      code: 'E_CLOCK',
      message: /off too long to renew, and joins anew with a new token and an empty --state/,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a record of a host counts until its own end', () => {
  const { world, host, cert } = joined();
  const bytes = signNodeState(
    {
      nodeId: cert.nodeId,
      certId: cert.record.id.slice(0, 16),
      incarnation: 1,
      seq: 0,
      status: 'alive',
      policySeq: 1,
      revocationDigest: new Uint8Array(16),
      validUntilMs: NOW_MS + DAY_MS,
      endpoints: [{ ip: '192.0.2.1', sealedPort: 7947, gossipPort: 7946 }],
    },
    world.mesh.meshId,
    host.request.keys.sign.secretKey,
  );
  assert.ok(world.trust.verifyNodeState(bytes, cert));
  world.clock.pass(DAY_MS + 9 * 60_000);
  assert.ok(world.trust.verifyNodeState(bytes, cert), 'within the leeway');
  world.clock.pass(60_000);
  assert.equal(world.trust.verifyNodeState(bytes, cert), null);
  assert.equal(cert.vnis[0], VNI);
});
