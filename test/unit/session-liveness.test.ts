/** Keepalive, probes, unanswered data, and moves of an endpoint. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Endpoint } from '../../agent/endpoint.ts';
import { sodiumReady } from '../../agent/identity/sodium.ts';
import { Liveness } from '../../agent/session/liveness.ts';
import { bothUp, Host, pair, World } from './session-world.ts';

before(() => sodiumReady);

test('the smoothed round trip follows the network', () => {
  const { world, a, b } = pair(1);
  Object.assign(world.faults, { minDelayMs: 20, maxDelayMs: 20 });
  a.connect(b);
  world.run(120_000);
  const [view] = a.manager.sessions();
  assert.ok(view?.rttMs != null && Math.abs(view.rttMs - 40) < 1, `${view?.rttMs}`);
  assert.ok(a.count('rtt') >= 12 && a.count('rtt') <= 16, `${a.count('rtt')} round trips in 120 idle s`);
  const speak = (): void => {
    a.sendData(b, 'hello');
    b.sendData(a, 'hello');
    world.at(1000, speak);
  };
  speak();
  const before = a.count('rtt');
  world.run(120_000);
  const took = a.count('rtt') - before;
  assert.ok(took >= 22 && took <= 26, `${took} round trips in 120 s with data`);
});

test('data unanswered for 3 s begins a handshake, and the peer counts as down until it answers again', () => {
  const { world, a, b } = pair(2);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  world.run(3000);
  world.faults.loss = 1;
  const inits: number[] = [];
  world.tap = (from, _to, bytes) => {
    if (from === a && bytes[0] === 1) inits.push(world.nowMs);
    return true;
  };
  const start = world.nowMs;
  a.sendData(b, 'hello?');
  world.run(12_000);
  assert.ok(inits[0]! - start >= 2900 && inits[0]! - start < 3300, `${inits[0]! - start} ms`);
  assert.ok(a.outputs.some((output) => output.kind === 'down' && output.reason === 'unanswered'));
  world.faults.loss = 0;
  world.until(() => bothUp(a, b), 6000, 'both up again');
});

test('a doubted peer is asked at most once a second, and what is heard of it is told', () => {
  const { world, a, b } = pair(9);
  assert.equal(a.manager.heardAtMs(b.peer.id), Number.NEGATIVE_INFINITY);
  assert.deepEqual(a.manager.ask(world.nowMs, b.peer.id), [], 'nothing without a session');
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  world.run(5000);
  const before = a.manager.heardAtMs(b.peer.id);
  let probes = 0;
  for (let i = 0; i < 50; i++) {
    const outputs = a.manager.ask(world.nowMs, b.peer.id);
    probes += outputs.length;
    a.carryOut(outputs);
    world.run(100);
  }
  assert.ok(probes >= 4 && probes <= 6, `${probes} in 5 s`);
  assert.ok(a.manager.heardAtMs(b.peer.id) > before + 3000);
});

test('data in one direction only is answered enough that nothing is begun again', () => {
  const { world, a, b } = pair(3);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  const speak = (): void => {
    a.sendData(b, 'one way');
    world.at(100, speak);
  };
  speak();
  world.run(60_000);
  assert.equal(a.manager.counters.handshakes.ok, 1);
  assert.ok(a.up.has(b.keys.id));
});

test('an idle session sends at most one small probe per 10 s each way and stays up', () => {
  const { world, a, b } = pair(4);
  a.connect(b);
  world.run(10_000);
  let datagrams = 0;
  world.tap = (_from, _to, bytes) => {
    datagrams++;
    assert.equal(bytes.length, 64);
    return true;
  };
  world.run(60_000);
  assert.ok(datagrams <= 28, `${datagrams} datagrams in 60 s`);
  assert.ok(bothUp(a, b));
});

test('a peer that moves is challenged at its new address before anything else goes there', () => {
  const { world, a, b } = pair(5);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  const moved = { ip: '10.0.7.7', port: 4000 };
  a.endpoint = moved;
  const toNew: number[] = [];
  world.tap = (from, to, bytes) => {
    if (from === b && to.ip === moved.ip) toNew.push(bytes.length);
    return true;
  };
  world.until(() => b.peerEndpoints.get(a.keys.id)?.ip === moved.ip, 7000, 'move');
  // The ack of the probe that was seen, and the challenge; each as large as the probe.
  assert.deepEqual(toNew, [64, 64]);
  assert.equal(b.manager.counters.moves, 1);
  world.run(1000);
  assert.ok(b.sendData(a, 'found you'));
  world.run(20);
  assert.ok(a.delivered.includes('found you'));
});

test('a copied packet from another address moves nothing, whether it comes late or first', () => {
  const { world, a, b } = pair(6);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  const thief = { ip: '10.66.6.6', port: 666 };
  let early = false;
  world.tap = (from, to, bytes) => {
    if (from !== a || bytes[0] !== 4) return true;
    // The thief cannot answer what it is asked: it holds no keys.
    if (early) world.deliver(thief, to, bytes);
    else world.at(300, () => world.deliver(thief, to, bytes));
    return true;
  };
  world.run(20_000);
  assert.equal(b.count('moved'), 0);
  early = true;
  world.run(20_000);
  assert.equal(b.count('moved'), 0);
  assert.deepEqual(b.manager.sessions()[0]?.endpoint, a.endpoint);
});

test('a packet that is not from the listening socket moves nothing', () => {
  const { world, a, b } = pair(7);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  const index = [...b.receiveKeys.keys()][0]! + 15;
  const keepalive = new Uint8Array(4);
  const elsewhere: Endpoint = { ip: '10.3.3.3', port: 5 };
  assert.deepEqual(b.manager.control(world.nowMs, index, 5000, keepalive, 64, elsewhere, false), []);
  const challenged = b.manager.control(world.nowMs, index, 5001, keepalive, 64, elsewhere, true);
  assert.deepEqual(
    challenged.map((output) => output.kind === 'send' && output.to),
    [elsewhere],
  );
  // Late, from yet another address: below the highest counter.
  world.run(2000);
  assert.deepEqual(
    b.manager.control(world.nowMs, index, 4999, keepalive, 64, { ip: '10.3.3.4', port: 5 }, true),
    [],
  );
});

test('data lanes report a new address through sighted', () => {
  const { world, a, b } = pair(8);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  const index = [...b.receiveKeys.keys()][0]!;
  const elsewhere: Endpoint = { ip: '10.3.3.3', port: 5 };
  const outputs = b.manager.sighted(world.nowMs, index, elsewhere, 100);
  assert.deepEqual(
    outputs.map((output) => output.kind === 'send' && [output.to, output.bytes.length]),
    [[elsewhere, 64]],
  );
  assert.deepEqual(b.manager.sighted(world.nowMs + 10, index, elsewhere, 100), [], 'at most one a second');
  assert.deepEqual(
    b.manager.sighted(world.nowMs + 2000, index, elsewhere, 20),
    [],
    'at most three times the bytes',
  );
});

test('a handshake that reaches a peer at its newly advertised endpoint brings the session there', () => {
  const world = new World(9);
  const a = new Host(world, { ip: '10.0.0.1', port: 7947 });
  const b = new Host(world, { ip: '10.0.0.2', port: 7947 });
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  b.alive = false;
  const moved = new Host(world, { ip: '10.0.0.99', port: 7947 }, { keys: b.keys, incarnation: 2 });
  a.carryOut(a.manager.connect(world.nowMs, { ...b.peer, endpoint: moved.endpoint }));
  a.sendData(b, 'where are you?');
  world.until(() => a.peerEndpoints.get(b.keys.id)?.ip === '10.0.0.99', 10_000, 'move');
  world.run(2000);
  assert.ok(a.sendData(moved, 'here'));
  world.run(20);
  assert.ok(moved.delivered.includes('here'));
});

test('loss is the share of the newest 32 probes that were not answered', () => {
  const liveness = new Liveness();
  assert.equal(liveness.loss, null);
  let answers = 0;
  const probes = (count: number, answered: (i: number) => boolean): void => {
    for (let i = 0; i < count; i++) {
      const id = `probe-${answers++}`;
      liveness.probeSent(answers * 1000, id, true);
      if (answered(i)) liveness.acked(answers * 1000 + 1, id);
    }
  };
  probes(32, () => true);
  assert.equal(liveness.loss, 0);
  // The newest three may still be answered.
  probes(8, () => false);
  assert.equal(liveness.loss, 5 / 32);
  probes(4, () => true);
  assert.equal(liveness.loss, 8 / 32);
  probes(40, () => true);
  assert.equal(liveness.loss, 0);
});
