import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { newNodeKeys } from '../../agent/identity/genesis.ts';
import {
  CAP,
  NO_ISSUER,
  parseNodeCert,
  type ReadNodeCert,
  signNodeCert,
} from '../../agent/identity/node-cert.ts';
import {
  MAX_KEPT_CERTS,
  MAX_STATEMENT_BYTES,
  nameTarget,
  paddedTarget,
  parseRevocation,
  type ReadRevocation,
  type Revocation,
  signRevocation,
} from '../../agent/identity/revocation.ts';
import {
  MAX_REVOCATIONS_OF_HOSTS,
  RevocationSet,
  readRevocations,
  writeRevocations,
} from '../../agent/identity/revocation-set.ts';
import { toHex } from '../../agent/identity/sodium.ts';
import { StateDir } from '../../agent/identity/state-dir.ts';
import { flipped, NOW_MS, seededRng, World } from './identity-world.ts';

const world = new World();
const { meshId, root, keys, policy } = world.mesh;
const beta = world.ask(world.token(), { name: 'beta' });
const betaCert = beta.cert as ReadNodeCert;

function revocation(change: Partial<Revocation> = {}): Omit<Revocation, 'signerId'> {
  const plain = {
    kind: 'node' as const,
    target: betaCert.nodeId,
    timeMs: NOW_MS,
    label: 'beta',
    reason: 'sold',
  };
  return { ...plain, keep: [], ...change };
}

const byRoot = (change: Partial<Revocation> = {}): Uint8Array =>
  signRevocation(revocation(change), meshId, { secretKey: root.secretKey, cert: null });

const byHost = (
  change: Partial<Revocation> = {},
  cert = world.self,
  secretKey = keys.sign.secretKey,
): Uint8Array => signRevocation(revocation(change), meshId, { secretKey, cert: cert.record });

const read = (bytes: Uint8Array): ReadRevocation | null => parseRevocation(bytes, meshId, policy);

function mustRead(bytes: Uint8Array): ReadRevocation {
  const statement = read(bytes);
  assert.ok(statement);
  return statement;
}

/** A second host that a root gave the rights of an admitter. */
function admitter(name: string): { readonly cert: ReadNodeCert; readonly secretKey: Uint8Array } {
  const own = newNodeKeys(seededRng(name));
  const bytes = signNodeCert(
    {
      ...world.self,
      signPk: own.sign.publicKey,
      dhPk: own.dh.publicKey,
      name,
      issuerId: NO_ISSUER,
      caps: CAP.admit | CAP.revoke,
    },
    meshId,
    root.secretKey,
  );
  const cert = parseNodeCert(bytes, meshId);
  assert.ok(cert);
  return { cert, secretKey: own.sign.secretKey };
}

test('a statement that a root signed reads back as it was written', () => {
  const statement = mustRead(byRoot({ kind: 'admitter', keep: [new Uint8Array(16).fill(7)] }));
  assert.equal(statement.kind, 'admitter');
  assert.deepEqual(statement.target, betaCert.nodeId);
  assert.deepEqual([statement.label, statement.reason, statement.timeMs], ['beta', 'sold', NOW_MS]);
  assert.deepEqual(statement.keep, [new Uint8Array(16).fill(7)]);
  assert.equal(statement.signerNode, null);
});

test('a host with the right to revoke says so with its certificate behind the record', () => {
  assert.deepEqual(mustRead(byHost()).signerNode, world.self.nodeId);
});

test('no changed bit of a statement is believed', () => {
  for (const bytes of [byRoot(), byHost()])
    for (let at = 0; at < bytes.length; at += 3) assert.equal(read(flipped(bytes, at)), null, `byte ${at}`);
});

test('a host without the right, and a certificate that is not the signer’s, are refused', () => {
  assert.equal(read(byHost({}, betaCert, beta.request.keys.sign.secretKey)), null);
  assert.equal(read(byHost({}, world.self, beta.request.keys.sign.secretKey)), null);
  const other = new World('other');
  assert.equal(
    read(
      signRevocation(revocation(), other.mesh.meshId, { secretKey: other.mesh.root.secretKey, cert: null }),
    ),
    null,
  );
});

test('only a root ends admitters', () => {
  assert.equal(read(byHost({ kind: 'admitter' })), null);
});

test('bytes behind a statement, control characters and a keep-list of no admitter are refused', () => {
  assert.equal(read(Buffer.concat([byRoot(), new Uint8Array(1)])), null);
  assert.equal(read(byRoot({ reason: 'a\u001b[2Jb' })), null);
  assert.equal(read(byRoot({ keep: [new Uint8Array(16)] })), null);
});

test('the largest statement fits a gossip datagram, and a larger one is not signed', () => {
  const keep = Array.from({ length: MAX_KEPT_CERTS }, (_, i) => new Uint8Array(16).fill(i + 1));
  const largest = { kind: 'admitter' as const, keep, label: 'l'.repeat(63), reason: 'r'.repeat(120) };
  const bytes = byRoot(largest);
  assert.ok(bytes.length <= MAX_STATEMENT_BYTES, String(bytes.length));
  assert.ok(read(bytes));
  assert.throws(() => byRoot({ ...largest, keep: [...keep, new Uint8Array(16)] }), RangeError);
});

test('each kind ends the certificates that it names and no others', () => {
  const against = (bytes: Uint8Array, cert = betaCert): boolean => {
    const set = new RevocationSet();
    set.add(mustRead(bytes));
    return set.against(cert, world.self) !== null;
  };
  const gamma = world.ask(world.token(), { name: 'gamma' }).cert as ReadNodeCert;
  assert.deepEqual([against(byRoot()), against(byRoot(), gamma)], [true, false]);
  const token = byRoot({ kind: 'token', target: paddedTarget(betaCert.tokenId) });
  assert.deepEqual([against(token), against(token, gamma)], [true, false]);
  const name = byRoot({ kind: 'name', target: nameTarget('gamma') });
  assert.deepEqual([against(name), against(name, gamma)], [false, true]);
  const all = byRoot({ kind: 'admitter', target: world.self.nodeId, keep: [gamma.record.id.slice(0, 16)] });
  assert.deepEqual([against(all), against(all, gamma)], [true, false]);
  assert.equal(against(all, world.self), true, 'the admitter itself');
});

test('the set is the same in whatever order and however often statements come', () => {
  const second = admitter('second');
  const statements = [
    byRoot(),
    byHost({ reason: 'another' }),
    byRoot({ kind: 'name', target: nameTarget('x') }),
    byHost({ kind: 'name', target: nameTarget('y') }),
    byHost({ kind: 'name', target: nameTarget('z') }, second.cert, second.secretKey),
    byHost({ kind: 'name', target: nameTarget('y'), reason: 'b' }, second.cert, second.secretKey),
    byRoot({ kind: 'admitter', target: second.cert.nodeId }),
  ].map(mustRead);
  const digests = new Set<string>();
  const rng = { state: 12345 };
  const next = (n: number): number => {
    rng.state = (Math.imul(rng.state, 1103515245) + 12345) >>> 0;
    return (rng.state >>> 8) % n;
  };
  for (let round = 0; round < 200; round++) {
    const set = new RevocationSet();
    const order = [...statements];
    for (let i = order.length - 1; i > 0; i--) {
      const j = next(i + 1);
      [order[i], order[j]] = [order[j] as ReadRevocation, order[i] as ReadRevocation];
    }
    for (const s of [...order, ...order]) set.add(s);
    digests.add(toHex(set.digest));
    assert.equal(set.holds('name', nameTarget('z')), false, 'said by one whom a root revoked');
  }
  assert.equal(digests.size, 1);
  assert.equal(digests.has('00'.repeat(16)), false);
});

test('a stolen key of an admitter ends neither what a root signed nor the room for roots', () => {
  const set = new RevocationSet();
  set.add(mustRead(byHost({ target: admitter('second').cert.nodeId })));
  assert.equal(set.against(admitter('second').cert, undefined), null);
  const template = mustRead(byHost());
  for (let i = 0; i < MAX_REVOCATIONS_OF_HOSTS + 50; i++)
    set.add({
      ...template,
      target: new Uint8Array(32).fill(i & 0xff).map((b, at) => (at === 0 ? i >> 8 : b)),
    });
  assert.equal(set.size, MAX_REVOCATIONS_OF_HOSTS);
  assert.equal(set.add(mustRead(byRoot())), true);
});

test('certificates, tokens and requests are refused once they are revoked', () => {
  const mesh = new World('revoking');
  const token = mesh.token({ uses: 3 });
  const host = mesh.ask(token, { name: 'beta' });
  const cert = host.cert as ReadNodeCert;
  const admitterBytes = mesh.self.record.bytes;
  assert.equal(mesh.trust.verifyNodeCert(cert.record.bytes, admitterBytes).ok, true);
  const statement = (kind: 'token' | 'name', target: Uint8Array): ReadRevocation => {
    const bytes = signRevocation(revocation({ kind, target }), mesh.mesh.meshId, {
      secretKey: mesh.mesh.root.secretKey,
      cert: null,
    });
    const parsed = parseRevocation(bytes, mesh.mesh.meshId, mesh.mesh.policy);
    assert.ok(parsed);
    return parsed;
  };
  mesh.trust.revocations.add(statement('name', nameTarget('delta')));
  assert.equal(mesh.ask(token, { name: 'delta' }).refused, 'nameTaken');
  mesh.trust.revocations.add(statement('token', paddedTarget(cert.tokenId)));
  const verdict = mesh.trust.verifyNodeCert(cert.record.bytes, admitterBytes);
  assert.equal(verdict.ok ? '' : verdict.problem, 'revoked');
  assert.match(
    verdict.ok ? '' : verdict.reason,
    /^host beta was revoked with its token .* at 2027-01-15T08:00:00.000Z: sold$/,
  );
  assert.equal(mesh.ask(token, { name: 'gamma' }).refused, 'tokenRevoked');
  assert.equal(mesh.send(token, host.request).refused, 'tokenRevoked', 'nor does the old answer come again');
});

test('the set survives on disk, and a damaged file is refused rather than forgotten', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-revocations-'));
  try {
    const state = StateDir.open(join(folder, 'state'));
    const set = new RevocationSet();
    set.add(mustRead(byRoot()));
    set.add(mustRead(byHost({ kind: 'name', target: nameTarget('x') })));
    writeRevocations(state, set);
    assert.deepEqual(readRevocations(state, meshId, [policy]).digest, set.digest);
    const whole = Buffer.from(state.read('revocations.bin'));
    for (const bytes of [whole.subarray(0, whole.length - 1), whole.subarray(0, 1), flipped(whole, 40)]) {
      writeFileSync(state.file('revocations.bin'), bytes);
      assert.throws(() => readRevocations(state, meshId, [policy]), { code: 'E_STATE' });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
