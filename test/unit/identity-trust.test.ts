import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CAP,
  NO_ISSUER,
  type NodeCert,
  parseNodeCert,
  signNodeCert,
} from '../../agent/identity/node-cert.ts';
import { signNodeState } from '../../agent/identity/node-state.ts';
import { signingKeyPair } from '../../agent/identity/sodium.ts';
import { TrustStore } from '../../agent/identity/trust-store.ts';
import { DAY_MS, flipped, HOUR_MS, NOW_MS, World } from './identity-world.ts';

const LEEWAY_MS = 600_000;

const world = new World();
const { mesh } = world;
const member = world.ask(world.token({ uses: 5 }));
const memberCert = member.cert;
assert.ok(memberCert !== null);

/** The member's certificate with other fields, signed by the admitter unless said. */
function cert(change: Partial<NodeCert>, key = mesh.keys.sign.secretKey): Uint8Array {
  assert.ok(memberCert !== null);
  return signNodeCert({ ...memberCert, ...change }, mesh.meshId, key);
}

/** Why a store that knows nothing yet refuses a certificate; null if it accepts it. */
function problem(
  bytes: Uint8Array,
  admitter: Uint8Array | null = mesh.cert,
  store = world.store(),
): string | null {
  const verdict = store.verifyNodeCert(bytes, admitter);
  return verdict.ok ? null : verdict.problem;
}

test('a member is believed by its certificate and that of its admitter, and an admitter by its own', () => {
  assert.equal(problem(cert({})), null);
  assert.equal(problem(mesh.cert, null), null);
  assert.equal(problem(mesh.cert, mesh.cert), null);
});

test('an admitter is learned once', () => {
  const store = world.store();
  assert.equal(problem(cert({}), null, store), 'unknownIssuer');
  assert.equal(problem(cert({}), mesh.cert, store), null);
  assert.equal(problem(cert({ slot: 9 }), null, store), null);
});

test('a certificate that its issuer did not sign is refused', () => {
  const stranger = signingKeyPair(new Uint8Array(32).fill(3));
  assert.equal(problem(cert({}, stranger.secretKey)), 'signature');
  assert.equal(problem(cert({ issuerId: NO_ISSUER })), 'signature');
  assert.equal(problem(cert({ issuerId: NO_ISSUER, caps: CAP.admit })), 'signature');
});

test('an admitter that no root signed makes nobody a member', () => {
  const stranger = signingKeyPair(new Uint8Array(32).fill(3));
  const self = { ...world.self, signPk: stranger.publicKey };
  const fake = signNodeCert(self, mesh.meshId, stranger.secretKey);
  const issuerId = parseNodeCert(fake, mesh.meshId)?.record.id.slice(0, 16) ?? NO_ISSUER;
  assert.equal(problem(cert({ issuerId }, stranger.secretKey), fake), 'unknownIssuer');
});

test('a member without the right to admit makes nobody a member', () => {
  assert.ok(memberCert !== null);
  const issuerId = memberCert.record.id.slice(0, 16);
  const issued = cert({ issuerId }, member.request.keys.sign.secretKey);
  assert.equal(problem(issued, memberCert.record.bytes), 'unknownIssuer');
});

test('a host that the root certified without the right to admit makes nobody a member', () => {
  const weak = signNodeCert({ ...world.self, caps: CAP.bridge }, mesh.meshId, mesh.root.secretKey);
  assert.equal(problem(weak, null), null);
  const issuerId = parseNodeCert(weak, mesh.meshId)?.record.id.slice(0, 16) ?? NO_ISSUER;
  assert.equal(problem(cert({ issuerId }), weak), 'unknownIssuer');
});

test('only a root gives the rights to admit and to revoke', () => {
  for (const caps of [CAP.admit, CAP.revoke, CAP.admit | CAP.bridge])
    assert.equal(problem(cert({ caps })), 'rights');
  assert.equal(problem(cert({ caps: CAP.bridge | CAP.relay | CAP.plain })), null);
});

test('a segment outside policy or outside what the issuer holds is refused', () => {
  assert.equal(problem(cert({ vnis: [42, 43] })), 'segment');
  const wide = signNodeCert({ ...world.self, vnis: [43] }, mesh.meshId, mesh.root.secretKey);
  assert.equal(problem(wide, null), 'segment');
  const none = signNodeCert({ ...world.self, vnis: [] }, mesh.meshId, mesh.root.secretKey);
  const issuerId = parseNodeCert(none, mesh.meshId)?.record.id.slice(0, 16) ?? NO_ISSUER;
  assert.equal(problem(cert({ issuerId }), none), 'segment');
});

test('times are judged with ten minutes of leeway at both ends', () => {
  const starts = (ms: number) => problem(cert({ notBeforeMs: NOW_MS + ms }));
  assert.deepEqual([starts(LEEWAY_MS), starts(LEEWAY_MS + 1)], [null, 'notYetValid']);
  const ends = (ms: number) => problem(cert({ expiresMs: NOW_MS + ms }));
  assert.deepEqual([ends(-LEEWAY_MS + 1), ends(-LEEWAY_MS)], [null, 'expired']);
});

test('a certificate ends with that of its admitter', () => {
  const short = signNodeCert(
    { ...world.self, expiresMs: NOW_MS - HOUR_MS },
    mesh.meshId,
    mesh.root.secretKey,
  );
  const issuerId = parseNodeCert(short, mesh.meshId)?.record.id.slice(0, 16) ?? NO_ISSUER;
  assert.equal(problem(cert({ issuerId }), short), 'expired');
});

test('what was believed once is judged by its times again', () => {
  const other = new World();
  const joined = other.ask(other.token()).cert;
  assert.ok(joined !== null);
  const store = other.store();
  assert.ok(store.verifyNodeCert(joined.record.bytes, other.mesh.cert).ok);
  other.clock.wall = joined.expiresMs + LEEWAY_MS;
  const late = store.verifyNodeCert(joined.record.bytes, other.mesh.cert);
  assert.ok(!late.ok && late.problem === 'expired');
});

test('a certificate seen before is refused under another signature, and so is a state', () => {
  const store = world.store();
  assert.ok(memberCert !== null);
  const { bytes } = memberCert.record;
  assert.equal(problem(bytes, mesh.cert, store), null);
  for (const back of [1, 20, 40, 64])
    assert.equal(problem(flipped(bytes, bytes.length - back), mesh.cert, store), 'signature');
  const state = stateOf({});
  assert.ok(store.verifyNodeState(state, memberCert) !== null);
  for (const back of [1, 20, 40, 64])
    assert.equal(store.verifyNodeState(flipped(state, state.length - back), memberCert), null);
  assert.equal(problem(bytes, mesh.cert, store), null);
});

test('times at the end of every calendar, from anybody, are a refusal and no exception', () => {
  const stranger = signingKeyPair(new Uint8Array(32).fill(3));
  for (const ms of [8.64e15, 8.64e15 + 1, Number.MAX_SAFE_INTEGER])
    assert.ok(problem(cert({ notBeforeMs: ms }, stranger.secretKey)) !== null);
});

test('garbage is malformed, as certificate and as admitter', () => {
  for (const garbage of [new Uint8Array(0), new Uint8Array(70), mesh.policy.bytes, new Uint8Array(3000)]) {
    assert.equal(problem(garbage), 'malformed');
    assert.equal(problem(cert({}), garbage), 'unknownIssuer');
  }
});

function stateOf(change: object, key = member.request.keys.sign.secretKey): Uint8Array {
  assert.ok(memberCert !== null);
  const state = {
    nodeId: memberCert.nodeId,
    certId: memberCert.record.id.slice(0, 16),
    incarnation: 1,
    seq: 0,
    status: 'alive' as const,
    policySeq: 1,
    revocationDigest: new Uint8Array(16),
    validUntilMs: NOW_MS + DAY_MS,
    endpoints: [],
  };
  return signNodeState({ ...state, ...change }, mesh.meshId, key);
}

test('a state is believed from its owner only, about the certificate that it names', () => {
  const store = world.store();
  assert.ok(memberCert !== null);
  assert.equal(store.verifyNodeState(stateOf({}), memberCert)?.incarnation, 1);
  assert.equal(store.verifyNodeState(stateOf({}, mesh.keys.sign.secretKey), memberCert), null);
  assert.equal(store.verifyNodeState(stateOf({ nodeId: new Uint8Array(32) }), memberCert), null);
  assert.equal(store.verifyNodeState(stateOf({ certId: new Uint8Array(16) }), memberCert), null);
  assert.equal(store.verifyNodeState(stateOf({}), world.self), null);
  assert.equal(store.verifyNodeState(new Uint8Array(100), memberCert), null);
});

test('the clock has a floor that only a root raises', () => {
  const other = new World();
  const store = other.store();
  other.clock.wall = 0;
  assert.equal(store.nowMs(), NOW_MS);
  other.clock.wall = NOW_MS - HOUR_MS;
  assert.equal(store.nowMs(), NOW_MS);
  other.clock.wall = NOW_MS + HOUR_MS;
  assert.equal(store.nowMs(), NOW_MS + HOUR_MS);
});

test('a policy dated more than a day ahead of a clock that may be right does not raise the floor', () => {
  const other = new World();
  const { meshId, policy } = other.mesh;
  const at = (timeMs: number) => new TrustStore({ meshId, policy: { ...policy, timeMs } }, other.clock);
  assert.equal(at(NOW_MS + DAY_MS).nowMs(), NOW_MS + DAY_MS);
  assert.equal(at(NOW_MS + DAY_MS + 1).nowMs(), NOW_MS);
  other.clock.wall = 1000;
  assert.equal(at(NOW_MS + 900 * DAY_MS).nowMs(), NOW_MS + 900 * DAY_MS);
  assert.ok(at(0).nowMs() > Date.UTC(2026, 0, 1), 'the version itself is a floor');
});
