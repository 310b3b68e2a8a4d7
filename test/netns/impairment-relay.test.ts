/** The impairment relay does what it is told, in the parts that it is told, and nothing else. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Topology } from '../../agent/lab/topology.ts';
import { type Impairment, Impairments } from './impairments.ts';
import { ping, reachable } from './programs.ts';
import { Relay } from './relay.ts';
import { type TransferReport, transfer } from './traffic.ts';

const DRAWS = 200_000;

/** Share of `count` decisions that satisfy a condition. */
function share(
  settings: Impairment,
  condition: (fate: ReturnType<Impairments['decide']>) => boolean,
): number {
  const impairments = new Impairments(settings);
  let met = 0;
  for (let i = 0; i < DRAWS; i++) met += condition(impairments.decide(true)) ? 1 : 0;
  return met / DRAWS;
}

/** Within five standard deviations. */
function near(actual: number, expected: number, what: string): void {
  const margin = 5 * Math.sqrt((expected * (1 - expected)) / DRAWS);
  assert.ok(Math.abs(actual - expected) < margin, `${what}: ${actual}, not ${expected}`);
}

test('the same seed decides the same, another seed does not', () => {
  const fates = (seed: number): string => {
    const impairments = new Impairments({ seed, loss: 0.5 });
    return Array.from({ length: 200 }, () => impairments.decide(true).fate[0]).join('');
  };
  assert.equal(fates(1), fates(1));
  assert.notEqual(fates(1), fates(2));
});

test('each impairment comes as often as it should', () => {
  near(
    share({ seed: 1, loss: 0.01 }, ({ fate }) => fate === 'lost'),
    0.01,
    'loss',
  );
  near(
    share({ seed: 2, duplicate: 0.03 }, (made) => made.copyAfterMs !== null),
    0.03,
    'duplicates',
  );
  near(
    share({ seed: 3, corrupt: 0.02 }, (made) => made.flip !== null),
    0.02,
    'damage',
  );
  near(
    share({ seed: 4, reorder: 0.25, reorderMs: 9 }, (made) => made.delayMs === 9),
    0.25,
    'held back',
  );
  near(
    share({ seed: 5, delayMs: 4, jitterMs: 2 }, ({ delayMs }) => delayMs < 5),
    0.5,
    'jitter',
  );
  assert.equal(
    share({ seed: 6 }, (made) => made.fate === 'pass' && made.delayMs === 0),
    1,
  );
});

test('bursts: as many losses as enter and leave say, and in a row', () => {
  const burst = { enter: 0.01, leave: 0.25 };
  const lost = share({ seed: 7, burst }, ({ fate }) => fate === 'burst-lost');
  assert.ok(Math.abs(lost - 0.01 / 0.26) < 0.004, `${lost}`);
  const impairments = new Impairments({ seed: 8, burst });
  let runs = 0;
  let losses = 0;
  for (let i = 0, was = false; i < DRAWS; i++) {
    const isLost = impairments.decide(true).fate === 'burst-lost';
    losses += isLost ? 1 : 0;
    runs += isLost && !was ? 1 : 0;
    was = isLost;
  }
  assert.ok(Math.abs(losses / runs - 1 / burst.leave) < 0.4, `${losses / runs} in a row`);
});

for (const family of [4, 6] as const) {
  describe(`over IPv${family}`, () => relaying(family));
}

function relaying(family: 4 | 6): void {
  const topology = Topology.plan({ hosts: 2, family });
  let relay: Relay | undefined;
  const DATAGRAMS = 4000;
  before(() => topology.create());
  after(async () => {
    await relay?.stop();
    await topology.remove();
  });

  const across = async (settings: Impairment, work: () => Promise<void>): Promise<void> => {
    await relay?.stop();
    relay = await Relay.start(topology, settings);
    await reachable(topology.nodes[0]!.namespace, topology.nodes[1]!.address);
    await work();
  };
  const stream = (rate = 4000): Promise<TransferReport> => {
    const [from, to] = topology.nodes.map((node) => node.namespace);
    const address = topology.nodes[1]!.address;
    const common = { kind: 'stream', from: from!, to: to!, address, extra: rate } as const;
    return transfer({ ...common, bytes: DATAGRAMS * 1000, size: 1000, seed: 5 });
  };

  test('without impairments everything passes once, whole and in order', async () => {
    await across({ seed: 1 }, async () => {
      const { received } = await stream();
      assert.deepEqual(
        [received.received, received.distinct, received.corrupted, received.reordered],
        [DATAGRAMS, DATAGRAMS, 0, 0],
      );
      const counters = await relay!.counters();
      assert.equal(counters.forwarded, counters.received);
      assert.equal(counters.overflow + counters.missed + counters.failed, 0);
    });
  });

  test('packets take as long as they are told', async () => {
    await across({ seed: 1, delayMs: 30 }, async () => {
      const startMs = performance.now();
      const counts = await ping(topology.nodes[0]!.namespace, topology.nodes[1]!.address, { count: 1 });
      const elapsedMs = performance.now() - startMs;
      assert.equal(counts.received, 1);
      assert.ok(elapsedMs >= 60, `${elapsedMs} ms for there and back`);
    });
  });

  test('what the relay says it lost, copied, damaged and reordered is what the receiver sees', async () => {
    const settings = { seed: 9, loss: 0.02, duplicate: 0.02, corrupt: 0.01, reorder: 0.05, reorderMs: 4 };
    await across(settings, async () => {
      const before = await relay!.counters();
      const { received } = await stream();
      const counters = await relay!.counters();
      const now = (name: keyof typeof counters): number => counters[name] - before[name];
      assert.ok(now('received') >= DATAGRAMS && counters.missed === 0, `${now('received')} seen`);
      for (const [name, part] of [
        ['lost', 0.02],
        ['duplicated', 0.02],
        ['corrupted', 0.01],
      ] as const) {
        const rate = now(name) / now('received');
        assert.ok(rate > part * 0.6 && rate < part * 1.5, `${name}: ${rate}`);
      }
      assert.ok(now('reordered') > DATAGRAMS * 0.02, `${now('reordered')} reordered`);
      // Neighbour discovery goes through the router's kernel; what else the hosts say to each other is a handful.
      const few = 5;
      assert.ok(Math.abs(received.received! - (DATAGRAMS - now('lost') + now('duplicated'))) <= few);
      assert.ok(Math.abs(received.corrupted! - now('corrupted')) <= few, 'damage gets past the UDP checksum');
      assert.ok(Math.abs(received.duplicates! - now('duplicated')) <= few);
      assert.ok(received.reordered! > DATAGRAMS * 0.02);
    });
  });

  test('TCP comes through it byte for byte', async () => {
    await across({ seed: 3, loss: 0.005, duplicate: 0.01, reorder: 0.02, delayMs: 1 }, async () => {
      const [from, to] = topology.nodes.map((node) => node.namespace);
      const address = topology.nodes[1]!.address;
      const report = await transfer({
        kind: 'tcp',
        from: from!,
        to: to!,
        address,
        bytes: 4_000_000,
        seed: 8,
      });
      assert.equal(report.received.digest, report.sent.digest);
      assert.equal(report.received.bytes, 4_000_000);
    });
  });

  test('switched off, it only passes packets on', async () => {
    await relay?.stop();
    relay = await Relay.start(topology, { seed: 3, loss: 1 });
    const none = await ping(topology.nodes[0]!.namespace, topology.nodes[1]!.address, { count: 5 });
    assert.equal(none.received, 0);
    await relay.impair(false);
    const counts = await ping(topology.nodes[0]!.namespace, topology.nodes[1]!.address, { count: 50 });
    assert.equal(counts.received, 50);
  });
}
