/** Networks that lose, part, move and swallow. */
import { delay } from '../../agent/lab/wait.ts';
import { Relay } from '../netns/relay.ts';
import { transfer } from '../netns/traffic.ts';
import { loss, lossesOf, moved, oneWay, partition, singly } from './faults.ts';
import { Broken, must, receiveDrops, type Scenario, type World } from './scenario.ts';
import { monotonicMs, resumedAfterMs } from './stream.ts';

const steady: Scenario = {
  number: '1',
  title: 'nothing happens: three streams of 1,000 datagrams/s, 20 s',
  criterion: 'none lost, doubled or out of order',
  mesh: { hosts: 3 },
  async run(world) {
    const pairs = [
      [0, 1],
      [1, 2],
      [2, 0],
    ] as const;
    const streams = await Promise.all(pairs.map(([from, to]) => world.stream(from, to)));
    await delay(world.amount(20, 4, 1800) * 1000);
    const reports = await Promise.all(streams.map((stream) => world.stop(stream)));
    const sum = (of: 'sent' | 'lost' | 'duplicates' | 'reordered'): number =>
      reports.reduce((total, report) => total + report[of], 0);
    const values = {
      sent: sum('sent'),
      lost: sum('lost'),
      doubled: sum('duplicates'),
      'out of order': sum('reordered'),
    };
    must(values.lost + values.doubled + values['out of order'] === 0, 'the stream was hurt', values);
    return values;
  },
};

const rekey: Scenario = {
  number: '2',
  title: 'new keys every 5 s under two streams, 30 s',
  criterion: 'none lost, no auth drop',
  mesh: { hosts: 2, config: 'session:\n  rekey_after_sec: 5\n' },
  async run(world) {
    const before = await world.mesh.metric(0, 'weft_handshakes_total', { result: 'ok' });
    const streams = [await world.stream(0, 1), await world.stream(1, 0)];
    await delay(world.amount(30, 12, 1000) * 1000);
    const reports = await Promise.all(streams.map((stream) => world.stop(stream)));
    const values = {
      rekeys: (await world.mesh.metric(0, 'weft_handshakes_total', { result: 'ok' })) - before,
      lost: reports.reduce((total, { lost }) => total + lost, 0),
      'auth drops': (await receiveDrops(world, 0, 'auth')) + (await receiveDrops(world, 1, 'auth')),
    };
    must(values.rekeys >= 1 && values.lost === 0 && values['auth drops'] === 0, 'rekeying hurt', values);
    return values;
  },
};

const LOSSES = [1, 5, 10, 20, 30] as const;
/** Points that the overlay may lose beyond what the router lost of the same datagrams. */
const EXTRA_POINTS = 0.2;

interface LossSeen {
  readonly overlay: number;
  readonly underlay: number;
  /** Sightings of a member as dead or of a session as down. */
  readonly wrong: number;
}

async function underLoss(world: World, percent: number): Promise<LossSeen> {
  const stream = await world.stream(0, 1, 500);
  await world.rules(loss(world, percent, 0, 1));
  const untilMs = monotonicMs() + world.amount(20, 8, 360) * 1000;
  let wrong = 0;
  while (monotonicMs() < untilMs) {
    for (const i of world.all()) {
      wrong += (await world.mesh.host(i).members()).filter(({ state }) => state === 'dead').length;
      wrong += (await world.mesh.host(i).peers()).filter(({ state }) => state === 'down').length;
    }
    await delay(500);
  }
  const report = await world.stop(stream);
  const { passed, lost } = await lossesOf(world);
  await world.rules('');
  if (passed < report.sent / 2) throw new Broken(`the router counted ${passed} of ${report.sent}`, {});
  return { overlay: (report.lost / report.sent) * 100, underlay: (lost / report.sent) * 100, wrong };
}

const losses: Scenario = {
  number: '12',
  title: 'loss of 1, 5, 10, 20, 30 % each way among 20 hosts, 20 s each (long: 6 minutes)',
  criterion: `at most ${EXTRA_POINTS} points more lost than the router lost of the same datagrams; to 20 % no session down, nobody dead`,
  mesh: { hosts: 20 },
  async run(world) {
    await singly(world, 0);
    const values: Record<string, number> = {};
    const seen = new Map<number, LossSeen>();
    for (const percent of world.isShort ? [10] : LOSSES) {
      const found = await underLoss(world, percent);
      seen.set(percent, found);
      values[`lost at ${percent} %`] = found.overlay;
      values[`more than underneath at ${percent} %`] = found.overlay - found.underlay;
      values[`wrong at ${percent} %`] = found.wrong;
    }
    for (const [percent, { overlay, underlay, wrong }] of seen) {
      must(percent > 20 || wrong === 0, `down or dead at ${percent} %`, values);
      must(overlay - underlay <= EXTRA_POINTS, `the overlay lost more at ${percent} %`, values);
    }
    return values;
  },
};

/** Half and half apart; inside each half nothing may be lost. */
function parted(number: string, seconds: number, one: readonly number[], other: readonly number[]): Scenario {
  return {
    number,
    title: `${one.length} and ${other.length} hosts apart for ${seconds} s`,
    criterion: 'inside a half nothing lost; one mesh with traffic within 15 s of healing',
    mesh: { hosts: one.length + other.length },
    async run(world) {
      const across = await world.stream(one[0] ?? 0, other[0] ?? 0, 200);
      const inner = other.length > 1 ? other : one;
      const within = await world.stream(inner[0] ?? 0, inner[1] ?? 0);
      await world.rules(partition(world, one, other));
      await delay(world.amount(seconds, Math.min(10, seconds), seconds > 10 ? 600 : seconds) * 1000);
      await world.rules('');
      const healedMs = monotonicMs();
      const wholeMs = await world.timed('whole', 40_000, () => world.isWhole(world.all()));
      await delay(500);
      const report = await world.stop(across);
      const { lost, gapMs } = await world.stop(within);
      const values = {
        'whole ms': wholeMs,
        'traffic ms': resumedAfterMs(report, healedMs),
        'lost inside': lost,
        'longest gap inside ms': gapMs,
      };
      must(lost === 0, 'traffic inside a half was hurt', values);
      must(Math.max(values['whole ms'], values['traffic ms']) <= 15_000, 'healed too late', values);
      return values;
    },
  };
}

const deafOneWay: Scenario = {
  number: '13',
  title: 'datagrams of host1 to host2 vanish for 20 s, the other way passes (without a relay)',
  criterion: 'nobody marks either dead; traffic back within 15 s',
  mesh: { hosts: 4 },
  async run(world) {
    const stream = await world.stream(1, 0, 200);
    await world.rules(oneWay(world, [0], [1]));
    const untilMs = monotonicMs() + world.amount(20, 10) * 1000;
    let wrong = 0;
    while (monotonicMs() < untilMs) {
      for (const i of world.all())
        wrong += (await world.mesh.host(i).members()).filter(({ state }) => state === 'dead').length;
      await delay(500);
    }
    await world.rules('');
    const healedMs = monotonicMs();
    const wholeMs = await world.timed('whole', 30_000, () => world.isWhole(world.all()));
    await delay(1000);
    const report = await world.stop(stream);
    const values = {
      'seen dead': wrong,
      'whole ms': wholeMs,
      'traffic ms': resumedAfterMs(report, healedMs),
    };
    must(wrong === 0 && Math.max(values['whole ms'], values['traffic ms']) <= 15_000, 'hurt', values);
    return values;
  },
};

let moves = 0;
function roaming(number: string, title: string, port: boolean, config = ''): Scenario {
  return {
    number,
    title,
    criterion: 'at most 2 datagrams lost each way at 1,000/s',
    mesh: { hosts: 2, config },
    async run(world) {
      const stream = await world.stream(1, 0);
      const back = await world.stream(0, 1);
      await delay(500);
      moves += 1;
      const seen = port ? world.mesh.host(1).node.address : `10.89.2.${100 + (moves % 100)}`;
      await world.rules(moved(world, 1, seen, port ? 20_000 + moves : null));
      const followMs = await world.timed('followed', 10_000, async () => {
        const [peer] = await world.mesh.host(0).peers();
        return peer?.endpoint === `${seen}:${port ? 20_000 + moves : 7947}`;
      });
      await delay(1000);
      const report = await world.stop(stream);
      const other = await world.stop(back);
      const values = {
        'followed ms': followMs,
        'lost from it': report.lost,
        'lost to it': other.lost,
      };
      must(
        values['lost from it'] <= 2 && values['lost to it'] <= 2,
        'frames to the moved host were lost',
        values,
      );
      return values;
    },
  };
}

const CORRUPT = { seed: 26, corrupt: 0.01 } as const;
/** Everything that passes is damaged in the same share, gossip and handshakes too. */
const corruption: Scenario = {
  number: '26',
  title: '1 % of the datagrams damaged, TCP and UDP with digests',
  criterion: 'not one damaged byte delivered, sessions stay',
  mesh: { hosts: 2 },
  async run(world) {
    const relay = await Relay.start(world.mesh.topology, CORRUPT);
    try {
      const ends = { from: world.namespace(0), to: world.namespace(1), address: world.addresses[1] ?? '' };
      const tcp = await transfer({
        ...ends,
        kind: 'tcp',
        bytes: world.amount(4_000_000, 500_000, 500_000_000),
      });
      const udp = await transfer({
        ...ends,
        kind: 'udp',
        bytes: world.amount(1_000_000, 200_000, 500_000_000),
      });
      const wrong = [tcp, udp].filter(({ sent, received }) => sent.digest !== received.digest).length;
      const counters = await relay.counters();
      const [peer] = await world.mesh.host(0).peers();
      const values = {
        'digests wrong': wrong + (udp.received.corrupted ?? 0),
        'datagrams damaged': counters.corrupted,
        'sessions down': peer?.state === 'up' ? 0 : 1,
      };
      must(values['digests wrong'] + values['sessions down'] === 0, 'damage got through', values);
      must(counters.corrupted > 5, 'the relay damaged too little', values);
      return values;
    } finally {
      await relay.stop();
      await restoreForwarding(world);
    }
  },
};

async function restoreForwarding(world: World): Promise<void> {
  await world.mesh.inRouter(['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
}

const copies: Scenario = {
  number: '27',
  title: '10 % doubled and 10 % held back by 5 ms',
  criterion: 'none delivered twice, none lost',
  mesh: { hosts: 2 },
  async run(world) {
    const relay = await Relay.start(world.mesh.topology, {
      seed: 27,
      duplicate: 0.1,
      reorder: 0.1,
      reorderMs: 5,
    });
    try {
      const stream = await world.stream(0, 1, world.amount(1000, 1000, 5000));
      await delay(world.amount(10, 4, 200) * 1000);
      const report = await world.stop(stream);
      const counters = await relay.counters();
      const values = {
        sent: report.sent,
        lost: report.lost,
        'delivered twice': report.duplicates,
        'copies made': counters.duplicated,
        'replays refused': await receiveDrops(world, 1, 'replay'),
      };
      must(report.duplicates === 0 && report.lost <= counters.overflow + counters.missed, 'hurt', values);
      must(counters.duplicated > report.sent / 20, 'the relay copied too little', values);
      return values;
    } finally {
      await relay.stop();
      await restoreForwarding(world);
    }
  },
};

export const NETWORKS: readonly Scenario[] = [
  steady,
  rekey,
  roaming('8a', 'a NAT gives the host another source port', true),
  roaming('8b', 'the host appears at another address', false),
  roaming('8c', 'as 8a, with one source port', true, 'udp:\n  send_ports: 1\n'),
  losses,
  deafOneWay,
  parted('14a', 10, [0, 1], [2, 3]),
  parted('14b', 90, [0, 1], [2, 3]),
  parted('14c', 90, [0], [1, 2, 3]),
  corruption,
  copies,
];
