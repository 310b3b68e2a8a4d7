/** What a wait reads before it returns: the socket first, else the TAP, and nothing twice. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import {
  AHEAD,
  closeFd,
  createEventFd,
  createFrameBatch,
  D,
  injectFrame,
  openPair,
  RECV,
  sendDatagram,
  signalEventFd,
  Transmitter,
  WaitSet,
} from 'tun-tap';
import { INDEX, Loopback, laneKeys, sealedDatagram } from './loopback.ts';

const KEYS = laneKeys(1);
const FRAME = Uint8Array.from({ length: 60 }, (_, i) => i);
/** Positions in the set. */
const [EVENT, TAP, SEALED] = [0, 1, 2];

let event: number;
let tap: number;
let far: number;
let loop: Loopback;
let transmitter: Transmitter;
let clock: Float64Array;
let ahead: Int32Array;
let set: WaitSet;
let counter: number;

beforeEach(() => {
  event = createEventFd();
  [tap, far] = openPair();
  loop = new Loopback({ capacity: 2 });
  loop.receiver.install({ index: INDEX, suite: 1, inner: 1, laneKeys: KEYS, lanes: 1, tunnel: 3 });
  transmitter = new Transmitter(createFrameBatch(4), { maxTunnels: 1, sockets: [loop.from.fd] });
  clock = new Float64Array(1);
  ahead = new Int32Array(2);
  counter = 0;
  set = new WaitSet([event, tap, loop.fd], {
    ...{ clock, ahead },
    tap: { transmitter, at: TAP },
    sealed: { receiver: loop.receiver, at: SEALED },
  });
});
afterEach(() => {
  for (const fd of [event, tap, far]) closeFd(fd);
  loop.close();
});

const frame = (): void => assert.equal(injectFrame(far, FRAME, 0, FRAME.length), 0);
function datagram(): void {
  const header = { suite: 1, inner: 1, flags: 0, index: INDEX, counter: counter++ };
  const bytes = sealedDatagram(header, KEYS, new Uint8Array(8 + 60));
  assert.equal(sendDatagram(loop.from.fd, bytes, '127.0.0.1', loop.port), 0);
}
/** Ready bits, frames and descriptors of the next wait. */
const next = (timeoutMs = 1000): number[] => [
  set.wait(timeoutMs),
  ahead[AHEAD.FRAMES] ?? -1,
  loop.receiver.took(ahead[AHEAD.DATAGRAMS] ?? -1),
];

test('frames of the TAP are in the batch when the wait returns, and are not read again', () => {
  frame();
  frame();
  assert.deepEqual(next(), [1 << TAP, 2, 0]);
  assert.equal(transmitter.readTap(tap), 0);
  assert.deepEqual(next(0), [0, 0, 0], 'nothing is left of what an earlier wait has read');
});

test('datagrams of the sealed socket are opened when the wait returns; a full batch says so', () => {
  datagram();
  assert.deepEqual(next(), [1 << SEALED, 0, 1]);
  assert.deepEqual(
    [loop.receiver.full, loop.descriptor(0)[D.STATUS], loop.descriptor(0)[D.TUNNEL]],
    [false, RECV.OK, 3],
  );
  for (let i = 0; i < 3; i++) datagram();
  assert.deepEqual(next(), [1 << SEALED, 0, 2]);
  assert.equal(loop.receiver.full, true);
  assert.deepEqual(next(), [1 << SEALED, 0, 1]);
  assert.equal(loop.receiver.full, false);
});

test('with both ready the socket is read and the TAP left for after the write', () => {
  frame();
  datagram();
  assert.deepEqual(next(), [(1 << TAP) | (1 << SEALED), 0, 1]);
  assert.equal(transmitter.readTap(tap), 1);
  assert.deepEqual(next(0), [0, 0, 0]);
});

test('a signal alone reads nothing, and the clock goes on with each wait', () => {
  signalEventFd(event);
  assert.deepEqual(next(), [1 << EVENT, 0, 0]);
  const before = clock[0] ?? 0;
  set.drainEvent(EVENT);
  assert.deepEqual(next(20), [0, 0, 0]);
  assert.ok((clock[0] ?? 0) - before >= 19 && (clock[0] ?? 0) - before < 5000);
});

test('a TAP that is gone is told as a negative errno', () => {
  const gone = new WaitSet([event, -1, 1023], {
    ...{ clock, ahead },
    tap: { transmitter, at: 2 },
    sealed: null,
  });
  assert.equal(gone.wait(1000), 1 << 2);
  assert.ok((ahead[AHEAD.FRAMES] ?? 0) < 0, 'EBADF');
});

test('a set without a TAP, as a worker has whose queue is off, reads the socket alone', () => {
  const sealed = new WaitSet([event, loop.fd], {
    ...{ clock, ahead },
    tap: null,
    sealed: { receiver: loop.receiver, at: 1 },
  });
  datagram();
  assert.equal(sealed.wait(1000), 2);
  assert.deepEqual([...ahead], [0, 1]);
});

test('places outside the set and memory that is too short are refused', () => {
  const at = (place: number, words: number) => () =>
    new WaitSet([event, tap], {
      ...{ clock, ahead: new Int32Array(words), sealed: null },
      tap: { transmitter, at: place },
    });
  assert.throws(at(2, 2), /no such descriptor/);
  assert.throws(at(-1, 2), /no such descriptor/);
  assert.throws(at(1, 1), /two words/);
  assert.ok(at(1, 2)());
});
