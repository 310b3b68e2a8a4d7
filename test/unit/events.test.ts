import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, systemClock } from '../../agent/clock.ts';
import type { PeerReport } from '../../agent/control/api-types.ts';
import { EventRing, MAX_EVENTS, MAX_FOLLOWERS } from '../../agent/control/event-ring.ts';
import {
  BURST_DROPS,
  EventWatch,
  MAX_WATCHED_MACS,
  type WatchedMember,
} from '../../agent/control/event-watch.ts';
import { PEER } from './doctor-world.ts';

/** A clock whose timers run when the test says. */
function handClock(): { clock: Clock; due: (() => void)[] } {
  const due: (() => void)[] = []; // bounded by the test
  const clock: Clock = {
    ...systemClock,
    wallMs: () => 1_800_000_000_000,
    after(_delayMs, run) {
      due.push(run);
      return () => void due.splice(due.indexOf(run), 1);
    },
  };
  return { clock, due };
}

test('a reader gets what came after a number, and is told what it missed', async () => {
  const ring = new EventRing(handClock().clock);
  assert.deepEqual(await ring.read(0, 0), {
    v: 1,
    startedAt: 1_800_000_000_000,
    lost: 0,
    last: 0,
    events: [],
  });
  for (let i = 1; i <= MAX_EVENTS + 5; i++) ring.add('agent', null, `${i}`);
  const all = await ring.read(0, 0);
  assert.deepEqual(
    [all.events.length, all.events[0]?.seq, all.lost, all.last],
    [MAX_EVENTS, 6, 5, MAX_EVENTS + 5],
  );
  const some = await ring.read(MAX_EVENTS + 3, 0);
  assert.deepEqual(
    [some.events.map(({ text }) => text), some.lost],
    [[`${MAX_EVENTS + 4}`, `${MAX_EVENTS + 5}`], 0],
  );
  assert.equal((await ring.read(4, 0)).lost, 1);
});

test('a reader that waits is answered by the next event, by time, or by the end', async () => {
  const { clock, due } = handClock();
  const ring = new EventRing(clock);
  const first = ring.read(0, 5000);
  ring.add('peer-up', 'beta', 'up');
  assert.equal((await first).events[0]?.subject, 'beta');
  assert.equal(due.length, 0, 'its timer is gone');
  const second = ring.read(1, 5000);
  due[0]?.();
  assert.deepEqual((await second).events, []);
  const third = ring.read(1, 5000);
  ring.close();
  assert.deepEqual((await third).events, []);
  assert.deepEqual((await ring.read(1, 5000)).events, [], 'a closed ring keeps nobody');
});

test('more readers than are allowed are refused, and long texts are cut', async () => {
  const { clock } = handClock();
  const ring = new EventRing(clock);
  const waiting = Array.from({ length: MAX_FOLLOWERS }, () => ring.read(0, 1000));
  await assert.rejects(ring.read(0, 1000), { code: 'E_REFUSED' });
  ring.add('refused', null, 'x'.repeat(10_000));
  for (const each of await Promise.all(waiting)) assert.equal(each.events[0]?.text.length, 256);
});

/** An agent whose state the test changes between two looks. */
class World {
  peers: PeerReport[] = [PEER]; // bounded by the test
  members: WatchedMember[] = []; // bounded by the test
  dropped = 1000;
  moves = 0;
  freezes = 0;
  /** Of every address that there is. */
  frozenMs: number | null = null;
  macs: [string, string | null][] = []; // bounded by the test
  readonly ring = new EventRing(handClock().clock);
  readonly watch = new EventWatch(
    {
      peers: () => this.peers,
      members: () => this.members,
      drops: () => [{ direction: 'receive', reason: 'auth', count: this.dropped }],
      fdbTotal: (of) => (of === 'MOVES' ? this.moves : this.freezes),
      fdbEntries: () =>
        this.macs.map(([mac, peer]) => {
          const frozen = {
            frozen: this.frozenMs !== null,
            frozenMs: this.frozenMs,
            rival: null,
            suspended: false,
          };
          return { mac, vni: 1, peer, ageMs: 0, static: false, ...frozen };
        }),
    },
    this.ring,
  );
  #seen = 0;

  /** `type subject: text` of what a look adds. */
  async look(): Promise<string[]> {
    this.watch.look();
    const { events, last } = await this.ring.read(this.#seen, 0);
    this.#seen = last;
    return events.map(({ type, subject, text }) => `${type} ${subject}: ${text}`);
  }
}

test('peers that come, go, move and get another path MTU are told once', async () => {
  const world = new World();
  assert.deepEqual(await world.look(), ['peer-up beta: up at 192.0.2.2:7947, direct']);
  assert.deepEqual(await world.look(), []);
  world.peers = [{ ...PEER, pmtu: 1500, endpoint: '192.0.2.9:7947' }];
  assert.deepEqual(await world.look(), [
    'peer-moved beta: from 192.0.2.2:7947 to 192.0.2.9:7947',
    'mtu beta: path MTU 1500 bytes',
  ]);
  world.peers = [{ ...PEER, pmtu: 1400, endpoint: '192.0.2.9:7947', state: 'down', reason: 'unanswered' }];
  assert.deepEqual(await world.look(), [
    'peer-down beta: unanswered',
    'mtu beta: path MTU 1400 bytes, was 1500',
  ]);
  world.peers = [{ ...PEER, pmtu: 1400, endpoint: '192.0.2.9:7947', state: 'handshaking' }];
  assert.deepEqual(await world.look(), [], 'a handshake by itself is no event');
  world.peers = [];
  assert.deepEqual(await world.look(), ['peer-down beta: gone']);
});

test('states of members are told', async () => {
  const world = new World();
  await world.look();
  const member = { name: 'gamma', state: 'alive', nodeId: 'g' } as const;
  world.members = [member];
  assert.deepEqual(await world.look(), ['member gamma: alive']);
  world.members = [{ ...member, state: 'dead' }];
  assert.deepEqual(await world.look(), ['member gamma: dead, was alive']);
});

test('a burst of drops is told by what it added, and not again every second', async () => {
  const world = new World();
  await world.look();
  world.dropped += BURST_DROPS - 1;
  assert.deepEqual(await world.look(), []);
  world.dropped += 400;
  assert.deepEqual(await world.look(), [
    `drop-burst auth: 400 dropped on receive within a second, ${1000 + 449} since the start`,
  ]);
  let told = 0;
  for (let i = 0; i < 60; i++) {
    world.dropped += 400;
    told += (await world.look()).length;
  }
  assert.equal(told, 2);
});

test('an address that moved is named with where it was and is', async () => {
  const world = new World();
  world.macs = [
    ['02:00:00:00:00:05', 'beta'],
    ['02:00:00:00:00:06', null],
  ];
  await world.look();
  world.macs = [['02:00:00:00:00:05', 'gamma']];
  assert.deepEqual(await world.look(), [], 'nobody looks while the counter stands');
  world.moves = 1;
  assert.deepEqual(await world.look(), ['mac-move 02:00:00:00:00:05: from beta to gamma, vni 1']);
  world.moves = 4;
  world.macs = [['02:00:00:00:00:05', 'beta']];
  assert.deepEqual(await world.look(), [
    'mac-move 02:00:00:00:00:05: from gamma to beta, vni 1',
    'mac-move null: 2 more moves between peers',
  ]);
});

test('an address that two hosts claim is told once, with who keeps it', async () => {
  const world = new World();
  await world.look();
  world.macs = [['02:00:00:00:00:05', 'gamma']];
  world.freezes = 1;
  world.frozenMs = 1_800_000;
  const told = 'mac-frozen 02:00:00:00:00:05: gamma keeps it for 1800 s, this host claims it too, vni 1';
  assert.deepEqual(await world.look(), [told]);
  world.freezes = 2;
  assert.deepEqual(await world.look(), []);
  world.frozenMs = null;
  for (let i = 0; i < 2; i++) await world.look();
  world.freezes = 3;
  world.frozenMs = 1_800_000;
  assert.deepEqual(await world.look(), [told], 'a later freeze is another event');
});

test('no more addresses are remembered than the bound, and a storm of moves is summed', async () => {
  const world = new World();
  const many = (peer: string): [string, string][] =>
    Array.from({ length: MAX_WATCHED_MACS + 100 }, (_, i) => [`mac${i}`, peer]);
  world.macs = many('beta');
  await world.look();
  world.macs = many('gamma');
  world.moves = MAX_WATCHED_MACS + 100;
  const told = await world.look();
  assert.equal(told.length, 11);
  assert.equal(told.at(-1), `mac-move null: ${MAX_WATCHED_MACS + 90} more moves between peers`);
});
