import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_PAGE_FDB, MAX_PAGE_ROWS, pageFdb, pageReport } from '../../agent/agent-page.ts';
import { DROP_TABLE } from '../../agent/datapath/drop.ts';
import { report } from './ui-report.ts';

const COUNTERS = { drops: () => [], total: () => 0 };

test('every drop that happened comes with the explanation of the drop table, and none that did not', () => {
  const { status, events } = report();
  const drops = DROP_TABLE.slice(1).map(({ label }, i) => ({
    direction: 'receive' as const,
    reason: label,
    count: i % 2,
  }));
  const dataPlane = { ...COUNTERS, drops: () => drops };
  const page = pageReport({ at: 1, status, peers: [], members: [], dataPlane, events });
  assert.equal(page.drops.length, Math.floor((DROP_TABLE.length - 1) / 2));
  for (const { reason, why } of page.drops)
    assert.equal(why, DROP_TABLE.find(({ label }) => label === reason)?.why);
});

test('lists are cut to what a page can hold', () => {
  const { status, events } = report();
  const [member] = report().members;
  assert.ok(member !== undefined);
  const members = Array.from({ length: 5000 }, (_, i) => ({ ...member, name: `h${i}` }));
  const page = pageReport({ at: 1, status, peers: [], members, dataPlane: COUNTERS, events });
  assert.equal(page.members.length, MAX_PAGE_ROWS);
});

test('the FDB is searched by MAC and by peer, told in full, and cut', () => {
  const entries = Array.from({ length: 2000 }, (_, i) => ({
    mac: `02:00:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`,
    vni: 1,
    peer: i === 7 ? null : i % 2 === 0 ? 'Beta' : 'gamma',
    ageMs: 1,
    static: false,
    ...{ frozen: false, frozenMs: null, rival: null },
    suspended: false,
  })).reverse();
  const all = pageFdb(entries, '');
  assert.deepEqual([all.total, all.matching, all.entries.length], [2000, 2000, MAX_PAGE_FDB]);
  assert.equal(all.entries[0]?.mac, '02:00:00:00:00:00');
  assert.equal(pageFdb(entries, 'beta').matching, 1000);
  assert.equal(pageFdb(entries, 'local').matching, 1);
  assert.equal(pageFdb(entries, '00:00:07:cf').entries[0]?.mac, '02:00:00:00:07:cf');
});

test('nothing in the page is a key or a token, whatever the reports grow by', () => {
  const { status, peers, members, events } = report();
  const page = pageReport({ at: 1, status, peers, members, dataPlane: COUNTERS, events });
  const names: string[] = []; // bounded by the report
  JSON.stringify(page, (name, value: unknown) => {
    names.push(name);
    return value;
  });
  assert.deepEqual(
    names.filter((name) => /key|token|secret|psk|private/i.test(name)),
    [],
  );
});
