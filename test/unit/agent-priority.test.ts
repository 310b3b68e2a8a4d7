/** The agent's niceness, in a process of its own for each case: this one's could not be raised again. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

const MODULE = new URL('../../agent/agent-priority.js', import.meta.url).href;

/** What it is then, and what was logged; started with `before`, with CAP_SYS_NICE or without. */
function taken(setting: 'auto' | number, before: number, may = true): { nice: number; logged: string[] } {
  const script = `import { getPriority } from 'node:os';
import { takePriority } from '${MODULE}';
const logged = [];
const log = { debug: () => logged.push('debug'), warn: () => logged.push('warn') };
const said = takePriority(${JSON.stringify(setting)}, log);
if (said !== getPriority()) throw new Error(said + ' is not ' + getPriority());
console.log(JSON.stringify({ nice: said, logged }));`;
  const node = [process.execPath, '--input-type=module', '-e', script];
  const without = ['setpriv', '--bounding-set=-sys_nice', '--inh-caps=-sys_nice'];
  const argv = ['nice', '-n', String(before), ...(may ? [] : without), ...node];
  const { status, stdout, stderr } = spawnSync(argv[0] ?? '', argv.slice(1), { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

test('the priority of Open vSwitch, unless somebody else has decided', () => {
  assert.deepEqual(taken('auto', 0), { nice: -10, logged: [] });
  assert.deepEqual(taken('auto', 5), { nice: 5, logged: [] });
  assert.deepEqual(taken('auto', -3), { nice: -3, logged: [] });
});

test('a value of the configuration stands above what it was started with', () => {
  assert.deepEqual(taken(-5, 0), { nice: -5, logged: [] });
  assert.deepEqual(taken(0, -3), { nice: 0, logged: [] });
  assert.deepEqual(taken(4, 4), { nice: 4, logged: [] });
});

test('without the right it goes on as it was, and warns only of a value that was asked for', () => {
  assert.deepEqual(taken('auto', 0, false), { nice: 0, logged: ['debug'] });
  assert.deepEqual(taken(-5, 0, false), { nice: 0, logged: ['warn'] });
  assert.deepEqual(taken(5, 0, false), { nice: 5, logged: [] });
});
