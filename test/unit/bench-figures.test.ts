/** What `npm run bench` makes of numbers: parsing, medians, ratios, comparison. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseArguments } from '../bench/peers/arguments.ts';
import {
  COLUMNS,
  comparable,
  drops,
  type Figures,
  median,
  medians,
  type RunResult,
  ratioOf,
} from '../bench/peers/figures.ts';
import { bisect } from '../bench/peers/measure.ts';
import { parseMachineTicks, parsePing, parseProcessTicks, parseResidentMb } from '../bench/peers/readings.ts';
import { tableOf } from '../bench/peers/report.ts';
import { SYSTEMS, YARDSTICK } from '../bench/peers/systems.ts';

const NOTHING = Object.fromEntries(COLUMNS.map(({ column }) => [column, null])) as unknown as Figures;
const figures = (some: Partial<Figures>): Figures => ({ ...NOTHING, ...some });
const TCP = COLUMNS.find(({ column }) => column === 'tcp1Gbps')!;
const RTT = COLUMNS.find(({ column }) => column === 'rttUs')!;

function result(rounds: Record<string, Figures[]>, wire = 'nic'): RunResult {
  return { machine: {}, wires: [{ wire, rounds, missing: { tinc: 'missing: tincd not installed' } }] };
}

test('the median is the middle of what was measured', () => {
  assert.equal(median([]), null);
  assert.equal(median([null, null]), null);
  assert.equal(median([10]), 10);
  assert.equal(median([10, 9, 100]), 10);
  assert.equal(median([1, 2, 30, 4]), 3);
  assert.equal(median([null, 7, 5, null, 6]), 6);
});

test('medians are taken column by column', () => {
  const rounds = [
    figures({ tcp1Gbps: 1, rttUs: 30 }),
    figures({ tcp1Gbps: 3, rttUs: 10 }),
    figures({ tcp1Gbps: 2 }),
  ];
  const { tcp1Gbps, rttUs, tcp4Gbps } = medians(rounds);
  assert.deepEqual([tcp1Gbps, rttUs, tcp4Gbps], [2, 20, null]);
});

test('reads what ping says, also when nothing came back', () => {
  const said =
    '600 packets transmitted, 599 received, 0.166667% packet loss, time 3\nrtt min/avg/max/mdev = 0.081/0.093/0.5/0.01 ms\n';
  assert.deepEqual(parsePing(said), { averageUs: 93, lossPercent: 0.166667 });
  assert.deepEqual(parsePing('3 packets transmitted, 0 received, 100% packet loss, time 2'), {
    averageUs: null,
    lossPercent: 100,
  });
  assert.throws(() => parsePing(''), /ping: said nothing/);
});

test('reads the CPU time of a process whose name has spaces and brackets', () => {
  const stat = '42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 111 22 33 44 20 0';
  assert.equal(parseProcessTicks(stat), 133);
  assert.equal(parseProcessTicks(''), 0);
});

test('reads resident memory and the time that was stolen', () => {
  assert.equal(parseResidentMb('Name:\tx\nVmRSS:\t  102400 kB\n'), 100);
  assert.equal(parseResidentMb(''), 0);
  assert.deepEqual(parseMachineTicks('cpu  1 2 4 800 900 8 16 77 0 0\ncpu0 9 9 9\n'), {
    busy: 31,
    steal: 77,
  });
});

test('a ratio above 1 is better, also where less is better', () => {
  const [wire] = result({
    weft: [figures({ tcp1Gbps: 6, rttUs: 20 })],
    [YARDSTICK]: [figures({ tcp1Gbps: 3, rttUs: 10 })],
  }).wires;
  assert.equal(ratioOf(wire!, 'weft', YARDSTICK, TCP), 2);
  assert.equal(ratioOf(wire!, 'weft', YARDSTICK, RTT), 0.5);
  assert.equal(ratioOf(wire!, 'nebula', YARDSTICK, TCP), null);
});

test('a drop of more than 10 % in a ratio is named, a slower machine is not', () => {
  const base = result({ weft: [figures({ tcp1Gbps: 6 })], [YARDSTICK]: [figures({ tcp1Gbps: 3 })] });
  const slower = result({ weft: [figures({ tcp1Gbps: 2 })], [YARDSTICK]: [figures({ tcp1Gbps: 1 })] });
  assert.deepEqual(drops(slower, base, ['weft'], YARDSTICK), []);
  const nearly = result({ weft: [figures({ tcp1Gbps: 5.5 })], [YARDSTICK]: [figures({ tcp1Gbps: 3 })] });
  assert.deepEqual(drops(nearly, base, ['weft'], YARDSTICK), []);
  const worse = result({ weft: [figures({ tcp1Gbps: 5.3 })], [YARDSTICK]: [figures({ tcp1Gbps: 3 })] });
  assert.deepEqual(drops(worse, base, ['weft'], YARDSTICK), [
    'wire nic, weft, TCPx1 Gb/s: was 2.000 of kernel-vxlan, is 1.767',
  ]);
});

test('a longer round trip is a drop, and so is a figure that is gone', () => {
  const base = result({
    weft: [figures({ rttUs: 100, tcp1Gbps: 1 })],
    [YARDSTICK]: [figures({ rttUs: 10, tcp1Gbps: 1 })],
  });
  const now = result({
    weft: [figures({ rttUs: 120 })],
    [YARDSTICK]: [figures({ rttUs: 10, tcp1Gbps: 1 })],
  });
  const lines = drops(now, base, ['weft'], YARDSTICK);
  assert.equal(lines.length, 2);
  assert.match(lines.join('\n'), /TCPx1 Gb\/s: was 1.000 of kernel-vxlan, is missing/);
  assert.match(lines.join('\n'), /RTT us: was 0.100 of kernel-vxlan, is 0.083/);
});

test('runs over different wires are not comparable', () => {
  assert.equal(comparable(result({}, 'nic'), result({}, 'soft')), false);
  assert.equal(comparable(result({}, 'nic'), result({}, 'nic')), true);
});

test('the table names what is missing', () => {
  const [wire] = result({ weft: [figures({ tcp1Gbps: 6 })], [YARDSTICK]: [figures({ tcp1Gbps: 3 })] }).wires;
  const table = tableOf(wire!, SYSTEMS, YARDSTICK);
  assert.match(table, /tinc: missing: tincd not installed/);
  assert.match(table, /^weft +aes-256-gcm +2 +6\.00 +- /m);
  assert.match(table, /^weft +2\.00 +- /m);
});

test('the no-drop search ends next to the limit, and at nothing when all is lost', async () => {
  const limit = 61.8;
  const found = await bisect(100, 7, async (rate) => (rate <= limit ? rate : null));
  assert.ok(found <= limit && found > limit - 100 / 2 ** 7, String(found));
  assert.equal(await bisect(100, 7, async () => null), 0);
});

test('the command line is refused with what it may be', () => {
  const { rounds, seconds, wires, systems, compare } = parseArguments([
    '--wire',
    'virt,soft',
    '--rounds',
    '5',
  ]);
  assert.deepEqual([rounds, seconds, wires, compare], [5, 4, ['virt', 'soft'], null]);
  assert.equal(systems.length, SYSTEMS.length);
  assert.throws(() => parseArguments(['--wire', 'wet']), /--wire wet: there are virt, nic, soft/);
  assert.throws(
    () => parseArguments(['--systems', 'weft,ipsec']),
    /--systems ipsec: there are kernel-vxlan, weft/,
  );
  assert.throws(() => parseArguments(['--rounds', '0']), /--rounds 0: give a whole number/);
});
