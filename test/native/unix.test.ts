/** Datagrams to UNIX sockets, as a service manager receives them; the receiver is Python, for Node has none. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { peerCredentials, sendUnixDatagram } from 'tun-tap';
import { NotifySocket } from '../packaging/notify-socket.ts';

const folder = mkdtempSync(join(tmpdir(), 'weft-unix-'));
after(() => rmSync(folder, { recursive: true }));
const bytes = new TextEncoder().encode('READY=1\nSTATUS=ünïcode');
const { EINVAL, ENOENT, ECONNREFUSED } = constants.errno;

for (const name of [join(folder, 'notify'), `@weft-test-${process.pid}`]) {
  test(`a datagram arrives whole at ${name[0] === '@' ? 'an abstract name' : 'a path'}`, async () => {
    const socket = await NotifySocket.listen(name);
    try {
      assert.equal(sendUnixDatagram(name, bytes), 0);
      await socket.saw('STATUS=ünïcode');
      assert.deepEqual(
        socket.lines.map(({ text }) => text),
        ['READY=1', 'STATUS=ünïcode'],
      );
    } finally {
      await socket.close();
    }
  });
}

test('what no one listens at is an errno, not a throw', () => {
  assert.equal(sendUnixDatagram(join(folder, 'nobody'), bytes), ENOENT);
  assert.equal(sendUnixDatagram(`@weft-nobody-${process.pid}`, bytes), ECONNREFUSED);
});

test('a name that is no address is refused, at every length to beyond what fits', () => {
  for (const name of ['', '/', '@', 'relative', 'vsock:2:1'])
    assert.equal(sendUnixDatagram(name, bytes), EINVAL);
  for (let length = 100; length < 108; length++)
    assert.notEqual(sendUnixDatagram(`@${'x'.repeat(length - 1)}`, bytes), EINVAL, `${length}`);
  assert.equal(sendUnixDatagram(`@${'x'.repeat(107)}`, bytes), EINVAL);
  assert.equal(sendUnixDatagram(`/${'x'.repeat(107)}`, bytes), EINVAL);
  assert.equal(sendUnixDatagram(`/${'x'.repeat(200)}`, bytes), EINVAL);
  assert.throws(() => sendUnixDatagram(`/${'x'.repeat(300)}`, bytes), TypeError);
  assert.throws(() => sendUnixDatagram('/a\0b', bytes), TypeError);
});

test('nothing waits for a receiver that does not read', async () => {
  const name = join(folder, 'full');
  // The child binds, says so, and never reads; its end takes the queue with it.
  const code = `import socket,sys,time
s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.bind(sys.argv[1]); print('up',flush=True); time.sleep(20)`;
  const child = spawn('python3', ['-c', code, name], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const startMs = performance.now();
    let errno = 0;
    for (let i = 0; i < 100_000 && errno === 0; i++) errno = sendUnixDatagram(name, bytes);
    assert.equal(errno, constants.errno.EAGAIN);
    assert.ok(performance.now() - startMs < 10_000);
  } finally {
    child.kill('SIGKILL');
  }
});

test('the kernel says who made a connection: process, user and all groups, as they were then', async () => {
  const path = join(folder, 'peer');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const script = `import os, socket, sys
os.setgroups([7, 4711]); os.setgid(4712)
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
print(os.getpid(), flush=True); s.recv(1)`;
  const child = spawn('python3', ['-c', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [socket] = (await once(server, 'connection')) as [Socket & { _handle: { fd: number } }];
  const { pid, uid, gids } = peerCredentials(socket._handle.fd);
  assert.deepEqual([pid, uid, gids], [child.pid, 0, [4712, 7, 4711]]);
  socket.destroy();
  server.close();
  await once(child, 'exit');
});

test('a descriptor that is no connection is an error with its code', () => {
  assert.throws(() => peerCredentials(-1), { code: 'EBADF' });
  const file = openSync('/dev/null', 'r');
  assert.throws(() => peerCredentials(file), { code: 'ENOTSOCK' });
  closeSync(file);
});
