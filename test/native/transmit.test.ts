/** Transmitter to Receiver over loopback, as two hosts would use them, without a TAP: frames are put into the batch by hand. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  closeFd,
  createFrameBatch,
  D,
  DESC_STRIDE,
  E,
  E_STRIDE,
  F_NEEDS_CSUM,
  KIND,
  openUdp,
  RECV,
  SEND,
  SLOT_BYTES,
  Transmitter,
} from 'tun-tap';
import { INDEX, Loopback, laneKey, laneKeys } from './loopback.ts';

const KEYS = laneKeys(3);
const HEADER = Uint8Array.of(8, 0, 0, 0, 0, 0, 42, 0);
const CAPACITY = 8;
const TUNNELS = 4;
const HEADROOM = 128;

/** A transmitter whose tunnel 0 seals towards `port`. */
class Sender {
  readonly batch = createFrameBatch(CAPACITY);
  readonly #socket = openUdp({ address: '127.0.0.1', port: 0 });
  readonly transmitter = new Transmitter(this.batch, { maxTunnels: TUNNELS, sockets: [this.#socket.fd] });

  constructor(port: number, suite: 1 | 2 = 2) {
    const key = { index: INDEX, suite, inner: 1, key: laneKey(KEYS, 0), flags: 1 } as const;
    this.transmitter.setSealed(0, key);
    this.transmitter.setEndpoint(0, '127.0.0.1', port);
  }

  /** Puts a frame with its encapsulation header into the batch. */
  put(slot: number, frame: Uint8Array): Int32Array {
    const off = slot * SLOT_BYTES + HEADROOM;
    this.batch.bytes.set(HEADER, off - HEADER.length);
    this.batch.bytes.set(frame, off);
    const d = this.batch.desc.subarray(slot * DESC_STRIDE, (slot + 1) * DESC_STRIDE).fill(0);
    d[D.OFF] = off;
    d[D.LEN] = frame.length;
    d[D.HDR] = HEADER.length;
    return d;
  }

  /** Sends (frame, tunnel, socket) entries; the statuses and the number of datagrams. */
  send(list: readonly (readonly [number, number, number])[]): { sent: number; statuses: number[] } {
    const entries = new Int32Array(list.length * E_STRIDE).fill(-1);
    for (const [i, words] of list.entries()) entries.set(words, i * E_STRIDE);
    this.transmitter.send(entries, list.length);
    const sent = list.reduce(
      (n, _, i) =>
        n + (entries[i * E_STRIDE + E.STATUS] === SEND.OK ? entries[i * E_STRIDE + E.PACKETS]! : 0),
      0,
    );
    return { sent, statuses: list.map((_, i) => entries[i * E_STRIDE + E.STATUS]!) };
  }

  close(): void {
    closeFd(this.#socket.fd);
  }
}

function ends(run: (sender: Sender, loop: Loopback) => void, suite: 1 | 2 = 2): void {
  const loop = new Loopback();
  loop.receiver.install({ index: INDEX, suite, inner: 1, laneKeys: KEYS, lanes: 1, tunnel: 2 });
  const sender = new Sender(loop.port, suite);
  try {
    run(sender, loop);
  } finally {
    sender.close();
    loop.close();
  }
}

for (const suite of [1, 2] as const)
  test(`frames of every size come out as they went in, under suite ${suite}`, () => {
    ends((sender, loop) => {
      let counter = 0;
      for (const size of [0, 1, 13, 14, 60, 1514, 1536, 9000, 16384, 65000]) {
        const frame = Uint8Array.from(randomBytes(size));
        sender.put(0, frame);
        assert.deepEqual(sender.send([[0, 0, 0]]), { sent: 1, statuses: [SEND.OK] }, `${size} bytes`);
        loop.exchange([], () => {});
        assert.equal(waitOne(loop), 1);
        const d = loop.descriptor(0);
        assert.deepEqual(
          [d[D.STATUS], d[D.KIND], d[D.TUNNEL], d[D.CSUM]],
          [RECV.OK, KIND.VXLAN, 2, counter++],
        );
        assert.deepEqual(loop.payload(d), Uint8Array.from([...HEADER, ...frame]));
      }
    }, suite);
  });

/** Receives one batch of what another socket sent. */
function waitOne(loop: Loopback): number {
  for (let tries = 0; tries < 1_000_000; tries++) {
    const n = loop.receiver.receiveSealed(loop.fd);
    if (n > 0) return n;
  }
  return 0;
}

test('one frame to several tunnels and several frames to one: each datagram has its own counter', () => {
  ends((sender, loop) => {
    const frames = [0, 1, 2].map((i) => Uint8Array.from(randomBytes(100 + i)));
    for (const [i, frame] of frames.entries()) sender.put(i, frame);
    const list = Array.from({ length: 100 }, (_, i) => [i % 3, 0, 0] as const);
    assert.deepEqual(sender.send(list), { sent: 100, statuses: list.map(() => SEND.OK) });
    assert.equal(sender.transmitter.counters[0], 100);
    for (let seen = 0; seen < 100; ) {
      const n = waitOne(loop);
      assert.ok(n > 0);
      for (let i = 0; i < n; i++, seen++) {
        const d = loop.descriptor(i);
        assert.equal(d[D.STATUS], RECV.OK);
        assert.equal(d[D.CSUM], seen);
        assert.deepEqual(loop.payload(d).slice(8), frames[seen % 3]);
      }
    }
  });
});

test('an entry that cannot be sent gets its status, and the others go', () => {
  ends((sender, loop) => {
    sender.put(0, new Uint8Array(64));
    const bad = sender.put(1, new Uint8Array(64));
    bad[D.LEN] = SLOT_BYTES;
    sender.transmitter.setSealed(1, { index: 16, suite: 1, inner: 1, key: laneKey(KEYS, 1), flags: 0 });
    sender.transmitter.setPlain(2);
    sender.transmitter.setEndpoint(2, '::1', loop.port);
    const result = sender.send([
      [0, 0, 0],
      [0, 1, 0],
      [0, 3, 0],
      [0, 2, 0],
      [1, 0, 0],
      [CAPACITY, 0, 0],
      [-1, 0, 0],
      [0, TUNNELS, 0],
      [0, -1, 0],
      [0, 0, 1],
      [0, 0, -1],
      [0, 0, 0],
    ]);
    const { OK, NO_TUNNEL, UNREACHABLE, ERROR } = SEND;
    assert.deepEqual(result.statuses, [
      ...[OK, NO_TUNNEL, NO_TUNNEL, UNREACHABLE],
      ...[ERROR, ERROR, ERROR, ERROR, ERROR, ERROR, ERROR, OK],
    ]);
    assert.equal(result.sent, 2);
    assert.equal(waitOne(loop), 2);
  });
});

test('a datagram larger than UDP holds is too big; its counter is spent', () => {
  ends((sender) => {
    sender.put(0, new Uint8Array(65500));
    assert.deepEqual(sender.send([[0, 0, 0]]), { sent: 0, statuses: [SEND.TOO_BIG] });
    assert.equal(sender.transmitter.counters[0], 1);
  });
});

test('a key seals up to counter 2^52 - 1 and is then exhausted; a new key begins at 0', () => {
  ends((sender, loop) => {
    sender.put(0, new Uint8Array(20));
    sender.transmitter.counters[0] = 2 ** 52 - 1;
    assert.deepEqual(
      sender.send([
        [0, 0, 0],
        [0, 0, 0],
      ]).statuses,
      [SEND.OK, SEND.EXHAUSTED],
    );
    assert.equal(waitOne(loop), 1);
    assert.deepEqual([loop.descriptor(0)[D.STATUS], loop.descriptor(0)[D.FLOW_HASH]], [RECV.OK, 2 ** 20 - 1]);
    sender.transmitter.setSealed(0, { index: INDEX, suite: 2, inner: 1, key: laneKey(KEYS, 0), flags: 0 });
    assert.equal(sender.transmitter.counters[0], 0);
    assert.deepEqual(sender.send([[0, 0, 0]]).statuses, [SEND.OK]);
  });
});

test('a cleared tunnel sends nothing', () => {
  ends((sender) => {
    sender.put(0, new Uint8Array(20));
    sender.transmitter.clear(0);
    assert.deepEqual(sender.send([[0, 0, 0]]), { sent: 0, statuses: [SEND.NO_TUNNEL] });
  });
});

test('a frame with an incomplete checksum says so under the seal, and the mark is not kept for the next', () => {
  ends((sender, loop) => {
    for (const flags of [F_NEEDS_CSUM, 0, F_NEEDS_CSUM]) {
      const d = sender.put(0, new Uint8Array(60));
      d[D.FLAGS] = flags;
      sender.send([[0, 0, 0]]);
      assert.equal(waitOne(loop), 1);
      assert.equal(loop.payload(loop.descriptor(0))[7], flags === 0 ? 0 : 0x80);
    }
  });
});

test('a plain frame leaves as it is, with its checksum completed once for every copy', () => {
  const loop = new Loopback();
  const sender = new Sender(loop.port);
  sender.transmitter.setPlain(0);
  const frame = new Uint8Array(14 + 20 + 8 + 5);
  frame.set([0x10, 0x20, 0x30, 0x40, 0x50], 42);
  const d = sender.put(0, frame);
  d[D.FLAGS] = F_NEEDS_CSUM;
  d[D.CSUM] = 34 | (6 << 16);
  assert.deepEqual(
    sender.send([
      [0, 0, 0],
      [0, 0, 0],
    ]).statuses,
    [SEND.OK, SEND.OK],
  );
  const expected = frame.slice();
  // 0x1020 + 0x3040 + 0x5000 = 0x9060, complemented
  expected.set([0x6f, 0x9f], 40);
  loop.exchange([], () => {}, true);
  let n = 0;
  while (n < 2) {
    const got = loop.receiver.receivePlain(loop.fd, 0);
    for (let i = 0; i < got; i++)
      assert.deepEqual(loop.payload(loop.descriptor(i)), Uint8Array.from([...HEADER, ...expected]));
    n += got;
  }
  for (const csum of [60 | (6 << 16), 0xffff | (0xffff << 16), 46]) {
    const outside = sender.put(0, frame);
    outside[D.FLAGS] = F_NEEDS_CSUM;
    outside[D.CSUM] = csum;
    assert.deepEqual(sender.send([[0, 0, 0]]).statuses, [SEND.CSUM], csum.toString(16));
  }
  sender.close();
  loop.close();
});

test('descriptors of any numbers harm nothing', () => {
  ends((sender) => {
    const numbers = [0, 1, -1, 14, 128, 65535, 1 << 20, 0x7fffffff, -0x80000000];
    for (const off of numbers)
      for (const len of numbers)
        for (const hdr of numbers) {
          const d = sender.put(0, new Uint8Array(14));
          d[D.OFF] = off;
          d[D.LEN] = len;
          d[D.HDR] = hdr;
          sender.send([[0, 0, 0]]);
        }
    sender.put(0, new Uint8Array(14));
    assert.deepEqual(sender.send([[0, 0, 0]]).statuses, [SEND.OK]);
  });
});

test('counts beyond the entries, tunnels out of range, bad keys and bad addresses throw', () => {
  ends((sender) => {
    const { transmitter } = sender;
    assert.throws(() => transmitter.send(new Int32Array(E_STRIDE), 2), TypeError);
    assert.throws(() => transmitter.send(new Int32Array(E_STRIDE), -1), TypeError);
    for (const tunnel of [-1, TUNNELS, 1e9]) {
      assert.throws(() => transmitter.setPlain(tunnel), TypeError);
      assert.throws(() => transmitter.clear(tunnel), TypeError);
    }
    const key = { index: 16, suite: 1, inner: 1, key: new Uint8Array(31), flags: 0 } as const;
    assert.throws(() => transmitter.setSealed(0, key), TypeError);
    for (const [ip, port] of [
      ['127.0.0.1', 0],
      ['127.0.0.1', 65536],
      ['localhost', 1],
      ['', 1],
    ] as const)
      assert.throws(() => transmitter.setEndpoint(0, ip, port), { code: 'EINVAL' });
    assert.throws(() => new Transmitter(sender.batch, { maxTunnels: 4097, sockets: [0] }), TypeError);
    assert.throws(() => new Transmitter(sender.batch, { maxTunnels: 1, sockets: [] }), TypeError);
  });
});
