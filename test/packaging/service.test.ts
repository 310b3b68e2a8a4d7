/**
 * A real agent under a service manager: it says when it is ready, lives, is stuck and stops. A worker is stuck as a thread is
 * stuck in the kernel: ptrace(2) stops that one thread and nothing else.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { delay, until } from '../../agent/lab/wait.ts';
import { Mesh } from '../netns/mesh.ts';
import { NotifySocket } from './notify-socket.ts';

const WATCHDOG_MS = 1200;
/** A path: abstract names end at the border of a network namespace. */
const FOLDER = mkdtempSync(join(tmpdir(), 'weft-service-'));
const NAME = join(FOLDER, 'notify');
/** PTRACE_SEIZE and PTRACE_INTERRUPT of one thread, until standard input ends. */
const FREEZE = `import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_ulong, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
tid = int(sys.argv[1])
for request in (0x4206, 0x4207):
    if libc.ptrace(request, tid, None, None) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
os.waitpid(tid, 0x40000000)
print('stopped', flush=True)
sys.stdin.read()
`;
/** poll(2) on x86-64, ppoll(2) elsewhere; the main thread sleeps in epoll. */
const POLL_CALLS = ['7', '271', '73'];

let mesh: Mesh;
let manager: NotifySocket;
before(async () => {
  manager = await NotifySocket.listen(NAME);
  mesh = await Mesh.underlay({
    hosts: 2,
    env: { NOTIFY_SOCKET: NAME, WATCHDOG_USEC: String(WATCHDOG_MS * 1000) },
  });
  await mesh.init();
});
after(async () => {
  await mesh?.remove();
  await manager?.close();
  rmSync(FOLDER, { recursive: true });
});

/** A worker of the data plane: a thread that sleeps in poll(2). */
function workerThread(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  const tid = readdirSync(tasks).find((thread) =>
    POLL_CALLS.includes(readFileSync(`${tasks}/${thread}/syscall`, 'utf8').split(' ')[0] ?? ''),
  );
  assert.ok(tid, 'no thread sleeps in poll');
  return Number(tid);
}

async function freeze(tid: number): Promise<ChildProcess> {
  const child = spawn('python3', ['-c', FREEZE, String(tid)], { stdio: ['pipe', 'pipe', 'inherit'] });
  assert.equal(String((await once(child.stdout, 'data'))[0]).trim(), 'stopped');
  return child;
}

test('the manager hears that the agent is ready, what it does, and that it lives', async () => {
  await manager.saw('READY=1');
  await manager.saw('STATUS=');
  await manager.saw('WATCHDOG=1', 3);
  assert.equal(manager.count('READY=1'), 1);
  assert.match(manager.lines.find(({ text }) => text.startsWith('STATUS='))?.text ?? '', /0 of 0 peers up/);
  const beats = manager.lines.filter(({ text }) => text === 'WATCHDOG=1').map(({ atMs }) => atMs);
  assert.ok((beats[1] ?? 0) - (beats[0] ?? 0) < WATCHDOG_MS, 'the second sign came in time');
});

test('a stuck worker ends the signs of life though the agent still answers; when it runs again, they return', async () => {
  const stopper = await freeze(workerThread(mesh.host(0).pid ?? 0));
  try {
    // What was asked before the worker stopped may still be under way.
    await delay(WATCHDOG_MS / 3 + 200);
    const before = manager.count('WATCHDOG=1');
    await delay(WATCHDOG_MS * 2);
    assert.equal(manager.count('WATCHDOG=1'), before);
    assert.equal((await mesh.host(0).ready()).state, 'up');
    // A look is due every 5 s; the first one asks, the second finds it unanswered.
    await until('a stall in the metrics', { timeoutMs: 20_000 }, async () =>
      (await mesh.metric(0, 'weft_worker_stalls_total')) > 0 ? true : null,
    );
    stopper.stdin?.end();
    await manager.saw('WATCHDOG=1', before + 2);
  } finally {
    stopper.kill('SIGKILL');
  }
});

test('SIGTERM is told before the agent ends, and no sign of life follows', async () => {
  assert.equal(await mesh.host(0).stop(), 0);
  await manager.saw('STOPPING=1');
  const at = manager.lines.findIndex(({ text }) => text === 'STOPPING=1');
  assert.ok(!manager.lines.slice(at).some(({ text }) => text === 'WATCHDOG=1'));
});

test('SIGUSR2 hands over to a successor that had loaded before: the service has a new process and never stops', async () => {
  const host = mesh.host(0);
  host.start(['run']);
  await manager.saw('READY=1', 2);
  await host.ready();
  const stopping = manager.count('STOPPING=1');
  const first = host.pid ?? 0;
  host.signal('SIGUSR2');
  await manager.saw('MAINPID=');
  await manager.saw('READY=1', 3);
  const named = manager.lines.find(({ text }) => text.startsWith('MAINPID='))?.text;
  const pids = (await mesh.run(0, ['ip', 'netns', 'pids', host.node.namespace])).out.trim().split(/\s+/);
  assert.ok(pids.includes(named?.slice(8) ?? ''), `${named} of ${pids}`);
  assert.notEqual(Number(named?.slice(8)), first);
  assert.equal(manager.count('STOPPING=1'), stopping);
  const beats = manager.count('WATCHDOG=1');
  await manager.saw('WATCHDOG=1', beats + 2);
  assert.equal((await host.members()).length, 1);
});
