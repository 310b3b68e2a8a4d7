/** What a Receiver says of each datagram of its sealed port, and that no datagram of any length harms it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { D, F_FROM_LISTENER, KIND, RECV, sendDatagram } from 'tun-tap';
import {
  type Header,
  headerBytes,
  INDEX,
  LANE_CONTROL,
  Loopback,
  laneKeys,
  sealedDatagram,
} from './loopback.ts';

const KEYS = laneKeys(1);
const PLAIN = Uint8Array.from({ length: 60 }, (_, i) => i);
const ALL_LANES = 0xffff;

const header = (over: Partial<Header> = {}): Header => ({
  suite: 2,
  inner: 1,
  flags: 0,
  index: INDEX,
  counter: 0,
  ...over,
});
const datagram = (over: Partial<Header> = {}, plain = PLAIN): Uint8Array =>
  sealedDatagram(header(over), KEYS, plain);

function withSession(
  run: (loop: Loopback) => void,
  over: { lanes?: number; worker?: number; workers?: number } = {},
): void {
  const loop = new Loopback(over);
  try {
    const session = {
      index: INDEX,
      suite: 2,
      inner: 1,
      laneKeys: KEYS,
      lanes: over.lanes ?? ALL_LANES,
    } as const;
    loop.receiver.install({ ...session, tunnel: 5 });
    run(loop);
  } finally {
    loop.close();
  }
}

test('a sealed datagram is opened in place and described: tunnel, lane, counter, size, sender', () => {
  withSession((loop) => {
    const sent = datagram({ index: INDEX | 3, counter: 0x1_2345_6789, flags: 1 });
    loop.exchange([sent], (d) => {
      assert.equal(d[D.STATUS], RECV.OK);
      assert.equal(d[D.KIND], KIND.VXLAN);
      assert.equal(d[D.TUNNEL], 5);
      assert.equal(d[D.LANE], 3);
      assert.equal(d[D.FLAGS], F_FROM_LISTENER);
      assert.equal(d[D.WIRE], sent.length);
      assert.equal(d[D.GSO]! >>> 0, INDEX | 3);
      assert.equal(d[D.CSUM]! >>> 0, 0x2345_6789);
      assert.equal(d[D.FLOW_HASH], 1);
      assert.deepEqual(loop.payload(d), PLAIN);
      assert.deepEqual([...loop.batch.from.subarray(0, 6)], [4, loop.from.port, 0, 0, 0xffff, 0x7f000001]);
    });
  });
});

test('a batch says whether more may wait, and takes what comes into slots that were used before', () => {
  const loop = new Loopback({ capacity: 2 });
  try {
    for (const sizes of [[40, 41, 42], [43, 44], [45]]) {
      for (const size of sizes)
        assert.equal(sendDatagram(loop.from.fd, new Uint8Array(size).fill(size), '127.0.0.1', loop.port), 0);
      const seen: [number, number][] = [];
      do {
        const n = loop.receiver.receivePlain(loop.fd, 0);
        for (let i = 0; i < n; i++) {
          const d = loop.descriptor(i);
          seen.push([d[D.LEN]!, loop.payload(d)[d[D.LEN]! - 1]!]);
          assert.deepEqual([...loop.batch.from.subarray(i * 6, i * 6 + 2)], [4, loop.from.port]);
        }
      } while (loop.receiver.full);
      assert.deepEqual(
        seen,
        sizes.map((size) => [size, size]),
      );
    }
  } finally {
    loop.close();
  }
});

test('only the newest packet of a lane says where its sender listens', () => {
  withSession((loop) => {
    const flagsOf = (counter: number): number => {
      let flags = -1;
      loop.exchange([datagram({ index: INDEX | 3, counter, flags: 1 })], (d) => {
        assert.equal(d[D.STATUS], RECV.OK);
        flags = d[D.FLAGS]!;
      });
      return flags;
    };
    assert.deepEqual([7, 5, 6, 8].map(flagsOf), [F_FROM_LISTENER, 0, 0, F_FROM_LISTENER]);
  });
});

test('both suites open, and an empty plaintext is one', () => {
  const loop = new Loopback();
  for (const suite of [1, 2] as const) {
    const index = suite << 8;
    loop.receiver.install({ index, suite, inner: 2, laneKeys: KEYS, lanes: 1, tunnel: suite });
    loop.exchange([sealedDatagram(header({ suite, inner: 2, index }), KEYS, new Uint8Array(0))], (d) => {
      assert.deepEqual([d[D.STATUS], d[D.KIND], d[D.LEN], d[D.TUNNEL]], [RECV.OK, KIND.GENEVE, 0, suite]);
    });
  }
  loop.close();
});

test('a duplicate in the same batch and one in a later batch are replays', () => {
  withSession((loop) => {
    const once = datagram({ counter: 9 });
    assert.deepEqual(loop.statuses([once, once, datagram({ counter: 8 })]), [RECV.OK, RECV.REPLAY, RECV.OK]);
    assert.deepEqual(loop.statuses([once]), [RECV.REPLAY]);
  });
});

test('a forged datagram is refused and does not move the window', () => {
  withSession((loop) => {
    const forged = datagram({ counter: 1_000_000 });
    forged[forged.length - 1]! ^= 1;
    assert.deepEqual(loop.statuses([forged, datagram({ counter: 0 })]), [RECV.AUTH, RECV.OK]);
    assert.deepEqual(loop.statuses([datagram({ counter: 1_000_000 })]), [RECV.OK]);
  });
});

test('every bit of header, ciphertext and tag counts', () => {
  withSession((loop) => {
    const good = datagram({ counter: 5 }, PLAIN.subarray(0, 2));
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bent = good.slice();
      bent[bit >> 3]! ^= 0x80 >> (bit & 7);
      assert.notEqual(loop.statuses([bent])[0], RECV.OK, `bit ${bit}`);
    }
    assert.deepEqual(loop.statuses([good]), [RECV.OK]);
  });
});

test('each difference from the session has its status', () => {
  withSession((loop) => {
    const cases: [Partial<Header>, number][] = [
      [{ suite: 1 }, RECV.MISMATCH],
      [{ suite: 3 }, RECV.MISMATCH],
      [{ inner: 2 }, RECV.MISMATCH],
      [{ inner: 0 }, RECV.MISMATCH],
      [{ inner: 1, index: INDEX | LANE_CONTROL }, RECV.MISMATCH],
      [{ flags: 2 }, RECV.MISMATCH],
      [{ flags: 0x80 }, RECV.MISMATCH],
      [{ counter: 2 ** 52 }, RECV.REPLAY],
      [{ index: INDEX + 0x10 }, RECV.UNKNOWN],
      [{ index: 0 }, RECV.UNKNOWN],
    ];
    const made = cases.map(([over]) =>
      Uint8Array.from([...headerBytes(header(over)), ...new Uint8Array(76)]),
    );
    assert.deepEqual(
      loop.statuses(made),
      cases.map(([, status]) => status),
    );
  });
});

test('an index that nobody has keeps its header for a reset, and no tunnel', () => {
  withSession((loop) => {
    const stray = datagram({ index: 0x7777_7770, counter: 3 });
    loop.exchange([stray], (d) => {
      assert.equal(d[D.KIND], KIND.UNKNOWN_INDEX);
      assert.equal(d[D.TUNNEL], -1);
      assert.deepEqual(loop.payload(d), stray.slice(0, 16));
      assert.equal(d[D.WIRE], stray.length);
    });
  });
});

test('a lane that is not accepted, or that another worker keeps, is refused; control is opened anywhere', () => {
  const lanes = (1 << 0) | (1 << 2) | (1 << 3) | (1 << LANE_CONTROL);
  withSession(
    (loop) => {
      const on = (lane: number): Uint8Array =>
        datagram({ index: INDEX | lane, inner: lane === LANE_CONTROL ? 0 : 1 });
      assert.deepEqual(loop.statuses([on(0), on(1), on(2), on(3), on(4), on(LANE_CONTROL)]), [
        RECV.LANE,
        RECV.LANE,
        RECV.LANE,
        RECV.OK,
        RECV.LANE,
        RECV.OK,
      ]);
    },
    { lanes, worker: 1, workers: 2 },
  );
});

test('the control lane is opened as often as it comes: its window is the caller’s', () => {
  withSession((loop) => {
    const control = datagram({ index: INDEX | LANE_CONTROL, inner: 0, counter: 4 });
    loop.exchange([control, control], (d) => {
      assert.deepEqual([d[D.STATUS], d[D.KIND], d[D.LANE]], [RECV.OK, KIND.CONTROL, LANE_CONTROL]);
      assert.deepEqual(loop.payload(d), PLAIN);
    });
  });
});

test('other datagrams are told by type and size, and handed up unread', () => {
  const sizes: [type: number, size: number, kind: number | null][] = [
    [1, 1200, KIND.HANDSHAKE_INIT],
    [1, 1199, null],
    [1, 1201, null],
    [2, 95, null],
    [2, 96, KIND.HANDSHAKE_RESPONSE],
    [2, 1200, KIND.HANDSHAKE_RESPONSE],
    [2, 1201, null],
    [3, 63, null],
    [3, 64, KIND.COOKIE],
    [3, 65, null],
    [5, 23, null],
    [5, 24, KIND.RESET],
    [5, 25, null],
    [0, 24, null],
    [6, 1200, null],
    [255, 64, null],
    [4, 31, null],
  ];
  withSession((loop) => {
    const sent = sizes.map(([type, size]) => Uint8Array.from([type, ...randomBytes(size - 1)]));
    loop.exchange(sent, (d, i) => {
      const kind = sizes[i]?.[2] ?? null;
      assert.equal(d[D.STATUS], kind === null ? RECV.GARBAGE : RECV.OK, `${sizes[i]}`);
      if (kind === null) return;
      assert.equal(d[D.KIND], kind);
      assert.deepEqual(loop.payload(d), sent[i]);
    });
  });
});

test('garbage of every length from 0 to 1500 gets a status, whatever its first bytes, and traffic goes on', () => {
  withSession((loop) => {
    const known = new Set<number>(Object.values(RECV));
    for (const start of [[], [4], [4, 2, 1, 0], [...headerBytes(header())], [1], [2], [5]]) {
      let ok = 0;
      for (let length = 0; length <= 1500; length += 50) {
        const group = Array.from({ length: Math.min(50, 1501 - length) }, (_, i) => {
          const bytes = Uint8Array.from(randomBytes(length + i));
          bytes.set(start.slice(0, bytes.length));
          return bytes;
        });
        loop.exchange(group, (d) => {
          assert.ok(known.has(d[D.STATUS]!), `status ${d[D.STATUS]}`);
          if (d[D.STATUS] === RECV.OK) ok++;
          if (d[D.STATUS] === RECV.OK) assert.notEqual(d[D.KIND], KIND.VXLAN);
        });
      }
      assert.ok(ok <= 1201, `${ok} taken`);
    }
    assert.deepEqual(loop.statuses([datagram({ counter: 77 })]), [RECV.OK]);
  });
});

test('every truncation of a good datagram is refused', () => {
  withSession((loop) => {
    const good = datagram({ counter: 1 });
    for (let n = 0; n < good.length; n++)
      assert.notEqual(loop.statuses([good.slice(0, n)])[0], RECV.OK, `${n} bytes`);
    assert.deepEqual(loop.statuses([good]), [RECV.OK]);
  });
});

test('a datagram of the largest size that UDP has is opened whole', () => {
  withSession((loop) => {
    const plain = Uint8Array.from(randomBytes(65507 - 32));
    loop.exchange([datagram({}, plain)], (d) => {
      assert.equal(d[D.STATUS], RECV.OK);
      assert.deepEqual(loop.payload(d), plain);
    });
  });
});

test('a plain port describes every datagram unread, an empty one as garbage', () => {
  const loop = new Loopback();
  const sent = [0, 1, 8, 1500].map((size) => Uint8Array.from(randomBytes(size)));
  loop.exchange(
    sent,
    (d, i) => {
      assert.deepEqual(
        [d[D.STATUS], d[D.KIND], d[D.TUNNEL]],
        [i === 0 ? RECV.GARBAGE : RECV.OK, KIND.PLAIN, -1],
      );
      assert.deepEqual(loop.payload(d), sent[i]);
    },
    true,
  );
  loop.close();
});

test('copyOut copies no more than there is, was asked for, or fits', () => {
  const loop = new Loopback();
  const sent = Uint8Array.from({ length: 10 }, (_, i) => i + 1);
  loop.exchange([sent], () => {}, true);
  const into = new Uint8Array(8);
  assert.equal(loop.receiver.copyOut(0, into, 6, 100), 2);
  assert.deepEqual([...into], [0, 0, 0, 0, 0, 0, 1, 2]);
  assert.equal(loop.receiver.copyOut(0, into, 0, 3), 3);
  for (const [frame, at, max] of [
    [-1, 0, 8],
    [64, 0, 8],
    [0, -1, 8],
    [0, 9, 8],
    [0, 0, -1],
  ] as const)
    assert.equal(loop.receiver.copyOut(frame, into, at, max), 0, `${frame} ${at} ${max}`);
  const d = loop.descriptor(0);
  for (const [off, len] of [
    [-1, 4],
    [0, 1 << 20],
    [0, -1],
    [loop.batch.bytes.length, 1],
    [0x7fffffff, 0x7fffffff],
  ] as const) {
    d[D.OFF] = off;
    d[D.LEN] = len;
    assert.equal(loop.receiver.copyOut(0, into, 0, 8), 0, `${off} ${len}`);
  }
  loop.close();
});

test('a socket that is closed or no socket gives no datagrams', () => {
  withSession((loop) => {
    assert.equal(loop.receiver.receiveSealed(-1), 0);
    assert.equal(loop.receiver.receivePlain(-1, 0), 0);
    assert.equal(loop.receiver.receiveSealed(loop.fd), 0);
  });
});
