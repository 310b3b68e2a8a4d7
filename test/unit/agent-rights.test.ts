import assert from 'node:assert/strict';
import { test } from 'node:test';
import { neededCapabilities } from '../../agent/agent-rights.ts';
import { configSchema } from '../../agent/config/schema.ts';

const of = (settings: Record<string, unknown>): string[] => neededCapabilities(configSchema.parse(settings));

test('the agent keeps CAP_NET_ADMIN, and the right to low ports only where one is configured', () => {
  assert.deepEqual(of({}), ['NET_ADMIN']);
  assert.deepEqual(of({ underlay: '192.0.2.1', gossipPort: 7946, metrics: { address: 'off' } }), [
    'NET_ADMIN',
  ]);
  const low = ['NET_ADMIN', 'NET_BIND_SERVICE'];
  assert.deepEqual(of({ underlay: '192.0.2.1:443' }), low);
  assert.deepEqual(of({ metrics: { address: '127.0.0.1:80' } }), low);
  assert.deepEqual(of({ gossipPort: 1023 }), low);
  assert.deepEqual(of({ gossipPort: 1024 }), ['NET_ADMIN']);
});
