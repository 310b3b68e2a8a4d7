import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Channel } from '../../gossip/channel.ts';

const here = { ip: '192.0.2.1', port: 7946 };
const elsewhere = { ip: '192.0.2.2', port: 7946 };

const WINDOW = 1024;

test('the replay window accepts what a plain set would', () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: -40, max: 10 }) },
    { weight: 1, arbitrary: fc.integer({ min: -1100, max: 3000 }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const channel = new Channel();
      const seen = new Set<number>();
      let highest = 0;
      for (const s of steps) {
        const seq = highest + s;
        const expected = seq >= 1 && !seen.has(seq) && (seq > highest || highest - seq < WINDOW);
        assert.equal(channel.accept(seq), expected, `${seq} below ${highest}`);
        if (!expected) continue;
        seen.add(seq);
        highest = Math.max(highest, seq);
      }
    }),
    { numRuns: 300 },
  );
});

test('a jump as far as numbers go is taken at once', () => {
  const channel = new Channel();
  assert.ok(channel.accept(5));
  assert.ok(channel.accept(Number.MAX_SAFE_INTEGER - 1));
  assert.equal(channel.accept(5), false);
  assert.ok(channel.accept(Number.MAX_SAFE_INTEGER - 2));
  assert.equal(channel.accept(Number.MAX_SAFE_INTEGER - 2), false);
});

test('a new boot begins its numbers again and forgets what the peer had', () => {
  const channel = new Channel();
  channel.accept(9);
  channel.credentialAcked('aa');
  channel.reboot(4);
  assert.ok(channel.accept(9));
  assert.equal(channel.hasCredentialOf('aa'), false);
  assert.equal(channel.theirBoot, 4);
});

test('a BOOT goes out 5 times a second, an introduction once, a stranger gets one attempt in 5 s', () => {
  const channel = new Channel();
  const allowed = (ask: (nowMs: number) => boolean, forMs: number): number => {
    let n = 0;
    for (let t = 0; t < forMs; t += 10) if (ask(t)) n += 1;
    return n;
  };
  assert.equal(
    allowed((t) => channel.mayAnswerBoot(t), 10_000),
    50,
  );
  assert.equal(
    allowed((t) => channel.takeIntro(t, false), 10_000),
    10,
  );
  assert.equal(
    allowed((t) => channel.maySend(t, here, false), 10_000),
    2,
  );
  assert.equal(
    allowed((t) => channel.maySend(t, here, true), 1000),
    100,
  );
  channel.opened = true;
  channel.provenAt(here);
  assert.equal(
    allowed((t) => channel.maySend(t, here, false), 1000),
    100,
  );
  assert.equal(channel.takeIntro(99_999, false), false);
  assert.equal(channel.takeIntro(99_999, true), true, 'to one that is dead and may have forgotten us');
});

test('an endpoint is proved by the answer to the ping that went there, and no other', () => {
  const channel = new Channel();
  channel.pinged(7n, here);
  channel.answered(8n);
  assert.equal(channel.isProvenAt(here), false);
  channel.answered(7n);
  assert.ok(channel.isProvenAt({ ...here }));
  assert.equal(channel.isProvenAt(elsewhere), false);
  assert.equal(channel.isProvenAt({ ...here, port: 1 }), false);
});

test('a peer may say once that our boot is behind', () => {
  const channel = new Channel();
  assert.deepEqual([channel.takeBootRaise(), channel.takeBootRaise()], [true, false]);
});

test('certificates to acknowledge are each told once and never more than fit', () => {
  const channel = new Channel();
  for (let i = 0; i < 100; i++) channel.acknowledgeLater(`${i % 40}`);
  assert.deepEqual(channel.takeAcks(3), ['0', '1', '2']);
  assert.equal(channel.takeAcks(0).length, 0);
  assert.equal(channel.takeAcks(100).length, 29);
  assert.deepEqual(channel.takeAcks(100), []);
});

test('what the peer has is remembered for 2048 certificates', () => {
  const channel = new Channel();
  for (let i = 0; i < 2049; i++) channel.credentialAcked(`${i}`);
  assert.equal(channel.hasCredentialOf('0'), false);
  assert.ok(channel.hasCredentialOf('1'));
  assert.ok(channel.hasCredentialOf('2048'));
});
