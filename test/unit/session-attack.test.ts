/** Forged, altered, cut, replayed and flooding messages: nothing genuine breaks, no answer is larger than its question. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Endpoint } from '../../agent/endpoint.ts';
import { sodiumReady } from '../../agent/identity/sodium.ts';
import { MacKeys } from '../../agent/session/cookie.ts';
import type { SessionOutput } from '../../agent/session/types.ts';
import { bothUp, Host, pair, secretOf, World } from './session-world.ts';

before(() => sodiumReady);

/** A stranger's address; each number its own. */
const stranger = (n: number): Endpoint => ({ ip: `172.16.${(n >> 8) & 0xff}.${n & 0xff}`, port: 1000 + n });

const sends = (outputs: readonly SessionOutput[]): Extract<SessionOutput, { kind: 'send' }>[] =>
  outputs.filter((output) => output.kind === 'send');

/** Takes the first message of `type` off the wire, which nobody receives. */
function capture(world: World, type: number, act: () => void): Uint8Array {
  let captured: Uint8Array | null = null;
  world.tap = (_from, _to, bytes) => {
    if (bytes[0] !== type || captured !== null) return true;
    captured = bytes;
    return false;
  };
  act();
  world.until(() => captured !== null, 1000, `message ${type}`);
  world.tap = () => true;
  return captured!;
}

test('a first message altered or cut at any byte is not answered, even with mac1 made right, and the genuine one then is', () => {
  const { world, a, b } = pair(1);
  const genuine = capture(world, 1, () => a.connect(b));
  const insider = new MacKeys(world.psk, b.keys.dhPk);
  let nowMs = world.nowMs;
  const refused = (bytes: Uint8Array, from: Endpoint, what: string): void => {
    nowMs += 60;
    const outputs = b.manager.datagram(nowMs, 17, bytes, from);
    assert.deepEqual(
      outputs.map((output) => output.kind),
      ['drop'],
      what,
    );
  };
  for (let at = 0; at < 1184; at++) {
    const forged = genuine.slice();
    forged[at]! ^= 1 << (at % 8);
    refused(forged, stranger(at), `outsider, byte ${at}`);
    refused(genuine.subarray(0, at), stranger(at), `cut at ${at}`);
    if (at >= 1168) continue;
    insider.stamp(forged, null);
    refused(forged, stranger(at), `insider, byte ${at}`);
  }
  const outputs = b.manager.datagram(nowMs, 17, genuine, a.endpoint);
  assert.deepEqual(
    outputs.map((output) => output.kind),
    ['newPeer', 'installReceive'],
  );
  b.carryOut(outputs);
  world.until(() => bothUp(a, b), 1000, 'both up');
});

test('a second message altered or cut at any byte changes nothing, and the genuine one then completes', () => {
  const { world, a, b } = pair(2);
  const genuine = capture(world, 2, () => a.connect(b));
  const insider = new MacKeys(world.psk, a.keys.dhPk);
  const refused = (bytes: Uint8Array, what: string): void => {
    const outputs = a.manager.datagram(world.nowMs, 18, bytes, b.endpoint);
    assert.deepEqual(
      outputs.map((output) => output.kind),
      ['drop'],
      what,
    );
  };
  for (let at = 0; at < genuine.length - 16; at++) {
    const forged = genuine.slice();
    forged[at]! ^= 1 << (at % 8);
    refused(forged, `outsider, byte ${at}`);
    refused(genuine.subarray(0, at), `cut at ${at}`);
    if (at >= genuine.length - 32) continue;
    insider.stamp(forged, null);
    refused(forged, `insider, byte ${at}`);
  }
  a.carryOut(a.manager.datagram(world.nowMs, 18, genuine, b.endpoint));
  world.until(() => bothUp(a, b), 100, 'both up');
  assert.equal(a.manager.counters.handshakes.ok, 1);
});

test('a first message replayed later, or from elsewhere, makes no second session', () => {
  const { world, a, b } = pair(3);
  let first: Uint8Array | null = null;
  world.tap = (_from, _to, bytes) => {
    if (bytes[0] === 1) first ??= bytes;
    return true;
  };
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  for (const from of [a.endpoint, stranger(1)]) {
    const outputs = b.manager.datagram(world.nowMs, 17, first!, from);
    assert.deepEqual(outputs, [{ kind: 'drop', reason: 'replay' }]);
  }
  assert.equal(b.manager.counters.handshakes.replay, 2);
  const other = new Host(world, { ip: '10.0.0.9', port: 7947 }, { keys: b.keys });
  other.manager.restoreReplays(b.manager.replayEntries());
  const outputs = other.manager.datagram(world.nowMs, 17, first!, a.endpoint);
  assert.deepEqual(outputs, [{ kind: 'drop', reason: 'replay' }]);
});

test('a copy of the first message that overtakes it from another address does not keep the answer from its sender', () => {
  const { world, a, b } = pair(4);
  const genuine = capture(world, 1, () => a.connect(b));
  b.carryOut(b.manager.datagram(world.nowMs, 17, genuine, stranger(5)));
  world.run(10);
  b.carryOut(b.manager.datagram(world.nowMs, 17, genuine, a.endpoint));
  world.until(() => bothUp(a, b), 100, 'both up');
  assert.equal(b.manager.counters.handshakes.ok, 1);
  // b learned the stranger's address first; a's own packets correct it.
  world.until(
    () => b.peerEndpoints.get(a.keys.id)?.ip === a.endpoint.ip,
    2500,
    'move to the genuine address',
  );
});

test('garbage of any length and kind never throws, never opens anything, and is answered by nothing larger', () => {
  const { world, a, b } = pair(5);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  const index = [...b.receiveKeys.keys()][0]!;
  const before = b.manager.sizes;
  for (let i = 0; i < 20_000; i++) {
    const kind = 15 + (i % 9);
    const sized = [1200, 64, 24, 36, 92, 1200][i % 6]!;
    const size = i % 2 === 0 ? sized : Math.floor(world.rng.float() * 1300);
    const bytes = world.rng.fill(new Uint8Array(size));
    if (i % 3 !== 0) bytes.set([kind - 16, 0, 0, 0].slice(0, size));
    const outputs = b.manager.datagram(world.nowMs + i, kind, bytes, stranger(i % 5000));
    for (const output of sends(outputs))
      assert.ok(output.bytes.length <= size, `${output.bytes.length} for ${size}`);
    assert.ok(outputs.every((output) => output.kind === 'drop' || output.kind === 'send'));
    const plaintext = bytes.subarray(0, 40);
    if (plaintext.length > 0 && i % 4 === 0) plaintext[0]! %= 9;
    for (const output of sends(
      b.manager.control(world.nowMs, index + 15, 1000 + i, plaintext, size + 32, a.endpoint, true),
    ))
      assert.equal(output.bytes.length, 64);
  }
  assert.deepEqual(b.manager.sizes, before);
});

test('a flood of genuine-looking first messages gets cookies, spends at most 200 Diffie-Hellmans a second, and a member still gets in', () => {
  const world = new World(6);
  const b = new Host(world, { ip: '10.0.0.2', port: 7947 });
  const a = new Host(world, { ip: '10.0.0.1', port: 7947 });
  const flood = capture(world, 1, () => a.connect(b));
  const insider = new MacKeys(world.psk, b.keys.dhPk);
  let answered = 0;
  let cookies = 0;
  const attack = (): void => {
    for (let i = 0; i < 50; i++) {
      const forged = flood.slice();
      world.rng.fill(forged.subarray(8, 40));
      insider.stamp(forged, null);
      const outputs = b.manager.datagram(world.nowMs, 17, forged, stranger(answered++ % 60_000));
      for (const output of sends(outputs)) {
        assert.equal(output.bytes.length, 64);
        cookies++;
      }
    }
    if (world.nowMs < 6000) world.at(50, attack);
  };
  attack();
  world.run(1500);
  const spentBefore = b.manager.counters.handshakes.auth;
  world.run(1000);
  const spent = b.manager.counters.handshakes.auth - spentBefore;
  assert.ok(spent <= 200, `${spent} Diffie-Hellmans in a second`);
  assert.ok(cookies > 500, `${cookies} cookies`);
  a.connect(b);
  const took = world.until(() => bothUp(a, b), 8000, 'up under flood');
  assert.ok(took < 2000, `${took} ms`);
  assert.ok(a.manager.counters.cookiesReceived > 0);
});

test('one address without a cookie gets 5 handshakes at once and then cookies', () => {
  const world = new World(7);
  const b = new Host(world, { ip: '10.0.0.2', port: 7947 });
  const inits: Uint8Array[] = [];
  world.tap = (_from, _to, bytes) => {
    if (bytes[0] === 1) inits.push(bytes);
    return false;
  };
  for (let i = 0; i < 8; i++) new Host(world, { ip: `10.1.0.${i}`, port: 7947 }).connect(b);
  const from = { ip: '10.5.5.5', port: 1 };
  const results = inits.map((init, i) =>
    b.manager.datagram(world.nowMs, 17, init, { ...from, port: i + 1 }).map((output) => output.kind),
  );
  assert.deepEqual(results.slice(0, 5), new Array(5).fill(['newPeer', 'installReceive']));
  assert.deepEqual(results.slice(5), new Array(3).fill(['send', 'drop']));
});

test('a cookie reply that was forged or answers another message is ignored', () => {
  const { world, a, b } = pair(8);
  const init = capture(world, 1, () => a.connect(b));
  const other = new MacKeys(world.psk, b.keys.dhPk);
  const index = new DataView(init.buffer, init.byteOffset).getUint32(4);
  const unrelated = init.slice();
  unrelated[1170]! ^= 1;
  const replies = [
    new MacKeys(new Uint8Array(32), b.keys.dhPk).sealCookie(init, index, new Uint8Array(16), world.rng),
    other.sealCookie(unrelated, index, new Uint8Array(16), world.rng),
  ];
  for (const reply of replies)
    assert.deepEqual(sends(a.manager.datagram(world.nowMs, 19, reply, b.endpoint)), []);
  assert.equal(a.manager.counters.cookiesReceived, 0);
});

test('a host that lost its sessions says RESET with the secret of the boot before, and the other only begins a handshake', () => {
  const world = new World(9);
  const first = secretOf('first boot');
  const a = new Host(world, { ip: '10.0.0.1', port: 7947 });
  const b = new Host(
    world,
    { ip: '10.0.0.2', port: 7947 },
    { resetSecrets: { current: first, previous: null } },
  );
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  world.run(2000);
  b.alive = false;
  const reborn = new Host(world, b.endpoint, {
    keys: b.keys,
    incarnation: 2,
    resetSecrets: { current: secretOf('second boot'), previous: first },
  });
  const keysBefore = a.transmitKeys.get(b.keys.id);
  world.run(1500);
  assert.ok(a.sendData(b, 'anyone?'));
  world.until(() => bothUp(a, reborn), 500, 'up again');
  assert.equal(a.manager.counters.resetsAccepted, 1);
  assert.notEqual(a.transmitKeys.get(b.keys.id), keysBefore);
  assert.ok(a.sendData(reborn, 'hello again'));
  world.run(20);
  assert.deepEqual(reborn.delivered, ['hello again']);
});

test('a RESET that is forged, early or replayed does nothing, and unknown indexes are answered at most 10 times a second', () => {
  const { world, a, b } = pair(10, {
    resetSecrets: { current: secretOf('now'), previous: secretOf('before') },
  });
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  const index = a.transmitKeys.get(b.keys.id)!.index;
  const header = new Uint8Array(16);
  header[0] = 4;
  new DataView(header.buffer).setUint32(4, index ^ 0x100);
  let answers = 0;
  for (let i = 0; i < 100; i++)
    for (const output of sends(b.manager.datagram(world.nowMs, 22, header, a.endpoint, 36))) {
      assert.equal(output.bytes.length, 24);
      answers++;
    }
  assert.equal(answers, 10);
  assert.deepEqual(sends(b.manager.datagram(world.nowMs + 5000, 22, header, a.endpoint, 31)), []);
  // A RESET for the index in use, made with the other secret than the one the index belongs to.
  const wrong = new Uint8Array(24);
  wrong[0] = 5;
  new DataView(wrong.buffer).setUint32(4, index);
  assert.deepEqual(a.manager.datagram(world.nowMs + 3000, 21, wrong, b.endpoint), [
    { kind: 'drop', reason: 'auth' },
  ]);
  assert.equal(a.manager.counters.resetsAccepted, 0);
});

test('keys never appear in outputs after they were handed over, and forgetting a peer removes every key', () => {
  const { world, a, b } = pair(11);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  a.carryOut(a.manager.forget(world.nowMs, b.keys.id));
  assert.equal(a.receiveKeys.size, 0);
  assert.equal(a.transmitKeys.size, 0);
  assert.deepEqual(a.manager.sizes, { peers: 0, indexes: 0, joins: 0, answers: 0 });
});
