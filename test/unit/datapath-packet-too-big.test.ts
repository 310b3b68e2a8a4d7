/** The messages that tell a sender of a smaller path. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ANSWERS_PER_SECOND, PacketTooBig } from '../../agent/datapath/packet-too-big.ts';
import {
  get16,
  IP4,
  IP6,
  ipAt,
  ipv4Frame,
  ipv6Frame,
  SOURCE_MAC,
  sumOf,
  TARGET_MAC,
  tcpBytes,
} from './inner-frames.ts';

const NOW = 5_000;
const udp = (length: number): number[] => [
  0x13,
  0x88,
  0,
  53,
  length >> 8,
  length & 0xff,
  0,
  0,
  ...new Array<number>(length - 8).fill(7),
];

/** The answer to a frame that stands in the middle of a batch. */
function answer(frame: Uint8Array, mtu: number, maker = new PacketTooBig(), nowMs = NOW): Uint8Array | null {
  const batch = new Uint8Array(frame.length + 77).fill(0xee);
  batch.set(frame, 33);
  const length = maker.answer(batch, 33, frame.length, mtu, nowMs);
  assert.deepEqual(batch.slice(33, 33 + frame.length), frame);
  return length === 0 ? null : maker.frame.slice(0, length);
}

test('IPv4: fragmentation needed, from the destination, with the MTU and the first bytes of the packet', () => {
  fc.assert(
    fc.property(
      fc.nat(2),
      fc.integer({ min: 8, max: 1400 }),
      fc.integer({ min: 68, max: 1400 }),
      fc.boolean(),
      (tags, size, mtu, df) => {
        const frame = ipv4Frame(udp(size), { tags, dontFragment: df });
        const ip = ipAt(frame);
        const got = answer(frame, mtu);
        assert.ok(got !== null);
        assert.deepEqual([...got.slice(0, 12)], [...SOURCE_MAC, ...TARGET_MAC]);
        assert.deepEqual(got.slice(12, ip), frame.slice(12, ip));
        const packet = got.slice(ip);
        const quoted = Math.min(frame.length - ip, 548);
        assert.equal(packet.length, 28 + quoted);
        assert.equal(get16(packet, 2), packet.length);
        assert.deepEqual([packet[0], packet[9]], [0x45, 1]);
        assert.deepEqual([...packet.slice(12, 20)], [...IP4.to, ...IP4.from]);
        assert.equal(sumOf(packet.slice(0, 20)), 0xffff);
        assert.deepEqual([...packet.slice(20, 22)], [3, 4]);
        assert.equal(get16(packet, 24), 0);
        assert.equal(get16(packet, 26), mtu);
        assert.equal(sumOf(packet.slice(20)), 0xffff);
        assert.deepEqual(packet.slice(28), frame.slice(ip, ip + quoted));
      },
    ),
  );
});

test('IPv6: packet too big, from the destination, with the MTU and as much of the packet as fits into 1280 bytes', () => {
  fc.assert(
    fc.property(
      fc.nat(2),
      fc.integer({ min: 8, max: 1400 }),
      fc.integer({ min: 1000, max: 70_000 }),
      (tags, size, mtu) => {
        const frame = ipv6Frame(udp(size), { tags });
        const ip = ipAt(frame);
        const got = answer(frame, mtu);
        assert.ok(got !== null);
        assert.deepEqual([...got.slice(0, 12)], [...SOURCE_MAC, ...TARGET_MAC]);
        const packet = got.slice(ip);
        const quoted = Math.min(frame.length - ip, 1232);
        assert.equal(packet.length, 48 + quoted);
        assert.ok(packet.length <= 1280);
        assert.equal(get16(packet, 4), packet.length - 40);
        assert.equal(packet[6], 58);
        assert.deepEqual([...packet.slice(8, 40)], [...IP6.to, ...IP6.from]);
        assert.deepEqual([...packet.slice(40, 42)], [2, 0]);
        assert.equal(get16(packet, 44) * 65536 + get16(packet, 46), mtu);
        assert.equal(sumOf(packet.slice(40), sumOf(packet.slice(8, 40), 58 + packet.length - 40)), 0xffff);
        assert.deepEqual(packet.slice(48), frame.slice(ip, ip + quoted));
      },
    ),
  );
});

const icmp = (type: number): number[] => [type, 0, 0, 0, ...new Array<number>(1300).fill(1)];

test('ICMP errors are never answered, other ICMP is', () => {
  for (const type of [3, 4, 5, 11, 12])
    assert.equal(answer(ipv4Frame(icmp(type), { protocol: 1 }), 1200), null);
  for (const type of [0, 8, 13, 14]) assert.ok(answer(ipv4Frame(icmp(type), { protocol: 1 }), 1200) !== null);
  for (const type of [1, 2, 3, 4, 127, 137])
    assert.equal(answer(ipv6Frame(icmp(type), { protocol: 58 }), 1200), null);
  for (const type of [128, 129, 135])
    assert.ok(answer(ipv6Frame(icmp(type), { protocol: 58 }), 1200) !== null);
  const hopByHop = [58, 0, 1, 4, 0, 0, 0, 0];
  assert.equal(answer(ipv6Frame(icmp(1), { protocol: 0, extensions: hopByHop }), 1200), null);
});

test('a first fragment is answered, a later one is not', () => {
  const body = udp(1300);
  assert.ok(answer(ipv4Frame(body, { moreFragments: true, dontFragment: false }), 1200) !== null);
  assert.equal(
    answer(ipv4Frame(body, { moreFragments: true, fragmentOffset: 160, dontFragment: false }), 1200),
    null,
  );
  assert.equal(answer(ipv4Frame(body, { fragmentOffset: 160, dontFragment: false }), 1200), null);
  const fragment = (offset: number): number[] => [17, 0, offset >> 8, (offset & 0xf8) | 1, 0, 0, 0, 9];
  assert.ok(answer(ipv6Frame(body, { protocol: 44, extensions: fragment(0) }), 1200) !== null);
  assert.equal(answer(ipv6Frame(body, { protocol: 44, extensions: fragment(1280) }), 1200), null);
});

test('groups, broadcast and addresses of nobody are not answered', () => {
  for (const to of ['224.0.0.1', '239.1.2.3', '255.255.255.255', '0.0.0.0', '127.0.0.1'])
    assert.equal(answer(ipv4Frame(udp(1300), { to }), 1200), null, to);
  for (const from of ['0.0.0.0', '224.0.0.1', '127.0.0.1', '255.255.255.255'])
    assert.equal(answer(ipv4Frame(udp(1300), { from }), 1200), null, from);
  const group = [0xff, 2, ...new Array<number>(13).fill(0), 1];
  assert.equal(answer(ipv6Frame(udp(1300), { target: group }), 1200), null);
  assert.equal(answer(ipv6Frame(udp(1300), { source: new Array<number>(16).fill(0) }), 1200), null);
  const flooded = ipv4Frame(udp(1300));
  flooded.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
  assert.equal(answer(flooded, 1200), null);
});

test('what is no IP packet, or not whole in its header, is not answered', () => {
  const arp = ipv4Frame(udp(1300));
  arp.set([0x08, 0x06], 12);
  assert.equal(answer(arp, 1200), null);
  const wrong = ipv4Frame(udp(1300));
  wrong[14] = 0x65;
  assert.equal(answer(wrong, 1200), null);
  for (let n = 14; n < 34; n++) assert.equal(answer(ipv4Frame(udp(1300)).slice(0, n), 1200), null);
  for (let n = 14; n < 54; n++) assert.equal(answer(ipv6Frame(tcpBytes(2, [])).slice(0, n), 1200), null);
});

test('answers are limited to a rate, and come again after a while', () => {
  const maker = new PacketTooBig();
  const frame = ipv4Frame(udp(1300));
  let given = 0;
  for (let i = 0; i < 1000; i++) if (answer(frame, 1200, maker, NOW) !== null) given++;
  assert.equal(given, ANSWERS_PER_SECOND);
  given = 0;
  for (let i = 0; i < 1000; i++) if (answer(frame, 1200, maker, NOW + i) !== null) given++;
  assert.ok(Math.abs(given - ANSWERS_PER_SECOND) <= 1, `${given}`);
  // What is refused costs nothing.
  const later = NOW + 10_000;
  for (let i = 0; i < 1000; i++) answer(ipv4Frame(icmp(3), { protocol: 1 }), 1200, maker, later);
  assert.ok(answer(frame, 1200, maker, later) !== null);
});
