/**
 * The lock of a state directory where /proc hides its holder: an agent that gave up its dumpable flag is invisible to its own user
 * under hidepid=2 (proc(5)), and is no less alive. As uid 65534, in a mount namespace of its own. Needs root.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const NOBODY = 65534;
const USER = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
const HIDE = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"';
const LOCK = new URL(`../../agent/identity/state-lock${import.meta.url.slice(-3)}`, import.meta.url).href;

const folder = mkdtempSync(join(tmpdir(), 'weft-hidden-'));
chownSync(folder, NOBODY, NOBODY);
after(() => rmSync(folder, { recursive: true }));

const node = (script: string): string[] => [
  ...USER,
  process.execPath,
  '--input-type=module',
  '--eval',
  script,
];

/** Takes the lock in a /proc that hides; what it said. */
function attempt(): string {
  const script = `const { lockState } = await import('${LOCK}');
    try { lockState('${folder}')(); console.log('locked'); } catch (error) { console.log(error.message); }`;
  const { stdout, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', HIDE, 'sh', ...node(script)], {
    encoding: 'utf8',
  });
  return stdout + stderr;
}

test('an agent that is hidden from its user holds its lock, and one that is dead does not', async () => {
  const script = `const { lockState } = await import('${LOCK}');
    const { confine } = await import('tun-tap');
    lockState('${folder}');
    if (confine(0) !== 0) process.exit(1);
    console.log('locked');
    setInterval(() => {}, 1000);`;
  const [program = '', ...args] = node(script);
  const holder = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.equal(String((await once(holder.stdout, 'data'))[0]).trim(), 'locked');
  assert.match(attempt(), new RegExp(`an agent \\(pid ${holder.pid}\\) already runs on`));
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  assert.equal(attempt().trim(), 'locked');
});
