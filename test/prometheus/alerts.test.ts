/**
 * Three hosts and a real Prometheus: nothing fires on a healthy mesh; then six faults, one after another. For each the alerts
 * that are named fire, and when the fault ends all of them clear.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { delay } from '../../agent/lab/wait.ts';
import { BROADCAST, FrameSender, frame } from '../netns/frames.ts';
import { Mesh } from '../netns/mesh.ts';
import { alertNames, Prometheus } from './prometheus.ts';

const CONFIG = `metrics:
  address: 0.0.0.0:9586
fdb:
  limit: 64
  ageing_sec: 10
  duplicate_freeze_sec: 10
`;
/** Detection by gossip, the range of the rules, their `for`, and a machine with other work. */
const FIRES_MS = 60_000;
const CLEARS_MS = 90_000;

let mesh: Mesh;
let prometheus: Prometheus;
let senders: FrameSender[] = [];
before(async () => {
  mesh = await Mesh.start({ hosts: 3, config: CONFIG });
  prometheus = await Prometheus.start(mesh);
  senders = [...mesh.hosts.map(({ node }) => node.namespace), mesh.topology.router].map(
    (namespace) => new FrameSender(namespace),
  );
});
after(async () => {
  await Promise.all(senders.map((sender) => sender.stop()));
  await prometheus?.stop();
  await mesh?.remove();
});

/** Frames of many source addresses, told to everybody from behind one host. */
function speak(host: number, macs: readonly string[]): Promise<void> {
  const frames = macs.map((from) => frame({ to: BROADCAST, from, size: 60 }));
  return senders[host]?.frames({ device: 'weft0', frames }) ?? Promise.reject(new Error('no sender'));
}

/** Does something again and again until what it is meant to cause is there. */
async function during(
  work: () => Promise<unknown>,
  everyMs: number,
  wait: () => Promise<number>,
): Promise<number> {
  const ended = new AbortController();
  const loop = (async () => {
    while (!ended.signal.aborted) {
      await work();
      await delay(everyMs, ended.signal).catch(() => {});
    }
  })();
  try {
    return await wait();
  } finally {
    ended.abort();
    await loop;
  }
}

interface Fault {
  readonly name: string;
  readonly alerts: readonly string[];
  /** Begins the fault and waits for its alerts by `fires`. */
  readonly cause: (fires: () => Promise<number>) => Promise<number>;
  readonly end?: () => Promise<unknown>;
}

const FAULTS: readonly Fault[] = [
  {
    name: 'an agent is killed',
    alerts: ['WeftAgentDown', 'WeftPeerDown'],
    cause: async (fires) => {
      await mesh.host(2).kill();
      return fires();
    },
    end: async () => {
      mesh.host(2).start(['run']);
      await mesh.host(2).ready();
    },
  },
  {
    name: 'the underlay parts one host from the others',
    alerts: ['WeftPartition', 'WeftPeerDown'],
    cause: async (fires) => {
      const { routerInterface } = mesh.host(2).node;
      const rules = [
        'add table inet cut',
        'add chain inet cut f { type filter hook forward priority 0; }',
        `add rule inet cut f iifname ${routerInterface} drop`,
        `add rule inet cut f oifname ${routerInterface} drop`,
      ];
      await mesh.inRouter(['nft', rules.join('; ')]);
      return fires();
    },
    end: () => mesh.inRouter(['nft', 'delete table inet cut']),
  },
  {
    name: 'garbage comes to the sealed port',
    alerts: ['WeftHighDropRate'],
    cause: (fires) => {
      const { address } = mesh.host(0).node;
      const payloads = Array.from({ length: 50 }, (_, i) => new Uint8Array(100).fill(i));
      return during(() => senders[3]!.datagrams({ address, port: 7947, payloads, listenMs: 1 }), 500, fires);
    },
  },
  {
    name: 'a guest invents addresses until the FDB is full',
    alerts: ['WeftFdbNearLimit'],
    cause: (fires) => {
      const macs = Array.from({ length: 64 }, (_, i) => `02:5e:00:00:01:${i.toString(16).padStart(2, '0')}`);
      return during(() => speak(1, macs), 2000, fires);
    },
  },
  {
    name: 'guests move between two hosts all the time, none often enough to be frozen',
    alerts: ['WeftMacFlapping'],
    cause: (fires) => {
      let turn = 0;
      const guest = (): string => `02:5e:00:00:02:${((turn >> 2) & 255).toString(16).padStart(2, '0')}`;
      return during(() => speak(turn++ % 2, [guest()]), 150, fires);
    },
  },
  {
    name: 'one address speaks behind two hosts in turn',
    alerts: ['WeftDuplicateMac'],
    cause: (fires) => {
      let turn = 0;
      return during(() => speak(turn++ % 2, ['02:5e:00:00:03:01']), 150, fires);
    },
  },
  {
    name: 'the configuration is broken and read again',
    alerts: ['WeftConfigReloadFailed'],
    cause: async (fires) => {
      writeFileSync(mesh.configPath, 'log: [');
      mesh.host(1).signal('SIGHUP');
      return fires();
    },
    end: async () => {
      writeFileSync(mesh.configPath, CONFIG);
      await mesh.host(1).weftOk(['reload']);
    },
  },
];

test('nothing fires on a healthy mesh', async () => {
  await delay(15_000);
  assert.deepEqual(await prometheus.firing(), []);
});

for (const { name, alerts, cause, end } of FAULTS) {
  test(`${name}: ${alerts.join(' and ')} fire, and clear when it ends`, async (t) => {
    assert.deepEqual(
      alerts.filter((alert) => !alertNames().includes(alert)),
      [],
    );
    const firedMs = await cause(() => prometheus.alerts(alerts, 'firing', FIRES_MS));
    const others = (await prometheus.firing()).filter((alert) => !alerts.includes(alert));
    await end?.();
    const clearedMs = await prometheus.alerts(alerts, 'cleared', CLEARS_MS);
    t.diagnostic(
      `fired after ${(firedMs / 1000).toFixed(1)} s, cleared after ${(clearedMs / 1000).toFixed(1)} s; beside them: ${others.join(' ') || 'none'}`,
    );
  });
}
