/** What the service manager is told, and when it is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { takeManager, tellManager } from '../../agent/agent-service.ts';
import type { Clock } from '../../agent/clock.ts';
import { createLog } from '../../agent/log.ts';

const log = createLog({ level: 'silent', format: 'json' });

class World {
  readonly told: string[] = [];
  answers: (() => Promise<void>) | null = null;
  asked = 0;
  line = 'alone';
  errno = 0;
  everyMs = 0;
  #tick: () => void = () => {};
  readonly clock: Clock = {
    monotonicMs: () => 0,
    wallMs: () => 0,
    after: () => () => {},
    every: (ms, run) => {
      this.everyMs = ms;
      this.#tick = run;
      return () => {
        this.#tick = () => {};
      };
    },
  };

  start(
    watchdogMs: number | null = 30_000,
    socket: string | null = '/run/notify',
  ): (successor: number | null) => void {
    return tellManager({
      manager: { socket, watchdogMs },
      send: (_, bytes) => {
        this.told.push(...new TextDecoder().decode(bytes).trimEnd().split('\n'));
        return this.errno;
      },
      answered: () => {
        this.asked++;
        return this.answers?.() ?? Promise.resolve();
      },
      status: () => this.line,
      clock: this.clock,
      log,
    });
  }

  async tick(): Promise<string[]> {
    const before = this.told.length;
    this.#tick();
    for (let i = 0; i < 5; i++) await Promise.resolve();
    return this.told.slice(before);
  }
}

test('it says ready, lives while the workers answer, and says that it stops', async () => {
  const world = new World();
  const stop = world.start();
  assert.deepEqual(world.told, ['READY=1', 'STATUS=alone']);
  assert.equal(world.everyMs, 10_000);
  assert.deepEqual(await world.tick(), ['WATCHDOG=1']);
  world.line = '1 of 1 peers up';
  assert.deepEqual(await world.tick(), ['WATCHDOG=1', 'STATUS=1 of 1 peers up']);
  stop(null);
  assert.deepEqual(world.told.slice(-2), ['STOPPING=1', 'STATUS=stopping']);
  assert.deepEqual(await world.tick(), []);
});

test('a worker that does not answer ends the signs of life and is asked once; one that answers again brings them back', async () => {
  const world = new World();
  world.start();
  let release: () => void = () => {};
  world.answers = () =>
    new Promise((resolve) => {
      release = resolve;
    });
  for (let i = 0; i < 5; i++) assert.deepEqual(await world.tick(), []);
  assert.equal(world.asked, 1);
  world.answers = null;
  release();
  await world.tick();
  assert.deepEqual(await world.tick(), ['WATCHDOG=1']);
});

test('an agent that hands over names its successor and does not say that the service stops', async () => {
  const world = new World();
  world.start()(4711);
  assert.deepEqual(world.told.slice(2), ['MAINPID=4711', 'STATUS=handing over']);
});

test('a worker that has ended gives no sign of life', async () => {
  const world = new World();
  world.start();
  world.answers = () => Promise.reject(new Error('ended'));
  assert.deepEqual(await world.tick(), []);
  assert.deepEqual(await world.tick(), []);
  assert.equal(world.asked, 2);
});

test('an answer that comes after the stop is not a sign of life', async () => {
  const world = new World();
  const stop = world.start();
  let release: () => void = () => {};
  world.answers = () =>
    new Promise((resolve) => {
      release = resolve;
    });
  await world.tick();
  stop(null);
  release();
  for (let i = 0; i < 5; i++) await Promise.resolve();
  assert.equal(world.told.at(-1), 'STATUS=stopping');
});

test('without a manager nothing is sent and no worker is asked; without a watchdog only the status is', async () => {
  const alone = new World();
  alone.start(null, null)(null);
  assert.deepEqual(alone.told, []);
  const world = new World();
  world.start(null);
  assert.deepEqual(await world.tick(), []);
  world.line = 'changed';
  assert.deepEqual(await world.tick(), ['STATUS=changed']);
  assert.equal(world.asked, 0);
});

test('a short watchdog is fed three times within its time, and a manager that is gone does no harm', async () => {
  const world = new World();
  world.errno = 2;
  world.start(1500);
  assert.equal(world.everyMs, 500);
  assert.deepEqual(await world.tick(), ['WATCHDOG=1']);
});

test('the environment is read once and left without it; a watchdog for another process is not ours', () => {
  const env = { NOTIFY_SOCKET: '@n', WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7', PATH: '/bin' };
  assert.deepEqual(takeManager(env, 7), { socket: '@n', watchdogMs: 30_000 });
  assert.deepEqual(env, { PATH: '/bin' });
  assert.deepEqual(takeManager(env, 7), { socket: null, watchdogMs: null });
  const other = { NOTIFY_SOCKET: '@n', WATCHDOG_USEC: '30000000', WATCHDOG_PID: '8' };
  assert.equal(takeManager(other, 7).watchdogMs, null);
  for (const usec of ['0', '-1', '1e9', 'x', ''])
    assert.equal(takeManager({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: usec }, 7).watchdogMs, null, usec);
});
