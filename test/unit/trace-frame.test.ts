/** Frames for `weft trace`: typed as text or hex, or read from capture files. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { framesOfCapture, looksLikeFile } from '../../agent/cli/frame/pcap-file.ts';
import { frameOfText } from '../../agent/cli/frame/text.ts';
import { frameSummary } from '../../agent/datapath/frame-summary.ts';

const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const hex = (text: string, sizeBytes: number | null = null): string =>
  Buffer.from(frameOfText(text.split(' '), sizeBytes)).toString('hex');

test('two addresses alone are an Ethernet header with the destination first', () => {
  assert.equal(hex(`${A} ${B}`), '02000000000b02000000000a0800');
  assert.equal(hex(`${A.replaceAll(':', '-')} ${B} arp`), '02000000000b02000000000a0806');
  assert.equal(hex(`${A} ${B} 0x88b5`, 20), '02000000000b02000000000a88b5000000000000');
});

test('addresses, protocol and ports make whole headers with right checksums', () => {
  assert.equal(
    hex(`${A} ${B} 10.80.0.1 10.80.0.2 tcp 40000 443`).slice(28),
    `45000028000040004006${checksumOf(IPV4_WORDS)}0a5000010a5000029c4001bb000000000000000050020000${checksumOf(TCP_WORDS)}0000`,
  );
  const summary = (text: string, size: number | null = null): string =>
    frameSummary(frameOfText(text.split(' '), size));
  const macs = `${A} > ${B}`;
  assert.equal(
    summary(`${A} ${B} 10.80.0.1 10.80.0.2 udp 53 5353`),
    `${macs} IPv4 10.80.0.1 > 10.80.0.2 UDP 53 > 5353, 42 bytes`,
  );
  assert.equal(
    summary(`${A} ${B} ip6 fd00::1 fd00::2 tcp 1 2`, 1400),
    `${macs} IPv6 fd00::1 > fd00::2 TCP 1 > 2, 1400 bytes`,
  );
  assert.equal(summary(`${A} ${B} fd00::1 fd00::2`), `${macs} IPv6 fd00::1 > fd00::2 ICMPv6, 62 bytes`);
  assert.equal(
    summary(`${A} ${B} 10.0.0.1 10.0.0.2 47`),
    `${macs} IPv4 10.0.0.1 > 10.0.0.2 protocol 47, 34 bytes`,
  );
  assert.equal(summary(`${A} ${B} arp`), `${macs} ARP, 14 bytes`);
});

const ADDRESSES = [0x0a50, 0x0001, 0x0a50, 0x0002];
const IPV4_WORDS = [0x4500, 40, 0, 0x4000, 0x4006, ...ADDRESSES];
const TCP_WORDS = [...ADDRESSES, 6, 20, 0x9c40, 0x01bb, 0x5002];

/** RFC 1071 of 16-bit words. */
function checksumOf(words: readonly number[]): string {
  let sum = words.reduce((total, word) => total + word, 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return (~sum & 0xffff).toString(16).padStart(4, '0');
}

test('hex is taken as it is, and what is no frame is refused in one line', () => {
  assert.equal(hex('0200 0000 000b 02:00:00'), '02000000000b020000');
  const bad = [
    ['zz', /neither a MAC address nor hex/],
    [`${A} nowhere`, /'nowhere' is no destination MAC/],
    [`${A} ${B} 0x12345`, /no ethertype/],
    [`${A} ${B} 10.0.0.1`, /destination IP address is missing/],
    [`${A} ${B} 10.0.0.1 fd00::1`, /one family/],
    [`${A} ${B} 10.0.0.1 10.0.0.2 sctpx`, /no protocol/],
    [`${A} ${B} 10.0.0.1 10.0.0.2 tcp 1 70000`, /no port/],
    [`${A} ${B} 10.0.0.1 10.0.0.2 icmp 1`, /too much/],
  ] as const;
  for (const [text, message] of bad) assert.throws(() => hex(text), { code: 'E_USAGE', message });
});

const FRAME = Buffer.from(frameOfText([A, B, '10.0.0.1', '10.0.0.2', 'tcp'], 100));

function pcap(little: boolean, link = 1): Buffer {
  const file = Buffer.alloc(24 + 16 + 60);
  const u32 = (value: number, at: number): number =>
    little ? file.writeUInt32LE(value, at) : file.writeUInt32BE(value, at);
  u32(0xa1b2c3d4, 0);
  u32(link, 20);
  u32(60, 32);
  u32(FRAME.length, 36);
  FRAME.copy(file, 40, 0, 60);
  return file;
}

test('a pcap file of either byte order gives its frames with their true size', () => {
  for (const little of [true, false]) {
    const [one, ...more] = framesOfCapture(pcap(little), 'x', 10);
    assert.deepEqual([one?.bytes.length, one?.sizeBytes, more.length], [60, 100, 0]);
    assert.deepEqual(Buffer.from(one?.bytes ?? []), FRAME.subarray(0, 60));
  }
  assert.throws(
    () => framesOfCapture(pcap(true, 113), 'x.pcap', 10),
    /x\.pcap is a capture, but not of Ethernet/,
  );
  assert.throws(() => framesOfCapture(Buffer.alloc(100), 'x', 10), /no pcap or pcapng/);
});

test('a capture that breaks off anywhere never throws and never gives bytes that are not there', () => {
  const whole = pcap(true);
  for (let n = 24; n < whole.length; n++)
    assert.equal(framesOfCapture(whole.subarray(0, n), 'x', 10).length, 0, String(n));
});

test('a word with a dot or slash is a file, an address is not', () => {
  for (const word of ['lost.pcap', './x', '/tmp/x', 'dir/x']) assert.ok(looksLikeFile(word), word);
  for (const word of [A, '02000000000b', '10.0.0.1']) assert.ok(!looksLikeFile(word), word);
});
