/** Admissions that admitters tell each other of: at once, until it is answered, and when they meet. */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Receipts } from '../../agent/agent-receipts.ts';
import { EventRing } from '../../agent/control/event-ring.ts';
import { signGrant } from '../../agent/identity/grant.ts';
import { parseNodeCert, type ReadNodeCert } from '../../agent/identity/node-cert.ts';
import { decodeReceipt, encodeReceipt } from '../../agent/identity/receipt-message.ts';
import { NOW_MS, TestClock, World } from './identity-world.ts';

/** A clock whose timers the test runs. */
class ManualClock extends TestClock {
  readonly after_: (() => void)[] = []; // bounded by the test
  readonly every_: (() => void)[] = []; // bounded by the test
  override every(_ms?: number, run?: () => void): () => void {
    if (run !== undefined) this.every_.push(run);
    return () => undefined;
  }
  override after(_ms?: number, run?: () => void): () => void {
    if (run !== undefined) this.after_.push(run);
    return () => undefined;
  }
  tick(): void {
    this.pass(1000);
    for (const run of this.after_.splice(0)) run();
  }
  look(): void {
    this.pass(5000);
    for (const run of this.every_) run();
  }
}

interface Told {
  readonly id: string;
  readonly reply: boolean;
  readonly body: Uint8Array;
}

let world: World;
let clock: ManualClock;
let told: Told[];
let reached: string[];
let events: EventRing;
let receipts: Receipts;

function made(of: World, self: ReadNodeCert): Receipts {
  return new Receipts({
    identity: { trust: of.trust, cert: self, meshId: of.mesh.meshId } as never,
    book: of.receipts,
    admissions: of.log,
    gossip: { swim: { members: () => [], member: () => undefined } } as never,
    trust: {} as never,
    admitters: () => reached,
    tell: (id, reply, body) => told.push({ id, reply, body }),
    clock,
    log: { warn: () => {} } as never,
    events,
  });
}

beforeEach(() => {
  world = new World();
  clock = new ManualClock();
  told = [];
  reached = ['beta', 'gamma'];
  events = new EventRing(clock);
  receipts = made(world, world.self);
  receipts.start();
});

function admitted(name: string, uses = 9): ReadNodeCert {
  const outcome = world.ask(world.token({ count: 'each', uses }), { name });
  assert.ok(outcome.admitted !== null && outcome.cert !== null);
  receipts.admitted(outcome.admitted);
  return outcome.cert;
}

test('every other admitter is told at once, and again each second until it answers', () => {
  const cert = admitted('one');
  assert.deepEqual(
    told.map(({ id, reply }) => [id, reply]),
    [
      ['beta', false],
      ['gamma', false],
    ],
  );
  assert.deepEqual(decodeReceipt(told[0]?.body ?? new Uint8Array(0)), {
    cert: cert.record.bytes,
    issuer: world.self.record.bytes,
  });
  // What the other side says when it has it.
  const other = new World();
  const there = made(other, other.self);
  const before = told.length;
  there.message('alpha', false, told[0]?.body ?? new Uint8Array(0));
  const answer = told[before];
  assert.ok(answer?.reply === true && answer.id === 'alpha');
  assert.equal(other.receipts.usesOf(Buffer.from(cert.tokenId).toString('hex')).length, 1);
  receipts.message('beta', true, answer.body);
  told = [];
  clock.tick();
  assert.deepEqual(
    told.map(({ id }) => id),
    ['gamma'],
  );
  for (let i = 0; i < 20; i++) clock.tick();
  assert.equal(told.length, 9, 'ten times in all');
});

test('an admitter that comes later is told of the latest admissions once, of tokens that live', () => {
  reached = [];
  admitted('one');
  admitted('two');
  assert.equal(told.length, 0);
  reached = ['beta'];
  clock.look();
  assert.equal(told.length, 2);
  clock.look();
  assert.equal(told.length, 4, 'again, for nobody has answered');
  for (let i = 0; i < 20; i++) clock.tick();
  told = [];
  reached = [];
  clock.look();
  world.clock.wall = NOW_MS + 2 * 3_600_000;
  reached = ['beta'];
  clock.look();
  assert.equal(told.length, 0, 'their tokens are over');
});

test('what does not verify is neither believed nor answered', () => {
  const other = new World('other');
  const { cert } = other.ask(other.token(), { name: 'one' });
  assert.ok(cert !== null);
  receipts.message(
    'beta',
    false,
    encodeReceipt({ cert: cert.record.bytes, issuer: other.self.record.bytes }),
  );
  receipts.message('beta', false, new Uint8Array([4, 0]));
  receipts.message('beta', true, new Uint8Array([4, 0]));
  assert.deepEqual([told.length, world.receipts.all().length], [0, 0]);
});

test('a use that another admitter gave too becomes an event, once, and both are known', async () => {
  const token = world.token({ count: 'each', uses: 1 });
  const host = world.ask(world.token(), { name: 'beta' });
  const grant = signGrant(host.cert as ReadNodeCert, world.mesh.root.secretKey, {
    trust: world.trust,
    generation: 2,
  });
  const beta = parseNodeCert(grant, world.mesh.meshId) as ReadNodeCert;
  const elsewhere = new World();
  [elsewhere.log, elsewhere.admitter] = elsewhere.restarted(beta, host.request.keys.sign.secretKey);
  const theirs = elsewhere.ask(token, { name: 'theirs' }).cert;
  const ours = world.ask(token, { name: 'ours' });
  assert.ok(theirs !== null && ours.admitted !== null);
  receipts.admitted(ours.admitted);
  const body = encodeReceipt({ cert: theirs.record.bytes, issuer: grant });
  for (let i = 0; i < 3; i++) receipts.message('beta', false, body);
  const { events: all } = await events.read(0, 0);
  assert.deepEqual(
    all.map(({ type, subject }) => [type, subject]),
    [['overuse', 'theirs']],
  );
  assert.match(all[0]?.text ?? '', /has use 1 of token [0-9a-f]{32} as ours has/);
  assert.equal(world.receipts.overuse, 1);
  assert.equal(world.receipts.usesOf(Buffer.from(token.cert.id).toString('hex')).length, 2);
});
