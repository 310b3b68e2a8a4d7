import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFrameBatch, D, RECV, Receiver } from 'tun-tap';
import { DROP, DROP_TABLE } from '../../agent/datapath/drop.ts';
import { selfTest, type TestedPath } from '../../agent/datapath/self-test.ts';
import {
  createSharedTables,
  S,
  SEGMENT_STRIDE,
  type SharedTables,
  T,
  TOTAL_DROPS,
  TOTALS_STRIDE,
} from '../../agent/datapath/shared-tables.ts';

const ROW = 1;

/** Tables of a host with one segment at each position. */
function world(...sealed: readonly boolean[]): SharedTables {
  const tables = createSharedTables(2);
  for (const [i, isSealed] of sealed.entries())
    tables.segments.set([40 + i, 1, Number(isSealed), 0, 1390, 0x0200, 5], i * SEGMENT_STRIDE);
  tables.totals.fill(7);
  return tables;
}

interface Faults {
  /** What the plain port does instead of dropping as `vni`. */
  readonly plain?: 'deliver' | 'otherReason' | 'silence' | 'ignore';
  readonly sealed?: 'deliver';
}

/** Takes datagrams with the real receiver and judges them as the receive path should, but for its faults. */
class FakePath implements TestedPath {
  plainIsGeneve = false;
  readonly #tables: SharedTables;
  readonly #faults: Faults;
  readonly #batch = createFrameBatch(4);
  readonly #receiver = new Receiver(this.#batch, { maxSessions: 1, worker: 0, workers: 1 });

  constructor(tables: SharedTables, faults: Faults) {
    this.#tables = tables;
    this.#faults = faults;
  }

  #count(field: number): void {
    this.#tables.totals[ROW * TOTALS_STRIDE + field]! += 1;
  }

  runSealed(fd: number): number {
    const n = this.#receiver.receiveSealed(fd);
    assert.deepEqual([n, this.#batch.desc[D.STATUS]], [1, RECV.GARBAGE]);
    this.#count(T.CONTROL_PACKETS);
    this.#count(this.#faults.sealed === 'deliver' ? T.FRAMES : TOTAL_DROPS + DROP.garbage);
    return n;
  }

  runPlain(fd: number): number {
    const { plain } = this.#faults;
    if (plain === 'ignore') return 0;
    const n = this.#receiver.receivePlain(fd, this.plainIsGeneve ? 1 : 0);
    const at = this.#batch.desc[D.OFF]!;
    const vni =
      (this.#batch.bytes[at + 4]! << 16) | (this.#batch.bytes[at + 5]! << 8) | this.#batch.bytes[at + 6]!;
    const sealed = this.#tables.segments[(vni - 40) * SEGMENT_STRIDE + S.SEALED] === 1;
    this.#count(T.PLAIN_PACKETS);
    if (plain === 'deliver') this.#count(T.FRAMES);
    else if (plain === 'otherReason') this.#count(TOTAL_DROPS + DROP.unknownVtep);
    else if (plain !== 'silence')
      this.#count(TOTAL_DROPS + (sealed || this.plainIsGeneve ? DROP.vni : DROP.unknownVtep));
    return n;
  }
}

const verdict = (faults: Faults, ...sealed: readonly boolean[]): string | null => {
  const tables = world(...sealed);
  const before = tables.totals.slice();
  const said = selfTest(new FakePath(tables, faults), tables, ROW);
  assert.deepEqual(tables.totals, before, 'the counters are as they were');
  return said;
};

test('a receive path that drops and counts as it must passes, with sealed and plain segments', () => {
  assert.equal(verdict({}, true), null);
  assert.equal(verdict({}, false), null);
  assert.equal(verdict({}, true, false, true), null);
});

test('one that delivers, drops for another reason, does not count, or receives nothing is refused by name', () => {
  const plain = /a plain vxlan frame for sealed VNI 40 on the plain port/;
  const cases: readonly [Faults, RegExp][] = [
    [{ plain: 'deliver' }, /reached the TAP$/],
    [{ plain: 'otherReason' }, /was not dropped as vni$/],
    [{ plain: 'silence' }, /was not dropped as vni$/],
    [{ plain: 'ignore' }, /was not received$/],
  ];
  for (const [faults, why] of cases) {
    const said = verdict(faults, true) ?? '';
    assert.match(said, plain);
    assert.match(said, why);
  }
  assert.match(verdict({ sealed: 'deliver' }, true) ?? '', /on the sealed port reached the TAP$/);
  assert.match(
    verdict({ plain: 'deliver' }, false) ?? '',
    /for plain VNI 40 on the plain port reached the TAP$/,
  );
});

test('the reasons that it asks for are those that people read', () => {
  assert.deepEqual(
    [DROP.vni, DROP.garbage, DROP.unknownVtep].map((reason) => DROP_TABLE[reason]?.label),
    ['vni', 'garbage', 'unknown_vtep'],
  );
});
