import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { WeftError } from '../../agent/errors.ts';
import { CAP } from '../../agent/identity/node-cert.ts';
import { createToken, describeToken, nameAllowed, parseToken } from '../../agent/identity/token.ts';
import { DAY_MS, flipped, HOUR_MS, NOW_MS, seededRng, World } from './identity-world.ts';

const world = new World();
const good = world.tokenText();
const raw = new Uint8Array(Buffer.from(good.slice(6), 'base64url'));

/** The one line that a token is refused with; fails if it is accepted or anything else is thrown. */
function refusal(text: string, clock = world.clock): string {
  try {
    parseToken(text, clock);
  } catch (error) {
    assert.ok(error instanceof WeftError, String(error));
    assert.equal(error.code, 'E_TOKEN');
    assert.doesNotMatch(error.message, /\n/);
    return error.message;
  }
  assert.fail('accepted');
}

/** Token text of raw bytes with a checksum that is right. */
function withChecksum(bytes: Uint8Array): string {
  const body = bytes.slice(0, -4);
  const out = Buffer.concat([body, Buffer.alloc(4)]);
  out.writeUInt32BE(crc32(body), body.length);
  return `weft1_${out.toString('base64url')}`;
}

test('a token reads as it was made', () => {
  const limits = {
    uses: 7,
    nameRule: 'prefix',
    name: 'web-',
    vnis: [42, 99],
    caps: CAP.bridge,
    nodeLifeSec: 3600,
    count: 'each',
  } as const;
  const { cert, ...token } = world.token(limits);
  for (const [field, value] of Object.entries(limits))
    assert.deepEqual(cert[field as keyof typeof limits], value, field);
  assert.deepEqual(cert.admitterId, world.self.nodeId);
  const { meshId, psk, root, policy } = world.mesh;
  assert.deepEqual(
    [token.meshId, token.psk, token.rootPk, token.policyId],
    [meshId, psk, root.publicKey, policy.id],
  );
  assert.deepEqual(token.seeds[0]?.dhPk, world.mesh.keys.dh.publicKey);
  assert.deepEqual(
    [token.seeds[0]?.ip, token.seeds[0]?.sealedPort, token.seeds[0]?.gossipPort],
    ['192.0.2.10', 7947, 7946],
  );
});

test('space and line ends around a token do not matter', () => {
  assert.deepEqual(parseToken(`  ${good}\r\n`, world.clock).psk, world.mesh.psk);
});

test('a seed may have a name, of a host or of a service, and others none', () => {
  const [seed] = world.token().seeds;
  assert.ok(seed !== undefined);
  const hosts = [null, 'seed.example.com', '_weft._udp.example.com', 'x'.repeat(63)];
  const text = world.tokenText({ seeds: hosts.map((host) => ({ ...seed, host })) });
  assert.deepEqual(
    parseToken(text, world.clock).seeds.map((s) => s.host),
    hosts,
  );
});

test('a token whose seed has a name that DNS cannot have is damaged', () => {
  const [seed] = world.token().seeds;
  assert.ok(seed !== undefined);
  for (const host of ['a b', '', '10.0.0.1', 'a..b', '-a', 'x'.repeat(64), 'a\n']) {
    const text = world.tokenText({ seeds: [{ ...seed, host }] });
    assert.throws(() => parseToken(text, world.clock), { code: 'E_TOKEN' }, JSON.stringify(host));
  }
});

test('a token carries four seeds of either family, and no more', () => {
  const [seed] = world.token().seeds;
  assert.ok(seed !== undefined);
  const seeds = Array.from({ length: 6 }, (_, i) => ({ ...seed, ip: `2001:db8::${i + 1}` }));
  const text = world.tokenText({ seeds });
  assert.deepEqual(
    parseToken(text, world.clock).seeds.map((s) => s.ip),
    ['2001:db8::1', '2001:db8::2', '2001:db8::3', '2001:db8::4'],
  );
  assert.ok(text.length < 1500, `${text.length} characters`);
});

test('what is no token is called so', () => {
  assert.match(refusal(''), /empty/);
  assert.match(refusal('hello'), /no weft token/);
  assert.match(refusal('SWMTKN-1-abc'), /no weft token/);
  assert.match(refusal('\u0000\u0001\u0002'), /no weft token/);
});

test('a token of a newer version says to upgrade', () => {
  assert.match(refusal(good.replace('weft1_', 'weft2_')), /weft2.*upgrade/);
  const newer = raw.slice();
  newer[0] = 2;
  assert.match(refusal(withChecksum(newer)), /version 2.*upgrade/);
});

test('a token that was cut off anywhere is refused', () => {
  for (let size = 6; size < good.length - 1; size += 3)
    assert.match(refusal(good.slice(0, size)), /damaged|cut off/);
});

test('a token with a changed character is refused wherever it is', () => {
  for (let at = 6; at < good.length - 1; at += 5) {
    const other = good[at] === 'A' ? 'B' : 'A';
    assert.match(refusal(good.slice(0, at) + other + good.slice(at + 1)), /damaged/);
  }
});

test('characters that no token has, and text longer than any token, are damage', () => {
  assert.match(refusal(`${good.slice(0, 50)} ${good.slice(50)}`), /damaged/);
  assert.match(refusal(`weft1_${'A'.repeat(5000)}`), /longer than any token/);
});

test('a changed token whose checksum was made right again is refused where it is signed', () => {
  // Up to the root nonce everything hangs together by signature or hash; psk, policy id and seeds lead to nobody.
  const certBytes = world.token().cert.record.bytes.length;
  const bound = 1 + 2 + certBytes + 32 + 32 + 32 + 16;
  for (let at = 1; at < bound; at += 3)
    assert.match(refusal(withChecksum(flipped(raw, at))), /damaged/, `byte ${at}`);
  assert.ok(parseToken(withChecksum(flipped(raw, bound)), world.clock));
});

test('garbage under a right checksum is refused and nothing else is thrown', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 700 }), (bytes) => {
      const body = new Uint8Array([1, ...bytes, 0, 0, 0, 0]);
      assert.match(refusal(withChecksum(body)), /damaged/);
    }),
  );
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), (text) => {
      refusal(`weft1_${text}`);
    }),
  );
});

test('a token expires at its time by the clock of the machine', () => {
  const other = new World();
  other.clock.wall = NOW_MS + HOUR_MS - 1;
  assert.ok(parseToken(good, other.clock));
  other.clock.wall += 1;
  assert.match(refusal(good, other.clock), /expired at 2027-01-15T09:00:00\.000Z.*weft token create/);
});

test('a clock that is more than ten minutes behind the token is named', () => {
  const other = new World();
  const text = other.tokenText();
  other.clock.wall = NOW_MS - 600_000;
  assert.ok(parseToken(text, other.clock));
  other.clock.wall -= 1;
  assert.match(refusal(text, other.clock), /valid from 2027-01-15T08:00.*clock says 2027-01-15T07:4/);
});

test('a token that was signed for a time beyond every calendar is damage, not an exception', () => {
  assert.throws(() => world.tokenText({ expiresMs: 9e15 }), RangeError);
});

test('limits that do not fit are an error, never another limit', () => {
  assert.throws(() => world.tokenText({ uses: 2 ** 32 }), RangeError);
  assert.throws(() => world.tokenText({ expiresMs: 2 ** 53 }), RangeError);
  assert.throws(() => world.tokenText({ vnis: Array.from({ length: 9 }, (_, i) => i) }), RangeError);
});

test('two tokens never share a key or an id', () => {
  const [one, two] = [world.token(), world.token()];
  assert.notDeepEqual(one.seed, two.seed);
  assert.notDeepEqual(one.cert.id, two.cert.id);
});

test('a name rule allows what it says', () => {
  const { cert } = world.token();
  const allowed = (nameRule: 'any' | 'prefix' | 'exact', name: string) =>
    nameAllowed({ ...cert, nameRule, name: 'web' }, name);
  assert.deepEqual(
    ['web', 'web-1', 'we', 'db'].map((n) => allowed('any', n)),
    [true, true, true, true],
  );
  assert.deepEqual(
    ['web', 'web-1', 'we', 'db'].map((n) => allowed('prefix', n)),
    [true, true, false, false],
  );
  assert.deepEqual(
    ['web', 'web-1', 'we', 'db'].map((n) => allowed('exact', n)),
    [true, false, false, false],
  );
});

test('a token is described by its limits and by nothing that is secret', () => {
  const { cert, seed, psk } = world.token({ uses: 3, nameRule: 'prefix', name: 'web-', caps: CAP.bridge });
  const text = describeToken(cert);
  assert.equal(
    text,
    "3 uses until 2027-01-15T09:00:00.000Z, names that begin with 'web-', segment 42, may bridge",
  );
  for (const secret of [seed, psk])
    for (const form of ['hex', 'base64', 'base64url'] as const)
      assert.ok(!text.includes(Buffer.from(secret).toString(form)));
  const one = describeToken(world.token({ expiresMs: NOW_MS + DAY_MS }).cert);
  assert.equal(one, '1 use until 2027-01-16T08:00:00.000Z, any name, segment 42');
});

test('no refusal of a token repeats a part of it', () => {
  for (const text of [good.slice(0, -9), `${good}AAAA`, good.replace('weft1_', 'weft7_')])
    assert.ok(!refusal(text).includes(good.slice(6, 22)));
});

test('the same randomness makes the same token, so that examples can be checked', () => {
  const make = () => {
    const { mesh, self } = world;
    const limits = {
      ...world.token().cert,
      notBeforeMs: NOW_MS,
      expiresMs: NOW_MS + HOUR_MS,
      admitterId: self.nodeId,
    };
    return createToken(
      {
        ...limits,
        meshId: mesh.meshId,
        rootPk: mesh.root.publicKey,
        rootNonce: mesh.policy.rootNonce,
        rootSecretKey: mesh.root.secretKey,
        suite: 2,
        psk: mesh.psk,
        policySeq: 1,
        policyId: mesh.policy.id,
        seeds: [],
      },
      seededRng('token'),
    ).text;
  };
  assert.equal(make(), make());
});
