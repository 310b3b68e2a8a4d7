/** The parts of `weft capture` that need no mesh: ring, filter, pcapng, and the stream over the control socket. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Packet, parseFilter } from '../../agent/cli/capture/filter.ts';
import { commentOf, type Places, packetOfDevice, packetOfRecord } from '../../agent/cli/capture/packets.ts';
import {
  interfaceBlock,
  LINK,
  packetBlock,
  sectionBlock,
  statisticsBlock,
} from '../../agent/cli/capture/pcapng.ts';
import { ApiClient } from '../../agent/cli/client.ts';
import { framesOfCapture } from '../../agent/cli/frame/pcap-file.ts';
import { frameOfText } from '../../agent/cli/frame/text.ts';
import type { CaptureRecord } from '../../agent/control/api-types.ts';
import {
  C,
  CAPTURE_SLOTS,
  CAPTURED,
  CaptureReader,
  captureBytes,
  captureClaim,
  captureMeta,
  capturePublish,
  createCaptureRing,
  isCapturing,
} from '../../agent/datapath/capture-ring.ts';
import { frameSummary } from '../../agent/datapath/frame-summary.ts';
import { delay } from '../../agent/lab/wait.ts';
import { type Served, serveFakeAgent } from './control-fake-agent.ts';

const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';

function packet(text: string, more: Partial<Packet> = {}): Packet {
  const data = frameOfText([A, B, ...text.split(' ')], null);
  const common = {
    at: 1_700_000_000_123.456,
    side: 'inner',
    direction: 'out',
    peer: 'beta',
    vni: 42,
  } as const;
  return { ...common, reason: null, segments: 1, sizeBytes: data.length, data, ...more };
}

test('the ring takes what fits, counts what does not, and shows records in order and whole', () => {
  const ring = createCaptureRing();
  const reader = new CaptureReader(ring);
  assert.equal(isCapturing(ring), false);
  reader.start(60);
  assert.equal(isCapturing(ring), true);
  const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
  for (let i = 0; i < CAPTURE_SLOTS + 5; i++) {
    const slot = captureClaim(ring);
    if (slot < 0) continue;
    captureBytes(ring, slot, CAPTURED.frame, bytes, 10, 80);
    ring.words[captureMeta(slot) + C.PEER] = i;
    capturePublish(ring, slot);
  }
  assert.equal(reader.lost, 5);
  const peers: number[] = [];
  const take = (m: Int32Array, held: Uint8Array): void => {
    peers.push(m[C.PEER] ?? -1);
    assert.deepEqual([held.length, held[0], m[C.ORIGINAL]], [60, 10, 80]);
  };
  while (reader.drain(100, take) > 0);
  assert.deepEqual(
    peers,
    Array.from({ length: CAPTURE_SLOTS }, (_, i) => i),
  );
  reader.stop();
  assert.equal(isCapturing(ring), false);
});

test('of a datagram that was not opened only the clear header is kept, and a claimed slot holds back those after it', () => {
  const ring = createCaptureRing();
  const reader = new CaptureReader(ring);
  reader.start(2048);
  const [first, second] = [captureClaim(ring), captureClaim(ring)];
  captureBytes(ring, second, CAPTURED.datagram, new Uint8Array(500), 0, 500);
  capturePublish(ring, second);
  assert.equal(
    reader.drain(10, () => {}),
    0,
  );
  captureBytes(ring, first, CAPTURED.frame, new Uint8Array(500), 0, 500);
  capturePublish(ring, first);
  const lengths: number[] = [];
  reader.drain(10, (_, held) => lengths.push(held.length));
  assert.deepEqual(lengths, [500, 16]);
});

test('terms of a filter say yes and no', () => {
  const tcp = packet('10.0.0.1 10.0.0.2 tcp 1000 443');
  const v6 = packet('fd00::1 fd00::2 udp 53 54', { direction: 'in', reason: 'mac_spoof', side: 'inner' });
  const yes: [Packet, string][] = [
    [tcp, ''],
    [tcp, 'tcp'],
    [tcp, 'host 10.0.0.2 and port 443 out sent inner'],
    [tcp, `ether ${B.toUpperCase()} peer beta vni 42 not udp not arp`],
    [tcp, 'ip not ip6 not dropped not in'],
    [v6, 'ip6 udp port 54 host fd00:0::2 dropped reason mac_spoof in'],
    [packet('arp'), 'arp not ip'],
    [packet('10.0.0.1 10.0.0.2 icmp'), 'icmp not port 0'],
  ];
  for (const [each, text] of yes) assert.equal(parseFilter([text])(each), true, text);
  for (const text of [
    'udp',
    'host 10.0.0.3',
    'port 80',
    'in',
    'dropped',
    'reason replay',
    'peer gamma',
    'vni 1',
    'outer',
    'not tcp',
    'ip6',
  ])
    assert.equal(parseFilter(text.split(' '))(tcp), false, text);
});

test('what is no filter is refused with what would be one', () => {
  for (const [text, message] of [
    ['tcp or udp', /`or` and parentheses/],
    ['(tcp)', /`or` and parentheses/],
    ['host nowhere', /no IP address/],
    ['port 70000', /whole number up to 65535/],
    ['ether 1:2', /no MAC address/],
    ['not', /missing at the end/],
    ['peer', /lacks its value/],
    ['frobnicate', /'frobnicate' is no term.*terms are host/],
  ] as const)
    assert.throws(() => parseFilter([text]), { code: 'E_USAGE', message }, text);
});

test('the blocks are a capture file that gives the same frames back, and carry the comment', () => {
  const one = packet('10.0.0.1 10.0.0.2 tcp 1 2');
  const comment = commentOf({ ...one, reason: 'no_session', segments: 3 });
  assert.equal(comment, 'direction=out peer=beta vni=42 verdict=dropped reason=no_session segments=3');
  const file = Buffer.concat([
    sectionBlock('weft test'),
    interfaceBlock(LINK.ethernet, 'inner', 'x'),
    packetBlock(0, one.at, one.data, 1400, comment),
    packetBlock(0, one.at, one.data.subarray(0, 21), 21, ''),
    statisticsBlock(0, one.at, 7),
  ]);
  const frames = framesOfCapture(file, 'x', 10);
  assert.deepEqual(
    frames.map(({ bytes, sizeBytes }) => [bytes.length, sizeBytes]),
    [
      [one.data.length, 1400],
      [21, 21],
    ],
  );
  assert.deepEqual(Buffer.from(frames[0]?.bytes ?? []), Buffer.from(one.data));
  assert.ok(file.includes(comment));
  // Every block says its length twice.
  for (let at = 0, n = 0; at < file.length; n++, at += file.readUInt32LE(at + 4)) {
    const length = file.readUInt32LE(at + 4);
    assert.equal(length % 4, 0);
    assert.equal(file.readUInt32LE(at + length - 4), length, `block ${n}`);
  }
});

const PLACES: Places = {
  own: { ip: '192.0.2.1', port: 7947 },
  mode: 'sealed',
  encap: 'vxlan',
  gossipPort: 7946,
  names: new Map([['192.0.2.2', 'beta']]),
  ports: new Set([7946, 7947]),
};
const RECORD: CaptureRecord = {
  at: 1_700_000_000_000,
  direction: 'in',
  kind: 'datagram',
  peer: null,
  vni: null,
  reason: 'replay',
  from: '192.0.2.2:40000',
  sizeBytes: 120,
  segments: 1,
  data: Buffer.alloc(16, 4).toString('base64'),
};

test('a refused datagram becomes a packet with its ends, its true size and the name of its sender', () => {
  const { side, peer, data, sizeBytes } = packetOfRecord(RECORD, PLACES);
  const ethernet = Buffer.concat([Buffer.from(frameOfText([A, B], null)), data]);
  assert.deepEqual([side, peer, data.length, sizeBytes], ['dropped', 'beta', 44, 148]);
  assert.match(frameSummary(ethernet), /IPv4 192\.0\.2\.2 > 192\.0\.2\.1 UDP 40000 > 7947/);
  const v6 = packetOfRecord({ ...RECORD, from: '[2001:db8::2]:40000' }, PLACES);
  assert.equal(v6.data[0], 0x60);
});

test('of the underlay device only the ports of the mesh are taken', () => {
  const frame = (port: string): Uint8Array =>
    frameOfText([A, B, '192.0.2.1', '192.0.2.2', 'udp', '40000', port], 300);
  const taken = packetOfDevice(frame('7947'), true, 5, 64, PLACES);
  assert.deepEqual(
    [taken?.peer, taken?.direction, taken?.sizeBytes, taken?.data.length],
    ['beta', 'out', 300, 64],
  );
  assert.equal(packetOfDevice(frame('53'), true, 5, 64, PLACES), null);
});

let served: Served;
before(async () => {
  served = await serveFakeAgent();
});
after(() => served.stop());

test('the stream gives a line for each record and ends in the agent when the reader goes', async () => {
  served.agent.captured = [RECORD, { v: 1, lost: 9 }];
  const end = new AbortController();
  const lines: unknown[] = [];
  for await (const line of new ApiClient(served.socket).lines('/v1/capture?snap=100', end.signal)) {
    lines.push(JSON.parse(line));
    if (lines.length === 3) end.abort();
  }
  assert.deepEqual(lines, [{ v: 1, lost: 0 }, RECORD, { v: 1, lost: 9 }]);
  while (served.agent.capturesEnded === 0) await delay(5);
  await assert.rejects(
    async () => {
      for await (const _ of new ApiClient(served.socket).lines('/v1/nothing', new AbortController().signal));
    },
    { code: 'E_NOT_FOUND' },
  );
});
