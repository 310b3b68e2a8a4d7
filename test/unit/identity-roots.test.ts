import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeAdmissionReply } from '../../agent/identity/admission-reply.ts';
import { newNodeKeys } from '../../agent/identity/genesis.ts';
import { adoptedFrom, signNext } from '../../agent/identity/next-policy.ts';
import {
  CAP,
  NO_ISSUER,
  parseNodeCert,
  type ReadNodeCert,
  signNodeCert,
} from '../../agent/identity/node-cert.ts';
import { type Policy, parsePolicy, type SignedPolicy } from '../../agent/identity/policy.ts';
import { PolicyChain } from '../../agent/identity/policy-chain.ts';
import { formatRecoveryKey, parseRecoveryKey } from '../../agent/identity/recovery-key.ts';
import { renew, signByRoot } from '../../agent/identity/renewal.ts';
import { parseRevocation, signRevocation } from '../../agent/identity/revocation.ts';
import { type KeyPair, signingKeyPair } from '../../agent/identity/sodium.ts';
import { parseTokenCert } from '../../agent/identity/token.ts';
import type { TrustStore } from '../../agent/identity/trust-store.ts';
import { DAY_MS, flipped, NOW_MS, World } from './identity-world.ts';

const world = new World('roots', undefined, true);
const { meshId, root, recovery, policy: first, keys } = world.mesh;
assert.ok(recovery !== null);
const rescueKey: KeyPair = recovery;
const newer = signingKeyPair(new Uint8Array(32).fill(1));
const host = world.ask(world.token(), { name: 'beta' });
const beta = host.cert as ReadNodeCert;
const alphaId = world.self.record.id.slice(0, 16);

function after(held: SignedPolicy, change: Partial<Policy>, by: KeyPair): SignedPolicy {
  const read = parsePolicy(
    signNext(held, change, { meshId, secretKey: by.secretKey, nowMs: NOW_MS }),
    meshId,
  );
  assert.ok(read);
  return read;
}

const both = after(first, { roots: [root.publicKey, newer.publicKey] }, root);
const alone = after(both, { roots: [newer.publicKey], adopted: [alphaId] }, newer);
const bare = after(both, { roots: [newer.publicKey] }, newer);
const saved = after(first, { roots: [newer.publicKey], adopted: [alphaId] }, rescueKey);

const store = (policy: SignedPolicy): TrustStore => {
  const trust = world.store();
  trust.takePolicy(policy);
  return trust;
};
const verdict = (policy: SignedPolicy, cert: Uint8Array, issuer = world.mesh.cert): boolean =>
  store(policy).verifyNodeCert(cert, issuer).ok;

const revocation = (by: KeyPair, label = 'gone', target = new Uint8Array(32).fill(5)): Uint8Array =>
  signRevocation({ kind: 'node', target, label, reason: '', keep: [], timeMs: NOW_MS }, meshId, {
    secretKey: by.secretKey,
    cert: null,
  });

const forged = (by: KeyPair): Uint8Array => {
  const { sign, dh } = newNodeKeys(world.rng);
  return signNodeCert(
    { ...world.self, signPk: sign.publicKey, dhPk: dh.publicKey, name: 'thief', issuerId: NO_ISSUER },
    meshId,
    by.secretKey,
  );
};

test('what any root of the policy signed is good, and what a root that is gone signed is not', () => {
  const byNewer = signByRoot(world.self, store(both), newer, DAY_MS);
  assert.deepEqual(
    [first, both, alone].map((p) => verdict(p, byNewer)),
    [false, true, true],
  );
  assert.deepEqual(
    [first, both, alone, saved].map((p) => verdict(p, forged(root))),
    [true, true, false, false],
  );
  assert.deepEqual(
    [first, both, bare].map((p) => verdict(p, beta.record.bytes)),
    [true, true, false],
  );
  const token = world.token().cert.record.bytes;
  const takes = (p: SignedPolicy): boolean => parseTokenCert(token, meshId, p.roots) !== null;
  assert.deepEqual([first, both, alone, saved].map(takes), [true, true, false, false]);
  const hears = (p: SignedPolicy): boolean => parseRevocation(revocation(root), meshId, p) !== null;
  assert.deepEqual([first, both, alone, saved].map(hears), [true, true, false, false]);
  assert.equal(
    parseRevocation(revocation(rescueKey), meshId, first),
    null,
    'a recovery root signs policies only',
  );
  assert.equal(verdict(first, forged(rescueKey)), false);
});

test('an adopted certificate stays good, and no other of its root, also not one with another signature', () => {
  assert.equal(verdict(alone, world.mesh.cert), true);
  assert.equal(verdict(alone, beta.record.bytes), true);
  assert.equal(verdict(alone, forged(root)), false);
  for (let at = 6; at < world.self.record.toBeSigned.length - 100; at += 7)
    assert.equal(verdict(alone, flipped(world.mesh.cert, at)), false);
});

test('a verdict is of the policy in force, whatever verified before and in whatever order policies came', () => {
  const certs = [world.mesh.cert, beta.record.bytes, forged(root), forged(newer)];
  const policies = [first, both, alone, bare, saved];
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(policies.length - 1), fc.nat(certs.length - 1)), {
        minLength: 1,
        maxLength: 12,
      }),
      (steps) => {
        const trust = world.store();
        for (const [p, c] of steps) {
          const policy = policies[p] ?? first;
          const cert = certs[c] ?? world.mesh.cert;
          trust.takePolicy(policy);
          assert.equal(trust.verifyNodeCert(cert, world.mesh.cert).ok, verdict(policy, cert));
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('revocations end with their root unless the newer one says them again, in any order', () => {
  const statements = [
    revocation(root),
    revocation(newer),
    revocation(root, 'other', new Uint8Array(32).fill(6)),
  ];
  fc.assert(
    fc.property(fc.shuffledSubarray([0, 1, 2], { minLength: 3, maxLength: 3 }), fc.nat(3), (order, turn) => {
      const trust = store(both);
      for (const [i, at] of order.entries()) {
        if (i === turn) trust.takePolicy(alone);
        const read = parseRevocation(statements[at] ?? new Uint8Array(0), meshId, trust.policy);
        if (read !== null) trust.revocations.add(read);
      }
      trust.takePolicy(alone);
      const all = trust.revocations.all();
      assert.deepEqual(
        all.map(({ label, root: by }) => [label, by]),
        [['gone', newer.publicKey]],
      );
    }),
  );
});

test('CA compromised: the old root can do nothing after the recovery, and nothing before it either', () => {
  const thief = signingKeyPair(new Uint8Array(32).fill(3));
  const chain = new PolicyChain([first]);
  const stolen = after(first, { roots: [root.publicKey, thief.publicKey] }, root);
  for (const policy of [stolen, after(stolen, { roots: [thief.publicKey] }, thief)])
    assert.equal(chain.offer(policy), 'successor');
  const end = after(chain.current, { roots: [newer.publicKey], adopted: [alphaId] }, rescueKey);
  assert.equal(chain.offer(end), 'successor');
  for (const by of [root, thief]) {
    assert.equal(verdict(end, forged(by)), false);
    assert.equal(parseRevocation(revocation(by), meshId, end), null);
    for (const held of [first, stolen]) {
      if (by === thief && held === first) continue;
      for (let i = 0; i < 4; i++)
        assert.equal(chain.offer(after(held, { leewaySec: 700 + i }, by)), 'conflict');
    }
  }
  assert.equal(chain.current.seq, 4);
  assert.equal(new PolicyChain([first, stolen]).offer(saved), 'override', 'also where the thief was first');
});

test('who hangs on an older root is renewed at any time, by an admitter that does not', () => {
  const trust = store(both);
  const request = { ask: new Uint8Array(8), cert: beta.record.bytes, admitter: world.mesh.cert };
  const ask = (self: ReadNodeCert, of: TrustStore, key: KeyPair | null = null) => {
    const parts = { trust: of, self, signSecretKey: keys.sign.secretKey, root: key };
    return decodeAdmissionReply(renew(parts, beta.nodeIdHex, request));
  };
  const late = ask(world.self, trust);
  assert.ok(late?.admitted === false && /no certificate of the new root/.test(late.text));
  const fresh = parseNodeCert(signByRoot(world.self, trust, newer, DAY_MS), meshId);
  assert.ok(fresh);
  assert.equal(trust.verifyNodeCert(fresh.record.bytes, null).ok, true);
  assert.deepEqual(
    [world.mesh.cert, fresh.record.bytes].map((bytes) => trust.hangsOnOlderRoot(bytes, null)),
    [true, false],
  );
  const reply = ask(fresh, trust);
  assert.ok(reply?.admitted);
  assert.equal(store(bare).verifyNodeCert(reply.cert, reply.admitter).ok, true);
  const early = ask(world.self, store(first));
  assert.ok(early?.admitted === false && /not half over/.test(early.text));
});

test('an admitter that a root certified is renewed where a root lies, and only there', () => {
  const trust = store(both);
  const second = newNodeKeys(world.rng);
  const cert = parseNodeCert(
    signNodeCert(
      { ...world.self, name: 'gamma', signPk: second.sign.publicKey, dhPk: second.dh.publicKey },
      meshId,
      root.secretKey,
    ),
    meshId,
  );
  assert.ok(cert);
  const fresh = parseNodeCert(signByRoot(world.self, trust, newer, DAY_MS), meshId);
  assert.ok(fresh && trust.verifyNodeCert(fresh.record.bytes, null).ok);
  const request = { ask: new Uint8Array(8), cert: cert.record.bytes, admitter: cert.record.bytes };
  const parts = { trust, self: fresh, signSecretKey: keys.sign.secretKey };
  const refused = decodeAdmissionReply(renew({ ...parts, root: null }, cert.nodeIdHex, request));
  assert.ok(refused?.admitted === false && /only the root/.test(refused.text));
  const reply = decodeAdmissionReply(renew({ ...parts, root: newer }, cert.nodeIdHex, request));
  assert.ok(reply?.admitted);
  const next = parseNodeCert(reply.cert, meshId);
  assert.deepEqual([next?.caps, next?.name], [cert.caps, 'gamma']);
  assert.ok(cert.caps & CAP.admit && verdict(bare, reply.cert));
});

test('more certificates in use than a policy adopts are refused with what to do', () => {
  const ids = Array.from({ length: 9 }, (_, i) => new Uint8Array(16).fill(i + 1));
  assert.equal(adoptedFrom(first, ids.slice(1)).length, 8);
  assert.throws(() => adoptedFrom(first, ids), {
    code: 'E_REFUSED',
    message: /9 certificates.*run it again/,
  });
  assert.deepEqual(adoptedFrom(alone, []), [], 'what nobody uses is not adopted again');
  assert.throws(
    () =>
      after(
        first,
        {
          roots: Array.from(
            { length: 8 },
            (_, i) => signingKeyPair(new Uint8Array(32).fill(i)).publicKey,
          ).concat(root.publicKey),
          adopted: ids.slice(1),
        },
        root,
      ),
    { code: 'E_REQUEST' },
  );
});

test('a recovery key reads as it was written, and damage, another mesh and other texts are named', () => {
  const text = formatRecoveryKey(meshId, rescueKey);
  assert.deepEqual(parseRecoveryKey(`${text}\n`, meshId), rescueKey);
  const cases: [string, RegExp, string][] = [
    ['', /no recovery key/, 'E_REQUEST'],
    [world.tokenText(), /no recovery key/, 'E_REQUEST'],
    [text.slice(0, -1), /damaged or cut off/, 'E_REQUEST'],
    [text.replace(/.{4}$/, 'AAAA'), /damaged or cut off/, 'E_REQUEST'],
    [formatRecoveryKey(new Uint8Array(32), rescueKey), /another mesh/, 'E_REFUSED'],
  ];
  for (const [given, message, code] of cases)
    assert.throws(() => parseRecoveryKey(given, meshId), { message, code });
  for (let at = 14; at < text.length; at++) {
    const other = text[at] === 'A' ? 'B' : 'A';
    const changed = text.slice(0, at) + other + text.slice(at + 1);
    assert.throws(
      () => parseRecoveryKey(changed, meshId),
      (error: Error) => !error.message.includes(changed.slice(20, 40)),
    );
  }
});
