/** Machines with a wrong clock, many rekeys, devices that go away; and the soak. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHILD_ENV } from '../../agent/lab/command.ts';
import { Host } from '../../agent/lab/host.ts';
import { delay } from '../../agent/lab/wait.ts';
import { iperf, reachable } from '../netns/programs.ts';
import { fdCount, rssKb } from './process.ts';
import { must, type Scenario, type World } from './scenario.ts';
import { monotonicMs, resumedAfterMs } from './stream.ts';

const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';

/** The agent of a host in a world whose wall clock is what the returned function says, in faketime's words. */
async function withClock(
  world: World,
  index: number,
): Promise<{ host: Host; set: (offset: string) => void }> {
  const file = join(world.mesh.folder, 'clock');
  const set = (offset: string): void => writeFileSync(file, `${offset}\n`);
  set('+0');
  const env = {
    ...CHILD_ENV,
    LD_PRELOAD: FAKETIME,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    DONT_FAKE_MONOTONIC: '1',
  };
  await world.mesh.host(index).stop();
  return { host: new Host(world.mesh.host(index).node, world.mesh.folder, world.mesh.configPath, env), set };
}

const JUMPS = ['-365d', '+1h', '+0'] as const;
const clockJumps: Scenario = {
  number: '21a',
  title: 'the wall clock of a running agent jumps by -1 year, +1 hour and back, new keys every 5 s',
  criterion: 'sessions stay, nothing lost',
  mesh: { hosts: 2, config: 'session:\n  rekey_after_sec: 5\n' },
  async run(world) {
    const { host, set } = await withClock(world, 1);
    try {
      host.start(['run']);
      await host.ready();
      await world.timed('up', 15_000, async () => (await world.mesh.host(0).peers())[0]?.state === 'up');
      const stream = await world.stream(0, 1);
      for (const jump of JUMPS) {
        set(jump);
        await delay(world.amount(8, 3) * 1000);
      }
      const report = await world.stop(stream);
      const values = { lost: report.lost, 'longest gap ms': report.gapMs };
      must(report.lost === 0, 'a jump of the clock cost datagrams', values);
      return values;
    } finally {
      await host.stop();
      world.mesh.host(1).start(['run']);
      await world.mesh.host(1).ready();
    }
  },
};

const wrongClockAtStart: Scenario = {
  number: '21b',
  title: 'an agent starts in 1970',
  criterion: 'in the mesh with traffic within 10 s: the floor clock holds',
  mesh: { hosts: 2 },
  async run(world) {
    const { host, set } = await withClock(world, 1);
    try {
      set('@1970-01-01 00:00:10');
      const startMs = monotonicMs();
      host.start(['run']);
      await host.ready();
      await reachable(world.namespace(0), world.addresses[1] ?? '', 20_000);
      const values = { 'traffic ms': monotonicMs() - startMs };
      must(values['traffic ms'] <= 10_000, 'too late', values);
      return values;
    } finally {
      await host.stop();
      world.mesh.host(1).start(['run']);
      await world.mesh.host(1).ready();
    }
  },
};

const farFuture: Scenario = {
  number: '21c',
  title: 'the wall clock of a running agent jumps by +10 years for 5 s and comes back',
  criterion: 'its session with a peer whose clock is right stays, or is back within 10 s of the clock',
  mesh: { hosts: 2 },
  async run(world) {
    const { host, set } = await withClock(world, 1);
    try {
      host.start(['run']);
      await host.ready();
      await world.timed('up', 15_000, async () => (await world.mesh.host(0).peers())[0]?.state === 'up');
      const stream = await world.stream(0, 1);
      set('+3650d');
      await delay(5000);
      set('+0');
      const backMs = monotonicMs();
      await delay(world.amount(8, 4) * 1000);
      const report = await world.stop(stream);
      const values = { lost: report.lost, 'traffic after ms': resumedAfterMs(report, backMs) };
      must(values['traffic after ms'] <= 10_000, 'not back', values);
      return values;
    } finally {
      await host.stop();
      world.mesh.host(1).start(['run']);
      await world.mesh.host(1).ready();
    }
  },
};

const countRekey: Scenario = {
  number: '3',
  title: 'new keys after 65,536 packets of a lane, at full speed for 15 s',
  criterion: 'at least 3 rekeys, no auth drop, transfer goes on',
  mesh: { hosts: 2, config: 'session:\n  rekey_after_packets: 65536\n' },
  async run(world) {
    const done = (): Promise<number> => world.mesh.metric(0, 'weft_handshakes_total', { result: 'ok' });
    const before = await done();
    const auth = (i: number): Promise<number> =>
      world.mesh.metric(i, 'weft_dropped_frames_total', { direction: 'receive', reason: 'auth' });
    const length = world.amount(15, 5);
    const { bitsPerSec } = await iperf(
      world.namespace(1),
      world.namespace(0),
      world.addresses[1] ?? '',
      ['-u', '-b', '150M', '-l', '200'],
      length,
    );
    const values = {
      rekeys: (await done()) - before,
      'auth drops': (await auth(0)) + (await auth(1)),
      'Mbit/s': bitsPerSec / 1e6,
    };
    must(values['auth drops'] === 0 && values.rekeys >= (world.isShort ? 1 : 3), 'hurt', values);
    return values;
  },
};

const flap: Scenario = {
  number: '32a',
  title: 'the underlay interface goes down and up 20 times (long: 100)',
  criterion: 'traffic again within 3 s of the last; no descriptor lost',
  mesh: { hosts: 2 },
  async run(world) {
    const { node, pid } = world.mesh.host(1);
    const before = fdCount(pid);
    const stream = await world.stream(0, 1);
    for (let i = 0; i < world.amount(20, 5, 100); i++) {
      await world.mesh.runOk(1, ['ip', 'link', 'set', 'eth0', 'down']);
      await delay(100);
      await world.mesh.runOk(1, ['ip', 'link', 'set', 'eth0', 'up']);
      const gateway = node.address.replace(/\.\d+$/, '.1');
      await world.mesh.runOk(1, ['ip', 'route', 'replace', 'default', 'via', gateway]);
      await delay(100);
    }
    const upMs = monotonicMs();
    await delay(4000);
    const report = await world.stop(stream);
    const values = {
      'traffic ms': resumedAfterMs(report, upMs),
      'descriptors more': fdCount(pid) - before,
    };
    must(values['traffic ms'] <= 3000 && values['descriptors more'] <= 0, 'hurt', values);
    return values;
  },
};

const tapGone: Scenario = {
  number: '32b',
  title: 'the TAP is deleted under a running agent',
  criterion: 'it ends within 5 s and says why, and serves again when started',
  mesh: { hosts: 2 },
  async run(world) {
    const host = world.mesh.host(1);
    await world.mesh.runOk(1, ['ip', 'link', 'delete', 'weft0']);
    const endedMs = await world.timed('end of the agent', 10_000, async () => host.exitStatus !== null);
    const said = host.logTail(1);
    host.start(['run']);
    await host.ready();
    const values = {
      'ended after ms': endedMs,
      'whole ms': await world.timed('whole', 20_000, () => world.isWhole([0, 1])),
    };
    must(endedMs <= 5000 && /weft: /.test(said), `it said ${said}`, values);
    return values;
  },
};

const soak: Scenario = {
  number: '34',
  title: 'short soak: 6 hosts, 1 % loss, one restart every 8 s for 2 minutes',
  criterion: 'no descriptor lost, memory of the host that stays grows by less than 10 MB',
  mesh: { hosts: 6 },
  async run(world) {
    const { pid } = world.mesh.host(0);
    await world.rules(
      'table inet faults { chain f { type filter hook forward priority 0; numgen random mod 100 < 1 drop; }; }',
    );
    await delay(world.amount(10, 2) * 1000);
    const before = { fds: fdCount(pid), kb: rssKb(pid) };
    const rounds = world.amount(15, 1, 450);
    for (let i = 0; i < rounds; i++) {
      const host = world.mesh.host(1 + (i % 5));
      await host.kill();
      host.start(['run']);
      await delay(8000);
    }
    await world.timed('whole', 30_000, () => world.isWhole(world.all()));
    await world.rules('');
    const values = {
      'descriptors more': fdCount(pid) - before.fds,
      'memory grew MB': (rssKb(pid) - before.kb) / 1024,
      'agent errors': (
        world.mesh
          .host(0)
          .log()
          .match(/UnhandledPromise|unhandled|"level":50/g) ?? []
      ).length,
    };
    must(
      values['descriptors more'] <= 0 && values['memory grew MB'] < 10 && values['agent errors'] === 0,
      'leaks',
      values,
    );
    return values;
  },
};

const together: Scenario = {
  number: '4',
  title: 'two hosts killed and started at the same moment',
  criterion: 'one session each within 5 s of the start, process start included',
  mesh: { hosts: 2 },
  async run(world) {
    await Promise.all(world.mesh.hosts.map((host) => host.kill()));
    for (const host of world.mesh.hosts) host.start(['run']);
    const wholeMs = await world.timed('whole', 20_000, () => world.isWhole([0, 1]));
    const peers = await Promise.all(world.mesh.hosts.map((host) => host.peers()));
    const values = { 'whole ms': wholeMs };
    must(wholeMs <= 5000 && peers.every((list) => list.length === 1), 'hurt', values);
    return values;
  },
};

export const MACHINES: readonly Scenario[] = [
  countRekey,
  together,
  ...(existsSync(FAKETIME) ? [clockJumps, wrongClockAtStart, farFuture] : []),
  flap,
  tapGone,
  soak,
];
