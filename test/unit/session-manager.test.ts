/** What a session does over its life, between two hosts in virtual time. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { sodiumReady } from '../../agent/identity/sodium.ts';
import { bothUp, pair } from './session-world.ts';

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
