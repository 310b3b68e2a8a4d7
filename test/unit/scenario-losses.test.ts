/** What a broken run says of its losses (test/scenarios/losses.ts). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gapsOf, grown, saidOfPeers } from '../scenarios/losses.ts';

const arrived = (...numbers: number[]) => numbers.map((number) => ({ number, sentMs: 0, atMs: 0 }));

test('gaps are named by length and by when they were sent, the first eight of them', () => {
  assert.equal(gapsOf({ sent: 6, arrivals: arrived(0, 3, 5) }, 1000), '2 at 0.00 s, 1 at 0.00 s');
  const odd = Array.from({ length: 20 }, (_, i) => 2 * i + 1);
  assert.match(gapsOf({ sent: 40, arrivals: arrived(...odd) }, 1), /^1 at 0.00 s, .* and 12 more gaps$/);
});

test('only counters that grew are named', () => {
  assert.equal(grown(new Map([['a', 1]]), new Map([['a', 1]])), 'no counter moved');
  const after = new Map([
    ['a', 3],
    ['b', 2],
  ]);
  assert.equal(grown(new Map([['a', 1]]), after), 'a +2, b +2');
});

test('what agents said of their peers is told in order, from the beginning of the stream on', () => {
  const line = (time: string, msg: string, more = {}): string =>
    JSON.stringify({ level: 30, time, msg, ...more });
  const one = [
    line('2026-01-01T00:00:01.000Z', 'peer up', { peer: 'beta' }),
    line('2026-01-01T00:00:03.500Z', 'peer down', { peer: 'beta', reason: 'no answer' }),
    line('2026-01-01T00:00:04.000Z', 'configuration read again'),
    'Warning: no JSON',
    '{"level":30,"time":"2026-01-01T0',
  ];
  const other = [line('2026-01-01T00:00:03.000Z', 'peer gone', { peer: 'alpha', why: 'left' })];
  const hosts = [
    { name: 'alpha', log: () => `${one.join('\n')}\n` },
    { name: 'beta', log: () => other.join('\n') },
  ];
  assert.equal(
    saidOfPeers(hosts, Date.parse('2026-01-01T00:00:02.000Z')),
    '1.0 s beta: peer gone alpha (left), 1.5 s alpha: peer down beta (no answer)',
  );
});
