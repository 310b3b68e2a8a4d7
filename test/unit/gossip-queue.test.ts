import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BroadcastQueue, type News } from '../../gossip/broadcast.ts';
import { RateLimit } from '../../gossip/rate-limit.ts';

const news = (key: string): News => ({ key, what: { recordOf: key, isNew: false } });

/** Keys in the order offered, of which the first `room` are sent. */
function send(queue: BroadcastQueue, room: number, limit = 3): string[] {
  const sent: string[] = [];
  queue.each(limit, (item) => {
    if (sent.length >= room) return 'stop';
    sent.push(item.key);
    return 'sent';
  });
  return sent;
}

test('what was sent least goes first, and of that the newest', () => {
  const queue = new BroadcastQueue();
  for (const key of ['a', 'b', 'c']) queue.add(news(key));
  assert.deepEqual(send(queue, 2), ['c', 'b']);
  assert.deepEqual(send(queue, 1), ['a']);
  queue.add(news('d'));
  assert.equal(send(queue, 4)[0], 'd');
});

test('news is dropped after it was sent as often as the limit says', () => {
  const queue = new BroadcastQueue();
  queue.add(news('a'));
  queue.add(news('b'));
  let sends = 0;
  while (queue.size > 0) sends += send(queue, 1).length;
  assert.equal(sends, 6);
});

test('what is sent as an answer does not count', () => {
  const queue = new BroadcastQueue();
  queue.add(news('a'));
  for (let i = 0; i < 100; i++) queue.each(null, () => 'sent');
  assert.deepEqual(
    [1, 2, 3, 4].map(() => send(queue, 1).length),
    [1, 1, 1, 0],
  );
});

test('newer news about the same begins again', () => {
  const queue = new BroadcastQueue();
  queue.add(news('a'));
  send(queue, 1);
  send(queue, 1);
  queue.add(news('a'));
  assert.equal(queue.size, 1);
  assert.deepEqual(
    [1, 2, 3, 4].map(() => send(queue, 1).length),
    [1, 1, 1, 0],
  );
});

test('what does not fit is passed over, what is gone is not offered again', () => {
  const queue = new BroadcastQueue();
  for (const key of ['a', 'b', 'c']) queue.add(news(key));
  const taken: string[] = [];
  queue.each(3, (item) => {
    if (item.key === 'c') return 'skipped';
    if (item.key === 'b') return 'gone';
    taken.push(item.key);
    return 'sent';
  });
  assert.deepEqual(taken, ['a']);
  assert.deepEqual(send(queue, 9), ['c', 'a']);
});

test('the queue holds 4096 items and gives up the one sent most often', () => {
  const queue = new BroadcastQueue();
  queue.add(news('old'));
  send(queue, 1);
  for (let i = 0; i < 4096; i++) queue.add(news(`${i}`));
  assert.equal(queue.size, 4096);
  assert.equal(send(queue, 5000, 9).includes('old'), false);
  for (let i = 0; i < 100_000; i++) queue.add(news(`${i % 10}`));
  assert.equal(queue.size, 4096);
});

const allowedIn = (ask: (nowMs: number) => boolean, fromMs: number, forMs: number): number => {
  let n = 0;
  for (let t = fromMs; t < fromMs + forMs; t += 1) if (ask(t)) n += 1;
  return n;
};

test('an unknown address has 20 datagrams a second, a known one 200, each of its own', () => {
  const limit = new RateLimit();
  for (const [ip, known, perSecond] of [
    ['192.0.2.1', false, 20],
    ['192.0.2.2', true, 200],
  ] as const) {
    const first = allowedIn((t) => limit.allow(ip, known, t), 0, 1000);
    assert.ok(first >= 2 * perSecond - 2 && first <= 2 * perSecond, `${first} with a full bucket`);
    const next = allowedIn((t) => limit.allow(ip, known, t), 1000, 1000);
    assert.ok(Math.abs(next - perSecond) <= 1, `${next} of ${perSecond}`);
  }
});

test('introductions: 5 a second for one address, 200 in all whose signatures are checked', () => {
  const limit = new RateLimit();
  assert.equal(Array.from({ length: 50 }, () => limit.allowIntro('192.0.2.1', 0)).filter(Boolean).length, 5);
  let all = 0;
  for (let i = 0; i < 1000; i++)
    if (limit.allowIntro(`198.51.100.${i}`, 0) && limit.allowVerified(0)) all += 1;
  assert.equal(all, 200);
});

test('addresses beyond the table push out the one that was silent longest', () => {
  const limit = new RateLimit();
  while (limit.allow('192.0.2.1', false, 0));
  for (let i = 0; i < 5000; i++) limit.allow(`10.0.${i >> 8}.${i & 255}`, false, 0);
  assert.ok(limit.allow('192.0.2.1', false, 0), 'it begins anew');
});
