/**
 * What comes from this host rather than from the underlay, as fuzz targets: requests at the control socket, names that become
 * labels of Prometheus, and frames out of the TAP as the parsers of packets see them, with all that is answered to them.
 */
import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { Metrics } from '../../agent/control/metrics.ts';
import {
  readPingRequest,
  readPolicyRequest,
  readRevokeRequest,
  readTokenRequest,
  readTraceRequest,
  readVtepRequest,
} from '../../agent/control/requests.ts';
import { frameSummary } from '../../agent/datapath/frame-summary.ts';
import { ipOffset, isLaterFragment, transportOffset } from '../../agent/datapath/inner-packet.ts';
import { clampMss, SUM } from '../../agent/datapath/mss-clamp.ts';
import { PacketTooBig } from '../../agent/datapath/packet-too-big.ts';
import { utf8 } from '../../agent/identity/sodium.ts';
import { PEER_METRICS, SNAPSHOT } from '../unit/control-fake-agent.ts';
import { refusingLater, type Target } from './target.ts';

const REQUESTS = {
  ping: { read: readPingRequest, good: { peer: 'beta', sizeBytes: 1400 } },
  policy: { read: readPolicyRequest, good: { nodeLifeMs: 86_400_000, leewayMs: null } },
  revoke: { read: readRevokeRequest, good: { kind: 'node', what: 'beta', reason: 'stolen', keep: ['a'] } },
  token: {
    read: readTokenRequest,
    good: { ttlMs: 3_600_000, uses: 1, namePrefix: 'web-', allow: ['bridge'], seeds: ['beta'] },
  },
  trace: { read: readTraceRequest, good: { direction: 'in', peer: 'beta', frame: '0200000000010200' } },
  vtep: { read: readVtepRequest, good: { address: '192.0.2.9:4789', segment: null } },
} as const;

/** A request whose body has come, as the server hands it on. */
function requestWith(body: Uint8Array): IncomingMessage {
  const request = new IncomingMessage(new Socket());
  request.push(Buffer.from(body));
  request.push(null);
  return request;
}

const requests = Object.entries(REQUESTS).map(
  ([name, { read, good }]): Target => ({
    name: `control request ${name}`,
    inputs: [utf8(JSON.stringify(good))],
    run: (b) => refusingLater(() => read(requestWith(b))),
    costs: 10,
  }),
);

let label = '';
const metrics = new Metrics({
  source: () => ({ ...SNAPSHOT, peers: [{ ...PEER_METRICS, peer: label }] }),
  perPeer: 'on',
  onError: (error) => {
    throw error;
  },
});
const SERIES = /^weft_peer_receive_bytes_total\{peer="((?:[^"\\\n]|\\.)*)"\} \d+$/m;
const UNESCAPED: Readonly<Record<string, string>> = { '\\\\': '\\', '\\"': '"', '\\n': '\n' };

/** Every name can be read back from its label, so none can end its line or its quotes. */
const labels: Target = {
  name: 'Prometheus label',
  inputs: ['beta', 'a"b\\n', 'c\n# TYPE x counter\nx 1', 'd\\'].map(utf8),
  run: async (b) => {
    label = new TextDecoder().decode(b);
    const text = await metrics.text();
    const written = SERIES.exec(text)?.[1];
    assert.ok(written !== undefined, 'the series is there');
    assert.equal(
      written.replace(/\\[\\"n]/g, (pair) => UNESCAPED[pair] ?? pair),
      label,
    );
    return true;
  },
  costs: 200,
};

const MACS = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
const IPV4 = [10, 80, 0, 1, 10, 80, 0, 2];
const IPV6 = [...new Array(15).fill(0), 1, ...new Array(15).fill(0), 2];
const tcp = (flags: number): number[] => [
  0,
  80,
  19,
  136,
  0,
  0,
  0,
  1,
  0,
  0,
  0,
  2,
  0x60,
  flags,
  1,
  0,
  0,
  0,
  0,
  0,
];
const FRAMES = [
  // ARP, an IPv4 SYN with its MSS, a UDP datagram with DF behind two tags, neighbour discovery, IPv6 with extensions.
  [
    ...MACS,
    8,
    6,
    0,
    1,
    8,
    0,
    6,
    4,
    0,
    1,
    ...MACS.slice(6),
    10,
    80,
    0,
    1,
    ...new Array(6).fill(0),
    10,
    80,
    0,
    2,
  ],
  [...MACS, 8, 0, 0x45, 0, 0, 44, 0, 1, 0x40, 0, 64, 6, 0, 0, ...IPV4, ...tcp(2), 2, 4, 5, 180],
  [
    ...MACS,
    0x88,
    0xa8,
    0,
    5,
    0x81,
    0,
    0,
    6,
    8,
    0,
    0x45,
    0,
    5,
    220,
    0,
    1,
    0x40,
    0,
    64,
    17,
    0,
    0,
    ...IPV4,
    0,
    53,
    0,
    53,
    5,
    200,
    0,
    0,
  ],
  [
    ...MACS,
    0x86,
    0xdd,
    0x60,
    0,
    0,
    0,
    0,
    32,
    58,
    255,
    ...IPV6,
    135,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    ...IPV6.slice(16),
    1,
    1,
    ...MACS.slice(6),
  ],
  [
    ...MACS,
    0x86,
    0xdd,
    0x60,
    0,
    0,
    0,
    0,
    48,
    0,
    64,
    ...IPV6,
    44,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    6,
    0,
    0,
    0,
    0,
    0,
    0,
    9,
    ...tcp(2),
    2,
    4,
    5,
    180,
  ],
].map((bytes) => Uint8Array.from(bytes));

/** Everything that reads a frame, within its end; what is written stays within it too. */
function readFrame(b: Uint8Array): boolean {
  const memory = new Uint8Array(b.length + 64).fill(0xa5);
  memory.set(b);
  const ip = ipOffset(memory, 0, b.length);
  assert.ok(ip === 0 || ip + 20 <= b.length, 'an IP header within the frame');
  if (ip !== 0) {
    isLaterFragment(memory, ip, b.length);
    for (const protocol of [6, 17, 58])
      assert.ok(transportOffset(memory, ip, b.length, protocol) < b.length + 1);
  }
  frameSummary(b);
  clampMss(memory, 0, b.length, 1280, SUM.complete);
  assert.ok(
    memory.subarray(b.length).every((byte) => byte === 0xa5),
    'nothing beyond the frame is written',
  );
  assert.equal(memory.length, b.length + 64);
  return ip !== 0;
}

const tooBig = new PacketTooBig();
let nowMs = 0;
/** An answer is no larger than what it answers, and only for what has an IP header. */
function answerFrame(b: Uint8Array): boolean {
  nowMs += 1000;
  const bytes = tooBig.answer(b, 0, b.length, 1280, nowMs);
  assert.ok(bytes === 0 || (bytes <= Math.max(b.length, 1294) && ipOffset(b, 0, b.length) !== 0));
  return bytes > 0 || ipOffset(b, 0, b.length) !== 0 || b[12] === 8;
}

export const HOST_TARGETS: readonly Target[] = [
  ...requests,
  labels,
  { name: 'frame', inputs: FRAMES.slice(1), run: readFrame },
  { name: 'packet too big', inputs: FRAMES, run: answerFrame },
];
