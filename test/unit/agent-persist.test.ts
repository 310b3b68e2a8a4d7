import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadReplays, nextCounters, rotateResetSecret, saveReplays } from '../../agent/agent-persist.ts';
import { sodiumReady } from '../../agent/identity/sodium.ts';
import { STATE_FILE, StateDir } from '../../agent/identity/state-dir.ts';
import { bothUp, Host, pair, seededRng } from './session-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'weft-persist-'));
await sodiumReady;
after(() => rmSync(folder, { recursive: true }));
let count = 0;
const fresh = (): StateDir => StateDir.open(join(folder, `s${count++}`));

test('a first message that was accepted before a restart is refused after it, whatever the clock', () => {
  const { world, a, b } = pair(31);
  let captured: Uint8Array | null = null;
  world.tap = (from, _to, bytes) => {
    if (from === a && bytes[0] === 1) captured ??= bytes.slice();
    return true;
  };
  a.connect(b);
  world.until(() => bothUp(a, b), 1000, 'both up');
  assert.ok(captured !== null);
  const state = fresh();
  saveReplays(state, b.manager.replayEntries());
  for (const host of [a, b]) host.alive = false;

  // Years later: nothing but the file says that the message is old.
  world.run(60_000);
  const unaware = new Host(world, b.endpoint, { keys: b.keys, incarnation: 2 });
  unaware.receive(a.endpoint, captured);
  assert.equal(unaware.count('installReceive'), 1, 'without the file it would be answered');
  unaware.alive = false;
  const again = new Host(world, b.endpoint, { keys: b.keys, incarnation: 3 });
  again.manager.restoreReplays(loadReplays(state));
  again.receive(a.endpoint, captured);
  assert.equal(again.count('installReceive'), 0);
  assert.equal(again.count('send'), 0);
  assert.equal(again.manager.counters.handshakes.replay, 1);
});

test('an incarnation is never used twice, and the reset secret of the start before is the one that is shown', () => {
  const state = fresh();
  assert.deepEqual(
    [1, 2, 3].map(() => nextCounters(state).incarnation),
    [1, 2, 3],
  );
  const first = rotateResetSecret(state, seededRng(1));
  assert.equal(first.previous, null);
  const second = rotateResetSecret(state, seededRng(2));
  assert.deepEqual(second.previous, first.current);
  assert.notDeepEqual(second.current, first.current);
});

test('replay counters in a damaged file cost the memory of them and nothing else', () => {
  const state = fresh();
  for (const text of ['', '{', '[{"dhPk":"x"}]', '[null, 5]']) {
    writeFileSync(state.file(STATE_FILE.replays), text);
    assert.deepEqual(loadReplays(state), []);
  }
});
