/** The table of plain sources against a Map. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { VtepTable } from '../../agent/datapath/vtep-table.ts';

type Address = [number, number, number, number];
const key = (segment: number, address: Address): string => `${segment} ${address.join(' ')}`;

/** Few, so that they are set and removed often; the last word alone differs, as it does within a network. */
const address: fc.Arbitrary<Address> = fc.oneof(
  fc.nat(40).map((n): Address => [0, 0, 0xffff, 0x0a000000 + n]),
  fc.tuple(fc.nat(1), fc.integer({ min: -3, max: 3 })).map(([a, d]): Address => [a, 0, 0, d]),
);
const operation = fc.record({
  kind: fc.constantFrom('set', 'set', 'remove'),
  segment: fc.nat(2),
  address,
  slot: fc.nat(1023),
});

test('any order of sets and removals leaves exactly what a Map holds', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
      const table = new VtepTable();
      const model = new Map<string, number>();
      for (const { kind, segment, address: words, slot } of operations) {
        if (kind === 'set') {
          table.set(segment, words, slot);
          model.set(key(segment, words), slot);
        } else {
          table.remove(segment, words);
          model.delete(key(segment, words));
        }
      }
      for (const { segment, address: words } of operations)
        for (const other of [segment, 3])
          assert.equal(table.lookup(other, ...words), model.get(key(other, words)) ?? -1);
    }),
  );
});

test('1024 sources are found, in whatever order the others are removed', () => {
  const table = new VtepTable();
  const sources = Array.from({ length: 1024 }, (_, i): Address => [0, 0, 0xffff, (i * 2654435761) | 0]);
  for (const [slot, source] of sources.entries()) table.set(0, source, slot);
  for (let removed = 0; removed < sources.length; removed += 64) {
    for (const [slot, source] of sources.entries())
      assert.equal(table.lookup(0, ...source), slot < removed ? -1 : slot);
    for (const source of sources.slice(removed, removed + 64)) table.remove(0, source);
  }
  for (const source of sources) assert.equal(table.lookup(0, ...source), -1);
});
