/** `weft lab` as a person runs it: it shows a working mesh, and leaves nothing behind however it ends. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { CHILD_ENV, run, WEFT } from '../../agent/lab/command.ts';
import { until } from '../../agent/lab/wait.ts';

const LAB_LIMIT_MS = 60_000;

/** Fails if namespaces, folders or processes of the lab that printed this are still there. */
async function nothingLeft(output: string): Promise<void> {
  const prefix = /namespaces (weft-[0-9a-f]{6})-\*/.exec(output)?.[1] ?? assert.fail(output);
  const namespaces = (await run(['ip', 'netns', 'list'])).out;
  const running = (await run(['ps', '-eo', 'pid,args'])).out;
  const lines = [...namespaces.split('\n'), ...running.split('\n'), ...readdirSync(tmpdir())];
  assert.deepEqual(
    lines.filter((line) => line.includes(prefix)),
    [],
  );
}

function startLab(args: readonly string[]): { child: ChildProcess; output: () => string } {
  const [program = '', ...rest] = [...WEFT, 'lab', ...args];
  const child = spawn(program, rest, { env: { ...CHILD_ENV }, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
  }
  return { child, output: () => text };
}

test('three hosts: every step is true, in under a minute, and nothing is left', async (t) => {
  const startMs = performance.now();
  const { status, out, err } = await run([...WEFT, 'lab'], { timeoutMs: LAB_LIMIT_MS });
  t.diagnostic(`${Math.round(performance.now() - startMs)} ms\n${out}`);
  assert.deepEqual([status, err], [0, ''], out + err);
  for (const title of [
    'underlay',
    'join',
    'members',
    'peers',
    'ping',
    'tcp',
    'privacy',
    'metrics',
    'crash',
    'return',
  ]) {
    assert.match(out, new RegExp(`^  ✓ ${title} `, 'm'));
  }
  assert.match(out, /host1 -> host2 {2}20\/20, 0 % loss {2}rtt/);
  for (const never of ['✗', 'weft1_', '\u001b']) assert.ok(!out.includes(never), never);
  await nothingLeft(out);
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} in the middle: it ends with 130 and nothing is left`, async () => {
    const { child, output } = startLab([]);
    await until('first step', { timeoutMs: 20_000 }, () => (output().includes('✓ first host') ? true : null));
    child.kill(signal);
    const [status] = await once(child, 'exit');
    assert.equal(status, 130, output());
    await nothingLeft(output());
  });
}

test('--keep leaves it up and says how to enter and how to remove it', async () => {
  const { status, out } = await run([...WEFT, 'lab', '--hosts', '2', '--keep'], { timeoutMs: LAB_LIMIT_MS });
  assert.equal(status, 0, out);
  const remove = /To remove it: (\S+)/.exec(out)?.[1] ?? '';
  try {
    const command = /(\/\S+weft-host1) status/.exec(out)?.[1] ?? '';
    const answer = await run([command, 'members', '--json']);
    assert.equal(JSON.parse(answer.out).members.length, 2);
    assert.match(out, /ip netns exec weft-[0-9a-f]{6}-host2 bash/);
  } finally {
    await run([remove]);
  }
  await nothingLeft(out);
});

test('two labs side by side do not meet', async () => {
  const labs = [1, 2].map(() => run([...WEFT, 'lab', '--hosts', '2'], { timeoutMs: 2 * LAB_LIMIT_MS }));
  for (const { status, out } of await Promise.all(labs)) {
    assert.equal(status, 0, out);
    await nothingLeft(out);
  }
});

test('without root, without /dev/net/tun, without ip: one line each', async () => {
  const rootless = await run(['unshare', '-U', ...WEFT, 'lab']);
  assert.deepEqual([rootless.status, rootless.out], [4, '']);
  assert.match(rootless.err, /^weft: [^\n]*root[^\n]*\n$/);
  const hide = 'mount -t tmpfs none /dev/net && exec "$@"';
  const deviceless = await run(['unshare', '-m', 'sh', '-c', hide, 'sh', ...WEFT, 'lab']);
  assert.deepEqual([deviceless.status, deviceless.out], [1, '']);
  assert.match(deviceless.err, /^weft: [^\n]*\/dev\/net\/tun[^\n]*\n$/);
  const cover = 'for f in $(which -a ip); do mount --bind /dev/null $f; done; exec "$@"';
  const toolless = await run(['unshare', '-m', 'sh', '-c', cover, 'sh', ...WEFT, 'lab']);
  assert.deepEqual([toolless.status, toolless.out], [1, '']);
  assert.match(toolless.err, /^weft: [^\n]*iproute2[^\n]*\n$/);
});
