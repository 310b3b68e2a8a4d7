/** How large the packets of a frame are, and which segments are cut instead of refused; the cut itself is C's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { D, DESC_STRIDE, F_NEEDS_CSUM, splitFrame } from 'tun-tap';
import { packetBytes, resegment } from '../../agent/datapath/packet-size.ts';
import {
  finishTcp,
  get16,
  ipAt,
  ipv4Frame,
  ipv6Frame,
  pseudoOf,
  tcpBytes,
  tcpSumRight,
} from './inner-frames.ts';

const ACK = 0x10;
const NOPS = [1, 1, 1, 1];
const OFF = 128;

/** A frame as descriptor 1 of a batch. */
function describe(
  frame: Uint8Array,
  options: { gso?: number; flags?: number } = {},
): { b: Uint8Array; d: Int32Array; at: number } {
  const b = new Uint8Array(OFF + frame.length + 64);
  b.set(frame, OFF);
  const d = new Int32Array(2 * DESC_STRIDE);
  const at = DESC_STRIDE;
  d[at + D.OFF] = OFF;
  d[at + D.LEN] = frame.length;
  d[at + D.GSO] = options.gso ?? 0;
  d[at + D.FLAGS] = options.flags ?? 0;
  return { b, d, at };
}

const data = (n: number): number[] => Array.from({ length: n }, (_, i) => i & 0xff);

test('the size is that of the IP packet, whatever tags stand before it', () => {
  for (let tags = 0; tags <= 2; tags++) {
    for (const frame of [ipv4Frame(data(1000), { tags }), ipv6Frame(data(1000), { tags })]) {
      const { b, d, at } = describe(frame);
      assert.equal(packetBytes(b, d, at), frame.length - ipAt(frame));
    }
  }
  const arp = ipv4Frame(data(100));
  arp.set([0x08, 0x06], 12);
  const { b, d, at } = describe(arp);
  assert.equal(packetBytes(b, d, at), arp.length - 14);
});

test('of a UDP super-frame it is that of one datagram; a TCP one always fits', () => {
  const udp4 = describe(ipv4Frame(data(4008)), { gso: 5 | (1000 << 8) });
  assert.equal(packetBytes(udp4.b, udp4.d, udp4.at), 20 + 8 + 1000);
  const udp6 = describe(ipv6Frame(data(4008)), { gso: 5 | (1000 << 8) });
  assert.equal(packetBytes(udp6.b, udp6.d, udp6.at), 40 + 8 + 1000);
  for (const gso of [1, 4, 0x81, 0x84]) {
    const tcp = describe(ipv4Frame(tcpBytes(ACK, [], data(4000)), { protocol: 6 }), {
      gso: gso | (1300 << 8),
    });
    assert.equal(packetBytes(tcp.b, tcp.d, tcp.at), 0);
  }
});

test("a segment of this host's own becomes segments that fit, and together the same stream", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(4, 6),
      fc.nat(2),
      fc.integer({ min: 1026, max: 1300 }),
      fc.integer({ min: 1301, max: 1500 }),
      (version, tags, limit, length) => {
        const payload = data(length - (version === 4 ? 44 : 64));
        const tcp = tcpBytes(ACK | 0x08, NOPS, payload);
        const frame =
          version === 4 ? ipv4Frame(tcp, { protocol: 6, tags }) : ipv6Frame(tcp, { protocol: 6, tags });
        const ip = ipAt(frame);
        const l4 = ip + (version === 4 ? 20 : 40);
        const pseudo = pseudoOf(frame, 6, tcp.length);
        frame.set([pseudo >> 8, pseudo & 0xff], l4 + 16);
        const { b, d, at } = describe(frame, { flags: F_NEEDS_CSUM });
        assert.ok(resegment(b, d, at, limit));
        const gso = d[at + D.GSO]!;
        const vnet = {
          needsCsum: true,
          gsoType: gso & 0xff,
          gsoSize: gso >>> 8,
          csumStart: l4,
          csumOffset: 16,
        };
        const parts = splitFrame(frame, vnet, { maxPacketBytes: limit, complete: true });
        assert.ok(parts !== null && parts.length === 2);
        const bytes: number[] = [];
        for (const part of parts) {
          assert.ok(part.length - ip <= limit);
          assert.ok(tcpSumRight(part, l4));
          assert.equal(get16(part, l4 + 6) + get16(part, l4 + 4) * 65536, 0x01020304 + bytes.length);
          bytes.push(...part.slice(l4 + 24));
        }
        assert.deepEqual(bytes, payload);
      },
    ),
    { numRuns: 200 },
  );
});

test('what is not a plain segment of this host is not cut', () => {
  const tcp = (flags: number): number[] => tcpBytes(flags, NOPS, data(1300));
  const flags = F_NEEDS_CSUM;
  const refused = [
    describe(ipv4Frame(tcp(ACK), { protocol: 6 })),
    describe(ipv4Frame(tcp(ACK), { protocol: 6 }), { flags, gso: 1 | (1300 << 8) }),
    describe(ipv4Frame(tcp(ACK), { protocol: 17 }), { flags }),
    ...[0x02, 0x04, 0x20].map((flag) => describe(ipv4Frame(tcp(ACK | flag), { protocol: 6 }), { flags })),
    describe(ipv4Frame(tcp(ACK), { protocol: 6, moreFragments: true, dontFragment: false }), { flags }),
    describe(ipv4Frame(tcp(ACK), { protocol: 6, fragmentOffset: 100, dontFragment: false }), { flags }),
    describe(ipv6Frame(tcp(ACK), { protocol: 0, extensions: [6, 0, 1, 4, 0, 0, 0, 0] }), { flags }),
  ];
  for (const { b, d, at } of refused) {
    const before = d.slice();
    assert.equal(resegment(b, d, at, 1200), false);
    assert.deepEqual(d, before);
  }
  const finished = describe(finishTcp(ipv4Frame(tcp(ACK), { protocol: 6 }), 34));
  assert.equal(resegment(finished.b, finished.d, finished.at, 1200), false);
});
