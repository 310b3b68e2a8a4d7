/** Probes for the path MTU inside a session. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { sodiumReady } from '../../agent/identity/sodium.ts';
import { bothUp, pair } from './session-world.ts';

before(() => sodiumReady);

test('a probe has exactly the size asked for, and its answer is small and names it', () => {
  const { world, a, b } = pair(31);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  for (const size of [100, 1172, 1472, 8972]) {
    const probe = a.manager.pathProbe(world.nowMs, b.keys.id, size);
    assert.ok(probe !== null);
    assert.equal(probe.bytes.length, size);
    assert.deepEqual(probe.to, b.endpoint);
    let answer = 0;
    world.tap = (from, _to, bytes) => {
      if (from === b) answer = Math.max(answer, bytes.length);
      return true;
    };
    world.send(a, a.endpoint, probe.to, probe.bytes);
    world.run(200);
    assert.ok(
      a.outputs.some((o) => o.kind === 'pathProbeAcked' && o.probe === probe.id && o.peer === b.keys.id),
    );
    assert.ok(answer > 0 && answer <= 64, `${answer} bytes of answer`);
  }
});

test('a lost path probe does not make the peer look silent, nor count as round trip', () => {
  const { world, a, b } = pair(32);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  const rtts = a.count('rtt');
  for (let i = 0; i < 30; i++) {
    // Never sent: a path that eats what is large.
    assert.ok(a.manager.pathProbe(world.nowMs, b.keys.id, 1472) !== null);
    world.run(100);
  }
  assert.equal(a.count('down'), 0);
  assert.equal(a.manager.counters.handshakes.ok, 1);
  assert.ok(a.count('rtt') - rtts <= 3);
});

test('without a session there is no probe', () => {
  const { world, a, b } = pair(33);
  assert.equal(a.manager.pathProbe(world.nowMs, b.keys.id, 1472), null);
  a.connect(b);
  assert.equal(a.manager.pathProbe(world.nowMs, b.keys.id, 1472), null);
});

test('a probe from a sending port is answered where its sender listens, and moves nobody', () => {
  const { world, a, b } = pair(34);
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  const probe = a.manager.pathProbe(world.nowMs, b.keys.id, 64, false);
  assert.ok(probe !== null);
  assert.equal(probe.bytes[3], 0);
  const answers: string[] = [];
  world.tap = (from, to) => {
    if (from === b) answers.push(`${to.ip}:${to.port}`);
    return true;
  };
  world.send(a, { ip: a.endpoint.ip, port: 40_001 }, probe.to, probe.bytes);
  world.run(200);
  assert.ok(a.outputs.some((o) => o.kind === 'pathProbeAcked' && o.probe === probe.id));
  assert.deepEqual([...new Set(answers)], [`${a.endpoint.ip}:${a.endpoint.port}`]);
  assert.equal(b.count('moved'), 0);
});
