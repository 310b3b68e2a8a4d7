/** Events and pings over the control socket: long polls, bad questions, and a server that closes under a reader. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiClient } from '../../agent/cli/client.ts';
import { systemClock } from '../../agent/clock.ts';
import type { EventsReport, PingReport } from '../../agent/control/api-types.ts';
import { serveFakeAgent } from './control-fake-agent.ts';

test('a long poll is answered by the event that it waited for', async () => {
  const served = await serveFakeAgent();
  const client = new ApiClient(served.socket);
  const waiting = client.get<EventsReport>('/v1/events?after=0&wait=9000');
  systemClock.after(50, () => served.agent.ring.add('peer-up', 'beta', 'up'));
  const { events, last } = await waiting;
  assert.deepEqual([events.map(({ subject }) => subject), last], [['beta'], 1]);
  assert.equal((await client.get<EventsReport>('/v1/events?after=1')).events.length, 0);
  await served.stop();
});

test('a server that closes lets its readers go', async () => {
  const served = await serveFakeAgent();
  const waiting = new ApiClient(served.socket).get<EventsReport>('/v1/events?wait=9000');
  const ended = waiting.then(
    ({ events }) => events.length,
    (error: { code: string }) => error.code,
  );
  await new Promise<void>((resolve) => void systemClock.after(100, resolve));
  served.agent.ring.close();
  await served.stop();
  assert.equal(await ended, 0);
});

test('questions that are none are refused, and the server goes on', async () => {
  const served = await serveFakeAgent();
  const client = new ApiClient(served.socket);
  for (const query of ['after=x', 'after=-1', 'wait=1e9', 'after=99999999999999999999'])
    await assert.rejects(client.get(`/v1/events?${query}`), { code: 'E_REQUEST' }, query);
  for (const body of [
    {},
    { peer: '' },
    { peer: 'b', sizeBytes: 0 },
    { peer: 'b', sizeBytes: 70_000 },
    { peer: 'b', more: 1 },
    'b',
  ])
    await assert.rejects(client.send('POST', '/v1/ping', body), { code: 'E_REQUEST' }, JSON.stringify(body));
  assert.equal((await client.send<PingReport>('POST', '/v1/ping', { peer: 'beta' })).result, 'ok');
  assert.deepEqual(served.internalErrors, []);
  await served.stop();
});
