/** Join sessions: one request and one reply for a holder of the token's certificate, nothing else. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { sodiumReady } from '../../agent/identity/sodium.ts';
import type { SessionOutput } from '../../agent/session/types.ts';
import { Host, type HostOptions, keysOf, TOKEN_CERT, World } from './session-world.ts';

before(() => sodiumReady);

const REQUEST = new TextEncoder().encode('please admit n2');
const REPLY = new Uint8Array(1100).fill(7);

/** A seed and a host that has keys and the psk but no certificate. */
function joining(seed: number, options: HostOptions = {}): { world: World; admitter: Host; joiner: Host } {
  const world = new World(seed);
  const admitter = new Host(world, { ip: '10.0.0.1', port: 7947 });
  const joiner = new Host(world, { ip: '10.0.0.2', port: 7947 }, { certificates: [], ...options });
  return { world, admitter, joiner };
}

function startJoin(joiner: Host, admitter: Host, tokenCert: Uint8Array = TOKEN_CERT): void {
  const { dhPk, signPk, endpoint } = admitter.peer;
  const target = { dhPk, signPk, endpoint };
  joiner.carryOut(joiner.manager.startJoin(joiner.world.nowMs, target, tokenCert, REQUEST));
}

type Kind = SessionOutput['kind'];
const the = <K extends Kind>(host: Host, kind: K): Extract<SessionOutput, { kind: K }>[] =>
  host.outputs.filter((output): output is Extract<SessionOutput, { kind: K }> => output.kind === kind);

function answer(admitter: Host): void {
  const request = the(admitter, 'joinRequest')[0];
  assert.ok(request !== undefined);
  admitter.carryOut(admitter.manager.reply(admitter.world.nowMs, request.joinId, REPLY));
}

test('a request goes to the admitter with the static key that the handshake proved, and the reply comes back', () => {
  const { world, admitter, joiner } = joining(1);
  startJoin(joiner, admitter);
  world.until(() => admitter.count('joinRequest') === 1, 1000, 'request');
  const request = the(admitter, 'joinRequest')[0]!;
  assert.deepEqual(request.body, REQUEST);
  assert.deepEqual(request.dhPk, joiner.keys.dhPk);
  assert.deepEqual(request.tokenCert, TOKEN_CERT);
  assert.deepEqual(request.from, joiner.endpoint);
  answer(admitter);
  world.until(() => joiner.count('joinReply') === 1, 1000, 'reply');
  const reply = the(joiner, 'joinReply')[0]!;
  assert.deepEqual(reply.body, REPLY);
  assert.equal(reply.certificates.length, 2);
});

test('a join session carries lane 15 only, belongs to no peer, and is gone after 10 s on both sides', () => {
  const { world, admitter, joiner } = joining(2);
  startJoin(joiner, admitter);
  world.until(() => admitter.count('joinRequest') === 1, 1000, 'request');
  for (const host of [admitter, joiner]) {
    const [install] = the(host, 'installReceive');
    assert.equal(install?.peer, null);
    assert.equal(install?.lanes, 1 << 15);
    for (const kind of ['installTransmit', 'up', 'newPeer'] as const) assert.equal(host.count(kind), 0, kind);
  }
  world.run(10_200);
  assert.deepEqual([admitter.receiveKeys.size, joiner.receiveKeys.size], [0, 0]);
  assert.equal(admitter.manager.sizes.indexes + joiner.manager.sizes.indexes, 0);
  assert.deepEqual(
    the(joiner, 'joinFailed').map((failed) => failed.stage),
    ['request'],
  );
});

test('lost requests and replies are sent again, and the admitter is asked once', () => {
  for (let seed = 10; seed < 40; seed++) {
    const { world, admitter, joiner } = joining(seed);
    Object.assign(world.faults, { loss: 0.3, duplicate: 0.2, maxDelayMs: 60 });
    startJoin(joiner, admitter);
    let answered = false;
    const poll = (): void => {
      if (!answered && admitter.count('joinRequest') > 0) {
        answered = true;
        answer(admitter);
      }
      world.at(20, poll);
    };
    poll();
    world.until(() => joiner.count('joinReply') + joiner.count('joinFailed') > 0, 30_000, 'end');
    assert.equal(joiner.count('joinReply'), 1, `seed ${seed}`);
    assert.equal(admitter.count('joinRequest'), 1, `seed ${seed}`);
  }
});

test('a joiner that begins again with the same keys is heard, and its first message replayed is not', () => {
  const { world, admitter, joiner } = joining(8);
  let first: Uint8Array | null = null;
  world.tap = (_from, _to, bytes) => {
    if (bytes[0] === 1) first ??= bytes;
    return true;
  };
  startJoin(joiner, admitter);
  world.until(() => admitter.count('joinRequest') === 1, 1000, 'request');
  joiner.alive = false;
  const again = new Host(world, joiner.endpoint, { keys: joiner.keys, certificates: [] });
  startJoin(again, admitter);
  world.until(() => admitter.count('joinRequest') === 2, 1000, 'second request');
  const replayed = admitter.manager.datagram(world.nowMs, 17, first!, joiner.endpoint);
  assert.deepEqual(replayed, [{ kind: 'drop', reason: 'replay' }]);
  assert.equal(admitter.manager.sizes.joins, 1);
  const request = the(admitter, 'joinRequest')[1]!;
  admitter.carryOut(admitter.manager.reply(world.nowMs, request.joinId, REPLY));
  world.until(() => again.count('joinReply') === 1, 1000, 'reply');
});

test('a token certificate that does not verify is refused without an answer, and the joiner says the seed did not answer', () => {
  const { world, admitter, joiner } = joining(3);
  startJoin(joiner, admitter, new Uint8Array(200).fill(1));
  world.run(20_000);
  assert.equal(admitter.count('send'), 0);
  assert.ok(admitter.manager.counters.handshakes.refused > 0);
  assert.deepEqual(
    the(joiner, 'joinFailed').map((failed) => failed.stage),
    ['handshake'],
  );
});

test('at most 64 join sessions exist at once', () => {
  const { world, admitter } = joining(4);
  for (let i = 0; i < 80; i++) {
    const host = new Host(world, { ip: `10.2.0.${i}`, port: 7947 }, { certificates: [] });
    world.at(i * 40, () => startJoin(host, admitter));
  }
  world.run(3400);
  assert.equal(admitter.manager.sizes.joins, 64);
  assert.ok(admitter.manager.counters.handshakes.full > 0);
  world.run(30_000);
  assert.equal(admitter.manager.sizes.joins, 0);
  assert.equal(admitter.manager.sizes.answers, 0);
});

test('a host without a certificate cannot begin a member session, and answers nobody', () => {
  const { world, admitter, joiner } = joining(5);
  admitter.connect(joiner);
  world.run(2000);
  assert.equal(joiner.count('send'), 0);
  assert.equal(admitter.up.size, 0);
});

test('a member handshake whose certificate is of another static key is refused', () => {
  const world = new World(6);
  const b = new Host(world, { ip: '10.0.0.2', port: 7947 });
  const honest = keysOf(world.rng);
  const cert = new Uint8Array(448).fill(0xcc);
  cert.set(honest.signPk);
  cert.set(honest.dhPk, 32);
  const thief = new Host(
    world,
    { ip: '10.0.0.3', port: 7947 },
    {
      certificates: [cert, new Uint8Array(448).fill(0xad)],
    },
  );
  thief.connect(b);
  world.run(3000);
  assert.equal(b.count('send'), 0);
  assert.equal(thief.up.size, 0);
  assert.ok(b.manager.counters.handshakes.refused > 0);
});

test('bodies that fit no datagram are refused as programming errors', () => {
  const { world, admitter, joiner } = joining(7);
  const { dhPk, signPk, endpoint } = admitter.peer;
  const huge = new Uint8Array(1300);
  assert.throws(
    () => joiner.manager.startJoin(world.nowMs, { dhPk, signPk, endpoint }, TOKEN_CERT, huge),
    RangeError,
  );
  assert.throws(() => admitter.manager.reply(world.nowMs, 1, huge), RangeError);
  assert.deepEqual(admitter.manager.reply(world.nowMs, 99, REPLY), []);
});
