/** The split and join twins against scapy: what a super-frame says is what the cut frames say, by a third party. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { vnetOf } from '../twin/frame-maker.ts';
import { joinTwin } from '../twin/join-twin.ts';
import { completeChecksum, layoutOf, TCP } from '../twin/packet-twin.ts';
import { scapyAnswers, scapyCase } from '../twin/scapy.ts';
import { splitTwin } from '../twin/split-twin.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const CASES = fc.sample(scapyCase(), { seed: 20_240, numRuns: 200 });
const answers = scapyAnswers(CASES);

test('scapy cuts super-frames into the same segments', async () => {
  for (const [i, { whole, segments }] of (await answers).entries()) {
    const { frame, gsoSize } = CASES[i]!;
    assert.equal(whole.length, frame.length);
    const cut = splitTwin(frame, vnetOf(frame, gsoSize), { maxPacketBytes: 0, complete: true });
    assert.deepEqual(cut?.map(hex), segments.map(hex), `case ${i}`);
  }
});

test("scapy's segments join into the super-frame that they were cut from", async () => {
  let joined = 0;
  for (const [i, { whole, segments }] of (await answers).entries()) {
    const layout = layoutOf(whole)!;
    const flags = layout.protocol === TCP ? whole[layout.l4 + 13]! & ~0x08 : 0x10;
    const plain = layout.l3 === 14 && layout.l4 - layout.l3 === (layout.version === 4 ? 20 : 40);
    if (!plain || flags !== 0x10 || segments.length < 2 || segments.length > 64) continue;
    const runs = joinTwin(segments.map((bytes) => ({ bytes, partial: false })));
    assert.deepEqual(
      runs.map((run) => run.segments),
      [segments.length],
    );
    const finished = runs[0]!.bytes.slice();
    completeChecksum(finished, layout);
    assert.equal(hex(finished), hex(whole), `case ${i}`);
    joined++;
  }
  assert.ok(joined > 20, `${joined} cases were of a kind that joins`);
});
