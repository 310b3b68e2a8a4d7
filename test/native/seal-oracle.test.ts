/**
 * The sealed datagram against its twin, both ways: what the Transmitter puts on the wire for frames and super-frames is
 * opened by node:crypto and compared with the split twin, and what node:crypto seals is opened by the Receiver.
 */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  closeFd,
  createFrameBatch,
  D,
  E,
  E_STRIDE,
  F_NEEDS_CSUM,
  openUdp,
  RECV,
  SEND,
  Transmitter,
} from 'tun-tap';
import { superFrame } from '../twin/frame-maker.ts';
import { openTwin, type SealedHeader, sealTwin } from '../twin/seal-twin.ts';
import { splitTwin, type VnetTwin } from '../twin/split-twin.ts';
import { CIPHERS, use } from './aes-libraries.ts';
import { INDEX, Loopback, laneKey, laneKeys } from './loopback.ts';

const KEYS = laneKeys(5);
const KEY = laneKey(KEYS, 0);
const VXLAN = Uint8Array.of(8, 0, 0, 0, 0, 0, 42, 0);
const PARTIAL = Uint8Array.of(8, 0, 0, 0, 0, 0, 42, 0x80);
const HEADROOM = 128;
/** What a socket holds by default. */
const MOST_DATAGRAMS = 60;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** A transmitter towards an ordinary socket of Node. */
class Wire {
  readonly batch = createFrameBatch(1);
  readonly limits = new Int32Array(1);
  readonly #from = openUdp({ address: '127.0.0.1', port: 0 });
  readonly #transmitter: Transmitter;
  readonly #to: Socket;
  #got: Uint8Array[] = [];

  private constructor(to: Socket, suite: 1 | 2) {
    this.#to = to;
    const { batch, limits } = this;
    this.#transmitter = new Transmitter(batch, { maxTunnels: 1, sockets: [this.#from.fd], limits });
    this.#transmitter.setSealed(0, { index: INDEX, suite, inner: 1, key: KEY, flags: 1 });
    this.#transmitter.setEndpoint(0, '127.0.0.1', to.address().port);
    to.on('message', (bytes) => this.#got.push(Uint8Array.from(bytes)));
  }

  static async open(suite: 1 | 2): Promise<Wire> {
    const to = createSocket('udp4');
    to.bind(0, '127.0.0.1');
    await once(to, 'listening');
    return new Wire(to, suite);
  }

  /** Sends a frame as the data path does, with what the TAP said about it. */
  send(frame: Uint8Array, vnet: VnetTwin): { status: number; packets: number } {
    const { bytes, desc } = this.batch;
    bytes.set(VXLAN, HEADROOM - VXLAN.length);
    bytes.set(frame, HEADROOM);
    desc.fill(0);
    desc[D.OFF] = HEADROOM;
    desc[D.LEN] = frame.length;
    desc[D.HDR] = VXLAN.length;
    desc[D.FLAGS] = vnet.needsCsum ? F_NEEDS_CSUM : 0;
    desc[D.GSO] = vnet.gsoType | (vnet.gsoSize << 8);
    desc[D.CSUM] = vnet.csumStart | (vnet.csumOffset << 16);
    const entries = new Int32Array(E_STRIDE);
    this.#transmitter.send(entries, 1);
    return { status: entries[E.STATUS]!, packets: entries[E.PACKETS]! };
  }

  get nextCounter(): number {
    return this.#transmitter.counters[0]!;
  }

  /** The next `count` datagrams. */
  async datagrams(count: number): Promise<Uint8Array[]> {
    const untilMs = performance.now() + 5000;
    while (this.#got.length < count && performance.now() < untilMs)
      await new Promise((go) => setImmediate(go));
    return this.#got.splice(0);
  }

  close(): void {
    closeFd(this.#from.fd);
    this.#to.close();
  }
}

for (const { suite, library } of CIPHERS) {
  test(`what leaves for a super-frame opens into the segments of the twin, under suite ${suite} of ${library}`, async () => {
    use(library);
    const wire = await Wire.open(suite);
    let counter = 0;
    let refused = 0;
    try {
      for (const { frame, vnet, options } of fc.sample(superFrame(), { numRuns: 400, seed: 11 + suite })) {
        const expected = splitTwin(frame, vnet, { ...options, complete: false });
        if (expected !== null && expected.length > MOST_DATAGRAMS) continue;
        wire.limits[0] = options.maxPacketBytes;
        const { status, packets } = wire.send(frame, vnet);
        if (expected === null) {
          assert.notEqual(status, SEND.OK);
          refused++;
          continue;
        }
        // A counter is spent before its packet leaves, and stays spent.
        if (status === SEND.TOO_BIG) counter = wire.nextCounter;
        if (status === SEND.TOO_BIG) continue;
        assert.deepEqual([status, packets], [SEND.OK, expected.length]);
        const opened = (await wire.datagrams(expected.length)).map((datagram) => openTwin(datagram, KEY));
        assert.deepEqual(
          opened.map((each) => each && hex(each.plaintext)),
          expected.map((segment) => hex(PARTIAL) + hex(segment)),
        );
        for (const each of opened) {
          assert.deepEqual(each?.header, { suite, inner: 1, flags: 1, index: INDEX, counter: counter++ });
        }
      }
    } finally {
      wire.close();
    }
    assert.ok(counter > 1000 && refused > 5, `${counter} datagrams, ${refused} refused`);
  });

  test(`what the twin seals is opened, and nothing that differs in a bit, under suite ${suite} of ${library}`, () => {
    use(library);
    const loop = new Loopback();
    loop.receiver.install({ index: INDEX, suite, inner: 1, laneKeys: KEYS, lanes: 0b11, tunnel: 1 });
    const next = [0, 0];
    try {
      const made = fc.record({
        lane: fc.nat(1),
        flags: fc.constantFrom(0, 1),
        inner: fc.uint8Array({ maxLength: 1500 }),
        bit: fc.nat(),
      });
      fc.assert(
        fc.property(made, ({ lane, flags, inner, bit }) => {
          const header: SealedHeader = {
            suite,
            inner: 1,
            flags,
            index: INDEX | lane,
            counter: next[lane]!++,
          };
          const plaintext = Uint8Array.from([...VXLAN, ...inner]);
          const sealed = sealTwin(header, laneKey(KEYS, lane), plaintext);
          const bent = sealed.slice();
          bent[(bit >> 3) % bent.length]! ^= 1 << (bit & 7);
          const seen: string[] = [];
          loop.exchange([bent, sealed, sealed], (d) => {
            seen.push(d[D.STATUS] === RECV.OK ? hex(loop.payload(d)) : `status ${d[D.STATUS]}`);
          });
          assert.match(seen[0]!, /^status/);
          assert.deepEqual(seen.slice(1), [hex(plaintext), `status ${RECV.REPLAY}`]);
          assert.equal(openTwin(bent, laneKey(KEYS, lane)), null);
        }),
        { numRuns: 300 },
      );
    } finally {
      loop.close();
    }
  });
}
