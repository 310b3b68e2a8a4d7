import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { derivedMac } from '../../agent/identity/derived-mac.ts';
import {
  contains,
  formatPrefix,
  hostsOf,
  isHostOf,
  networkOf,
  parsePrefix,
} from '../../agent/identity/prefix.ts';
import { hash, utf8 } from '../../agent/identity/sodium.ts';
import './identity-world.ts';

test('a prefix is read and written as people write it', () => {
  for (const text of ['10.80.0.1/24', '0.0.0.0/0', '192.0.2.1/32', 'fd00::1/64', '::/0'])
    assert.equal(formatPrefix(parsePrefix(text) ?? { ip: '', length: 0 }), text);
  for (const bad of [
    '10.80.0.1',
    '10.80.0.1/33',
    'fd00::1/129',
    '10.80.0/24',
    '/24',
    'x/8',
    '10.0.0.1/-1',
    '',
  ])
    assert.equal(parsePrefix(bad), null, bad);
});

test('membership in a network agrees with its address bits', () => {
  const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
  const number = (o: readonly number[]) => o.reduce((n, b) => n * 256 + b, 0);
  fc.assert(
    fc.property(octets, octets, fc.nat(32), (a, b, length) => {
      const size = 2 ** (32 - length);
      const same = Math.floor(number(a) / size) === Math.floor(number(b) / size);
      assert.equal(contains({ ip: a.join('.'), length }, b.join('.')), same);
    }),
  );
  assert.ok(!contains({ ip: 'fd00::', length: 8 }, '10.0.0.1'));
  assert.equal(formatPrefix(networkOf({ ip: 'fd00:1:2:3::4', length: 48 })), 'fd00:1:2::/48');
});

test('hosts come in order, without the network and the broadcast address', () => {
  assert.deepEqual(
    [...hostsOf({ ip: '10.0.0.9', length: 29 })],
    [9, 10, 11, 12, 13, 14].map((n) => `10.0.0.${n}`),
  );
  assert.deepEqual([...hostsOf({ ip: '10.0.0.9', length: 31 })], []);
  assert.deepEqual([...hostsOf({ ip: 'fd00::', length: 126 })], ['fd00::1', 'fd00::2', 'fd00::3']);
  const wide = [...hostsOf({ ip: '10.0.0.0', length: 8 })];
  assert.deepEqual(
    [wide.length, wide[0], wide[255], wide.at(-1)],
    [65534, '10.0.0.1', '10.0.1.0', '10.0.255.254'],
  );
});

test('a share comes first, from the start on, and then all the rest', () => {
  const hosts = [...hostsOf({ ip: '10.0.0.0', length: 29 }, 3, { index: 1, of: 2 })];
  assert.deepEqual(
    hosts,
    ['4', '6', '2', '5', '1', '3'].map((n) => `10.0.0.${n}`),
  );
});

test('every host that is given is one that may be asked for', () => {
  for (const text of ['10.0.0.0/29', '10.0.0.0/22', 'fd00::/125']) {
    const prefix = parsePrefix(text) ?? { ip: '', length: 0 };
    for (const ip of hostsOf(prefix)) assert.ok(isHostOf(prefix, ip), ip);
  }
  const net = { ip: '10.0.0.5', length: 24 };
  for (const ip of ['10.0.0.0', '10.0.0.255', '10.0.1.1', 'fd00::1']) assert.ok(!isHostOf(net, ip), ip);
  assert.ok(isHostOf({ ip: 'fd00::', length: 64 }, 'fd00::ffff:ffff:ffff:ffff'));
});

test('a derived MAC is unicast, local, and another one for each node and segment', () => {
  const macs = [0, 1, 2, 3].flatMap((n) => [1, 2].map((vni) => derivedMac(hash(utf8(`node ${n}`)), vni)));
  for (const mac of macs) {
    assert.equal(mac.length, 6);
    assert.equal((mac[0] ?? 0) & 3, 2);
  }
  assert.equal(new Set(macs.map(String)).size, macs.length);
});

test('a derived MAC is the start of the hash that PROTOCOL names', () => {
  const id = hash(utf8('node'));
  const whole = hash(utf8('weft1 mac'), id, new Uint8Array([0, 0, 0, 42]));
  const mac = derivedMac(id, 42);
  assert.deepEqual(mac.slice(1), whole.slice(1, 6));
  assert.equal((mac[0] ?? 0) & 0xfc, (whole[0] ?? 0) & 0xfc);
});
