/** The real clock: long timers share their wake-ups, none comes early, and a cancelled one keeps nothing alive. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../agent/clock.ts';

/** Node's own timers may come a little before their time. */
const EARLY_MS = 2;

test('long waits of about the same end come in one turn of the event loop, never early', async () => {
  const lateMs: number[] = [];
  let turns = 0;
  let isTurnCounted = false;
  const arrive = (dueMs: number): void => {
    lateMs.push(performance.now() - dueMs);
    if (isTurnCounted) return;
    isTurnCounted = true;
    turns++;
    setImmediate(() => {
      isTurnCounted = false;
    });
  };
  // Ten ends within 10 ms lie in one step of the grid of 20 ms, or in two.
  for (let i = 0; i < 10; i++) {
    const dueMs = systemClock.monotonicMs() + 300 + i;
    systemClock.after(300 + i, () => arrive(dueMs));
  }
  await sleep(500);
  assert.equal(lateMs.length, 10);
  assert.ok(Math.min(...lateMs) > -EARLY_MS, `${lateMs}`);
  assert.ok(turns <= 2, `${turns} turns`);
});

test('what repeats at one interval comes together, whenever it began', async () => {
  const times: number[][] = [[], []];
  const cancelFirst = systemClock.every(250, () => void times[0]!.push(systemClock.monotonicMs()));
  await sleep(90);
  const cancelSecond = systemClock.every(250, () => void times[1]!.push(systemClock.monotonicMs()));
  await sleep(1300);
  cancelFirst();
  cancelSecond();
  const [first, second] = times;
  assert.ok(first!.length >= 4 && first!.length <= 6, `${first}`);
  assert.ok(second!.length >= 4, `${second}`);
  for (const atMs of second!.slice(1))
    assert.ok(
      first!.some((other) => Math.abs(other - atMs) < 5),
      `${first} / ${second}`,
    );
  const count = first!.length;
  await sleep(300);
  assert.equal(first!.length, count, 'it ran after it was cancelled');
});

test('a timer cancelled by another of the same turn does not run', async () => {
  const ran: string[] = [];
  const cancels: (() => void)[] = [];
  cancels.push(
    systemClock.after(240, () => {
      ran.push('first');
      cancels[1]!();
    }),
    systemClock.after(240, () => ran.push('second')),
  );
  await sleep(400);
  assert.deepEqual(ran, ['first']);
});

test('a cancelled wait lets its process end', () => {
  const clock = JSON.stringify(new URL('../../agent/clock.js', import.meta.url).href);
  const script = `const { systemClock } = await import(${clock});
    systemClock.after(60_000, () => {})();
    systemClock.every(60_000, () => {})();`;
  const begunMs = performance.now();
  execFileSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 30_000 });
  assert.ok(performance.now() - begunMs < 20_000);
});
