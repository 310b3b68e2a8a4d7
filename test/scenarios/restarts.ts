/** Agents that die, come back, stop and are held still. */
import { delay } from '../../agent/lab/wait.ts';
import { reachable } from '../netns/programs.ts';
import { must, type Scenario, type World } from './scenario.ts';
import { monotonicMs, resumedAfterMs } from './stream.ts';

async function restart(world: World, index: number): Promise<void> {
  await world.mesh.host(index).kill();
  world.mesh.host(index).start(['run']);
}

const killAndRestart: Scenario = {
  number: '5',
  title: 'SIGKILL and restart at once, under 1,000 datagrams/s',
  criterion: 'resumes within 3 s',
  mesh: { hosts: 3 },
  async run(world) {
    const stream = await world.stream(0, 2);
    await delay(500);
    const eventMs = monotonicMs();
    await restart(world, 2);
    await world.mesh.host(2).ready();
    await delay(4000);
    const report = await world.stop(stream);
    const recoveryMs = resumedAfterMs(report, eventMs + 20);
    const values = { 'recovery ms': recoveryMs, lost: report.lost };
    must(recoveryMs <= 3000, 'the stream took too long', values);
    await world.timed('whole again', 20_000, () => world.isWhole(world.all()));
    return values;
  },
};

const idleRestart: Scenario = {
  number: '6',
  title: 'restart of an idle peer, then the survivor sends',
  criterion: 'first datagram delivered within 1 s',
  mesh: { hosts: 2 },
  async run(world) {
    // The kernel asks for a neighbour that it does not know only once a second.
    await reachable(world.namespace(0), world.addresses[1] ?? '');
    await restart(world, 1);
    await world.mesh.host(1).ready();
    const stream = await world.stream(0, 1, 100);
    await delay(2500);
    const report = await world.stop(stream);
    const first = resumedAfterMs(report, report.startedMs - 1);
    const values = { 'first ms': first, lost: report.lost };
    must(values['first ms'] <= 1000, 'the first datagram took too long', values);
    return values;
  },
};

const crash: Scenario = {
  number: '15',
  title: 'crash without a word',
  criterion: 'all agree within 15 s',
  mesh: { hosts: 5 },
  async run(world) {
    const stream = await world.stream(0, 1);
    await world.mesh.host(4).kill();
    const dead = async (): Promise<boolean> => {
      for (const i of [0, 1, 2, 3]) if ((await world.mesh.host(i).stateOf('host5')) !== 'dead') return false;
      return true;
    };
    const knownMs = await world.timed('host5 dead for all', 20_000, dead);
    const { lost } = await world.stop(stream);
    world.mesh.host(4).start(['run']);
    const backMs = await world.timed('whole again', 20_000, () => world.isWhole(world.all()));
    const values = { 'known to all ms': knownMs, 'back ms': backMs, 'others lost': lost };
    must(knownMs <= 15_000 && lost === 0, 'too late, or the others lost', values);
    return values;
  },
};

const leave: Scenario = {
  number: '16',
  title: 'stop by SIGTERM',
  criterion: 'gone everywhere within 2 s',
  mesh: { hosts: 5 },
  async run(world) {
    world.mesh.host(4).signal('SIGTERM');
    const goneMs = await world.timed('host5 left for all', 10_000, async () => {
      for (const i of [0, 1, 2, 3]) if ((await world.mesh.host(i).stateOf('host5')) !== 'left') return false;
      return true;
    });
    await world.mesh.host(4).stop();
    world.mesh.host(4).start(['run']);
    await world.timed('whole again', 20_000, () => world.isWhole(world.all()));
    const values = { 'gone ms': goneMs };
    must(goneMs <= 2000, 'too late', values);
    return values;
  },
};

const massRestart: Scenario = {
  number: '17',
  title: 'all agents SIGKILLed and restarted, seed included',
  criterion: 'full mesh within 20 s',
  mesh: { hosts: 8 },
  async run(world) {
    for (const host of world.mesh.hosts) await host.kill();
    for (const host of world.mesh.hosts) host.start(['run']);
    const values = {
      'full mesh ms': await world.timed('full mesh', 30_000, () => world.isWhole(world.all())),
    };
    must(values['full mesh ms'] <= 20_000, 'too late', values);
    return values;
  },
};

const deadSeed: Scenario = {
  number: '18',
  title: 'seed dead, a host restarts among the others',
  criterion: 'rejoins within 10 s',
  mesh: { hosts: 4 },
  async run(world) {
    await world.mesh.host(0).kill();
    await restart(world, 3);
    const rejoinMs = await world.timed('rejoined', 20_000, () => world.isWhole([1, 2, 3]));
    world.mesh.host(0).start(['run']);
    const seedMs = await world.timed('seed back', 30_000, () => world.isWhole(world.all()));
    const values = { 'rejoin ms': rejoinMs, 'seed back ms': seedMs };
    must(rejoinMs <= 10_000, 'too late', values);
    return values;
  },
};

/** States in which the others ever saw each other while `work` ran. */
async function falseDeaths(world: World, others: readonly number[], work: Promise<void>): Promise<number> {
  let isOver = false;
  const wrong = new Set<string>();
  void work.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    for (const i of others)
      for (const { name, state } of await world.mesh.host(i).members())
        if (state === 'dead' && others.some((other) => world.mesh.host(other).name === name))
          wrong.add(`${i} ${name}`);
    await delay(500);
  }
  await work;
  return wrong.size;
}

const pause: Scenario = {
  number: '19',
  title: 'SIGSTOP of an agent for 5 s and for 30 s',
  criterion: 'nobody else suspected dead; back within 5 s of SIGCONT',
  mesh: { hosts: 4 },
  async run(world) {
    const values: Record<string, number> = {};
    for (const seconds of world.isShort ? [5] : [5, 30]) {
      const stream = await world.stream(0, 1);
      world.mesh.host(3).signal('SIGSTOP');
      values['false deaths'] =
        (values['false deaths'] ?? 0) + (await falseDeaths(world, [0, 1, 2], delay(seconds * 1000)));
      world.mesh.host(3).signal('SIGCONT');
      values[`back after ${seconds} s, ms`] = await world.timed('back', 15_000, () =>
        world.isWhole(world.all()),
      );
      values['others lost'] = (values['others lost'] ?? 0) + (await world.stop(stream)).lost;
    }
    const backs = Object.entries(values).filter(([name]) => name.startsWith('back'));
    must(values['false deaths'] === 0, 'a host that ran was declared dead', values);
    must(
      backs.every(([, ms]) => ms <= 5000),
      'too late',
      values,
    );
    return values;
  },
};

const starved: Scenario = {
  number: '20',
  title: 'an agent that gets 5 % of the time (5 ms of each 100)',
  criterion: 'no false death of anybody else',
  mesh: { hosts: 4 },
  async run(world) {
    const starve = async (): Promise<void> => {
      const untilMs = monotonicMs() + world.amount(20, 5) * 1000;
      while (monotonicMs() < untilMs) {
        world.mesh.host(3).signal('SIGSTOP');
        await delay(95);
        world.mesh.host(3).signal('SIGCONT');
        await delay(5);
      }
    };
    const wrong = await falseDeaths(world, [0, 1, 2], starve());
    const backMs = await world.timed('whole', 20_000, () => world.isWhole(world.all()));
    const values = { 'false deaths': wrong, 'whole after ms': backMs };
    must(wrong === 0, 'a host that ran was declared dead', values);
    return values;
  },
};

export const RESTARTS: readonly Scenario[] = [
  killAndRestart,
  idleRestart,
  crash,
  leave,
  massRestart,
  deadSeed,
  pause,
  starved,
];
