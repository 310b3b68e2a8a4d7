/** Where a seed is looked for: its name's addresses first, each once, bounded in number and in time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lookUp, placesOf, type Resolver } from '../../agent/agent-seeds.ts';
import type { Clock } from '../../agent/clock.ts';

/** A clock whose waits are over at once if `impatient`, else never. */
const clock = (impatient = false): Clock => ({
  monotonicMs: () => 0,
  wallMs: () => 0,
  every: () => () => {},
  after: (_ms, run) => {
    if (impatient) queueMicrotask(run);
    return () => {};
  },
});

const resolver: Resolver = {
  addresses: async (host) => {
    const table: Record<string, readonly string[]> = {
      'a.test': ['192.0.2.1', '2001:db8::1'],
      'b.test': ['192.0.2.2', '192.0.2.1'],
    };
    return table[host] ?? Promise.reject(new Error('ENOTFOUND'));
  },
  services: async (name) =>
    name === '_weft._udp.test'
      ? [
          { name: 'b.test', port: 7000 },
          { name: 'a.test', port: 7001 },
          { name: 'gone.test', port: 7002 },
        ]
      : Promise.reject(new Error('ENOTFOUND')),
};

test('a host name has the addresses of both families, and the address of the token comes last', async () => {
  const seed = { host: 'a.test', ip: '192.0.2.9', port: 7947 };
  assert.deepEqual(await placesOf(seed, clock(), resolver), [
    { ip: '192.0.2.1', port: 7947 },
    { ip: '2001:db8::1', port: 7947 },
    { ip: '192.0.2.9', port: 7947 },
  ]);
});

test('a service name gives host and port of each target in its order; one that is gone is passed over', async () => {
  assert.deepEqual(await lookUp('_weft._udp.test', 7947, clock(), resolver), [
    { ip: '192.0.2.2', port: 7000 },
    { ip: '192.0.2.1', port: 7000 },
    { ip: '192.0.2.1', port: 7001 },
    { ip: '2001:db8::1', port: 7001 },
  ]);
});

test('a name that nobody knows leaves the address', async () => {
  const seed = { host: 'nobody.test', ip: '192.0.2.9', port: 7947 };
  assert.deepEqual(await placesOf(seed, clock(), resolver), [{ ip: '192.0.2.9', port: 7947 }]);
});

test('a resolver that never answers holds nobody up', async () => {
  const silent: Resolver = { addresses: () => new Promise(() => {}), services: () => new Promise(() => {}) };
  for (const host of ['a.test', '_weft._udp.test'])
    assert.deepEqual(await lookUp(host, 7947, clock(true), silent), []);
});

test('of a name with very many addresses eight are tried', async () => {
  const many: Resolver = {
    ...resolver,
    addresses: async () => Array.from({ length: 200 }, (_, i) => `192.0.2.${i + 1}`),
  };
  assert.equal((await lookUp('a.test', 7947, clock(), many)).length, 8);
});
