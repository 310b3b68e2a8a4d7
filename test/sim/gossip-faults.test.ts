import assert from 'node:assert/strict';
import { test } from 'node:test';
import { World } from './world.ts';

/** A mesh that has agreed and in which everybody has spoken with everybody that it had the time to. */
function settled(members: number, options: ConstructorParameters<typeof World>[0] = {}): World {
  const world = new World(options);
  world.join(members);
  world.run(30_000);
  assert.ok(world.runUntil(() => world.agree(), 30_000) < Infinity, 'the mesh never agreed');
  world.history.length = 0;
  return world;
}

for (const members of [3, 20])
  for (const seed of [1, 2, 3])
    test(`a crash among ${members} hosts is dead everywhere within 15 s (seed ${seed})`, () => {
      const world = settled(members, { seed });
      world.crash(1);
      const tookMs = world.runUntil(() => world.allSee(1, 'dead'), 15_000);
      assert.ok(tookMs < Infinity, world.history.join('\n'));
      assert.ok(world.history.every((line) => !/dead/.test(line) || / 1 dead$/.test(line)));
    });

for (const loss of [0.05, 0.1])
  test(`nobody is declared dead by mistake in 60 s at ${loss * 100} % loss among 50 hosts`, () => {
    const world = settled(50, { loss, seed: 5 });
    world.run(60_000);
    assert.deepEqual(
      world.history.filter((line) => /dead/.test(line)),
      [],
    );
  });

test('a leave is known everywhere within 2 s and is no death', () => {
  const world = settled(20);
  world.leave(7);
  assert.ok(world.runUntil(() => world.allSee(7, 'left'), 2000) < Infinity, world.history.join('\n'));
  world.run(30_000);
  assert.ok(world.allSee(7, 'left'));
});

test('a host that restarts after its death is back within 10 s under a higher incarnation', () => {
  const world = settled(20);
  const before = world.swim(4).own.incarnation;
  world.crash(4);
  world.run(20_000);
  assert.ok(world.allSee(4, 'dead'));
  world.start(4, [0]);
  assert.ok(world.runUntil(() => world.agree(), 10_000) < Infinity, world.history.join('\n'));
  assert.ok(world.swim(4).own.incarnation > before);
});

test('a host that restarts before anybody noticed is never declared dead', () => {
  const world = settled(20);
  world.crash(4);
  world.run(1500);
  world.start(4, [0]);
  assert.ok(world.runUntil(() => world.agree(), 10_000) < Infinity);
  world.run(40_000);
  assert.ok(world.history.every((line) => !/dead/.test(line)));
});

test('a host that restarts without seeds rejoins within 10 s through the members on its disk', () => {
  const world = settled(20);
  world.crash(9);
  world.run(20_000);
  world.start(9, []);
  assert.ok(world.runUntil(() => world.agree(), 10_000) < Infinity, world.history.join('\n'));
});

for (const [members, groups] of [
  [20, 2],
  [20, 10],
  [100, 2],
  [3, 3],
] as const)
  test(`a partition of 90 s heals within 20 s (1 of ${groups} of ${members} hosts cut off)`, () => {
    const world = settled(members);
    const side = (n: number): boolean => n % groups === 0;
    world.reaches = (from, to) => side(from) === side(to);
    world.run(90_000);
    assert.equal(world.view(0, 1), 'dead');
    assert.equal(world.view(1, 0), 'dead');
    world.reaches = () => true;
    const tookMs = world.runUntil(() => world.agree(), 20_000);
    assert.ok(tookMs < Infinity, world.history.slice(-20).join('\n'));
  });

test('a host that stood still for 3 s refutes the doubt and is not declared dead', () => {
  const world = settled(20);
  const before = world.swim(3).own.incarnation;
  world.pause(3);
  world.run(3000);
  assert.equal(
    world.up.some((h) => h.n !== 3 && world.view(h.n, 3) === 'suspect'),
    true,
    'somebody doubts it',
  );
  world.resume(3);
  assert.ok(world.runUntil(() => world.agree(), 5000) < Infinity, world.history.join('\n'));
  assert.ok(world.swim(3).own.incarnation > before);
  assert.ok(world.history.every((line) => !/dead/.test(line)));
});

test('a host that hears nothing from one other is helped by third ones: nobody dies', () => {
  const world = settled(20);
  world.reaches = (from, to) => !(from === 2 && to === 5);
  world.run(60_000);
  assert.ok(world.history.every((line) => !/dead/.test(line)));
});

test('a host that hears nothing at all disturbs nobody else', () => {
  const world = settled(20);
  world.reaches = (_from, to) => to !== 6;
  world.run(60_000);
  const others = world.history.filter((line) => !/ 6: /.test(line) && / dead$/.test(line));
  assert.deepEqual(
    others.filter((line) => !/ 6 dead$/.test(line)),
    [],
  );
  world.reaches = () => true;
  assert.ok(world.runUntil(() => world.agree(), 20_000) < Infinity, world.history.slice(-20).join('\n'));
});

test('all hosts that restart at once find each other again within 10 s', () => {
  const world = settled(20);
  for (const host of world.hosts) world.crash(host.n);
  world.run(5000);
  for (const host of world.hosts) world.start(host.n, []);
  assert.ok(world.runUntil(() => world.agree(), 10_000) < Infinity, world.history.slice(-20).join('\n'));
});

test('data from a member outweighs doubt about it', () => {
  const world = settled(3);
  world.reaches = (from, to) => from !== 1 && to !== 1;
  for (let i = 0; i < 60; i++) {
    world.run(500);
    world.swim(0).heard(world.host(1).id);
  }
  assert.notEqual(world.view(0, 1), 'dead');
  assert.equal(world.view(2, 1), 'dead');
});

test('a dead host becomes a tombstone that is forgotten', () => {
  const world = settled(3, { config: { tombstoneMs: 20_000 } });
  world.crash(2);
  world.run(60_000);
  assert.ok(world.allSee(2, null));
});
