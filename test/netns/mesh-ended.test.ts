/** A test that is told to end, twice as by a runner whose whole group is, leaves no namespace, no agent and no file. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ip } from '../../agent/lab/command.ts';
import type { Held } from './mesh-holder.ts';

/** One that has ended may stay a zombie until the first process of the machine looks after it. */
function runs(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

const HOLDER = fileURLToPath(new URL('./mesh-holder.js', import.meta.url));

test('SIGTERM, and again while it cleans up', { timeout: 60_000 }, async () => {
  const child = spawn(process.execPath, [HOLDER], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  try {
    const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), ended]);
    const { namespaces, folder, agent }: Held = JSON.parse(line);
    assert.ok(namespaces.length >= 2 && existsSync(folder) && runs(agent));
    const again = setInterval(() => child.kill('SIGTERM'), 1);
    await ended;
    clearInterval(again);
    const left = await ip(['netns', 'list']);
    for (const name of namespaces) assert.ok(!left.includes(name), `${name} is left`);
    assert.ok(!existsSync(folder) && !runs(agent));
  } finally {
    child.kill('SIGKILL');
  }
});
