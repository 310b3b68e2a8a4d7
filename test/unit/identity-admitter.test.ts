import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CAP, parseNodeCert, signNodeCert } from '../../agent/identity/node-cert.ts';
import { signingKeyPair, toHex } from '../../agent/identity/sodium.ts';
import { DAY_MS, flipped, HOUR_MS, NOW_MS, VNI, World } from './identity-world.ts';

test('a host with a token is given a certificate that every member accepts', () => {
  const world = new World();
  const token = world.token();
  const { cert, refused, request } = world.ask(token);
  assert.equal(refused, null);
  assert.ok(cert !== null);
  assert.deepEqual([cert.name, cert.slot, cert.caps, cert.generation], ['beta', 1, 0, 1]);
  assert.deepEqual([cert.signPk, cert.dhPk], [request.keys.sign.publicKey, request.keys.dh.publicKey]);
  assert.deepEqual(cert.tokenId, token.cert.id);
  assert.deepEqual([cert.notBeforeMs, cert.expiresMs], [NOW_MS - 600_000, NOW_MS + 30 * DAY_MS]);
  const verdict = world.store().verifyNodeCert(cert.record.bytes, world.mesh.cert);
  assert.ok(verdict.ok);
});

test('the second use of a one-use token is refused, also after a restart', () => {
  const world = new World();
  const token = world.token();
  assert.equal(world.ask(token).refused, null);
  const second = world.ask(token, { name: 'gamma' });
  assert.deepEqual([second.refused, second.text], ['tokenUsedUp', 'the token is used up: 1 of 1 uses']);
  world.restart();
  assert.equal(world.ask(token, { name: 'gamma' }).refused, 'tokenUsedUp');
});

test('a token of N uses admits N hosts in slots of their own', () => {
  const world = new World();
  const token = world.token({ uses: 3 });
  const slots = ['a', 'b', 'c'].map((name) => world.ask(token, { name }).cert?.slot);
  assert.deepEqual(slots, [1, 2, 3]);
  assert.equal(world.ask(token, { name: 'd' }).refused, 'tokenUsedUp');
});

test('a slot stays used as long as its token lives, however short the certificate', () => {
  const world = new World();
  const token = world.token({ expiresMs: NOW_MS + 366 * DAY_MS, nodeLifeSec: 3600 });
  assert.equal(world.ask(token).refused, null);
  for (const days of [2, 40, 300]) {
    world.clock.wall = NOW_MS + days * DAY_MS;
    world.restart();
    assert.equal(world.ask(token, { name: 'gamma' }).refused, 'tokenUsedUp', `after ${days} days`);
  }
});

test('the same request again gets the same bytes and no new slot, even after the token expired', () => {
  const world = new World();
  const token = world.token({ uses: 2 });
  const first = world.ask(token);
  const again = world.send(token, first.request);
  assert.deepEqual(again.reply, first.reply);
  assert.equal(again.admitted, null);
  world.clock.pass(2 * HOUR_MS);
  world.restart();
  assert.deepEqual(world.send(token, first.request).reply, first.reply);
  assert.equal(world.log.usesOf(toHex(token.cert.id)).length, 1);
});

test('the row is on disk before there is an answer, and without it nobody is admitted', () => {
  const world = new World();
  const token = world.token();
  world.file.failing = true;
  assert.throws(() => world.ask(token), /no space left/);
  world.file.failing = false;
  const later = world.ask(token, { name: 'gamma' });
  assert.deepEqual([later.refused, later.cert?.slot], [null, 1]);
  assert.deepEqual(world.file.events, ['append']);
});

test('an expired token and one that is not valid yet are refused by the clock of the admitter', () => {
  const world = new World();
  const future = world.token({ notBeforeMs: NOW_MS + 600_000, expiresMs: NOW_MS + DAY_MS });
  const token = world.token();
  world.clock.wall = NOW_MS + HOUR_MS;
  const late = world.ask(token);
  assert.deepEqual(
    [late.refused, late.text],
    ['tokenExpired', 'the token expired at 2027-01-15T09:00:00.000Z'],
  );
  world.clock.wall = NOW_MS;
  assert.equal(world.ask(future).refused, null);
  const tooEarly = new World();
  tooEarly.clock.wall = NOW_MS + HOUR_MS;
  const later = tooEarly.token({ expiresMs: NOW_MS + DAY_MS });
  tooEarly.clock.wall = NOW_MS;
  const early = tooEarly.ask(later);
  assert.deepEqual(
    [early.refused, early.text],
    ['tokenNotYetValid', 'the token is valid from 2027-01-15T09:00:00.000Z'],
  );
});

test('an admitter whose clock stands in 1970 judges by the time of its policy', () => {
  const world = new World();
  world.clock.wall = NOW_MS - HOUR_MS;
  const expired = world.token({ notBeforeMs: NOW_MS - 2 * HOUR_MS, expiresMs: NOW_MS });
  world.clock.wall = 0;
  assert.equal(world.ask(expired).refused, 'tokenExpired');
});

test('a token of another mesh is refused', () => {
  const world = new World();
  const other = new World('other');
  const token = other.token();
  const { refused, text } = world.send(token, other.request(token));
  assert.deepEqual([refused, text], ['wrongMesh', 'the token belongs to another mesh']);
});

test('a token that no root signed is refused', () => {
  const world = new World();
  const forged = signingKeyPair(new Uint8Array(32).fill(6));
  const good = world.token();
  // It says itself who signed it, which nobody at the mesh believes.
  assert.equal(world.ask(world.token({ rootSecretKey: forged.secretKey })).refused, 'wrongMesh');
  const bytes = good.cert.record.bytes;
  for (const at of [6, 40, 80, bytes.length - 1]) {
    const { bytes: request, keys } = world.request(good);
    const outcome = world.admitter.handle(flipped(bytes, at), request, {
      dhPk: keys.dh.publicKey,
      fromIp: world.fromIp,
    });
    assert.equal(outcome.refused, 'wrongMesh');
  }
});

test('a request that the token did not sign, or that another host sends, is refused', () => {
  const world = new World();
  const token = world.token();
  assert.equal(world.ask(token, { signWith: new Uint8Array(32).fill(7) }).refused, 'tokenSignature');
  const { bytes } = world.request(token);
  const stranger = { dhPk: new Uint8Array(32).fill(9), fromIp: world.fromIp };
  assert.equal(world.admitter.handle(token.cert.record.bytes, bytes, stranger).refused, 'tokenSignature');
  assert.equal(world.log.rows().length, 0);
});

test('a request for one token does not pass beside the certificate of another', () => {
  const world = new World();
  const [narrow, wide] = [world.token({ nameRule: 'exact', name: 'x' }), world.token()];
  const request = world.request(narrow);
  const { refused } = world.send(wide, request);
  assert.equal(refused, 'malformed');
});

test('a seed that does not count the token names itself and says whom to ask', () => {
  const world = new World();
  const token = world.token({ admitterId: new Uint8Array(32).fill(5) });
  const { refused, text } = world.ask(token);
  assert.equal(refused, 'notAdmitter');
  assert.match(text, /alpha does not count this token/);
  const each = world.token({ admitterId: new Uint8Array(32).fill(5), count: 'each' });
  assert.equal(world.ask(each).refused, null);
});

test('a name outside the rule of the token is refused with the rule', () => {
  const world = new World();
  const prefix = world.ask(world.token({ nameRule: 'prefix', name: 'web-' }), { name: 'db-1' });
  assert.deepEqual(
    [prefix.refused, prefix.text],
    ['nameNotAllowed', "the token does not allow the name 'db-1': it must begin with 'web-'"],
  );
  const exact = world.ask(world.token({ nameRule: 'exact', name: 'web' }), { name: 'web-1' });
  assert.match(exact.text, /must be 'web'/);
  assert.equal(world.ask(world.token({ nameRule: 'prefix', name: 'web-' }), { name: 'web-1' }).refused, null);
});

test('a name that could not be shown is refused', () => {
  const world = new World();
  for (const name of ['', 'A', 'a.b', '-a', 'a-', '\u001b[2J', 'a b'])
    assert.equal(world.ask(world.token(), { name }).refused, 'malformed', JSON.stringify(name));
});

test('a name that another host holds is refused, by the log or by the view, and costs no slot', () => {
  const world = new World();
  const token = world.token({ uses: 2 });
  assert.equal(world.ask(token).refused, null);
  const taken = world.ask(token);
  assert.deepEqual(
    [taken.refused, taken.text],
    ['nameTaken', "the name 'beta' is held by another host: choose another with --name"],
  );
  world.held.names.alpha = toHex(world.self.nodeId);
  assert.equal(world.ask(token, { name: 'alpha' }).refused, 'nameTaken');
  assert.equal(world.ask(token, { name: 'gamma' }).cert?.slot, 2);
});

test('a member that left for good frees its name and address, and not its slot', () => {
  const world = new World();
  const token = world.token({ uses: 2 });
  const first = world.ask(token);
  world.held.released = first.cert?.nodeIdHex ?? '';
  const second = world.ask(token);
  assert.deepEqual([second.refused, second.cert?.slot], [null, 2]);
  assert.deepEqual(second.cert?.addresses, first.cert?.addresses);
  assert.equal(world.ask(token, { name: 'gamma' }).refused, 'tokenUsedUp');
});

test('a key that is already certified is refused under any name', () => {
  const world = new World();
  const token = world.token({ uses: 5 });
  const { request } = world.ask(token);
  assert.equal(world.ask(token, { keys: request.keys, name: 'gamma' }).refused, 'keyInUse');
  const fresh = world.request(token).keys;
  const mixed = { sign: fresh.sign, dh: request.keys.dh };
  assert.equal(world.ask(token, { keys: mixed, name: 'gamma' }).refused, 'keyInUse');
  world.held.keys.push(toHex(fresh.sign.publicKey));
  assert.equal(world.ask(token, { keys: fresh, name: 'gamma' }).refused, 'keyInUse');
});

test('rights come from the token only, and the right to admit from no token', () => {
  const world = new World();
  const plain = world.token({ uses: 9 });
  for (const cap of Object.values(CAP))
    assert.equal(world.ask(plain, { caps: cap, name: `c${cap}` }).refused, 'rightsNotAllowed');
  const all = world.token({ uses: 9, caps: 0xffff });
  for (const cap of [CAP.admit, CAP.revoke, 1 << 9])
    assert.equal(world.ask(all, { caps: cap, name: `c${cap}` }).refused, 'rightsNotAllowed');
  const bridge = world.ask(world.token({ caps: CAP.bridge | CAP.admit }), { name: 'bridge' });
  assert.equal(bridge.cert?.caps, CAP.bridge);
});

test('a segment outside the token or outside policy is refused', () => {
  const world = new World();
  assert.equal(world.ask(world.token(), { vnis: [43] }).refused, 'segmentNotAllowed');
  assert.equal(world.ask(world.token({ vnis: [43] }), { vnis: [43] }).refused, 'segmentNotAllowed');
});

test('a segment named many times cannot overflow a certificate', () => {
  const world = new World();
  const token = world.token();
  const { refused } = world.ask(token, { name: 'n'.repeat(63), vnis: new Array<number>(8).fill(VNI) });
  assert.equal(refused, 'malformed');
  assert.equal(world.ask(token, { vnis: [VNI, VNI] }).refused, 'malformed');
});

test('addresses are given from the lowest, past those that are held', () => {
  const world = new World();
  world.held.ips.push('10.80.0.3');
  const token = world.token({ uses: 5 });
  const ips = ['a', 'b', 'c'].map((name) => world.ask(token, { name }).cert?.addresses[0]?.prefix);
  assert.deepEqual(
    ips,
    [2, 4, 5].map((n) => ({ ip: `10.80.0.${n}`, length: 24 })),
  );
  world.restart();
  assert.equal(world.ask(token, { name: 'd' }).cert?.addresses[0]?.prefix.ip, '10.80.0.6');
});

test('an address that was asked for is given, or refused when it is held or outside', () => {
  const world = new World();
  const token = world.token({ uses: 9 });
  let count = 0;
  const ask = (ip: string, length = 24) =>
    world.ask(token, { name: `h${count++}`, addresses: [{ vni: VNI, prefix: { ip, length } }] });
  assert.equal(ask('10.80.0.77').cert?.addresses[0]?.prefix.ip, '10.80.0.77');
  const taken = ask('10.80.0.77');
  assert.deepEqual(
    [taken.refused, taken.text],
    ['addressTaken', 'the address 10.80.0.77 is held by another host: choose another or --address auto'],
  );
  assert.equal(ask('10.80.0.1').refused, 'addressTaken');
  for (const ip of ['10.81.0.1', '10.80.0.0', '10.80.0.255', 'fd00::1'])
    assert.equal(ask(ip).refused, 'addressOutside', ip);
  assert.equal(ask('10.80.0.9', 16).refused, 'addressOutside');
});

test('a network without a free address says so', () => {
  const world = new World('small', { ip: '10.80.0.1', length: 30 });
  const token = world.token({ uses: 5 });
  assert.equal(world.ask(token, { name: 'a' }).cert?.addresses[0]?.prefix.ip, '10.80.0.2');
  const { refused, text } = world.ask(token, { name: 'b' });
  assert.deepEqual([refused, text], ['noAddressLeft', 'no address of 10.80.0.1/30 is free']);
});

test('one token admits five hosts a second, and another token is not hindered by it', () => {
  const world = new World();
  const token = world.token({ uses: 20 });
  const ask = (n: number) => world.ask(token, { name: `h${n}` }).refused;
  assert.deepEqual([0, 1, 2, 3, 4, 5].map(ask), [null, null, null, null, null, 'tooFast']);
  assert.equal(world.ask(world.token(), { name: 'other' }).refused, null);
  world.clock.monotonic += 999;
  assert.equal(ask(6), 'tooFast');
  world.clock.monotonic += 1;
  assert.equal(ask(7), null);
});

test('refusals use up neither slots nor the rate', () => {
  const world = new World();
  const token = world.token({ nameRule: 'prefix', name: 'web-' });
  for (let n = 0; n < 20; n++) assert.equal(world.ask(token, { name: `db-${n}` }).refused, 'nameNotAllowed');
  assert.equal(world.ask(token, { name: 'web-1' }).cert?.slot, 1);
  for (let n = 0; n < 20; n++) assert.equal(world.ask(token, { name: `web-2${n}` }).refused, 'tokenUsedUp');
  assert.equal(world.ask(world.token(), { name: 'other' }).refused, null);
});

test('garbage and mangled requests are answered with a refusal and admit nobody', () => {
  const world = new World();
  const token = world.token();
  const good = world.request(token);
  const handle = (cert: Uint8Array, request: Uint8Array) => {
    const outcome = world.admitter.handle(cert, request, {
      dhPk: good.keys.dh.publicKey,
      fromIp: world.fromIp,
    });
    assert.ok(outcome.refused !== null && outcome.admitted === null);
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.uint8Array({ maxLength: 600 }), (a, b) => {
      handle(a, b);
      handle(token.cert.record.bytes, b);
      handle(a, good.bytes);
    }),
  );
  for (let at = 0; at < good.bytes.length; at++) handle(token.cert.record.bytes, flipped(good.bytes, at));
  assert.equal(world.file.text, '');
});

test('an admitted host cannot admit others: its certificates are refused by every member', () => {
  const world = new World();
  const member = world.ask(world.token());
  assert.ok(member.cert !== null);
  const forged = signNodeCert(
    {
      ...member.cert,
      name: 'mallory',
      signPk: new Uint8Array(32).fill(1),
      issuerId: member.cert.record.id.slice(0, 16),
    },
    world.mesh.meshId,
    member.request.keys.sign.secretKey,
  );
  const verdict = world.store().verifyNodeCert(forged, member.cert.record.bytes);
  assert.deepEqual([verdict.ok, !verdict.ok && verdict.problem], [false, 'unknownIssuer']);
  assert.ok(parseNodeCert(forged, world.mesh.meshId) !== null);
});
