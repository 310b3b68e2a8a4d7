import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { WeftError } from '../../agent/errors.ts';
import { encodeAdmitted, encodeRefused, type RefusalCode } from '../../agent/identity/admission-reply.ts';
import { createMesh, type GenesisOptions } from '../../agent/identity/genesis.ts';
import { acceptAdmission, type JoinPlan, lessonOf, prepareJoin } from '../../agent/identity/joiner.ts';
import { CAP, signNodeCert } from '../../agent/identity/node-cert.ts';
import {
  holdsMember,
  readIdentity,
  writeMeshRef,
  writeNodeKeys,
} from '../../agent/identity/node-identity.ts';
import { type Policy, parsePolicy, type SignedPolicy, signPolicy } from '../../agent/identity/policy.ts';
import { answerPolicyQuestion } from '../../agent/identity/policy-question.ts';
import { equalBytes, signingKeyPair } from '../../agent/identity/sodium.ts';
import { STATE_FILE, StateDir } from '../../agent/identity/state-dir.ts';
import type { Token } from '../../agent/identity/token.ts';
import { DAY_MS, flipped, HOUR_MS, NOW_MS, seededRng, VNI, World } from './identity-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'weft-join-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

/** A host about to join `world`. */
function joining(world: World, limits = {}) {
  const state = StateDir.open(join(folder, `s${count++}`));
  const token = world.token(limits);
  const prepare = (name = 'beta', t: Token = token) => prepareJoin(state, t, name, null, world.rng);
  return { state, token, prepare };
}

/** Takes an answer, and learns the policies since the token's from a seed that has these. */
function admitted(
  world: World,
  { state, token }: { readonly state: StateDir; readonly token: Token },
  plan: JoinPlan,
  reply: Uint8Array,
  chain: readonly SignedPolicy[] = [world.mesh.policy],
): void {
  const lesson = lessonOf(state, token, reply);
  while (!lesson.isOver) if (!lesson.take(answerPolicyQuestion(lesson.question, chain, 700))) break;
  acceptAdmission(state, token, plan, reply, lesson, world.clock);
}

const answer = (world: World, token: Token, plan: JoinPlan): Uint8Array =>
  world.send(token, { bytes: plan.request, keys: plan.keys }).reply;

function fails(code: string, says: RegExp, run: () => unknown): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof WeftError, String(error));
    assert.deepEqual([error.code, says.test(error.message)], [code, true], error.message);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

test('keys, token key and request are on disk before the request is known to anybody', () => {
  const { state, prepare } = joining(new World());
  const plan = prepare();
  assert.deepEqual(readdirSync(state.path).sort(), [
    'mesh-psk.key',
    'mesh.bin',
    'node-dh.key',
    'node-sign.key',
    'request.bin',
    'token.key',
  ]);
  assert.deepEqual(new Uint8Array(readFileSync(state.file(STATE_FILE.request))), plan.request);
  assert.ok(!holdsMember(state));
});

test('an admitted host is a member, and nothing of its token stays', () => {
  const world = new World();
  const { state, token, prepare } = joining(world);
  const plan = prepare();
  admitted(world, { state, token }, plan, answer(world, token, plan));
  assert.ok(holdsMember(state));
  const names = readdirSync(state.path).sort();
  assert.ok(!names.includes('token.key') && !names.includes('request.bin'), names.join(' '));
  for (const name of names)
    assert.ok(!readFileSync(join(state.path, name)).includes(Buffer.from(token.seed)), name);
  const identity = readIdentity(state, world.clock);
  assert.deepEqual([identity.cert.name, identity.root, identity.psk], ['beta', null, world.mesh.psk]);
  assert.deepEqual(identity.cert.addresses[0]?.prefix, { ip: '10.80.0.2', length: 24 });
});

test('a join that was cut off asks again with the same keys and bytes, and takes no second slot', () => {
  const world = new World();
  const { state, token, prepare } = joining(world);
  const first = prepare();
  const lost = answer(world, token, first);
  const second = prepare();
  assert.deepEqual(second.request, first.request);
  assert.deepEqual(second.keys.dh, first.keys.dh);
  assert.deepEqual(answer(world, token, second), lost);
  admitted(world, { state, token }, second, lost);
  assert.equal(world.log.rows().length, 1);
});

test('a join cut off after its certificate was on disk is ended at the next start', () => {
  const world = new World();
  const { state, token, prepare } = joining(world);
  const plan = prepare();
  admitted(world, { state, token }, plan, answer(world, token, plan));
  state.write(STATE_FILE.tokenKey, token.seed);
  state.write(STATE_FILE.request, plan.request);
  readIdentity(state, world.clock);
  assert.ok(!state.has(STATE_FILE.tokenKey) && !state.has(STATE_FILE.request));
});

test('another token or another name makes another request', () => {
  const world = new World();
  const { prepare } = joining(world);
  const first = prepare();
  const renamed = prepare('gamma');
  assert.notDeepEqual(renamed.request, first.request);
  assert.notDeepEqual(prepare('gamma', world.token()).request, renamed.request);
});

test('a damaged request of an earlier attempt is named and not replaced', () => {
  const { state, prepare } = joining(new World());
  prepare();
  writeFileSync(state.file(STATE_FILE.request), 'not what it was');
  fails('E_STATE', /request\.bin is damaged/, () => prepare());
  assert.equal(readFileSync(state.file(STATE_FILE.request), 'utf8'), 'not what it was');
});

test('a directory with the root key of a mesh does not join another', () => {
  const { state, prepare } = joining(new World());
  state.write(STATE_FILE.rootKey, new Uint8Array(32).fill(1));
  fails('E_STATE_EXISTS', /mesh-root\.key.*--state/, () => prepare());
  assert.deepEqual(readdirSync(state.path), ['mesh-root.key']);
});

test('a final refusal is said in the words of the admitter and leaves nothing behind', () => {
  const world = new World();
  const { state, token, prepare } = joining(world, { nameRule: 'prefix', name: 'web-' });
  const plan = prepare();
  const reply = answer(world, token, plan);
  fails('E_REFUSED', /^refused: the token does not allow the name 'beta'.*'web-'$/, () =>
    admitted(world, { state, token }, plan, reply),
  );
  assert.deepEqual(readdirSync(state.path), []);
});

test('a refusal that may pass keeps the request, for its slot may have been given', () => {
  const world = new World();
  for (const code of ['notAdmitter', 'tooFast'] satisfies RefusalCode[]) {
    const { state, token, prepare } = joining(world);
    const plan = prepare();
    fails('E_REFUSED', /refused: not now/, () =>
      admitted(world, { state, token }, plan, encodeRefused(code, 'not now')),
    );
    assert.deepEqual(prepare().request, plan.request, code);
  }
});

/** A world, a host that asked, and an answer made of parts. */
function parts() {
  const world = new World();
  const { state, token, prepare } = joining(world);
  const plan = prepare();
  const { cert } = world.send(token, { bytes: plan.request, keys: plan.keys });
  assert.ok(cert !== null);
  const accept = (
    certBytes: Uint8Array,
    policy = world.mesh.policy.bytes,
    chain: readonly SignedPolicy[] = [world.mesh.policy],
  ) => admitted(world, { state, token }, plan, encodeAdmitted(certBytes, policy, world.mesh.cert), chain);
  const signed = (change: object, key = world.mesh.keys.sign.secretKey) =>
    signNodeCert({ ...cert, ...change }, world.mesh.meshId, key);
  return { world, state, token, plan, cert, accept, signed };
}

test('an answer that was changed anywhere is refused and makes no member', () => {
  const { world, state, token, plan } = parts();
  const reply = answer(world, token, plan);
  for (let at = 0; at < reply.length; at += 3) {
    assert.throws(() => admitted(world, { state, token }, plan, flipped(reply, at)), WeftError);
    assert.ok(!holdsMember(state), `byte ${at}`);
  }
  for (const size of [0, 1, 100, reply.length - 1])
    fails('E_RECORD', /makes no sense/, () => admitted(world, { state, token }, plan, reply.slice(0, size)));
});

test('a certificate of another host, another request or another name is refused', () => {
  const { cert, accept, signed, state } = parts();
  fails('E_RECORD', /another host/, () => accept(signed({ signPk: new Uint8Array(32).fill(1) })));
  fails('E_RECORD', /another host/, () => accept(signed({ dhPk: new Uint8Array(32).fill(1) })));
  fails('E_RECORD', /another request/, () => accept(signed({ requestId: new Uint8Array(16) })));
  fails('E_RECORD', /another request/, () => accept(signed({ name: 'gamma' })));
  fails('E_RECORD', /signature is wrong/, () =>
    accept(signed({}, signingKeyPair(new Uint8Array(32)).secretKey)),
  );
  assert.ok(!holdsMember(state));
  accept(cert.record.bytes);
  assert.ok(holdsMember(state));
});

test('a policy of another root, an older one and one that does not follow are refused', () => {
  const { world, cert, accept, state } = parts();
  const { policy, meshId, root } = world.mesh;
  const next = (change: Partial<Policy>, key = root.secretKey) =>
    signPolicy({ ...policy, ...change }, meshId, key);
  const chain = (...more: Uint8Array[]) => [
    policy,
    ...more.flatMap((bytes) => parsePolicy(bytes, meshId) ?? []),
  ];
  const stranger = signingKeyPair(new Uint8Array(32).fill(4));
  const bytes = cert.record.bytes;
  const forged = { roots: [stranger.publicKey], seq: 2, prevId: policy.id };
  fails('E_RECORD', /root did not sign/, () => accept(bytes, flipped(next({}), 80)));
  for (const other of [
    next({ roots: [stranger.publicKey] }, stranger.secretKey),
    next(forged, stranger.secretKey),
    next({ seq: 0 }),
    next({ meshName: 'other' }),
    next({ seq: 2 }),
    next({ seq: 3, prevId: policy.id }),
  ])
    fails('E_RECORD', /do not lead/, () => accept(bytes, other, chain(other)));
  assert.ok(!holdsMember(state));
  const second = next({ seq: 2, prevId: policy.id });
  accept(bytes, second, chain(second));
  assert.equal(readIdentity(state, world.clock).policy.seq, 2);
});

test('a joiner follows the policies since its token through a change of the root, in several answers', () => {
  const { world, cert, accept, state } = parts();
  const { policy, meshId, root } = world.mesh;
  const other = signingKeyPair(new Uint8Array(32).fill(4));
  const chain: SignedPolicy[] = [policy];
  const add = (change: Partial<Policy>, key: Uint8Array) => {
    const held = chain.at(-1) ?? policy;
    const bytes = signPolicy({ ...held, seq: held.seq + 1, prevId: held.id, ...change }, meshId, key);
    const read = parsePolicy(bytes, meshId);
    assert.ok(read !== null);
    chain.push(read);
  };
  add({ roots: [root.publicKey, other.publicKey] }, root.secretKey);
  add({ roots: [other.publicKey], adopted: [world.self.record.id.slice(0, 16)] }, other.secretKey);
  for (let i = 0; i < 6; i++) add({ leewaySec: 600 + i }, other.secretKey);
  const last = chain.at(-1) ?? policy;
  fails('E_RECORD', /do not lead/, () => accept(cert.record.bytes, last.bytes, chain.slice(1)));
  accept(cert.record.bytes, last.bytes, chain);
  const identity = readIdentity(state, world.clock);
  assert.deepEqual([identity.policy.seq, identity.chain.all.length], [9, 9]);
});

test('a clock that stands before the certificate is named, and the next attempt succeeds', () => {
  const { world, accept, signed, state } = parts();
  const future = signed({ notBeforeMs: NOW_MS + HOUR_MS });
  fails('E_CLOCK', /starts at 2027-01-15T09:00.*clock says 2027-01-15T08:00.*set the clock/, () =>
    accept(future),
  );
  assert.ok(!holdsMember(state));
  world.clock.wall += HOUR_MS;
  accept(future);
  assert.ok(holdsMember(state));
});

/** A first host on disk. */
function founded(world = new World()) {
  const state = StateDir.open(join(folder, `s${count++}`));
  const { mesh } = world;
  writeNodeKeys(state, mesh.keys);
  state.write(STATE_FILE.rootKey, mesh.root.secretKey.slice(0, 32));
  state.write(STATE_FILE.psk, mesh.psk);
  state.write(STATE_FILE.policy, mesh.policy.bytes);
  writeMeshRef(state, { meshId: mesh.meshId, rootPk: mesh.root.publicKey, rootNonce: mesh.policy.rootNonce });
  state.write(STATE_FILE.cert, mesh.cert);
  return { world, state };
}

test('the first host of a mesh admits, bridges, and holds the root', () => {
  const { world, state } = founded();
  const identity = readIdentity(state, world.clock);
  assert.equal(identity.cert.caps & (CAP.admit | CAP.bridge), CAP.admit | CAP.bridge);
  assert.ok(identity.root !== null && equalBytes(identity.root.publicKey, identity.rootPk));
  assert.deepEqual([identity.policy.seq, identity.policy.segments[0]?.vni], [1, VNI]);
  assert.equal(identity.admitterBytes.length, 0);
});

test('two meshes made with the same words share nothing', () => {
  const [one, two] = [new World('a').mesh, new World('b').mesh];
  for (const pick of [
    (m: typeof one) => m.meshId,
    (m: typeof one) => m.psk,
    (m: typeof one) => m.keys.dh.secretKey,
  ])
    assert.notDeepEqual(pick(one), pick(two));
});

test('settings that make no mesh are refused with what to change', () => {
  const good: GenesisOptions = {
    meshName: 'm',
    hostName: 'a',
    vni: VNI,
    mode: 'sealed',
    encap: 'vxlan',
    mtuBytes: 1390,
    address: { ip: '10.0.0.1', length: 24 },
    recovery: false,
  };
  const make = (change: Partial<GenesisOptions>) => () =>
    createMesh({ ...good, ...change }, new World().clock, seededRng('x'));
  assert.equal(make({})().policy.meshName, 'm');
  fails('E_CONFIG', /--address 10\.0\.0\.0\/24/, make({ address: { ip: '10.0.0.0', length: 24 } }));
  fails('E_CONFIG', /--address 10\.0\.0\.255\/24/, make({ address: { ip: '10.0.0.255', length: 24 } }));
  fails('E_CONFIG', /--vni, --mesh/, make({ vni: 1 << 24 }));
  fails('E_CONFIG', /--vni, --mesh/, make({ meshName: 'm'.repeat(64) }));
});

test('state that does not belong together is refused by the file to look at', () => {
  const cases: [keyof typeof STATE_FILE, (world: World) => Uint8Array, RegExp][] = [
    ['mesh', () => new Uint8Array(80), /mesh\.bin is damaged/],
    ['mesh', () => new Uint8Array(79), /mesh\.bin has 79 bytes instead of 80/],
    ['policy', (w) => flipped(w.mesh.policy.bytes, 30), /policy\.bin is damaged or not signed/],
    ['cert', (w) => flipped(w.mesh.cert, 30), /node\.cert is refused \(no root of this mesh signed it\)/],
    ['cert', () => new Uint8Array(10), /node\.cert is refused/],
    ['signKey', () => new Uint8Array(32).fill(9), /node\.cert does not belong to the keys/],
    ['dhKey', () => new Uint8Array(32).fill(9), /node\.cert does not belong to the keys/],
    ['rootKey', () => new Uint8Array(32).fill(9), /mesh-root\.key is not the root key of this mesh/],
    ['psk', () => new Uint8Array(16), /mesh-psk\.key has 16 bytes/],
  ];
  for (const [file, content, says] of cases) {
    const { world, state } = founded();
    state.write(STATE_FILE[file], content(world));
    const before = readdirSync(state.path).map((name) =>
      readFileSync(join(state.path, name)).toString('hex'),
    );
    fails('E_STATE', says, () => readIdentity(state, world.clock));
    const now = readdirSync(state.path).map((name) => readFileSync(join(state.path, name)).toString('hex'));
    assert.deepEqual(now, before);
  }
});

test('a directory without a member says how to become one', () => {
  const state = StateDir.open(join(folder, `s${count++}`));
  fails('E_NO_STATE', /weft init.*weft up --token-file/, () => readIdentity(state, new World().clock));
});

test('a certificate that expired and a clock before its start are told apart from damage', () => {
  const { world, state } = founded();
  world.clock.wall = NOW_MS + 400 * DAY_MS;
  fails('E_CLOCK', /certificate of alpha expired at 2028-01-15.*clock says 2028-02/, () =>
    readIdentity(state, world.clock),
  );
  world.clock.wall = NOW_MS - 2 * DAY_MS;
  fails('E_CLOCK', /set the clock/, () => readIdentity(state, world.clock));
});

test('a clock that nobody set, or that is an hour behind, counts for less than what the root has signed', () => {
  const { world, state } = founded();
  for (const wall of [0, NOW_MS - HOUR_MS]) {
    world.clock.wall = wall;
    assert.equal(readIdentity(state, world.clock).trust.nowMs(), NOW_MS);
  }
});
