/**
 * Whatever offloads are on at either end, what arrives is what was sent, byte for byte, between two agents. A covering
 * subset by default; with WEFT_MATRIX=full (`npm run test:matrix`) every combination with 100 MB in each transfer.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { StatusReport } from '../../agent/control/api-types.ts';
import { Mesh } from './mesh.ts';
import { combinations, exchange, FULL, restart } from './offload-exchange.ts';
import { allCombinations, nameOf, pairsOf, pairwise, SWITCHES } from './offload-switches.ts';

const COUNT = SWITCHES.length;

test('the covering subset has every two switches in all four settings', () => {
  const rows = pairwise(2 * COUNT);
  assert.equal(new Set(rows.flatMap(pairsOf)).size, 2 * COUNT * (2 * COUNT - 1) * 2);
  assert.ok(rows.length < 14, `${rows.length} rows`);
  assert.equal(allCombinations(2 * COUNT).length, 1024);
});

for (const encap of ['vxlan', 'geneve'] as const) {
  describe(`two agents, sealed ${encap}`, () => {
    let mesh: Mesh;
    before(async () => {
      mesh = await Mesh.start({ hosts: 2, encap });
    });
    after(() => mesh?.remove());

    // Geneve differs in the header before the frame alone: all on and all off, unless everything is wanted.
    const rows = encap === 'vxlan' || FULL ? combinations(2 * COUNT) : combinations(2 * COUNT).slice(0, 2);
    for (const [seed, row] of rows.entries()) {
      const settings = [row.slice(0, COUNT), row.slice(COUNT)];
      test(`${settings.map(nameOf).join(' | ')}`, async () => {
        const [first, second] = await restart(mesh, settings);
        for (const [i, wanted] of settings.entries()) {
          const { offloads } = await mesh.host(i).api.get<StatusReport>('/v1/status');
          const on = offloads
            .filter((offload) => offload.on && offload.name !== 'aes')
            .map(({ name }) => name);
          assert.deepEqual(on.sort(), nameOf(wanted).replace('none', '').split(' ').filter(Boolean).sort());
        }
        await exchange(first!, second!, seed);
        // All combinations hold each one's mirror image too.
        if (!FULL) await exchange(second!, first!, seed);
      });
    }
  });
}
