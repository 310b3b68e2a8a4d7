import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { pictureOf, placeOf, widthOf } from '../../ui/model/picture.ts';
import { NO_RATES } from '../../ui/model/rates.ts';
import { memberNamed, peerNamed, report } from './ui-report.ts';

test('every peer is a host with a path from this one, and members without a session are hosts without a path', () => {
  const { hosts, paths } = pictureOf(
    report({
      peers: [peerNamed('beta'), peerNamed('gamma', { state: 'down', reason: 'no answer' })],
      members: [
        memberNamed('alpha', { self: true }),
        memberNamed('beta'),
        memberNamed('gamma'),
        memberNamed('delta', { state: 'dead' }),
        memberNamed('epsilon', { state: 'left' }),
      ],
    }),
    NO_RATES,
  );
  assert.deepEqual(
    hosts.map(({ name, kind, state }) => `${name} ${kind} ${state}`),
    ['alpha self up', 'beta host up', 'delta host down', 'gamma host down'],
  );
  assert.deepEqual(
    paths.map(({ from, to, state }) => `${from} ${to} ${state}`),
    ['h:alpha h:beta up', 'h:alpha h:gamma down'],
  );
});

test('a path says what was measured, what is lost only if anything is, and its rate only if there is one', () => {
  const label = (change: Parameters<typeof peerNamed>[1], rates = NO_RATES): string | undefined =>
    pictureOf(report({ peers: [peerNamed('beta', change)] }), rates).paths[0]?.label;
  assert.equal(label({ rttMs: 0.35, loss: 0, pmtu: 1500 }), '0.35 ms · MTU 1500');
  assert.equal(label({ rttMs: 12, loss: 0.125, pmtu: null }), '12 ms · 12.5 % loss');
  const rates = { ...NO_RATES, peers: new Map([['beta', { tx: 125_000, rx: 125_000 }]]) };
  assert.equal(label({ rttMs: null, loss: null, pmtu: null }, rates), '2 Mb/s');
  assert.equal(label({ state: 'down', reason: 'no answer' }), 'no answer');
});

test('a path is sealed unless the segment or the peer is plain, and an endpoint that is no agent has its own form', () => {
  const status = report().status;
  const sealedOf = (mode: 'sealed' | 'plain', path: 'direct' | 'plain'): boolean | undefined =>
    pictureOf(report({ status: { ...status, mode }, peers: [peerNamed('beta', { path })] }), NO_RATES)
      .paths[0]?.sealed;
  assert.deepEqual(
    [sealedOf('sealed', 'direct'), sealedOf('sealed', 'plain'), sealedOf('plain', 'plain')],
    [true, false, false],
  );
  const { hosts } = pictureOf(report({ peers: [peerNamed('192.0.2.9:4789', { nodeId: null })] }), NO_RATES);
  assert.equal(hosts[1]?.kind, 'endpoint');
});

test('a host that membership holds dead is down though its session still looks up', () => {
  const dead = report({ peers: [peerNamed('beta')], members: [memberNamed('beta', { state: 'dead' })] });
  assert.equal(pictureOf(dead, NO_RATES).hosts[1]?.state, 'down');
});

test('no two hosts stand in one place, and a place depends on nothing but the order', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1024 }), (count) => {
      const places = Array.from({ length: count }, (_, i) => placeOf(i, count));
      const apart = new Set(places.map(({ x, y }) => `${x} ${y}`));
      assert.equal(apart.size, count);
      assert.ok(!apart.has('0 0'));
      assert.ok(places.every(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)));
    }),
    { numRuns: 50 },
  );
  assert.deepEqual(placeOf(3, 200), placeOf(3, 300));
});

test('a line is 1.5 to 8 pixels wide', () => {
  assert.deepEqual([0, 1250, 12_500, 1e15].map(widthOf), [1.5, 1.5, 2.5, 8]);
});
