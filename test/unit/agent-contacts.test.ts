/** Names of seeds are looked up again while an agent sees nobody else, and each address of a name gets its turn. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { followNames } from '../../agent/agent-contacts.ts';
import type { Resolver } from '../../agent/agent-seeds.ts';
import type { Clock } from '../../agent/clock.ts';

const CONTACT = { id: 'ab'.repeat(32), boxKey: new Uint8Array(32), address: { ip: '192.0.2.9', port: 7946 } };

test('a name is looked up again until somebody is there, and what it says now is tried', async () => {
  let tick = (): void => {};
  let stopped = false;
  const clock: Clock = {
    monotonicMs: () => 0,
    wallMs: () => 0,
    every: (_ms, run) => {
      tick = run;
      return () => {
        stopped = true;
      };
    },
    after: () => () => {},
  };
  let names: readonly string[] = ['192.0.2.1', '2001:db8::1'];
  const resolver: Resolver = { addresses: async () => names, services: async () => [] };
  const moved: string[] = [];
  let alive = 1;
  const swim = {
    stats: () => ({ members: { alive } }) as ReturnType<Parameters<typeof followNames>[0]['swim']['stats']>,
    moveContact: (_id: string, { ip, port }: { readonly ip: string; readonly port: number }) => {
      moved.push(`${ip} ${port}`);
    },
  };
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) await turn();
  };
  const stop = followNames({ swim }, [{ ...CONTACT, host: 'seed.test' }], clock, resolver);
  await settle();
  for (let round = 0; round < 2; round++) {
    tick();
    await settle();
  }
  assert.deepEqual(moved, ['192.0.2.1 7946', '2001:db8::1 7946', '192.0.2.9 7946']);
  names = ['198.51.100.7'];
  tick();
  await settle();
  assert.equal(moved.at(-1), '192.0.2.9 7946', 'the fourth of two places');
  tick();
  await settle();
  assert.equal(moved.at(-1), '198.51.100.7 7946');
  alive = 2;
  tick();
  await settle();
  assert.equal(moved.length, 5, 'nobody is looked for once somebody is there');
  stop();
  assert.ok(stopped);
});
