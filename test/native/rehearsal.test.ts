/** The rehearsal of a worker: it runs through, leaves nothing open, and moves frames in both modes. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { closeFd, createFrameBatch, D, injectFrame, openPair, SLOT_BYTES, Transmitter } from 'tun-tap';
import type { WorkerSettings } from '../../agent/datapath/commands.ts';
import type { DuplicateRule } from '../../agent/datapath/fdb-moves.ts';
import { Rehearsal } from '../../agent/datapath/rehearsal.ts';

/** As configured unless somebody says otherwise: what comes back looks like an address that moves to and fro. */
const DUPLICATES: DuplicateRule = { moves: 5, windowSec: 180, freezeSec: 1800 };

const settings = (mode: 'sealed' | 'plain'): WorkerSettings => ({
  ...{
    kind: 'both',
    pair: 0,
    pairs: 1,
    tapFd: -1,
    sealedFd: -1,
    sendFds: [-1, -1],
    eventFd: -1,
    maxSessions: 8,
  },
  plainFd: mode === 'plain' ? -1 : null,
  fdb: { ageingSec: 300, localLimit: 1024, perPeerLimit: 1024, duplicates: DUPLICATES },
  ...{ segmenting: true, joining: true },
});
const openDescriptors = (): number => readdirSync('/proc/self/fd').length;
/** A rehearsal that breaks off at a frame that did not come back ends far earlier. */
const LEAST_FRAMES = 2500;

for (const mode of ['sealed', 'plain'] as const) {
  test(`every frame of a ${mode} rehearsal comes back, and its descriptors are closed at the end`, () => {
    const before = openDescriptors();
    const rehearsal = new Rehearsal(settings(mode));
    assert.ok(openDescriptors() > before);
    let frames = 0;
    while (rehearsal.step(16)) frames += 16;
    assert.ok(frames >= LEAST_FRAMES, `${frames} frames`);
    assert.equal(openDescriptors(), before);
  });
}

test('a rehearsal that is broken off closes its descriptors', () => {
  const before = openDescriptors();
  const rehearsal = new Rehearsal(settings('sealed'));
  assert.equal(rehearsal.step(16), true);
  rehearsal.close();
  assert.equal(openDescriptors(), before);
});

test('a wire carries frames both ways, message by message, and is empty then', () => {
  const [a, b] = openPair();
  const batch = createFrameBatch(4);
  const reader = new Transmitter(batch, { maxTunnels: 1, sockets: [a] });
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    for (const length of [60, 1514])
      assert.equal(injectFrame(from, new Uint8Array(length).fill(length & 0xff), 0, length), 0);
    assert.equal(reader.readTap(to), 2);
    assert.deepEqual([batch.desc[D.LEN], batch.desc[16 + D.LEN]], [60, 1514]);
    assert.equal(batch.bytes[SLOT_BYTES + (batch.desc[D.OFF] ?? 0)], 1514 & 0xff);
    assert.equal(reader.readTap(to), 0);
  }
  closeFd(a);
  closeFd(b);
});
