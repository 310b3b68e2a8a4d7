/** The MSS of SYNs, against checksums reckoned anew. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { clampMss, SUM } from '../../agent/datapath/mss-clamp.ts';
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

const SYN = 0x02;
const ACK = 0x10;
const mssOption = (mss: number): number[] => [2, 4, mss >> 8, mss & 0xff];
/** MSS, SACK permitted, timestamps, NOP, window scale: what Linux sends. */
const linux = (mss: number): number[] => [...mssOption(mss), 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7];

const HOP_BY_HOP = [6, 0, 1, 4, 0, 0, 0, 0];

/** A frame surrounded by other bytes, as in a batch. */
function clamp(frame: Uint8Array, limit: number, sum: number): { changed: boolean; frame: Uint8Array } {
  const batch = new Uint8Array(frame.length + 200).fill(0xa5);
  batch.set(frame, 100);
  const changed = clampMss(batch, 100, 100 + frame.length, limit, sum);
  assert.ok(
    batch.slice(0, 100).every((byte) => byte === 0xa5) &&
      batch.slice(100 + frame.length).every((byte) => byte === 0xa5),
  );
  return { changed, frame: batch.slice(100, 100 + frame.length) };
}

const family = fc.constantFrom<4 | 6>(4, 6);

test('any SYN comes out with an MSS that fits and a right checksum', () => {
  const options = fc.record({
    before: fc.array(fc.constantFrom([1], [3, 3, 7], [4, 2], [8, 10, 1, 2, 3, 4, 5, 6, 7, 8]), {
      maxLength: 2,
    }),
    mss: fc.integer({ min: 0, max: 65535 }),
  });
  fc.assert(
    fc.property(
      family,
      options,
      fc.nat(2),
      fc.integer({ min: 1280, max: 1500 }),
      fc.constantFrom(SYN, SYN | ACK),
      fc.boolean(),
      (version, { before, mss }, tags, limit, flags, extended) => {
        const list = [...before.flat(), ...mssOption(mss)];
        while (list.length % 4 !== 0) list.push(list.length % 2 === 0 ? 1 : 0);
        const tcp = tcpBytes(flags, list, [9, 9, 9]);
        const frame =
          version === 4
            ? ipv4Frame(tcp, { tags, protocol: 6, options: extended ? 2 : 0 })
            : ipv6Frame(tcp, { tags, protocol: extended ? 0 : 6, extensions: extended ? HOP_BY_HOP : [] });
        const at = ipAt(frame) + (version === 4 ? (extended ? 28 : 20) : extended ? 48 : 40);
        finishTcp(frame, at);
        const most = limit - (version === 4 ? 40 : 60);
        const result = clamp(frame, limit, SUM.complete);
        assert.equal(result.changed, mss > most);
        const value = at + 20 + before.flat().length + 2;
        assert.equal(get16(result.frame, value), Math.min(mss, most));
        assert.ok(tcpSumRight(result.frame, at));
        // Nothing else changed.
        const same = result.frame.slice();
        same.set(frame.slice(value, value + 2), value);
        same.set(frame.slice(at + 16, at + 18), at + 16);
        assert.deepEqual(same, frame);
        // What the kernel has left unfinished stays untouched.
        const partial = clamp(frame, limit, SUM.partial);
        assert.equal(get16(partial.frame, at + 16), get16(frame, at + 16));
      },
    ),
    { numRuns: 2000 },
  );
});

test('a plain frame with only the pseudo-header sum keeps it; one with a whole checksum has it updated', () => {
  for (const version of [4, 6]) {
    const tcp = tcpBytes(SYN, linux(1460));
    const frame = version === 4 ? ipv4Frame(tcp, { protocol: 6 }) : ipv6Frame(tcp, { protocol: 6 });
    const at = ipAt(frame) + (version === 4 ? 20 : 40);
    const pseudo = pseudoOf(frame, 6, tcp.length);
    frame.set([pseudo >> 8, pseudo & 0xff], at + 16);
    const kept = clamp(frame, 1300, SUM.unknown);
    assert.ok(kept.changed);
    assert.equal(get16(kept.frame, at + 16), pseudo);
    frame.set([0, 0], at + 16);
    const whole = clamp(finishTcp(frame, at), 1300, SUM.unknown);
    assert.ok(whole.changed && tcpSumRight(whole.frame, at));
  }
});

test('everything but a SYN with a larger MSS passes unchanged', () => {
  const frames = [
    ipv4Frame(tcpBytes(ACK, linux(1460)), { protocol: 6 }),
    ipv6Frame(tcpBytes(ACK, linux(1460)), { protocol: 6 }),
    ipv4Frame(tcpBytes(SYN, [1, 1, 1, 1]), { protocol: 6 }),
    ipv4Frame(tcpBytes(SYN, []), { protocol: 6 }),
    ipv4Frame(tcpBytes(SYN, linux(1200)), { protocol: 6 }),
    ipv4Frame(tcpBytes(SYN, linux(1460)), { protocol: 17 }),
    ipv6Frame(tcpBytes(SYN, linux(1460)), { protocol: 17 }),
    ipv4Frame(tcpBytes(SYN, linux(1460)), { protocol: 6, fragmentOffset: 5 }),
    ipv4Frame(tcpBytes(SYN, [2, 3, 5, 0]), { protocol: 6 }),
    ipv4Frame(tcpBytes(SYN, [0, 0, 0, 0, ...mssOption(1460)]), { protocol: 6 }),
    ipv4Frame(tcpBytes(SYN, linux(1460)), { protocol: 6, tags: 2 }).slice(0, 50),
  ];
  for (const frame of frames) assert.deepEqual(clamp(frame, 1300, SUM.complete), { changed: false, frame });
});

test('no frame, however cut or garbled, is read or written beyond its end', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(4, 6),
      fc.nat(2),
      fc.nat(140),
      fc.uint8Array({ maxLength: 6 }),
      fc.nat(100),
      (version, tags, cut, noise, place) => {
        const tcp = tcpBytes(SYN, linux(65535), [1, 2, 3]);
        const whole =
          version === 4 ? ipv4Frame(tcp, { protocol: 6, tags }) : ipv6Frame(tcp, { protocol: 6, tags });
        whole.set(noise.slice(0, Math.max(0, whole.length - place)), Math.min(place, whole.length));
        const { frame } = clamp(whole.slice(0, Math.max(14, cut)), 1280, SUM.unknown);
        assert.equal(frame.length, Math.min(whole.length, Math.max(14, cut)));
      },
    ),
    { numRuns: 3000 },
  );
});
