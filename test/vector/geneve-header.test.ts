/** The Geneve header against RFC 8926 §3.4 and §3.5. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DROP } from '../../agent/datapath/drop.ts';
import { decodeGeneve, encodeGeneve, GENEVE_PORT, type GeneveFields } from '../../agent/datapath/geneve.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const fresh = (): GeneveFields => ({ vni: -1, headerBytes: -1 });
const FIRST = '00 00 65 58 00 00 2a 00';

/** What decodes: [drop, vni, header bytes]. */
function decoded(text: string): readonly [number, number, number] {
  const bytes = hex(text);
  const into = fresh();
  const drop = decodeGeneve(bytes, 0, bytes.length, into);
  return [drop, into.vni, into.headerBytes];
}

test('the port is the one of IANA', () => assert.equal(GENEVE_PORT, 6081));

for (const [vni, text] of [
  [0, '00 00 65 58 00 00 00 00'],
  [42, FIRST],
  [0xabcdef, '00 00 65 58 ab cd ef 00'],
  [0xffffff, '00 00 65 58 ff ff ff 00'],
] as const)
  test(`VNI ${vni} is ${text}, both ways`, () => {
    const bytes = new Uint8Array(8).fill(0xee);
    encodeGeneve(bytes, 0, vni);
    assert.deepEqual(bytes, hex(text));
    assert.deepEqual(decoded(text), [0, vni, 8]);
  });

const REFUSED: readonly (readonly [what: string, bytes: string, drop: number])[] = [
  ['version 1', '40 00 65 58 00 00 2a 00', DROP.header],
  ['version 3', 'c0 00 65 58 00 00 2a 00', DROP.header],
  ['IPv4 instead of Ethernet', '00 00 08 00 00 00 2a 00', DROP.header],
  ['a control packet', '00 80 65 58 00 00 2a 00', DROP.notListening],
  ['options beyond the datagram', '01 00 65 58 00 00 2a 00 01 02 00', DROP.header],
  ['an option longer than the options', '01 00 65 58 00 00 2a 00 01 02 00 01', DROP.header],
  ['a critical option', '01 00 65 58 00 00 2a 00 01 02 80 00', DROP.geneveCritical],
  [
    'a critical option behind another',
    '03 40 65 58 00 00 2a 00 01 02 00 01 ff ff ff ff 01 02 80 00',
    DROP.geneveCritical,
  ],
];

for (const [what, text, drop] of REFUSED)
  test(`${what} is dropped as ${drop}`, () => assert.deepEqual(decoded(text), [drop, -1, -1]));

test('options that are not critical are skipped, with the C bit set or not; reserved bits mean nothing', () => {
  assert.deepEqual(decoded('01 00 65 58 00 00 2a 00 01 02 00 00'), [0, 42, 12]);
  assert.deepEqual(decoded('01 40 65 58 00 00 2a 00 01 02 7f 00'), [0, 42, 12]);
  assert.deepEqual(decoded('03 00 65 58 00 00 2a 00 01 02 00 e1 80 80 80 80 01 02 00 00'), [0, 42, 20]);
  assert.deepEqual(decoded('00 3f 65 58 00 00 2a ff'), [0, 42, 8]);
});

test('63 words of options, the most there can be, are read', () => {
  const options = '01 02 00 1f'.concat(' 00'.repeat(124), ' 01 02 00 1e', ' 00'.repeat(120));
  assert.deepEqual(decoded(`3f 00 65 58 00 00 2a 00 ${options}`), [0, 42, 260]);
});

/** Options as their bytes, at most 63 words together. */
const option = fc
  .tuple(fc.nat(0xffff), fc.nat(0xff), fc.nat(7), fc.nat(3))
  .map(([group, type, reserved, words]) => [
    ...[group >> 8, group & 0xff, type, (reserved << 5) | words],
    ...new Array<number>(words * 4).fill(0x80),
  ]);
const options = fc.array(option, { maxLength: 12 });

test('a header with any options is read whole, or dropped exactly when one is critical', () => {
  fc.assert(
    fc.property(fc.nat(0xffffff), options, fc.nat(9), (vni, list, at) => {
      const flat = list.flat();
      const bytes = new Uint8Array(at + 8 + flat.length);
      encodeGeneve(bytes, at, vni);
      bytes[at] = flat.length / 4;
      bytes.set(flat, at + 8);
      const into = fresh();
      const drop = decodeGeneve(bytes, at, bytes.length - at, into);
      const critical = list.some((one) => ((one[2] ?? 0) & 0x80) !== 0);
      assert.equal(drop, critical ? DROP.geneveCritical : 0);
      if (!critical) assert.deepEqual(into, { vni, headerBytes: 8 + flat.length });
    }),
  );
});

test('a header cut at any length is dropped, whatever lies behind it in memory', () => {
  const bytes = hex('02 00 65 58 00 00 2a 00 01 02 00 01 00 00 00 00');
  for (let length = 0; length < bytes.length; length++)
    assert.equal(decodeGeneve(bytes, 0, length, fresh()), DROP.header, `${length} bytes`);
  assert.equal(decodeGeneve(bytes, 0, bytes.length, fresh()), 0);
});

test('garbage has a drop reason or a VNI of 24 bits and a header that fits, and never throws', () => {
  const start = fc.constantFrom<number[]>([], [0, 0, 0x65, 0x58], [1, 0, 0x65, 0x58], [5, 0, 0x65, 0x58]);
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 300 }), (head, tail) => {
      const bytes = Uint8Array.from([...head, ...tail]);
      const into = fresh();
      const drop = decodeGeneve(bytes, 0, bytes.length, into);
      if (drop !== 0) assert.deepEqual(into, fresh());
      else assert.ok(into.vni >= 0 && into.vni <= 0xffffff && into.headerBytes <= bytes.length);
    }),
    { numRuns: 2000 },
  );
});
