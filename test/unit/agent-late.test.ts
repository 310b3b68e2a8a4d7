/** A disk that takes nothing: what may be late is written when it can be, what may not is told and broken off. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { LateWrites } from '../../agent/agent-late.ts';
import { WeftError } from '../../agent/errors.ts';
import { STATE_FILE } from '../../agent/identity/state-dir.ts';
import { TestClock } from './identity-world.ts';

/** A clock whose timers the test runs. */
class ManualClock extends TestClock {
  timer: (() => void) | null = null;
  override after(_ms?: number, run?: () => void): () => void {
    this.timer = run ?? null;
    return () => {
      this.timer = null;
    };
  }
  fire(): void {
    const run = this.timer;
    this.timer = null;
    run?.();
  }
}

function world() {
  const clock = new ManualClock();
  const lines: string[] = [];
  const late = new LateWrites(clock, pino({}, { write: (line: string) => lines.push(line) }));
  const disk = { full: false, held: '' };
  const write = (text: string) => (): void => {
    if (disk.full) throw new WeftError('E_STATE', 'cannot write /x: ENOSPC');
    disk.held = text;
  };
  return { clock, late, disk, write, lines };
}

test('what fails is written again until the disk takes it, the newest of a file alone', () => {
  const { clock, late, disk, write, lines } = world();
  disk.full = true;
  late.keep(STATE_FILE.replays, write('old'));
  late.keep(STATE_FILE.replays, write('new'));
  clock.fire();
  assert.match(late.problem ?? '', /ENOSPC/);
  disk.full = false;
  clock.fire();
  assert.deepEqual([late.problem, disk.held, clock.timer], [null, 'new', null]);
  assert.equal(lines.length, 2, 'one line when it begins, one when it ends');
});

test('what must be on disk first is broken off and told, and the next write that succeeds ends the complaint', () => {
  const { late, disk, write } = world();
  disk.full = true;
  let reached = false;
  late.guard(() => {
    write('certificate')();
    reached = true;
  });
  assert.equal(reached, false);
  assert.match(late.problem ?? '', /ENOSPC/);
  disk.full = false;
  late.keep(STATE_FILE.members, write('members'));
  assert.equal(late.problem, null);
});

test('what is no failure of the disk is thrown on', () => {
  const { late } = world();
  assert.throws(() => late.guard(() => assert.fail('a defect')), /a defect/);
  assert.throws(() => late.failed(new WeftError('E_CONFIG', 'other')), /other/);
  assert.equal(late.problem, null);
});
