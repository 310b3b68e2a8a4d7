import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_SAMPLES, NO_HISTORY, withSample } from '../../ui/model/history.ts';
import { commandOf, SHORTCUTS, VIEWS } from '../../ui/model/keys.ts';
import { NO_RATES, ratesOf } from '../../ui/model/rates.ts';
import { shownRows } from '../../ui/model/rows.ts';
import { formatAge, formatBytes, formatLoss, formatRate, formatRtt } from '../../ui/model/text.ts';
import { peerNamed, report } from './ui-report.ts';

test('rates are what was counted over the time between two reports', () => {
  const drop = { direction: 'receive', reason: 'auth', why: '' } as const;
  const before = report({
    peers: [peerNamed('beta', { txBytes: 1000, rxBytes: 0 })],
    drops: [{ ...drop, count: 5 }],
  });
  const now = report({
    at: before.at + 2000,
    peers: [peerNamed('beta', { txBytes: 3000, rxBytes: 500 }), peerNamed('gamma')],
    drops: [
      { ...drop, count: 25 },
      { ...drop, reason: 'replay', count: 4 },
    ],
    traffic: { txFrames: 0, rxFrames: 0, txBytes: 4000, rxBytes: 0 },
  });
  const rates = ratesOf(before, now);
  assert.deepEqual(rates.all, { tx: 2000, rx: 0 });
  assert.deepEqual([...rates.peers], [['beta', { tx: 1000, rx: 250 }]]);
  assert.deepEqual(
    [...rates.drops],
    [
      ['receive auth', 10],
      ['receive replay', 2],
    ],
  );
});

test('the first report, a clock that stands and an agent that started anew give no wrong rate', () => {
  const now = report({ peers: [peerNamed('beta', { txBytes: 100, rxBytes: 0 })] });
  assert.equal(ratesOf(null, now), NO_RATES);
  assert.equal(ratesOf(now, now), NO_RATES);
  const large = report({ at: now.at - 1000, peers: [peerNamed('beta', { txBytes: 1e9, rxBytes: 0 })] });
  assert.deepEqual(ratesOf(large, now).peers.get('beta'), { tx: 100, rx: 0 });
});

test('the history keeps the newest samples and no more', () => {
  let history = NO_HISTORY;
  for (let i = 0; i < MAX_SAMPLES + 5; i++) history = withSample(history, i * 1000, { tx: i, rx: 0 });
  assert.deepEqual([history.at.length, history.tx.length, history.rx.length], [600, 600, 600]);
  assert.deepEqual([history.at[0], history.tx.at(-1)], [5, (MAX_SAMPLES + 4) * 8]);
});

test('rows are searched in every column, ordered by one with what is missing last, and cut', () => {
  const rows = [
    { name: 'b', rtt: 2 },
    { name: 'a', rtt: null },
    { name: 'C', rtt: 10 },
  ];
  const values = ({ name, rtt }: (typeof rows)[number]): (string | number | null)[] => [name, rtt];
  const names = (find: string, column: number, down: boolean, limit = 9): string =>
    shownRows(rows, values, { find, order: { column, down }, limit })
      .rows.map(({ name }) => name)
      .join('');
  assert.equal(names('', 1, false), 'bCa');
  assert.equal(names('', 1, true), 'Cba');
  assert.equal(names(' c ', 0, false), 'C');
  assert.equal(names('10', 0, false), 'C');
  assert.equal(names('', 1, false, 1), 'b');
  const cut = shownRows(rows, values, { find: '', order: { column: 0, down: false }, limit: 1 });
  assert.equal(cut.matching, 3);
});

test('keys of the browser and letters that are typed are left alone', () => {
  const press = (key: string, change = {}): unknown =>
    commandOf({ key, modified: false, typing: false, ...change });
  assert.deepEqual(press('3'), { kind: 'view', view: 'fdb' });
  assert.equal(press('6'), null);
  assert.equal(press('0'), null);
  for (const key of ['1', '/', 't', 'p', '?']) {
    assert.ok(press(key) !== null, key);
    assert.equal(press(key, { modified: true }), null);
    assert.equal(press(key, { typing: true }), null);
  }
  assert.deepEqual(press('Escape', { typing: true }), { kind: 'close' });
});

test('the help names every key that does something', () => {
  const named = SHORTCUTS.map(({ keys }) => keys).join(' ');
  for (const key of ['1 to 5', '/', 't', 'p', '?', 'Esc']) assert.ok(named.includes(key), key);
  assert.equal(VIEWS.length, 5);
});

test('numbers are short and have their unit', () => {
  assert.deepEqual([0, 100, 125_000, 1.25e9].map(formatRate), ['0 b/s', '800 b/s', '1 Mb/s', '10 Gb/s']);
  assert.deepEqual([0, 1023, 1536, 1e9].map(formatBytes), ['0 B', '1023 B', '1.5 KiB', '954 MiB']);
  assert.deepEqual([null, 0.354, 12.34, 150].map(formatRtt), ['–', '0.35 ms', '12.3 ms', '150 ms']);
  assert.deepEqual([null, 0, 0.03125, 1].map(formatLoss), ['–', '0 %', '3.1 %', '100 %']);
  assert.deepEqual([null, 0, 61_000, 3_600_000, 97_200_000].map(formatAge), [
    '–',
    '0 s',
    '1 min 1 s',
    '1 h',
    '1 d 3 h',
  ]);
});
