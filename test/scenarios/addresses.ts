/** Guest addresses that move, that two hosts claim, that are invented; and datagrams that come again. */
import type { EventsReport, FdbEntryReport, FdbReport } from '../../agent/control/api-types.ts';
import { delay } from '../../agent/lab/wait.ts';
import { BROADCAST, FrameSender, frame } from '../netns/frames.ts';
import { seeded } from '../netns/impairments.ts';
import { Recording } from '../netns/programs.ts';
import { rssKb } from './process.ts';
import { must, receiveDrops, type Scenario, type World } from './scenario.ts';

async function placeOf(world: World, mac: string): Promise<string | null> {
  const { entries } = await world.mesh.host(0).api.get<FdbReport>('/v1/fdb');
  return entries.find((entry) => entry.mac === mac)?.peer ?? null;
}

const randomMac = (random: () => number): string =>
  `02:5f:${Array.from({ length: 4 }, () =>
    Math.floor(random() * 256)
      .toString(16)
      .padStart(2, '0'),
  ).join(':')}`;

const announce = (sender: FrameSender, macs: readonly string[]): Promise<void> =>
  sender.frames({
    device: 'weft0',
    frames: macs.map((from) => frame({ to: BROADCAST, from, size: 60 })),
  });

let guests = 0;
const migration: Scenario = {
  number: '22',
  title: 'a guest moves from behind one host to behind another and announces itself once',
  criterion: 'new place known within 1 s',
  mesh: { hosts: 3 },
  async run(world) {
    const senders = [1, 2].map((i) => new FrameSender(world.namespace(i)));
    try {
      const guest = randomMac(seeded(++guests));
      const [one, two] = senders;
      if (one === undefined || two === undefined) throw new Error('no sender');
      await announce(one, [guest]);
      await world.timed('learned', 5000, async () => (await placeOf(world, guest)) === 'host2');
      await delay(1000);
      await announce(two, [guest]);
      const values = {
        'new place ms': await world.timed(
          'moved',
          15_000,
          async () => (await placeOf(world, guest)) === 'host3',
        ),
      };
      must(values['new place ms'] <= 1000, 'too late', values);
      return values;
    } finally {
      await Promise.all(senders.map((sender) => sender.stop()));
    }
  },
};

/** Two hosts claim one address, in turn; with the defaults of the configuration. */
const duplicate: Scenario = {
  number: '22b',
  title: 'guests behind two hosts have the same address and speak in turn, 12 times each',
  criterion: 'all others keep it at the first, and say so in FDB, event and metric; the second is refused',
  mesh: { hosts: 4 },
  async run(world) {
    const senders = [1, 2].map((i) => new FrameSender(world.namespace(i)));
    try {
      const guest = randomMac(seeded(++guests));
      const before = await Promise.all([0, 3].map((i) => receiveDrops(world, i, 'mac_frozen')));
      for (let round = 0; round < 12; round++)
        for (const sender of senders) {
          await announce(sender, [guest]);
          await delay(50);
        }
      const entries = await Promise.all(world.all().map((i) => frozenAt(world, i, guest)));
      const [one, two, three, four] = entries;
      const refused = await Promise.all([0, 3].map((i) => receiveDrops(world, i, 'mac_frozen')));
      const values = {
        'hosts that keep it': entries.filter((entry) => entry?.frozen).length,
        'refused at each other host': Math.min(...refused.map((count, i) => count - (before[i] ?? 0))),
        'frozen for s': Math.round((one?.frozenMs ?? 0) / 1000),
      };
      const agree = [one, four].every((entry) => entry?.peer === 'host2' && entry.rival === 'host3');
      must(agree, `kept at ${[one, two, three, four].map((entry) => entry?.peer)}`, values);
      const told = await world.timed('event', 5000, async () => {
        const { events } = await world.mesh.host(0).api.get<EventsReport>('/v1/events');
        return events.some(({ type, subject }) => type === 'mac-frozen' && subject === guest);
      });
      must((await world.mesh.metric(0, 'weft_fdb_frozen')) >= 1 && told < 5000, 'not told', values);
      must(values['refused at each other host'] >= 8, 'the second was not refused', values);
      return values;
    } finally {
      await Promise.all(senders.map((sender) => sender.stop()));
    }
  },
};

async function frozenAt(world: World, index: number, mac: string): Promise<FdbEntryReport | undefined> {
  const { entries } = await world.mesh.host(index).api.get<FdbReport>('/v1/fdb');
  return entries.find((entry) => entry.mac === mac);
}

const macFlood: Scenario = {
  number: '24',
  title: '100,000 random source addresses from one bridge holder (short: 10,000)',
  criterion: "another host's guest stays known, memory grows by less than 20 MB",
  mesh: { hosts: 3 },
  async run(world) {
    const senders = [1, 2].map((i) => new FrameSender(world.namespace(i)));
    try {
      const random = seeded(24);
      const guests = Array.from({ length: 20 }, () => randomMac(random));
      await senders[1]?.frames({
        device: 'weft0',
        frames: guests.map((from) => frame({ to: BROADCAST, from, size: 60 })),
      });
      await world.timed('learned', 5000, async () => (await placeOf(world, guests[19] ?? '')) === 'host3');
      const { pid } = world.mesh.host(0);
      const beforeKb = rssKb(pid);
      for (let i = 0; i < world.amount(50, 5); i++) {
        const macs = Array.from({ length: 2000 }, () => randomMac(random));
        const [flooder] = senders;
        if (flooder !== undefined) await announce(flooder, macs);
      }
      await delay(500);
      const { entries } = await world.mesh.host(0).api.get<FdbReport>('/v1/fdb');
      const kept = guests.filter((mac) => entries.some((e) => e.mac === mac && e.peer === 'host3')).length;
      const values = {
        'guests kept of 20': kept,
        'memory grew MB': (rssKb(pid) - beforeKb) / 1024,
        'table entries': entries.length,
      };
      must(kept === 20 && values['memory grew MB'] < 20, 'the flood did harm', values);
      return values;
    } finally {
      await Promise.all(senders.map((sender) => sender.stop()));
    }
  },
};

const replay: Scenario = {
  number: '28',
  title: 'everything that a host received is sent to it again, several times',
  criterion: 'not one accepted, live traffic loses nothing',
  mesh: { hosts: 2 },
  async run(world) {
    // A checksum that the cable's other end would have finished is wrong in a copy.
    await world.mesh.runOk(0, ['ethtool', '-K', 'eth0', 'tx', 'off']);
    const recording = await Recording.start(world.namespace(1), 'eth0', world.mesh.folder, {
      direction: 'in',
      filter: 'udp port 7947',
    });
    const first = await world.stream(0, 1);
    await delay(2000);
    const before = await world.stop(first);
    const captured = (await recording.stop()).filter((packet) => packet.length < 1500);
    const attacker = new FrameSender(world.mesh.topology.router);
    try {
      const refusedBefore = await world.mesh.metric(1, 'weft_dropped_frames_total', { reason: 'replay' });
      const stream = await world.stream(0, 1);
      const rounds = world.amount(20, 3, Math.ceil(1_000_000 / captured.length));
      for (let i = 0; i < rounds; i++) {
        await attacker.frames({ device: world.mesh.host(1).node.routerInterface, frames: captured });
        await delay(100);
      }
      const report = await world.stop(stream);
      const refused =
        (await world.mesh.metric(1, 'weft_dropped_frames_total', { reason: 'replay' })) - refusedBefore;
      const values = {
        replayed: captured.length * rounds,
        'refused as replay': refused,
        accepted: report.duplicates,
        'live lost': report.lost,
      };
      must(before.received > 0 && captured.length > 1000, 'nothing was captured', values);
      must(values.accepted + values['live lost'] === 0 && refused > captured.length, 'hurt', values);
      return values;
    } finally {
      await attacker.stop();
    }
  },
};

export const ADDRESSES: readonly Scenario[] = [migration, duplicate, macFlood, replay];
