/** Several admitters: uses of a token that others gave, the same request at another one, and what two gave twice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeAdmissionReply } from '../../agent/identity/admission-reply.ts';
import { signGrant } from '../../agent/identity/grant.ts';
import { parseNodeCert, type ReadNodeCert } from '../../agent/identity/node-cert.ts';
import { ReceiptBook } from '../../agent/identity/receipt-book.ts';
import {
  decodeReceipt,
  decodeReceiptAnswer,
  encodeReceipt,
  encodeReceiptAnswer,
} from '../../agent/identity/receipt-message.ts';
import { DAY_MS, MemoryFile, NOW_MS, World } from './identity-world.ts';

/** One mesh with two admitters that do not see each other: the second has the first one's mesh, and files of its own. */
function twoAdmitters() {
  const first = new World();
  const second = new World();
  const host = first.ask(first.token({ uses: 10 }), { name: 'beta' });
  const beta = host.cert as ReadNodeCert;
  const bytes = signGrant(beta, first.mesh.root.secretKey, { trust: first.trust, generation: 2 });
  const self = parseNodeCert(bytes, first.mesh.meshId) as ReadNodeCert;
  const asBeta = (): void => {
    second.receipts = new ReceiptBook(second.receiptFile, second.mesh.meshId, second.clock);
    [second.log, second.admitter] = second.restarted(self, host.request.keys.sign.secretKey);
  };
  asBeta();
  /** What gossip and the admitters' own messages do. */
  const hear = (world: World, cert: ReadNodeCert, by: ReadNodeCert) => {
    assert.ok(world.trust.verifyNodeCert(cert.record.bytes, by.record.bytes).ok);
    return world.receipts.hear(cert, by.record.bytes, true);
  };
  return { first, second, self, hear, asBeta };
}

const admitted = (world: World, token: Parameters<World['ask']>[0], name: string): ReadNodeCert => {
  const { cert, text } = world.ask(token, { name });
  assert.ok(cert !== null, text);
  return cert;
};

test('each admitter counts the uses that the others gave, as soon as it has heard of them', () => {
  const { first, second, self, hear, asBeta } = twoAdmitters();
  const token = first.token({ count: 'each', uses: 2 });
  const one = admitted(second, token, 'one');
  assert.equal(one.slot, 1);
  hear(first, one, self);
  const two = admitted(first, token, 'two');
  assert.equal(two.slot, 2);
  assert.equal(first.ask(token, { name: 'three' }).refused, 'tokenUsedUp');
  hear(second, two, first.self);
  assert.equal(second.ask(token, { name: 'three' }).refused, 'tokenUsedUp');
  asBeta();
  assert.equal(second.ask(token, { name: 'three' }).refused, 'tokenUsedUp', 'also after a restart');
});

test('admitters that cannot see each other give at most N uses each, which is told when they can', () => {
  const { first, second, self, hear } = twoAdmitters();
  const token = first.token({ count: 'each', uses: 2 });
  const given = [first, second].map((world, i) => ['a', 'b'].map((n) => admitted(world, token, `${n}${i}`)));
  for (const world of [first, second]) assert.equal(world.ask(token, { name: 'c' }).refused, 'tokenUsedUp');
  const ips = given.flat().map(({ addresses }) => addresses[0]?.prefix.ip);
  assert.equal(new Set(ips).size, 4, 'and no address twice');
  for (const cert of given[0] ?? []) assert.equal(hear(first, cert, first.self).overused, null);
  const overused = (given[1] ?? []).map((cert) => hear(first, cert, self).overused?.name);
  assert.deepEqual(overused, ['a0', 'b0']);
  assert.equal(first.receipts.overuse, 2);
  for (const cert of given[1] ?? []) assert.equal(hear(first, cert, self).overused, null, 'once');
});

test('admitters that know of each other give no address twice until a share is used up, seen or not', () => {
  const { first, second, self } = twoAdmitters();
  for (const { trust } of [first, second])
    for (const cert of [first.self, self]) assert.ok(trust.verifyNodeCert(cert.record.bytes, null).ok);
  const token = first.token({ count: 'each', uses: 300 });
  const give = (world: World, name: string): string => {
    world.clock.pass(1000);
    return admitted(world, token, name).addresses[0]?.prefix.ip ?? '';
  };
  // 254 addresses: alpha and beta have one each, of whichever shares these are.
  const ips = Array.from({ length: 125 }, (_, n) => [give(first, `a${n}`), give(second, `b${n}`)]).flat();
  assert.equal(new Set(ips).size, 250);
  // What is left of both shares, 127 addresses each, and the other's after it.
  const more = Array.from({ length: 5 }, (_, n) => give(first, `c${n}`));
  assert.ok(
    more.some((ip) => ips.includes(ip)),
    'a share that is used up goes on with the other',
  );
});

test('the same request gets the same certificate from another admitter that has heard of it', () => {
  const { first, second, self, hear } = twoAdmitters();
  const token = first.token({ count: 'each', uses: 2 });
  const { cert, request } = second.ask(token, { name: 'one' });
  assert.ok(cert !== null);
  hear(first, cert, self);
  const again = first.send(token, request);
  assert.deepEqual([again.cert?.record.bytes, again.admitted], [cert.record.bytes, null]);
  const answer = decodeAdmissionReply(again.reply);
  assert.ok(answer?.admitted && first.store().verifyNodeCert(answer.cert, answer.admitter).ok);
  // Other keys under the same name are another host, and another request of the same host is no way around the count.
  assert.equal(first.ask(token, { name: 'two' }).cert?.slot, 2);
});

test('the same request gets the same bytes after the admitter was renewed and restarted', () => {
  const world = new World();
  const token = world.token();
  const first = world.ask(token);
  const renewed = parseNodeCert(
    signGrant(world.self, world.mesh.root.secretKey, { trust: world.trust, generation: 2 }),
    world.mesh.meshId,
  ) as ReadNodeCert;
  [world.log, world.admitter] = world.restarted(renewed);
  const again = world.send(token, first.request);
  assert.deepEqual(again.reply, first.reply);
  const answer = decodeAdmissionReply(again.reply);
  assert.ok(answer?.admitted && world.store().verifyNodeCert(answer.cert, answer.admitter).ok);
});

test('a renewed certificate is no other use, and one without a token is none', () => {
  const { first, self } = twoAdmitters();
  const book = first.receipts;
  assert.deepEqual(book.hear(first.self, new Uint8Array(0), true), { isNew: false, overused: null });
  const token = first.token({ uses: 2 });
  const cert = admitted(first, token, 'one');
  assert.equal(book.hear(cert, first.self.record.bytes, false).isNew, true);
  const later = { ...cert, generation: 2, record: { ...cert.record, id: self.record.id } };
  assert.equal(book.hear(later, first.self.record.bytes, false).isNew, false);
  assert.equal(book.of(cert.nodeIdHex)?.cert.generation, 2);
  assert.equal(book.usesOf(Buffer.from(token.cert.id).toString('hex')).length, 1);
});

test('receipts are on disk once the host admits others, for as long as a token can live', () => {
  const world = new World();
  const cert = admitted(world, world.token(), 'one');
  const file = new MemoryFile();
  const { meshId } = world.mesh;
  const book = new ReceiptBook(file, meshId, world.clock);
  book.hear(cert, world.self.record.bytes, false);
  assert.equal(file.text, '');
  book.keepAll();
  book.keepAll();
  assert.deepEqual(file.events, ['append']);
  const restarted = (): number => new ReceiptBook(file, meshId, world.clock).all().length;
  assert.equal(restarted(), 1);
  world.clock.wall = NOW_MS + 366 * DAY_MS;
  assert.equal(restarted(), 1);
  world.clock.wall = NOW_MS + 368 * DAY_MS;
  assert.equal(restarted(), 0);
  assert.equal(file.text, '', 'and is gone from the file');
});

test('a torn last receipt is dropped, and damage elsewhere is refused', () => {
  const world = new World();
  const file = new MemoryFile();
  const { meshId } = world.mesh;
  new ReceiptBook(file, meshId, world.clock).hear(
    admitted(world, world.token(), 'one'),
    world.self.record.bytes,
    true,
  );
  const whole = file.text;
  file.text = whole + whole.slice(0, 40);
  const book = new ReceiptBook(file, meshId, world.clock);
  assert.equal(book.all().length, 1);
  book.hear(admitted(world, world.token(), 'two'), world.self.record.bytes, true);
  assert.equal(new ReceiptBook(file, meshId, world.clock).all().length, 2);
  file.text = `${whole.slice(0, 40)}\n${whole}`;
  assert.throws(() => new ReceiptBook(file, meshId, world.clock), /:1: damaged row/);
});

test('a joiner must come from the networks of its token, as the seed sees it', () => {
  const world = new World();
  const underlay = [
    { ip: '192.0.2.0', length: 24 },
    { ip: '2001:db8::', length: 32 },
  ];
  const token = world.token({ underlay, uses: 3 });
  assert.deepEqual(token.cert.underlay, underlay);
  world.fromIp = '198.51.100.1';
  const { refused, text } = world.ask(token);
  assert.equal(refused, 'underlayNotAllowed');
  assert.match(text, /from 192\.0\.2\.0\/24, 2001:db8::\/32 only, not from 198\.51\.100\.1/);
  for (const ip of ['192.0.2.255', '2001:db8::7']) {
    world.fromIp = ip;
    assert.equal(world.ask(token, { name: ip.includes(':') ? 'six' : 'four' }).refused, null);
  }
  assert.throws(() => world.token({ underlay: [{ ip: '192.0.2.0', length: 33 }] }), RangeError);
});

test('messages between admitters read as they were written, and garbage is none', () => {
  const cert = new Uint8Array(200).fill(1);
  const issuer = new Uint8Array(200).fill(2);
  assert.deepEqual(decodeReceipt(encodeReceipt({ cert, issuer })), { cert, issuer });
  const id = new Uint8Array(32).fill(3);
  assert.deepEqual(decodeReceiptAnswer(encodeReceiptAnswer(id)), id.slice(0, 16));
  const bytes = encodeReceipt({ cert, issuer });
  for (let at = 0; at < bytes.length; at++) assert.equal(decodeReceipt(bytes.subarray(0, at)), null);
  assert.equal(decodeReceiptAnswer(new Uint8Array(16)), null);
});
