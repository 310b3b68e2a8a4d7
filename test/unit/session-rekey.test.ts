/** Rekey, simultaneous initiation and lossy networks: keys always end up matching, and no data packet is undeliverable. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { sodiumReady } from '../../agent/identity/sodium.ts';
import { bothUp, type Host, pair, type World } from './session-world.ts';

before(() => sodiumReady);

/** Sends data both ways every `gapMs`, from now on. */
function talk(world: World, a: Host, b: Host, gapMs: number): { sent: number } {
  const talked = { sent: 0 };
  const speak = (): void => {
    if (a.sendData(b, `a${talked.sent}`)) talked.sent++;
    if (b.sendData(a, `b${talked.sent}`)) talked.sent++;
    world.at(gapMs, speak);
  };
  speak();
  return talked;
}

/** Both ends can send to each other right now. */
function assertWorking(world: World, a: Host, b: Host): void {
  world.faults.loss = 0;
  world.faults.duplicate = 0;
  const mark = `mark ${world.nowMs}`;
  assert.ok(a.sendData(b, mark) && b.sendData(a, mark), 'both have a transmit key');
  world.run(world.faults.maxDelayMs + 1);
  assert.ok(a.delivered.includes(mark) && b.delivered.includes(mark), 'both delivered');
}

test('rekeys by time at 120 s and loses no data packet, with reordering and duplicates', () => {
  const { world, a, b } = pair(7);
  Object.assign(world.faults, { minDelayMs: 1, maxDelayMs: 80, duplicate: 0.05 });
  a.connect(b);
  world.until(() => bothUp(a, b), 2000, 'both up');
  const talked = talk(world, a, b, 10);
  world.run(500_000);
  world.faults.duplicate = 0;
  world.run(200);
  assert.equal(a.undeliverable + b.undeliverable, 0);
  // The last 200 ms may still be under way.
  assert.ok(talked.sent - a.delivered.length - b.delivered.length < 40);
  assert.equal(new Set([...a.delivered, ...b.delivered]).size, a.delivered.length + b.delivered.length);
  assert.equal(a.manager.counters.rekeys, 4);
  assert.equal(b.manager.counters.rekeys, 4);
  assert.ok(a.receiveKeys.size <= 2, `${a.receiveKeys.size} receive keys`);
});

test('a rekey happens between 117 s and 121 s after the key was made', () => {
  const { world, a, b } = pair(8);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  const took = world.until(() => a.manager.counters.rekeys === 1, 130_000, 'rekey');
  assert.ok(took > 117_000 && took < 121_000, `${took} ms`);
});

test('limits that change while a session is up hold at once, in either direction, and lose no data packet', () => {
  const { world, a, b } = pair(21);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  talk(world, a, b, 10);
  const set = (sec: number): void => {
    const limits = { rekeyAfterMs: sec * 1000, rejectAfterMs: sec * 1500, rekeyAfterPackets: 2 ** 34 };
    for (const host of [a, b]) host.manager.setLimits(limits);
  };
  world.run(60_000);
  assert.equal(a.manager.counters.rekeys, 0);
  set(5);
  world.run(30_000);
  const { rekeys } = a.manager.counters;
  assert.ok(rekeys >= 5, String(rekeys));
  set(120);
  world.run(110_000);
  assert.ok(a.manager.counters.rekeys <= rekeys + 1, String(a.manager.counters.rekeys));
  assert.equal(a.undeliverable + b.undeliverable, 0);
  assertWorking(world, a, b);
});

test('rekeys by packet count in either direction and loses nothing', () => {
  for (const talker of ['a', 'b'] as const) {
    const { world, a, b } = pair(9, { limits: { rekeyAfterPackets: 500 } });
    a.connect(b);
    world.until(() => bothUp(a, b), 1000, 'both up');
    let sent = 0;
    const speak = (): void => {
      if (talker === 'a' ? a.sendData(b, `${sent}`) : b.sendData(a, `${sent}`)) sent++;
      world.at(2, speak);
    };
    speak();
    world.run(20_000);
    assert.ok(a.manager.counters.rekeys >= 10, `${a.manager.counters.rekeys} rekeys`);
    assert.equal(a.undeliverable + b.undeliverable, 0);
    assert.ok(sent - a.delivered.length - b.delivered.length < 10);
  }
});

test('refuses to send on a key older than 180 s, says so, and comes back', () => {
  const { world, a, b } = pair(10);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  world.faults.loss = 1;
  world.run(181_000);
  assert.ok(!a.sendData(b, 'x') && !b.sendData(a, 'x'));
  assert.deepEqual([a.up.size, b.up.size], [0, 0]);
  assert.deepEqual([a.receiveKeys.size, b.receiveKeys.size], [0, 0]);
  assert.ok(a.outputs.some((output) => output.kind === 'handshakeDone' && output.result === 'timeout'));
  world.faults.loss = 0;
  world.until(() => bothUp(a, b), 45_000, 'up again');
  assertWorking(world, a, b);
});

test('connect asks at once again after giving up', () => {
  const { world, a, b } = pair(11);
  world.faults.loss = 1;
  a.connect(b);
  world.run(95_000);
  assert.ok(a.outputs.some((output) => output.kind === 'down' && output.reason === 'timeout'));
  world.faults.loss = 0;
  a.connect(b);
  world.until(() => bothUp(a, b), 300, 'both up');
});

test('retries at about 0.25, 0.5, 1, 2, 4, 5 s, and the first four messages are the same bytes', () => {
  const { world, a, b } = pair(12);
  const sent: { atMs: number; bytes: string }[] = [];
  world.tap = (_from, _to, bytes) => {
    sent.push({ atMs: world.nowMs, bytes: Buffer.from(bytes).toString('hex') });
    return false;
  };
  a.connect(b);
  world.run(30_000);
  const gaps = sent.slice(1).map((message, i) => message.atMs - sent[i]!.atMs);
  for (const [i, expected] of [250, 500, 1000, 2000, 4000, 5000, 5000].entries()) {
    const gap = gaps[i]!;
    assert.ok(gap >= expected * 0.8 && gap <= expected * 1.2 + 50, `gap ${i} is ${gap}`);
  }
  assert.equal(new Set(sent.slice(0, 4).map((message) => message.bytes)).size, 1);
  assert.equal(new Set(sent.slice(3).map((message) => message.bytes)).size, sent.length - 3);
});

test('a round trip longer than the retry gaps still gives one handshake', () => {
  const { world, a, b } = pair(13);
  Object.assign(world.faults, { minDelayMs: 400, maxDelayMs: 450 });
  a.connect(b);
  const took = world.until(() => bothUp(a, b), 5000, 'both up');
  assert.ok(took < 1500, `${took} ms`);
  world.run(5000);
  assert.equal(a.manager.counters.handshakes.ok, 1);
  assert.equal(b.manager.counters.handshakes.ok, 1);
});

test('1,000 simultaneous initiations each leave one session, at most one round trip later', () => {
  let yielded = 0;
  for (let round = 0; round < 1000; round++) {
    const { world, a, b } = pair(round);
    const oneWay = 5 + world.rng.float() * 20;
    Object.assign(world.faults, { minDelayMs: oneWay, maxDelayMs: oneWay });
    const offset = world.rng.float() * 2.5 * oneWay;
    a.connect(b);
    world.at(offset, () => b.connect(a));
    const took = world.until(() => bothUp(a, b), 2000, `round ${round}: both up`);
    // msg1, msg2, keepalive; two installs of at most 4 ms; one round trip more.
    const allowed = 3 * oneWay + 10 + Math.min(offset, oneWay) + 2 * oneWay;
    assert.ok(took <= allowed, `round ${round}: ${took} ms of ${allowed}`);
    world.run(1000);
    assert.deepEqual([a.receiveKeys.size, b.receiveKeys.size], [1, 1], `round ${round}: one key each`);
    const [fromA] = [...a.transmitKeys.values()];
    const [fromB] = [...b.transmitKeys.values()];
    assert.ok(b.receiveKeys.has(fromA!.index) && a.receiveKeys.has(fromB!.index), `round ${round}: matching`);
    yielded += a.manager.counters.yielded + b.manager.counters.yielded;
  }
  assert.ok(yielded > 200, `only ${yielded} rounds were simultaneous`);
});

test('a lossy, reordering, duplicating network always ends in working keys and no undeliverable data', () => {
  for (let seed = 100; seed < 140; seed++) {
    const { world, a, b } = pair(seed, { limits: { rekeyAfterMs: 6000, rejectAfterMs: 60_000 } });
    const loss = world.rng.float() * 0.4;
    const maxDelayMs = 5 + world.rng.float() * 400;
    Object.assign(world.faults, { loss, duplicate: 0.2, minDelayMs: 1, maxDelayMs });
    world.installDelayMs = world.rng.float() * 30;
    a.connect(b);
    if (world.rng.float() < 0.7) world.at(world.rng.float() * 300, () => b.connect(a));
    talk(world, a, b, 25);
    world.run(60_000);
    world.faults.loss = 0;
    world.until(() => bothUp(a, b), 10_000, `seed ${seed}: both up`);
    assertWorking(world, a, b);
    assert.ok(a.manager.counters.rekeys > 3, `seed ${seed}: ${a.manager.counters.rekeys} rekeys`);
    assert.equal(a.undeliverable + b.undeliverable, 0, `seed ${seed}`);
    for (const { manager } of [a, b])
      assert.ok(manager.sizes.indexes <= 9, `${manager.sizes.indexes} indexes`);
  }
});
