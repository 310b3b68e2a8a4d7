/** The right to admit: given by a root, ended by a root, and what is then good of what was issued under it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { ADMITTER_LIFE_MS } from '../../agent/identity/genesis.ts';
import {
  decodeGrantOffer,
  encodeGrantOffer,
  problemOfOffer,
  signGrant,
  signOrdinary,
} from '../../agent/identity/grant.ts';
import { GrantBook, MAX_PENDING_GRANTS } from '../../agent/identity/grant-book.ts';
import {
  CAP,
  NO_ISSUER,
  parseNodeCert,
  type ReadNodeCert,
  signNodeCert,
} from '../../agent/identity/node-cert.ts';
import { decodeRenewalRequest, encodeRenewalRequest, renew } from '../../agent/identity/renewal.ts';
import {
  MAX_GRANT_PARTS,
  parseRevocation,
  type ReadRevocation,
  signRevocation,
} from '../../agent/identity/revocation.ts';
import { RevocationSet, readRevocations, writeRevocations } from '../../agent/identity/revocation-set.ts';
import type { KeyPair } from '../../agent/identity/sodium.ts';
import { STATE_FILE, StateDir } from '../../agent/identity/state-dir.ts';
import type { TrustStore } from '../../agent/identity/trust-store.ts';
import { DAY_MS, flipped, NOW_MS, World } from './identity-world.ts';

const world = new World();
const { meshId, root } = world.mesh;
const AUTHORITY = { roots: [root.publicKey], adopted: [] };
const host = world.ask(world.token(), { name: 'beta' });
const beta = host.cert as ReadNodeCert;
const betaSecret = host.request.keys.sign.secretKey;
const nothing: Uint8Array = new Uint8Array(0);

function must(bytes: Uint8Array): ReadNodeCert {
  const cert = parseNodeCert(bytes, meshId);
  assert.ok(cert);
  return cert;
}

/** beta as an admitter. */
const granted = must(signGrant(beta, root.secretKey, { trust: world.trust, generation: 2 }));

/** A certificate that beta signed under a grant, for a host of its own name. */
function issued(name: string, by = granted): ReadNodeCert {
  const other = new World(name);
  const { sign, dh } = other.mesh.keys;
  const facts = { name, signPk: sign.publicKey, dhPk: dh.publicKey, caps: 0, generation: 1 };
  const issuerId = by.record.id.slice(0, 16);
  const cert = { ...beta, ...facts, issuerId, expiresMs: NOW_MS + DAY_MS };
  return must(signNodeCert(cert, meshId, betaSecret));
}

function end(change: Partial<ReadRevocation> = {}): ReadRevocation {
  const grant = { generation: 2, part: 1, parts: 1 };
  const facts = { kind: 'grant' as const, target: beta.nodeId, label: 'beta', reason: '', keep: [], grant };
  const bytes = signRevocation({ ...facts, timeMs: NOW_MS, ...change }, meshId, {
    secretKey: root.secretKey,
    cert: null,
  });
  const read = parseRevocation(bytes, meshId, AUTHORITY);
  assert.ok(read);
  return read;
}

const judged = (trust: TrustStore, cert: ReadNodeCert, by = granted): string | null => {
  const verdict = trust.verifyNodeCert(cert.record.bytes, by.record.bytes);
  return verdict.ok ? null : verdict.problem;
};

const keepOf = (...certs: readonly ReadNodeCert[]): Uint8Array[] =>
  certs.map(({ record }) => record.id.slice(0, 16));

test('a grant is the same certificate with the right to admit, from a root, for a year', () => {
  assert.deepEqual([granted.caps, granted.issuerId], [beta.caps | CAP.admit, NO_ISSUER]);
  assert.deepEqual(
    [granted.nodeIdHex, granted.tokenId, granted.slot],
    [beta.nodeIdHex, beta.tokenId, beta.slot],
  );
  assert.equal(granted.expiresMs, NOW_MS + ADMITTER_LIFE_MS);
  const trust = world.store();
  assert.equal(judged(trust, granted, beta), null);
  assert.ok(trust.mayAdmit(granted) && !trust.mayAdmit(beta));
  assert.equal(judged(trust, issued('gamma')), null);
});

test('the end of a grant ends new issuance, keeps what it names, and leaves the host a member', () => {
  const trust = world.store();
  const [kept, other] = [issued('kept'), issued('other')];
  assert.ok(trust.revocations.add(end({ keep: keepOf(kept) })));
  assert.ok(!trust.mayAdmit(granted));
  assert.equal(judged(trust, granted, beta), null, 'it stays a member');
  assert.equal(judged(trust, kept), null);
  assert.equal(judged(trust, other), 'revoked');
  // A thief of the keys may date as it likes.
  const dated = must(
    signNodeCert({ ...other, notBeforeMs: NOW_MS - 300 * DAY_MS, slot: 9 }, meshId, betaSecret),
  );
  assert.equal(judged(trust, dated), 'revoked');
  assert.equal(judged(trust, beta, world.self), null, 'its ordinary certificate has nothing to do with it');
});

test('a later grant is one again, and what was ended of the earlier one stays so', () => {
  const trust = world.store();
  trust.revocations.add(end());
  const again = must(signGrant(beta, root.secretKey, { trust, generation: 4 }));
  assert.ok(trust.mayAdmit(again));
  assert.equal(judged(trust, issued('new', again), again), null);
  assert.equal(judged(trust, issued('old')), 'revoked');
  trust.revocations.add(end({ grant: { generation: 4, part: 1, parts: 1 } }));
  assert.ok(!trust.mayAdmit(again));
  assert.equal(judged(trust, issued('new', again), again), 'revoked');
});

test('only a root ends a grant', () => {
  const facts = { kind: 'grant' as const, target: beta.nodeId, label: 'beta', reason: '', keep: [] };
  const by = { secretKey: world.mesh.keys.sign.secretKey, cert: world.self.record };
  const grant = { generation: 2, part: 1, parts: 1 };
  const bytes = signRevocation({ ...facts, timeMs: NOW_MS, grant }, meshId, by);
  assert.equal(parseRevocation(bytes, meshId, AUTHORITY), null);
});

test('parts that make no sense are refused, and so is every changed byte', () => {
  for (const grant of [
    { generation: 2, part: 0, parts: 1 },
    { generation: 2, part: 2, parts: 1 },
    { generation: 2, part: 1, parts: MAX_GRANT_PARTS + 1 },
  ])
    assert.throws(() => end({ grant }));
  const { bytes } = end();
  for (let at = 0; at < bytes.length; at += 3)
    assert.equal(parseRevocation(flipped(bytes, at), meshId, AUTHORITY), null);
});

test('of a statement in parts nothing ends before all parts are there, but the right itself', () => {
  const trust = world.store();
  const [first, second, other] = [issued('first'), issued('second'), issued('other')];
  const part = (n: number, cert: ReadNodeCert) =>
    end({ keep: keepOf(cert), grant: { generation: 2, part: n, parts: 2 } });
  trust.revocations.add(part(2, second));
  assert.ok(!trust.mayAdmit(granted));
  assert.deepEqual(
    [first, second, other].map((cert) => judged(trust, cert)),
    [null, null, null],
  );
  trust.revocations.add(part(1, first));
  assert.deepEqual(
    [first, second, other].map((cert) => judged(trust, cert)),
    [null, null, 'revoked'],
  );
});

test('the set comes to the same whatever the order of the parts and of two ends, and survives on disk', () => {
  const late = { timeMs: NOW_MS + 1 };
  const statements = [
    end({ grant: { generation: 2, part: 1, parts: 2 } }),
    end({ grant: { generation: 2, part: 2, parts: 2 }, keep: keepOf(issued('kept')) }),
    end({ grant: { generation: 2, part: 1, parts: 1 }, ...late }),
    end({ grant: { generation: 5, part: 1, parts: 3 } }),
    end({ grant: { generation: 5, part: 3, parts: 3 } }),
    end({ grant: { generation: 4, part: 1, parts: 1 }, ...late }),
  ];
  const digestOf = (order: readonly ReadRevocation[]): string => {
    const set = new RevocationSet();
    for (const statement of order) set.add(statement);
    assert.equal(set.size, 2);
    return Buffer.from(set.digest).toString('hex');
  };
  const expected = digestOf(statements);
  fc.assert(
    fc.property(fc.shuffledSubarray(statements, { minLength: statements.length }), (order) => {
      assert.equal(digestOf([...order, ...order]), expected);
    }),
  );
  const dir = mkdtempSync(join(tmpdir(), 'weft-grant-'));
  try {
    const state = StateDir.open(dir);
    const set = new RevocationSet();
    for (const statement of statements) set.add(statement);
    writeRevocations(state, set);
    assert.deepEqual(readRevocations(state, meshId, [AUTHORITY]).digest, set.digest);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('a host takes a grant from its root, and gives the right back only when a root has ended it', () => {
  const trust = world.store();
  const offer = (cert: ReadNodeCert, issuer: Uint8Array = nothing) => ({ cert: cert.record.bytes, issuer });
  assert.deepEqual(decodeGrantOffer(encodeGrantOffer(offer(granted))), offer(granted));
  assert.equal(problemOfOffer(trust, beta, offer(granted)), null);
  const ordinary = must(
    signOrdinary(granted, world.self, world.mesh.keys.sign.secretKey, { trust, generation: 3 }),
  );
  const back = offer(ordinary, world.self.record.bytes);
  assert.match(problemOfOffer(trust, granted, back) ?? '', /no root has given or ended/);
  trust.revocations.add(end());
  assert.equal(problemOfOffer(trust, granted, back), null);
  assert.match(problemOfOffer(trust, granted, offer(beta, world.self.record.bytes)) ?? '', /not newer/);
});

test('an offer that changes anything else, or that no root signed, is not taken', () => {
  const trust = world.store();
  const offered = (change: Partial<ReadNodeCert>, key = root.secretKey) => {
    const cert = signNodeCert({ ...granted, ...change }, meshId, key);
    return problemOfOffer(trust, beta, { cert, issuer: nothing });
  };
  assert.equal(offered({}), null);
  for (const change of [
    { name: 'other' },
    { caps: CAP.admit | CAP.revoke },
    { addresses: [] },
    { tokenId: new Uint8Array(16) },
    { generation: 1 },
  ])
    assert.notEqual(offered(change), null);
  assert.notEqual(offered({}, betaSecret), null);
  assert.notEqual(
    offered({ issuerId: world.self.record.id.slice(0, 16) }, world.mesh.keys.sign.secretKey),
    null,
  );
  assert.equal(decodeGrantOffer(new Uint8Array([3, 0])), null);
  assert.equal(decodeGrantOffer(new Uint8Array([2, 0, 0, 0, 0])), null);
});

test('an admitter is renewed by the root, while it is one', () => {
  const w = new World('renewals');
  const b = w.ask(w.token(), { name: 'beta' }).cert as ReadNodeCert;
  const cert = signGrant(b, w.mesh.root.secretKey, { trust: w.trust, generation: 2 });
  const request = decodeRenewalRequest(
    encodeRenewalRequest({ ask: new Uint8Array(8), cert, admitter: cert }),
  );
  assert.ok(request);
  w.clock.pass(300 * DAY_MS);
  const ask = (held: KeyPair | null): string => {
    const signSecretKey = w.mesh.keys.sign.secretKey;
    const reply = renew({ trust: w.trust, self: w.self, signSecretKey, root: held }, b.nodeIdHex, request);
    return Buffer.from(reply).toString('latin1');
  };
  assert.match(ask(null), /only the root/);
  const bytes = Buffer.from(ask(w.mesh.root), 'latin1');
  const next = parseNodeCert(new Uint8Array(bytes.subarray(3, 3 + bytes.readUInt16BE(1))), w.mesh.meshId);
  assert.deepEqual(
    [next?.generation, next?.caps, next?.issuerId, next?.expiresMs],
    [3, b.caps | CAP.admit, NO_ISSUER, NOW_MS + 300 * DAY_MS + ADMITTER_LIFE_MS],
  );
});

test('grants that wait are on disk, bounded, and a damaged file is refused', () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-grants-'));
  try {
    const state = StateDir.open(dir);
    const book = new GrantBook(state, meshId);
    book.put(granted);
    const again = new GrantBook(state, meshId);
    assert.deepEqual(again.of(beta.nodeIdHex)?.record.id, granted.record.id);
    again.remove(beta.nodeIdHex);
    assert.equal(new GrantBook(state, meshId).all().length, 0);
    for (let i = 0; i < MAX_PENDING_GRANTS; i++) again.put({ ...granted, nodeIdHex: String(i) });
    assert.ok(again.isFull);
    writeFileSync(state.file(STATE_FILE.grants), 'x');
    assert.throws(() => new GrantBook(state, meshId), /grants\.bin is damaged/);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
