import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pushPullScale, retransmitLimit } from '../../gossip/config.ts';
import { expectedConfirmations, Suspicion, suspicionBounds, suspicionMs } from '../../gossip/suspicion.ts';

test('a suspicion shortens with each confirmation as memberlist has it (suspicion_test.go)', () => {
  // TestSuspicion_remainingSuspicionTime: k, min 2 s, max 30 s.
  const table: readonly [confirmations: number, k: number, ms: number][] = [
    [0, 3, 30_000],
    [1, 3, 16_000],
    [2, 3, 7_810],
    [3, 3, 2_000],
    [4, 3, 2_000],
    [0, 0, 2_000],
  ];
  for (const [confirmations, k, ms] of table)
    assert.ok(
      Math.abs(suspicionMs(k, confirmations, 2000, 30_000) - ms) < 1,
      `${confirmations} of ${k}: ${suspicionMs(k, confirmations, 2000, 30_000)}`,
    );
});

test('suspicion lasts 4 to 24 intervals, and longer with the logarithm of the mesh', () => {
  for (const [members, minMs] of [
    [1, 4000],
    [10, 4000],
    [100, 8000],
    [1000, 12_000],
    [10_000, 16_000],
  ] as const)
    assert.deepEqual(suspicionBounds(4, 6, members, 1000), { minMs, maxMs: 6 * minMs });
});

test('confirmations are expected only where enough others could give them', () => {
  assert.deepEqual(
    [2, 3, 4, 5, 100].map((n) => expectedConfirmations(4, n)),
    [0, 0, 2, 2, 2],
  );
});

test('each accuser counts once, and no more than 16 are remembered', () => {
  const suspicion = new Suspicion(new Uint8Array(0), 'a', null, 0);
  const votes = (): number => suspicion.votes(() => false);
  assert.equal(suspicion.confirm('a', null), false);
  assert.equal(suspicion.confirm('b', null), true);
  assert.equal(suspicion.confirm('b', null), false);
  assert.equal(votes(), 2);
  assert.ok(suspicion.isAccusedBy('b') && !suspicion.isAccusedBy('c'));
  for (let i = 0; i < 100; i++) suspicion.confirm(`accuser ${i}`, null);
  assert.equal(votes(), 16);
});

test('accusers of one voter class have one vote while it is a minority, and never keep others out', () => {
  const suspicion = new Suspicion(new Uint8Array(0), 'a', 'token 1', 0);
  for (let i = 0; i < 100; i++) suspicion.confirm(`accuser ${i}`, 'token 1');
  assert.equal(
    suspicion.votes(() => false),
    1,
  );
  assert.equal(
    suspicion.votes((voterClass) => voterClass === 'token 1'),
    4,
  );
  assert.equal(suspicion.confirm('b', 'token 2'), true);
  assert.equal(suspicion.confirm('c', null), true);
  assert.equal(
    suspicion.votes(() => false),
    3,
  );
  assert.equal(
    suspicion.votes((voterClass) => voterClass === 'token 1'),
    6,
  );
});

test('news is sent more often in larger meshes (util_test.go TestRetransmitLimit)', () => {
  assert.deepEqual(
    [0, 1, 3, 9, 99].map((n) => retransmitLimit(3, n)),
    [0, 3, 3, 3, 6],
  );
  assert.deepEqual(
    [100, 1000, 10_000].map((n) => retransmitLimit(4, n)),
    [12, 16, 20],
  );
});

test('comparisons become rarer above 32 members (util_test.go TestPushPullScale)', () => {
  for (let n = 0; n <= 32; n++) assert.equal(pushPullScale(1000, n), 1000);
  for (let n = 33; n <= 64; n++) assert.equal(pushPullScale(1000, n), 2000);
  for (let n = 65; n <= 128; n++) assert.equal(pushPullScale(1000, n), 3000);
});
