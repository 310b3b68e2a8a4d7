/** When the pool of sending ports may be used towards a peer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CHECK_MS, GAP_MS, MAX_TRIES, SendPorts } from '../../agent/peer/send-ports.ts';

const TICK_MS = 50;
const POOL = 4;

/** A firewall that passes some of the ports, with a round trip. */
class Firewall {
  readonly ports = new SendPorts(POOL);
  nowMs = 1000;
  passes: (position: number) => boolean = () => true;
  rttMs = 10;
  busy = false;
  probes = 0;
  #ids = 0;
  #answers: { readonly atMs: number; readonly id: string }[] = [];

  run(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      this.nowMs += TICK_MS;
      for (const { id } of this.#answers.filter(({ atMs }) => atMs <= this.nowMs))
        this.ports.acked(this.nowMs, id);
      this.#answers = this.#answers.filter(({ atMs }) => atMs > this.nowMs);
      for (const position of this.ports.tick(this.nowMs, this.busy ? this.nowMs : null)) {
        const id = String(this.#ids++);
        this.probes++;
        this.ports.sent(this.nowMs, position, id);
        if (this.passes(position)) this.#answers.push({ atMs: this.nowMs + this.rttMs, id });
      }
    }
  }
}

test('the pool is used once every port of it was acknowledged, not before', () => {
  const way = new Firewall();
  way.rttMs = 120;
  way.run(1000);
  assert.equal(way.probes, 0);
  way.ports.begin();
  way.run(100);
  assert.ok(!way.ports.usable);
  way.run(200);
  assert.ok(way.ports.usable);
  assert.equal(way.probes, POOL);
});

test('one port that does not pass keeps the whole pool off; it is tried again every 30 s', () => {
  const way = new Firewall();
  way.passes = (position) => position !== 2;
  way.ports.begin();
  way.run(60_000 + 3 * GAP_MS);
  assert.ok(!way.ports.usable);
  assert.ok(way.probes <= 3 * (POOL + MAX_TRIES), `${way.probes}`);
  way.passes = () => true;
  way.run(CHECK_MS + 1000);
  assert.ok(way.ports.usable);
});

test('a firewall that closes is noticed within 5 s while frames go, within 33 s without', () => {
  for (const busy of [true, false]) {
    const way = new Firewall();
    way.busy = busy;
    way.ports.begin();
    way.run(10_000);
    assert.ok(way.ports.usable);
    way.passes = (position) => position === 0;
    way.run(busy ? 5000 : CHECK_MS + 3000);
    assert.ok(!way.ports.usable, `busy: ${busy}`);
  }
});

test('checking costs two probes a second while frames go, and one per port and 30 s otherwise', () => {
  const way = new Firewall();
  way.ports.begin();
  way.run(1000);
  const idle = way.probes;
  way.run(300_000);
  assert.ok(way.probes - idle <= 11 * POOL, `${way.probes - idle}`);
  way.busy = true;
  const busy = way.probes;
  way.run(60_000);
  assert.ok(Math.abs(way.probes - busy - 120) <= 10, `${way.probes - busy}`);
});

test('a lost answer or two does not turn the pool off; an old answer counts for nothing after a new begin', () => {
  const way = new Firewall();
  way.busy = true;
  way.ports.begin();
  way.run(1000);
  const asked = [0, 0, 0, 0];
  way.passes = (position) => ++asked[position]! % 3 === 0;
  for (let i = 0; i < 600; i++) {
    way.run(TICK_MS);
    assert.ok(way.ports.usable);
  }
  way.ports.sent(way.nowMs, 0, 'old');
  way.ports.begin();
  assert.ok(!way.ports.acked(way.nowMs, 'old'));
  assert.ok(!way.ports.usable);
  way.ports.end();
  assert.deepEqual(way.ports.tick(way.nowMs + 100_000, way.nowMs), []);
});

test('without a pool nothing is ever usable', () => {
  const ports = new SendPorts(0);
  ports.begin();
  assert.deepEqual(ports.tick(1, 1), []);
  assert.ok(!ports.usable);
});

test('whatever passes when, the pool ends usable exactly if all ports pass', () => {
  const step = fc.record({
    mask: fc.nat(15),
    rtt: fc.constantFrom(1, 200, 900),
    busy: fc.boolean(),
    ms: fc.integer({ min: 50, max: 40_000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 6 }), (steps) => {
      const way = new Firewall();
      way.ports.begin();
      let mask = 0;
      for (const { mask: next, rtt, busy, ms } of steps) {
        mask = next;
        way.passes = (position) => (mask & (1 << position)) !== 0;
        Object.assign(way, { rttMs: rtt, busy });
        way.run(ms);
      }
      way.run(2 * CHECK_MS + 5000);
      assert.equal(way.ports.usable, mask === 15);
    }),
    { numRuns: 200 },
  );
});
