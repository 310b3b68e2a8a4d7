/** The table of receive keys against a Map, and its bound. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createFrameBatch, D, RECV, Receiver } from 'tun-tap';
import { Loopback, laneKeys, sealedDatagram } from './loopback.ts';

/** Few enough to meet often, and spread so that some share a home in a small table. */
const INDEXES = Array.from({ length: 24 }, (_, i) => ((i * 0x0100_0010) >>> 0) & ~15);
const MAX_SESSIONS = 12;

const operation = fc.record({
  kind: fc.constantFrom('install', 'install', 'remove', 'probe'),
  index: fc.constantFrom(...INDEXES),
  seed: fc.nat(3),
});

test('any order of installs and removals leaves exactly what a Map holds', () => {
  const loops: Loopback[] = [];
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const loop = new Loopback({ maxSessions: MAX_SESSIONS });
      loops.push(loop);
      const model = new Map<number, { seed: number; tunnel: number; counter: number }>();
      const probe = (index: number): void => {
        const held = model.get(index);
        const counter = held === undefined ? 0 : held.counter++;
        const keys = laneKeys(held?.seed ?? 0);
        const made = sealedDatagram(
          { suite: 1, inner: 1, flags: 0, index, counter },
          keys,
          new Uint8Array(2),
        );
        loop.exchange([made], (d) => {
          assert.equal(d[D.STATUS], held === undefined ? RECV.UNKNOWN : RECV.OK, index.toString(16));
          assert.equal(d[D.TUNNEL], held?.tunnel ?? -1);
        });
      };
      for (const [tunnel, { kind, index, seed }] of operations.entries()) {
        if (kind === 'probe') probe(index);
        if (kind === 'remove') {
          loop.receiver.remove(index);
          model.delete(index);
        }
        if (kind !== 'install') continue;
        const install = (): void =>
          loop.receiver.install({ index, suite: 1, inner: 1, laneKeys: laneKeys(seed), lanes: 1, tunnel });
        if (model.size < MAX_SESSIONS || model.has(index)) {
          install();
          model.set(index, { seed, tunnel, counter: 0 });
        } else assert.throws(install, { code: 'ENOSPC' });
      }
      for (const index of INDEXES) probe(index);
      loop.close();
      loops.pop();
    }),
    { numRuns: 60 },
  );
  for (const loop of loops) loop.close();
});

test('a full table refuses with ENOSPC and still replaces what it holds', () => {
  const receiver = new Receiver(createFrameBatch(1), { maxSessions: 2, worker: 0, workers: 1 });
  const session = (index: number) =>
    ({ index, suite: 1, inner: 1, laneKeys: laneKeys(1), lanes: 1, tunnel: 0 }) as const;
  receiver.install(session(0x10));
  receiver.install(session(0x20));
  assert.throws(() => receiver.install(session(0x30)), { code: 'ENOSPC', message: /session table/ });
  receiver.install(session(0x10));
  receiver.remove(0x30);
  receiver.remove(0x20);
  receiver.install(session(0x30));
});

test('keys of a wrong size, a suite nobody knows and worker numbers out of range are refused', () => {
  const batch = createFrameBatch(1);
  const receiver = new Receiver(batch, { maxSessions: 2, worker: 0, workers: 1 });
  const install = (suite: number, keys: Uint8Array): void =>
    Reflect.apply(receiver.install, receiver, [
      { index: 16, suite, inner: 1, laneKeys: keys, lanes: 1, tunnel: 0 },
    ]);
  for (const size of [0, 32, 511, 513]) assert.throws(() => install(1, new Uint8Array(size)), TypeError);
  for (const suite of [0, 3, -1]) assert.throws(() => install(suite, laneKeys(0)), TypeError);
  for (const [maxSessions, worker, workers] of [
    [0, 0, 1],
    [65537, 0, 1],
    [1, 1, 1],
    [1, -1, 1],
    [1, 0, 0],
  ] as const)
    assert.throws(() => new Receiver(batch, { maxSessions, worker, workers }), TypeError);
});

test('a batch is of 1 to 256 frames', () => {
  for (const capacity of [0, -1, 257, 1.5, Number.NaN])
    assert.throws(() => createFrameBatch(capacity), RangeError);
  assert.equal(createFrameBatch(256).capacity, 256);
});
