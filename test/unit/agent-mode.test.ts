import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { needsRebuild, placeOf } from '../../agent/agent-mode.ts';
import { configSchema } from '../../agent/config/schema.ts';
import { STATE_FILE, StateDir } from '../../agent/identity/state-dir.ts';
import { World } from './identity-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'weft-mode-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const [sealed] = new World().mesh.policy.segments;
assert.ok(sealed);
const plain = { ...sealed, mode: 'plain' as const };
const config = configSchema.parse({});
const allowing = configSchema.parse({ allowPlain: [sealed.vni] });

test('a policy opens a sealed segment only where the host allows it, also after a restart', () => {
  const state = StateDir.open(join(folder, 'a'));
  assert.deepEqual(placeOf(sealed, config, state), { segment: sealed, closed: null });
  for (let start = 0; start < 2; start++) {
    const place = placeOf(plain, config, state);
    assert.equal(place.segment.mode, 'sealed');
    assert.match(place.closed ?? '', /allow_plain of this host does not name it/);
  }
  assert.deepEqual(placeOf(plain, allowing, state), { segment: plain, closed: null });
  assert.equal(placeOf(sealed, config, state).closed, null);
});

test('a host that joined a plain segment needs no word, and a damaged record is refused', () => {
  const state = StateDir.open(join(folder, 'b'));
  assert.deepEqual(placeOf(plain, config, state), { segment: plain, closed: null });
  state.write(STATE_FILE.sealed, '{');
  assert.throws(() => placeOf(plain, config, state), { code: 'E_STATE' });
});

test('the mode wants another data path, the suite does not', () => {
  assert.equal(needsRebuild(sealed, plain), true);
  assert.equal(needsRebuild(sealed, { ...sealed, suite: 1 }), false);
});
