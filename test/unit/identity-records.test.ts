import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeAdmissionReply, encodeAdmitted, encodeRefused } from '../../agent/identity/admission-reply.ts';
import { ByteReader, ByteWriter } from '../../agent/identity/bytes.ts';
import { type NodeCert, nodeIdOf, parseNodeCert, signNodeCert } from '../../agent/identity/node-cert.ts';
import { parseNodeRequest, signNodeRequest } from '../../agent/identity/node-request.ts';
import { type NodeState, parseNodeState, signNodeState } from '../../agent/identity/node-state.ts';
import { type Policy, parsePolicy, signPolicy } from '../../agent/identity/policy.ts';
import {
  announcedLength,
  MAX_RECORD_BYTES,
  parseRecord,
  recordSignedBy,
  signRecord,
} from '../../agent/identity/record.ts';
import { concat, hash, sign, signingKeyPair, toHex, utf8 } from '../../agent/identity/sodium.ts';
import { parseSuspicion, signSuspicion } from '../../agent/identity/suspicion.ts';
import { parseTokenCert } from '../../agent/identity/token.ts';
import { flipped, World } from './identity-world.ts';

const world = new World();
const { meshId, root, policy } = world.mesh;
const issuer = signingKeyPair(new Uint8Array(32).fill(1));
const holder = signingKeyPair(new Uint8Array(32).fill(2));
const otherMesh = hash(utf8('another mesh'));

/** Plain objects, as the readers give. */
const struct = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
const u32 = fc.nat({ max: 0xffffffff });
const u64 = fc.maxSafeNat();
const timeMs = fc.nat({ max: 8.64e15 });
const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size });
const vni = fc.nat({ max: 0xffffff });
const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const ip4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((p) => p.join('.'));
const ip = fc.oneof(ip4, fc.constantFrom('2001:db8::1', 'fd00::a:0:0:1', '::1', '::'));
const prefix = ip.chain((text) =>
  fc.nat({ max: text.includes(':') ? 128 : 32 }).map((length) => ({ ip: text, length })),
);
const address = struct({ vni, prefix });

const certs: fc.Arbitrary<NodeCert> = struct({
  signPk: bytes(32),
  dhPk: bytes(32),
  name,
  caps: fc.nat(0xffff),
  tokenId: bytes(16),
  slot: u32,
  issuerId: bytes(16),
  requestId: bytes(16),
  notBeforeMs: timeMs,
  expiresMs: timeMs,
  generation: u32,
  vnis: fc.uniqueArray(vni, { maxLength: 4 }),
  addresses: fc.array(address, { maxLength: 4 }),
});
const states: fc.Arbitrary<NodeState> = struct({
  nodeId: bytes(32),
  certId: bytes(16),
  incarnation: u64,
  seq: u32,
  status: fc.constantFrom('alive', 'left', 'released'),
  policySeq: u64,
  revocationDigest: bytes(16),
  validUntilMs: timeMs,
  endpoints: fc.array(struct({ ip, sealedPort: fc.nat(65535), gossipPort: fc.nat(65535) }), {
    maxLength: 2,
  }),
});
const policies: fc.Arbitrary<Policy> = struct({
  seq: u64,
  prevId: bytes(32),
  meshName: fc.string({ unit: 'grapheme' }).filter((text) => utf8(text).length <= 63),
  rootNonce: bytes(16),
  timeMs,
  nodeLifeSec: u32,
  leewaySec: fc.nat(0xffff),
  roots: fc
    .uniqueArray(bytes(32), { selector: toHex, maxLength: 7 })
    .map((keys): readonly Uint8Array[] => [...keys, issuer.publicKey]),
  recovery: fc.uniqueArray(bytes(32), { selector: toHex, maxLength: 2 }),
  adopted: fc.array(bytes(16), { maxLength: 8 }),
  segments: fc.uniqueArray(
    struct({
      vni,
      mode: fc.constantFrom('sealed', 'plain'),
      encap: fc.constantFrom('vxlan', 'geneve'),
      suite: fc.constantFrom(1, 2),
      mtuBytes: fc.integer({ min: 1280, max: 65535 }),
      prefix,
    }),
    { selector: (s) => s.vni, maxLength: 16 },
  ),
});

const aToken = world.token();
const aRequest = world.request(aToken);
const nodeId = nodeIdOf(holder.publicKey, issuer.publicKey);
const aState: NodeState = {
  nodeId,
  certId: nodeId.slice(0, 16),
  incarnation: 3,
  seq: 4,
  status: 'alive',
  policySeq: 1,
  revocationDigest: new Uint8Array(16),
  validUntilMs: world.clock.wall,
  endpoints: [{ ip: '192.0.2.1', sealedPort: 7947, gossipPort: 7946 }],
};
/** One good record of each type, and whether bytes are accepted in its place. */
const goodState = signNodeState(aState, meshId, holder.secretKey);
const GOOD: Record<string, { good: Uint8Array; accepts: (b: Uint8Array, mesh?: Uint8Array) => boolean }> = {
  policy: {
    good: policy.bytes,
    accepts: (b, mesh = meshId) => parsePolicy(b, mesh) !== null,
  },
  tokenCert: {
    good: aToken.cert.record.bytes,
    accepts: (b, mesh = meshId) => parseTokenCert(b, mesh, [root.publicKey]) !== null,
  },
  nodeRequest: {
    good: aRequest.bytes,
    accepts: (b, mesh = meshId) => parseNodeRequest(b, mesh)?.verify(aToken.cert.tokenPk) ?? false,
  },
  nodeCert: {
    good: world.mesh.cert,
    accepts: (b, mesh = meshId) => {
      const cert = parseNodeCert(b, mesh);
      return cert !== null && recordSignedBy(cert.record, root.publicKey);
    },
  },
  nodeState: {
    good: goodState,
    accepts: (b, mesh = meshId) => {
      const state = parseNodeState(b, mesh);
      return state !== null && recordSignedBy(state.record, holder.publicKey);
    },
  },
  suspicion: {
    good: signSuspicion(
      { accuserId: nodeId, targetId: otherMesh, targetIncarnation: 9 },
      meshId,
      holder.secretKey,
    ),
    accepts: (b, mesh = meshId) => parseSuspicion(b, mesh)?.signedBy(holder.publicKey) ?? false,
  },
};

for (const [type, { good, accepts }] of Object.entries(GOOD)) {
  test(`a ${type} is refused at every length but its own`, () => {
    assert.ok(accepts(good));
    for (let size = 0; size < good.length; size++) assert.ok(!accepts(good.slice(0, size)), `${size} bytes`);
    assert.ok(!accepts(concat(good, new Uint8Array(1))));
  });

  test(`a ${type} with any bit flipped is refused`, () => {
    for (let at = 0; at < good.length; at++)
      assert.ok(!accepts(flipped(good, at, 1 << (at % 8))), `byte ${at}`);
  });

  test(`a ${type} of one mesh is none of another`, () => assert.ok(!accepts(good, otherMesh)));

  test(`no garbage makes a reader of a ${type} throw`, () => {
    const framed = fc.uint8Array({ maxLength: 300 }).map((body) => {
      const header = [...good.slice(0, 4), body.length >> 8, body.length & 0xff];
      return concat(new Uint8Array(header), body, new Uint8Array(64));
    });
    const mangled = fc
      .array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 })
      .map((edits) => edits.reduce((b, [at, mask]) => flipped(b, at, mask), good));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 2100 }), framed, mangled), (b) => {
        accepts(b);
      }),
      { numRuns: 400 },
    );
  });
}

test('no type of record is read as another', () => {
  for (const [type, { good }] of Object.entries(GOOD))
    for (const [other, { accepts }] of Object.entries(GOOD))
      assert.equal(accepts(good), type === other, `${type} as ${other}`);
});

test('a record re-labelled as another type has no valid signature', () => {
  const relabelled = flipped(goodState, 2, 6 ^ 8);
  const raw = parseRecord('suspicion', meshId, relabelled);
  assert.ok(raw !== null && !recordSignedBy(raw, holder.publicKey));
});

test('a node certificate reads as it was written', () => {
  fc.assert(
    fc.property(certs, (cert) => {
      const read = parseNodeCert(signNodeCert(cert, meshId, issuer.secretKey), meshId);
      assert.ok(read !== null && recordSignedBy(read.record, issuer.publicKey));
      const { record, nodeId: id, nodeIdHex, ...fields } = read;
      assert.deepEqual(fields, cert);
      assert.equal(Buffer.from(id).toString('hex'), nodeIdHex);
      assert.ok(record.bytes.length <= 448);
    }),
    { numRuns: 150 },
  );
});

test('a node state reads as it was written', () => {
  fc.assert(
    fc.property(states, (state) => {
      const signed = signNodeState(state, meshId, holder.secretKey);
      const read = parseNodeState(signed, meshId);
      assert.ok(read !== null && signed.length <= 224);
      const { record, ...fields } = read;
      assert.deepEqual(fields, state);
      assert.ok(recordSignedBy(record, holder.publicKey));
    }),
    { numRuns: 150 },
  );
});

test('a policy reads as it was written', () => {
  fc.assert(
    fc.property(policies, (p) => {
      const read = parsePolicy(signPolicy(p, meshId, issuer.secretKey), meshId);
      assert.ok(read !== null);
      const { id, bytes: raw, signer, ...fields } = read;
      assert.deepEqual(fields, p);
      assert.deepEqual(signer, issuer.publicKey);
      assert.equal(id.length, 32);
      assert.ok(raw.length <= MAX_RECORD_BYTES);
    }),
    { numRuns: 100 },
  );
});

test('a request and a suspicion read as they were written', () => {
  const requests = struct({
    tokenId: bytes(16),
    signPk: fc.constant(holder.publicKey),
    dhPk: bytes(32),
    name,
    vnis: fc.uniqueArray(vni, { maxLength: 8 }),
    caps: fc.nat(0xffff),
    addresses: fc.array(address, { maxLength: 8 }),
    nonce: bytes(16),
  });
  fc.assert(
    fc.property(requests, u64, (request, incarnation) => {
      const signed = signNodeRequest(request, meshId, issuer.secretKey, holder.secretKey);
      const read = parseNodeRequest(signed, meshId);
      assert.ok(read !== null);
      assert.ok(read.verify(issuer.publicKey));
      assert.ok(!read.verify(holder.publicKey));
      const { id, verify, ...fields } = read;
      assert.deepEqual(fields, request);
      assert.equal(typeof verify, 'function');
      assert.equal(id.length, 32);
      const doubt = { accuserId: nodeId, targetId: request.dhPk, targetIncarnation: incarnation };
      const accusation = parseSuspicion(signSuspicion(doubt, meshId, holder.secretKey), meshId);
      assert.ok(accusation?.signedBy(holder.publicKey));
      assert.deepEqual({ ...accusation, signedBy: null }, { ...doubt, signedBy: null });
    }),
    { numRuns: 100 },
  );
});

test('an object keeps its id whatever its signature, and changes it with any signed byte', () => {
  const good = world.mesh.cert;
  const id = parseNodeCert(good, meshId)?.record.id;
  assert.deepEqual(parseNodeCert(flipped(good, good.length - 1), meshId)?.record.id, id);
  assert.notDeepEqual(parseNodeCert(flipped(good, 20), meshId)?.record.id, id);
});

test('a request keeps its id whatever its token signature is', () => {
  const at = aRequest.bytes.length - 64 - 1;
  const id = parseNodeRequest(aRequest.bytes, meshId)?.id;
  assert.ok(id !== undefined);
  assert.deepEqual(parseNodeRequest(flipped(aRequest.bytes, at), meshId)?.id, id);
  assert.notDeepEqual(parseNodeRequest(flipped(aRequest.bytes, at - 70), meshId)?.id, id);
});

test('a request that only one of its two keys signed does not verify', () => {
  const stranger = signingKeyPair(new Uint8Array(32).fill(8));
  const made = world.request(aToken, { signWith: new Uint8Array(32).fill(8) });
  assert.equal(parseNodeRequest(made.bytes, meshId)?.verify(aToken.cert.tokenPk), false);
  assert.equal(parseNodeRequest(made.bytes, meshId)?.verify(stranger.publicKey), true);
  const end = aRequest.bytes.length - 64;
  const unsigned = aRequest.bytes.slice(0, end);
  const byStranger = sign(concat(utf8('weft/v1/NodeRequest\0'), meshId, unsigned), stranger.secretKey);
  assert.equal(parseNodeRequest(concat(unsigned, byStranger), meshId)?.verify(aToken.cert.tokenPk), false);
});

/** A node state with `more` after its fields. */
function extended(more: readonly number[]): boolean {
  const body = concat(goodState.slice(6, -64), new Uint8Array(more));
  return parseNodeState(signRecord('nodeState', meshId, body, holder.secretKey), meshId) !== null;
}

test('an extension that is unknown is skipped, and refuses the record when it is critical', () => {
  assert.ok(extended([0x01, 0, 2, 0xaa, 0xbb]));
  assert.ok(extended([0x01, 0, 0, 0x02, 0, 1, 0xff]));
  assert.ok(!extended([0x81, 0, 0]));
  assert.ok(!extended([0x01, 0, 0, 0x82, 0, 0]));
});

test('extensions stand in order, once, and whole', () => {
  assert.ok(!extended([0x02, 0, 0, 0x01, 0, 0]), 'descending');
  assert.ok(!extended([0x01, 0, 0, 0x01, 0, 0]), 'repeated');
  assert.ok(!extended([0x01]), 'without length');
  assert.ok(!extended([0x01, 0, 3, 1, 2]), 'cut off');
});

test('records of the largest sizes are signed and larger ones are not', () => {
  const body = new Uint8Array(MAX_RECORD_BYTES - 70);
  assert.equal(signRecord('policy', meshId, body, issuer.secretKey).length, MAX_RECORD_BYTES);
  assert.throws(
    () => signRecord('policy', meshId, new Uint8Array(body.length + 1), issuer.secretKey),
    RangeError,
  );
  const cert = { ...world.self, name: 'n'.repeat(63) };
  const addresses = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ vni: i, prefix: { ip: '10.0.0.1', length: 24 } }));
  const fits = signNodeCert({ ...cert, vnis: [1], addresses: addresses(8) }, meshId, issuer.secretKey);
  assert.equal(fits.length, 446);
  const vnis = [1, 2];
  assert.throws(
    () => signNodeCert({ ...cert, vnis, addresses: addresses(8) }, meshId, issuer.secretKey),
    /448/,
  );
});

test('a larger certificate or state is refused although its signature is right', () => {
  const certBody = world.mesh.cert.slice(6, -64);
  const filler = (length: number, total: number) => {
    const size = total - 70 - length - 3;
    return concat(new Uint8Array([1, size >> 8, size & 0xff]), new Uint8Array(size));
  };
  const cert = (total: number) =>
    signRecord('nodeCert', meshId, concat(certBody, filler(certBody.length, total)), root.secretKey);
  assert.equal(cert(448).length, 448);
  assert.ok(parseNodeCert(cert(448), meshId) !== null && parseNodeCert(cert(449), meshId) === null);
  const stateBody = goodState.slice(6, -64);
  const state = (total: number) =>
    signRecord('nodeState', meshId, concat(stateBody, filler(stateBody.length, total)), holder.secretKey);
  assert.ok(parseNodeState(state(224), meshId) !== null && parseNodeState(state(225), meshId) === null);
});

test('a name that could move a cursor or a segment named twice makes no certificate', () => {
  const read = (change: Partial<NodeCert>) =>
    parseNodeCert(signNodeCert({ ...world.self, ...change }, meshId, issuer.secretKey), meshId);
  assert.ok(read({}) !== null);
  for (const bad of ['', '\u001b[2J', 'a b', 'A', '-a', 'a-', 'a\n', 'ü'])
    assert.equal(read({ name: bad }), null, JSON.stringify(bad));
  assert.equal(read({ vnis: [42, 42] }), null);
  assert.equal(read({ vnis: [0x1000000] }), null);
});

test('a time that no date can hold is refused where it is read', () => {
  const latest = 8.64e15;
  const read = (expiresMs: number) =>
    parseNodeCert(signNodeCert({ ...world.self, expiresMs }, meshId, issuer.secretKey), meshId);
  assert.equal(read(latest)?.expiresMs, latest);
  assert.equal(read(latest + 1), null);
});

test('a number of 2^53 or more is refused', () => {
  const at2to53 = new Uint8Array([0, 0x20, 0, 0, 0, 0, 0, 0]);
  const reader = new ByteReader(at2to53);
  assert.equal(reader.u64(), 0);
  assert.ok(reader.failed);
  const most = new ByteReader(new ByteWriter().u64(Number.MAX_SAFE_INTEGER).finish());
  assert.equal(most.u64(), Number.MAX_SAFE_INTEGER);
});

test('what its field does not hold is never written', () => {
  const bad = [
    () => new ByteWriter().u8(256),
    () => new ByteWriter().u16(-1),
    () => new ByteWriter().u32(2 ** 32),
    () => new ByteWriter().u32(1.5),
    () => new ByteWriter().u64(2 ** 53),
    () => new ByteWriter().u64(Number.NaN),
    () => new ByteWriter().text('x'.repeat(256)),
    () => new ByteWriter().list(new Array(256).fill(0), () => undefined),
  ];
  for (const write of bad) assert.throws(write, RangeError);
});

test('text that is not UTF-8 is refused', () => {
  const reader = new ByteReader(new Uint8Array([2, 0xc3, 0x28]));
  assert.equal(reader.text(63), '');
  assert.ok(reader.failed);
});

test('the announced length tells where the next record begins', () => {
  const pair = concat(world.mesh.cert, policy.bytes);
  assert.equal(announcedLength(pair), world.mesh.cert.length);
  assert.equal(announcedLength(pair.subarray(world.mesh.cert.length)), policy.bytes.length);
  assert.equal(announcedLength(new Uint8Array(5)), 0);
  assert.equal(announcedLength(new Uint8Array(100)), 0);
});

test('an admission reply reads as it was written, and garbage is null', () => {
  const [a, b, c] = [world.mesh.cert, policy.bytes, new Uint8Array(0)];
  const good = encodeAdmitted(a, b, c);
  assert.deepEqual(decodeAdmissionReply(good), { admitted: true, cert: a, policy: b, admitter: c });
  for (let size = 0; size < good.length; size++)
    assert.equal(decodeAdmissionReply(good.slice(0, size)), null);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (raw) => {
      decodeAdmissionReply(raw);
    }),
  );
});

test('a refusal shows nothing that could move a cursor, and is cut to its bound', () => {
  const read = decodeAdmissionReply(encodeRefused('nameTaken', `\u001b[2J${'x'.repeat(400)}`));
  assert.ok(read !== null && !read.admitted);
  assert.equal(read.code, 8);
  assert.match(read.text, /^\?\[2Jx+$/);
  assert.equal(read.text.length, 300);
});

test('a policy with a segment named twice, or without a root, is none', () => {
  const [segment] = policy.segments;
  assert.ok(segment !== undefined);
  const read = (change: Partial<Policy>) =>
    parsePolicy(signPolicy({ ...policy, ...change }, meshId, root.secretKey), meshId);
  assert.ok(read({}) !== null);
  assert.equal(read({ segments: [segment, segment] }), null);
  assert.throws(() => read({ roots: [] }), RangeError);
  assert.equal(read({ roots: [root.publicKey, root.publicKey] }), null);
  assert.equal(read({ recovery: [root.publicKey] }), null);
  assert.equal(read({ segments: [{ ...segment, mtuBytes: 1279 }] }), null);
});
