/** The VXLAN header against RFC 7348 §5, byte by byte. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeVxlan, encodeVxlan, VXLAN_HEADER_BYTES, VXLAN_PORT } from '../../agent/datapath/vxlan.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const vni = fc.nat(0xffffff);

test('the port is the one of IANA', () => assert.equal(VXLAN_PORT, 4789));

const VECTORS: readonly (readonly [vni: number, bytes: string])[] = [
  [0, '08 00 00 00 00 00 00 00'],
  [1, '08 00 00 00 00 00 01 00'],
  [42, '08 00 00 00 00 00 2a 00'],
  [0x123456, '08 00 00 00 12 34 56 00'],
  [0xffffff, '08 00 00 00 ff ff ff 00'],
];

for (const [number, text] of VECTORS)
  test(`VNI ${number} is ${text}, both ways`, () => {
    const bytes = new Uint8Array(8).fill(0xee);
    encodeVxlan(bytes, 0, number);
    assert.deepEqual(bytes, hex(text));
    assert.equal(decodeVxlan(bytes, 0, 8), number);
  });

test('without the I flag there is no VNI; reserved bits mean nothing', () => {
  assert.equal(decodeVxlan(hex('00 00 00 00 00 00 2a 00'), 0, 8), -1);
  assert.equal(decodeVxlan(hex('f7 00 00 00 00 00 2a 00'), 0, 8), -1);
  assert.equal(decodeVxlan(hex('ff ff ff ff 00 00 2a ff'), 0, 8), 42);
});

test('every VNI comes back from any place in memory, and nothing beside the header is touched', () => {
  fc.assert(
    fc.property(vni, fc.nat(20), (number, at) => {
      const bytes = new Uint8Array(40).fill(0x5a);
      encodeVxlan(bytes, at, number);
      assert.equal(decodeVxlan(bytes, at, VXLAN_HEADER_BYTES), number);
      for (const [i, byte] of bytes.entries()) if (i < at || i >= at + 8) assert.equal(byte, 0x5a);
    }),
  );
});

test('a header cut at any length is none, whatever lies behind it in memory', () => {
  const bytes = hex('08 00 00 00 00 00 2a 00 01 02');
  for (let length = 0; length < 8; length++)
    assert.equal(decodeVxlan(bytes, 0, length), -1, `${length} bytes`);
});

test('any eight bytes are a VNI of 24 bits or none, and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 16 }), (bytes) => {
      const number = decodeVxlan(bytes, 0, bytes.length);
      const valid = bytes.length >= 8 && ((bytes[0] ?? 0) & 8) !== 0;
      assert.equal(number >= 0, valid);
      assert.ok(number <= 0xffffff);
    }),
  );
});
