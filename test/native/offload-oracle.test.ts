/** Split and join in C against their TypeScript twins: thousands of drawn cases, byte for byte. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { joinFrames, splitFrame } from 'tun-tap';
import { buildFrame, PLAIN } from '../twin/frame-builder.ts';
import {
  brokenSuperFrame,
  everyBreakage,
  neighbours,
  type SuperFrame,
  strangers,
  superFrame,
  vnetOf,
} from '../twin/frame-maker.ts';
import { type FrameIn, type Joined, joinTwin } from '../twin/join-twin.ts';
import { completeChecksum, layoutOf, TCP, UDP } from '../twin/packet-twin.ts';
import { scapyAnswers, scapyCase } from '../twin/scapy.ts';
import { splitTwin } from '../twin/split-twin.ts';

const RUNS = 2000;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function sameSplit({ frame, vnet, options }: SuperFrame): Uint8Array[] | null {
  const given = hex(frame);
  const actual = splitFrame(frame, vnet, options);
  const expected = splitTwin(frame, vnet, options);
  assert.deepEqual(actual?.map(hex) ?? null, expected?.map(hex) ?? null);
  assert.equal(hex(frame), given, 'the frame given is left as it was');
  return actual;
}

const readable = (runs: readonly Joined[]): unknown => runs.map((run) => ({ ...run, bytes: hex(run.bytes) }));

function sameJoin(frames: readonly FrameIn[]): Joined[] {
  const actual = joinFrames(frames);
  assert.deepEqual(readable(actual), readable(joinTwin(frames)));
  return actual;
}

test('super-frames are cut as the twin cuts them', () => {
  let cut = 0;
  let segments = 0;
  fc.assert(
    fc.property(superFrame(), (made) => {
      const result = sameSplit(made);
      cut += result === null ? 0 : 1;
      segments += result?.length ?? 0;
    }),
    { numRuns: RUNS },
  );
  assert.ok(cut > RUNS / 2 && segments > RUNS * 5, `${cut} cut into ${segments}`);
});

test('false super-frames are refused as the twin refuses them', () => {
  let refused = 0;
  fc.assert(
    fc.property(brokenSuperFrame(), (made) => {
      if (sameSplit(made) === null) refused++;
    }),
    { numRuns: RUNS },
  );
  assert.ok(refused > RUNS / 4 && refused < RUNS, `${refused} refused`);
});

test('neighbours are joined as the twin joins them', () => {
  let frames = 0;
  let runs = 0;
  fc.assert(
    fc.property(neighbours(), (batch) => {
      frames += batch.length;
      runs += sameJoin(batch).length;
    }),
    { numRuns: RUNS },
  );
  assert.ok(runs < frames / 2 && runs > RUNS, `${frames} frames in ${runs} runs`);
});

test('frames that have nothing to do with each other come out as the twin says', () => {
  fc.assert(
    fc.property(strangers(), (batch) => {
      sameJoin(batch);
    }),
    { numRuns: RUNS },
  );
});

for (const version of [4, 6] as const) {
  for (const protocol of [TCP, UDP]) {
    for (const checksum of ['whole', 'partial'] as const) {
      test(`every breakage of a run is seen: IPv${version}, protocol ${protocol}, checksum ${checksum}`, () => {
        const six = { source: new Uint8Array(16).fill(1), target: new Uint8Array(16).fill(2) };
        const base = { ...PLAIN, ...(version === 6 ? six : {}), version, protocol };
        for (const fragmentField of [0, 0x4000]) {
          const batches = everyBreakage({ ...base, fragmentField }, checksum === 'partial');
          for (const frames of batches) sameJoin(frames);
        }
      });
    }
  }
}

test('what was cut joins again into the super-frame that it was cut from', () => {
  let whole = 0;
  const seldom = fc.constantFrom(0, 1);
  fc.assert(
    fc.property(superFrame(), seldom, ({ frame, vnet, options }, plain) => {
      // Flags that may join; what has none is UDP.
      const layout = layoutOf(frame)!;
      const given = frame.slice();
      if (layout.protocol === TCP) given[layout.l4 + 13] = 0x10 + plain * 8;
      const cut = splitFrame(given, vnet, { ...options, complete: true });
      if (cut === null) return;
      const joined = sameJoin(cut.map((bytes) => ({ bytes, partial: false })));
      const payload = Buffer.concat(joined.map(({ bytes }) => bytes.subarray(layout.payload)));
      assert.equal(hex(payload), hex(given.subarray(layout.payload)));
      if (joined.length > 1 || cut.length === 1) return;
      whole++;
      completeChecksum(given, layout);
      completeChecksum(joined[0]!.bytes, layout);
      // The super-frame's own header checksum is its sender's business; the joined one's is ours.
      assert.equal(hex(joined[0]!.bytes), hex(given));
    }),
    { numRuns: RUNS },
  );
  assert.ok(whole > RUNS / 20, `${whole} came back whole`);
});

test('what was joined is cut again into the frames that were joined', () => {
  fc.assert(
    fc.property(neighbours(), (batch) => {
      let at = 0;
      for (const { bytes, vnet, segments } of joinFrames(batch)) {
        const members = batch.slice(at, at + segments);
        at += segments;
        if (segments === 1) continue;
        const cut = splitFrame(bytes, vnet, { maxPacketBytes: 0, complete: true });
        assert.deepEqual(
          cut?.map(contentOf),
          members.map((member) => contentOf(member.bytes)),
        );
      }
      assert.equal(at, batch.length);
    }),
    { numRuns: RUNS / 4 },
  );
});

/** A frame with its checksum finished, and without an id that no receiver may look at (RFC 6864: DF set). */
function contentOf(frame: Uint8Array): string {
  const out = frame.slice();
  const layout = layoutOf(out)!;
  if (layout.version === 4 && (out[layout.l3 + 6]! & 0x40) !== 0) {
    out.fill(0, layout.l3 + 4, layout.l3 + 6).fill(0, layout.l3 + 10, layout.l3 + 12);
  }
  completeChecksum(out, layout);
  return hex(out);
}

test('scapy cuts and joins the same', async () => {
  const cases = fc.sample(scapyCase(), { seed: 99, numRuns: 60 });
  for (const [i, { whole, segments }] of (await scapyAnswers(cases)).entries()) {
    const { frame, gsoSize } = cases[i]!;
    const cut = splitFrame(frame, vnetOf(frame, gsoSize), { maxPacketBytes: 0, complete: true });
    assert.deepEqual(cut?.map(hex), segments.map(hex));
    const joined = joinFrames(segments.map((bytes) => ({ bytes, partial: false })));
    if (joined.length > 1) continue;
    const finished = joined[0]!.bytes.slice();
    completeChecksum(finished, layoutOf(finished)!);
    assert.equal(hex(finished), hex(whole));
  }
});

test('garbage of every length is neither cut nor joined, and breaks nothing', () => {
  const vnet = vnetOf(buildFrame(PLAIN), 100);
  for (let length = 0; length < 200; length++) {
    for (const byte of [0, 0x45, 0x60, 0xff]) {
      const bytes = new Uint8Array(length).fill(byte);
      sameSplit({ frame: bytes, vnet, options: { maxPacketBytes: 0, complete: true } });
      for (const partial of [false, true])
        sameJoin([bytes, bytes, bytes].map((each) => ({ bytes: each, partial })));
    }
  }
});
