/** What a session does over its life, step by step between two hosts in virtual time. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { sodiumReady } from '../../agent/identity/sodium.ts';
import { IDLE_PROBE_MS, UNANSWERED_MS } from '../../agent/session/timers.ts';
import type { SessionOutput } from '../../agent/session/types.ts';
import { bothUp, Host, keysOf, pair, World } from './session-world.ts';

before(() => sodiumReady);

test('two hosts come up on one handshake and data passes both ways under matching keys', () => {
  for (const suite of [1, 2] as const) {
    const { world, a, b } = pair(suite, { suite });
    a.connect(b);
    const took = world.until(() => bothUp(a, b), 1000, 'both up');
    assert.ok(took < 60, `${took} ms`);
    assert.ok(a.sendData(b, 'there') && b.sendData(a, 'back'));
    world.run(20);
    assert.deepEqual([b.delivered, a.delivered], [['there'], ['back']]);
    assert.equal(a.manager.counters.handshakes.ok, 1);
    assert.equal(b.manager.counters.handshakes.ok, 1);
    assert.equal(a.receiveKeys.size, 1);
    assert.equal(b.receiveKeys.size, 1);
  }
});

/** Every step of two handshakes, and exactly what comes out of each. The second is a rekey begun by b. */
test('each step of a handshake and of a rekey gives these outputs in this order', () => {
  const { world, a, b } = pair(3);
  /** Steps are taken by hand: nothing travels by itself. */
  a.alive = false;
  b.alive = false;
  const now = (): number => world.nowMs;
  let last: SessionOutput[] = [];
  const find = <K extends SessionOutput['kind']>(kind: K): Extract<SessionOutput, { kind: K }> => {
    const found = last.find((output): output is Extract<SessionOutput, { kind: K }> => output.kind === kind);
    assert.ok(found !== undefined, `no ${kind}`);
    return found;
  };
  const step = (what: string, outputs: SessionOutput[], expected: readonly string[]): void => {
    last = outputs;
    const shown = outputs.map((output) => (output.kind === 'send' ? `send ${output.bytes[0]}` : output.kind));
    assert.deepEqual(shown, expected, what);
  };
  const keepalive = new Uint8Array(4);
  const controlOf = (index: number): number => index + 15;

  step('a connects', a.manager.connect(now(), b.peer), ['send 1']);
  step('b hears', b.manager.datagram(now(), 17, find('send').bytes, a.endpoint), [
    'newPeer',
    'installReceive',
  ]);
  const bIndex = find('installReceive').index;
  step('b has installed', b.manager.installed(now(), find('installReceive').token), ['send 2']);
  step('a hears', a.manager.datagram(now(), 18, find('send').bytes, b.endpoint), ['installReceive']);
  const aIndex = find('installReceive').index;
  step('a has installed', a.manager.installed(now(), find('installReceive').token), [
    'installTransmit',
    'up',
    'handshakeDone',
    'send 4',
    'send 4',
  ]);
  assert.equal(find('installTransmit').index, bIndex);
  step(
    'b hears the keepalive',
    b.manager.control(now(), controlOf(bIndex), 0, keepalive, 64, a.endpoint, true),
    ['installTransmit', 'up', 'handshakeDone', 'send 4'],
  );
  assert.equal(find('installTransmit').index, aIndex);
  step(
    'the keepalive again',
    b.manager.control(now(), controlOf(bIndex), 0, keepalive, 64, a.endpoint, true),
    ['drop'],
  );
  step('a hears b', a.manager.control(now(), controlOf(aIndex), 0, keepalive, 64, b.endpoint, true), []);

  const later = now() + 131_000;
  a.manager.activity(later, b.keys.id, { lastTxMs: later, lastRxMs: later, nextCounter: 9 });
  b.manager.activity(later, a.keys.id, { lastTxMs: later, lastRxMs: later, nextCounter: 9 });
  step('b ticks past the rekey time', b.manager.tick(later), ['send 1', 'send 4']);
  step('a hears', a.manager.datagram(later, 17, find('send').bytes, b.endpoint), ['installReceive']);
  const aNext = find('installReceive').index;
  const aToken = find('installReceive').token;
  step('a ticks: it leaves b to finish', a.manager.tick(later), ['send 4']);
  assert.deepEqual(
    a.manager.sessions().map((view) => view.up),
    [true],
  );
  const again = later + 1;
  step('a has installed', a.manager.installed(again, aToken), ['send 2']);
  step('b hears', b.manager.datagram(again, 18, find('send').bytes, a.endpoint), ['installReceive']);
  const bNext = find('installReceive').index;
  step('b has installed', b.manager.installed(again, find('installReceive').token), [
    'installTransmit',
    'handshakeDone',
    'send 4',
    'send 4',
  ]);
  assert.equal(find('installTransmit').index, aNext);
  step(
    'data still comes under the old key',
    a.manager.control(again, controlOf(aIndex), 1, keepalive, 64, b.endpoint, true),
    [],
  );
  step(
    'a hears the keepalive',
    a.manager.control(again, controlOf(aNext), 0, keepalive, 64, b.endpoint, true),
    ['installTransmit', 'handshakeDone', 'send 4'],
  );
  assert.equal(find('installTransmit').index, bNext);
  step('b hears a', b.manager.control(again, controlOf(bNext), 0, keepalive, 64, a.endpoint, true), []);
  step('180 s after the first key was made', b.manager.tick(now() + 180_001), ['removeReceive', 'send 4']);
  assert.equal(find('removeReceive').index, bIndex);
  step('b forgets a', b.manager.forget(later, a.keys.id), ['clearTransmit', 'removeReceive']);
  assert.equal(find('removeReceive').index, bNext);
});

test('a host that restarts and calls is back in one handshake, without waiting for anything to time out', () => {
  const { world, a, b } = pair(4);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  world.run(3000);
  b.alive = false;
  const reborn = new Host(world, b.endpoint, { keys: b.keys, incarnation: 2 });
  reborn.connect(a);
  const took = world.until(
    () => reborn.up.has(a.keys.id) && a.manager.counters.handshakes.ok === 2,
    1000,
    'back',
  );
  assert.ok(took < 60, `${took} ms`);
  assert.ok(a.sendData(reborn, 'welcome') && reborn.sendData(a, 'back'));
  world.run(20);
  assert.deepEqual([reborn.delivered, a.delivered], [['welcome'], ['back']]);
});

test('a host that restarts silently, without its RESET secret, is found out by an unanswered probe, though no data goes', () => {
  const { world, a, b } = pair(5);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  world.run(3000);
  b.alive = false;
  const reborn = new Host(world, b.endpoint, { keys: b.keys, incarnation: 2 });
  const took = world.until(() => reborn.up.has(a.keys.id), 17_000, 'back');
  assert.ok(took < IDLE_PROBE_MS + UNANSWERED_MS + 1000, `${took} ms`);
});

test('hosts of different suites, mesh ids or psks never come up', () => {
  const world = new World(6);
  const a = new Host(world, { ip: '10.0.0.1', port: 7947 });
  const strangers = [
    { suite: 1 as const },
    { overrides: { meshId: new Uint8Array(32).fill(5) } },
    { overrides: { psk: new Uint8Array(32).fill(5) } },
  ].map((options, i) => new Host(world, { ip: `10.0.0.${i + 2}`, port: 7947 }, options));
  for (const stranger of strangers) stranger.connect(a);
  world.run(20_000);
  assert.equal(a.count('send'), 0);
  assert.equal(a.up.size, 0);
});

test('a key that no worker ever takes is given up and tried anew', () => {
  const { world, a, b } = pair(7);
  a.connect(b);
  let stuck = true;
  const installed = a.manager.installed.bind(a.manager);
  a.manager.installed = (nowMs, token) => (stuck ? [] : installed(nowMs, token));
  world.run(5000);
  assert.equal(a.up.size, 0);
  stuck = false;
  world.until(() => bothUp(a, b), 40_000, 'both up');
});

test('the table of peers is bounded, for callers and for strangers', () => {
  const world = new World(8);
  const limits = { maxPeers: 2 };
  const a = new Host(world, { ip: '10.0.0.1', port: 7947 }, { limits });
  const others = [2, 3, 4].map((n) => new Host(world, { ip: `10.0.0.${n}`, port: 7947 }));
  for (const other of others) other.connect(a);
  world.run(1000);
  assert.equal(a.up.size, 2);
  assert.ok(a.manager.counters.handshakes.full > 0);
  const keys = keysOf(world.rng);
  assert.throws(() => a.manager.connect(0, { ...keys, endpoint: { ip: '10.0.0.9', port: 1 } }), RangeError);
});

test('a session with oneself is a programming error, and one’s own message reflected is dropped', () => {
  const { world, a, b } = pair(9);
  assert.throws(() => a.manager.connect(world.nowMs, a.peer), RangeError);
  let init: Uint8Array | null = null;
  world.tap = (_from, _to, bytes) => {
    init ??= bytes;
    return false;
  };
  a.connect(b);
  world.run(100);
  assert.deepEqual(a.manager.datagram(world.nowMs, 17, init!, b.endpoint), [
    { kind: 'drop', reason: 'auth' },
  ]);
});

test('closing removes every key and leaves nothing', () => {
  const { world, a, b } = pair(10);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  a.alive = false;
  a.carryOut(a.manager.close());
  assert.deepEqual([a.receiveKeys.size, a.transmitKeys.size], [0, 0]);
  assert.deepEqual(a.manager.sizes, { peers: 0, indexes: 0, joins: 0, answers: 0 });
});
