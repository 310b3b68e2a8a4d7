/** The wait set, the eventfd and the plain socket calls. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import {
  closeFd,
  createEventFd,
  localAddressFor,
  openUdp,
  readClock,
  sendDatagram,
  signalEventFd,
  socketDrops,
  WaitSet,
} from 'tun-tap';

test('a wait names each readable descriptor by its bit, and nothing after the time-out', () => {
  const events = [createEventFd(), createEventFd(), createEventFd()];
  const set = new WaitSet(events);
  assert.equal(set.wait(0), 0);
  signalEventFd(events[0] ?? -1);
  signalEventFd(events[2] ?? -1);
  assert.equal(set.wait(1000), 0b101);
  set.drainEvent(0);
  assert.equal(set.wait(0), 0b100);
  set.drainEvent(2);
  set.drainEvent(2);
  const startMs = performance.now();
  assert.equal(set.wait(30), 0);
  assert.ok(performance.now() - startMs >= 29);
  for (const fd of events) closeFd(fd);
});

test('several signals are drained at once', () => {
  const event = createEventFd();
  const set = new WaitSet([event]);
  for (let i = 0; i < 5; i++) assert.equal(signalEventFd(event), 0);
  set.drainEvent(0);
  assert.equal(set.wait(0), 0);
  closeFd(event);
});

test('another thread ends a wait by the eventfd', async () => {
  const event = createEventFd();
  const source = `
    import('tun-tap').then(({ signalEventFd }) => setTimeout(() => signalEventFd(${event}), 50));
  `;
  const worker = new Worker(source, { eval: true });
  const startMs = performance.now();
  assert.equal(new WaitSet([event]).wait(20_000), 1);
  assert.ok(performance.now() - startMs < 19_000);
  await worker.terminate();
  closeFd(event);
});

test('31 descriptors fit a wait set, 0 and 32 do not, and a closed one is reported as broken', () => {
  const event = createEventFd();
  signalEventFd(event);
  assert.equal(new WaitSet(new Array<number>(31).fill(event)).wait(0), 0x7fffffff);
  for (const count of [0, 32])
    assert.throws(() => new WaitSet(new Array<number>(count).fill(event)), /1 to 31 descriptors/);
  closeFd(event);
  assert.equal(new WaitSet([event]).wait(0), 1);
  assert.notEqual(signalEventFd(event), 0);
});

test('a datagram ends a wait, and one for a send-only socket does not', () => {
  const open = openUdp({ address: '127.0.0.1', port: 0 });
  const deaf = openUdp({ address: '127.0.0.1', port: 0, sendOnly: true });
  const set = new WaitSet([open.fd, deaf.fd]);
  assert.equal(sendDatagram(open.fd, Uint8Array.of(1), '127.0.0.1', deaf.port), 0);
  assert.equal(sendDatagram(deaf.fd, Uint8Array.of(1), '127.0.0.1', open.port), 0);
  assert.equal(set.wait(1000), 1);
  assert.equal(socketDrops(deaf.fd), 1);
  assert.equal(socketDrops(open.fd), 0);
  closeFd(open.fd);
  closeFd(deaf.fd);
});

test('a dual-stack socket sends to both families, an IPv4 one refuses IPv6, a bad address is EINVAL', () => {
  const dual = openUdp({ address: '::', port: 0 });
  const v4 = openUdp({ address: '127.0.0.1', port: 0 });
  assert.equal(sendDatagram(dual.fd, Uint8Array.of(1), '127.0.0.1', v4.port), 0);
  assert.equal(new WaitSet([v4.fd]).wait(1000), 1);
  const { EAFNOSUPPORT, EINVAL, EBADF } = { EAFNOSUPPORT: 97, EINVAL: 22, EBADF: 9 };
  assert.equal(sendDatagram(v4.fd, Uint8Array.of(1), '::1', v4.port), EAFNOSUPPORT);
  assert.equal(sendDatagram(v4.fd, Uint8Array.of(1), 'localhost', v4.port), EINVAL);
  assert.equal(sendDatagram(-1, Uint8Array.of(1), '127.0.0.1', 9), EBADF);
  closeFd(dual.fd);
  closeFd(v4.fd);
});

test('an address in use, one of another machine and one that is none each have their error code', () => {
  const taken = openUdp({ address: '127.0.0.1', port: 0 });
  const open = (address: string, port: number) => () => openUdp({ address, port });
  assert.throws(open('127.0.0.1', taken.port), { code: 'EADDRINUSE', message: /^127\.0\.0\.1: / });
  assert.throws(open('192.0.2.1', 0), { code: 'EADDRNOTAVAIL' });
  for (const [address, port] of [
    ['localhost', 0],
    ['127.0.0.1', -1],
    ['127.0.0.1', 65536],
    ['', 0],
  ] as const)
    assert.throws(open(address, port), { code: 'EINVAL' });
  assert.throws(open('1'.repeat(100), 0), TypeError);
  assert.throws(open('127.0.0.1\0', 0), TypeError);
  closeFd(taken.fd);
});

test('sockets that share a port open side by side only if both say so', () => {
  const first = openUdp({ address: '127.0.0.1', port: 0, reusePort: true });
  const second = openUdp({ address: '127.0.0.1', port: first.port, reusePort: true });
  assert.equal(second.port, first.port);
  assert.throws(() => openUdp({ address: '127.0.0.1', port: first.port }), { code: 'EADDRINUSE' });
  closeFd(first.fd);
  closeFd(second.fd);
});

test('the kernel names the source address it would use, or null', () => {
  assert.equal(localAddressFor('127.0.0.1'), '127.0.0.1');
  assert.equal(localAddressFor('no address'), null);
});

test('the clock is monotonic, in milliseconds, and refuses memory of another type', () => {
  const into = new Float64Array(1);
  readClock(into);
  const before = into[0] ?? 0;
  const end = performance.now() + 5;
  while (performance.now() < end);
  readClock(into);
  assert.ok((into[0] ?? 0) - before >= 4 && (into[0] ?? 0) - before < 5000);
  assert.throws(() => readClock(new Float64Array(0)), TypeError);
});
