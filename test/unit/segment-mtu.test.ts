/** How sizes follow from each other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outerBytes, packetLimitBytes, segmentMtuBytes, superFrameBytes } from '../../agent/segment/mtu.ts';

test('the first MTUs are those that the protocol names', () => {
  assert.equal(segmentMtuBytes('sealed', 'vxlan'), 1390);
  assert.equal(segmentMtuBytes('sealed', 'geneve'), 1326);
  assert.equal(segmentMtuBytes('plain', 'vxlan'), 1422);
  assert.equal(segmentMtuBytes('plain', 'geneve'), 1422);
});

test('a 1500-byte path of either family never limits a segment of the first MTU', () => {
  for (const mode of ['sealed', 'plain'] as const)
    for (const encap of ['vxlan', 'geneve'] as const)
      for (const family of [4, 6] as const)
        assert.ok(packetLimitBytes(1500, family, mode, encap) >= segmentMtuBytes(mode, encap));
});

test('the limit with all headers around it is exactly the path', () => {
  // Seal header and tag, VXLAN header, Ethernet and two tags.
  const wrapped = 16 + 8 + 22 + 16;
  assert.equal(packetLimitBytes(1300, 4, 'sealed', 'vxlan') + wrapped + outerBytes(4), 1300);
  assert.equal(packetLimitBytes(1300, 6, 'sealed', 'vxlan') + wrapped + outerBytes(6), 1300);
  assert.equal(packetLimitBytes(1300, 4, 'plain', 'geneve') + 8 + 22 + outerBytes(4), 1300);
  assert.equal(outerBytes(4), 28);
  assert.equal(outerBytes(6), 48);
});

test('a super-frame of the largest size is one message on the underlay, and one more segment would not be', () => {
  const kernelHeaderBytes = 321; // MAX_TCP_HEADER + 1 on x86-64
  for (const mode of ['sealed', 'plain'] as const) {
    for (const mtu of [1280, 1390, 1422, 8900]) {
      const datagramBytes = 8 + 14 + mtu + (mode === 'sealed' ? 32 : 0);
      const fit = Math.floor(65_000 / datagramBytes);
      const segments = Math.floor((superFrameBytes(mtu, mode) - kernelHeaderBytes) / (mtu - 52));
      assert.equal(segments, fit, `${mode} ${mtu}`);
    }
  }
});
