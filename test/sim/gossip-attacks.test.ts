import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeBox, encodeInner, encodeMessage, TYPE_BOX, TYPE_INTRO } from '../../gossip/codec.ts';
import type { Address } from '../../gossip/types.ts';
import { accusation, idOf, ipOf, makeRecord, SeededRng, sealerOf } from './cheap-parts.ts';
import { type Sent, World, type WorldOptions } from './world.ts';

const from = (n: number): Address => ({ ip: ipOf(n), port: 7946 });

function settled(members: number, options: WorldOptions = {}): World {
  const world = new World(options);
  world.join(members);
  world.run(15_000);
  assert.ok(world.agree());
  return world;
}

/** The next box from one host to another. */
function nextBox(world: World, sender: number, receiver: number): Sent {
  let found: Sent | null = null;
  world.onSend = (sent) => {
    if (sent.from === sender && sent.to === receiver && sent.bytes[0] === TYPE_BOX) found ??= sent;
  };
  world.runUntil(() => found !== null, 30_000);
  world.onSend = () => {};
  assert.ok(found !== null, 'they spoke');
  return found;
}

function dropsWhile(world: World, run: () => void): Record<string, number> {
  world.drops.clear();
  run();
  return Object.fromEntries(world.drops);
}

test('a replayed datagram is dropped and not answered', () => {
  const world = settled(3);
  const { bytes } = nextBox(world, 1, 2);
  world.run(50);
  const sent = world.datagrams;
  const drops = dropsWhile(world, () => {
    for (let i = 0; i < 10; i++) world.deliver(2, bytes, from(1));
  });
  assert.deepEqual(drops, { replay: 10 });
  assert.equal(world.datagrams, sent);
});

test('a box that is reflected to its sender does not open', () => {
  const world = settled(3);
  const { bytes } = nextBox(world, 1, 2);
  const reflected = bytes.slice();
  reflected.set(bytes.subarray(12, 20), 4);
  reflected.set(bytes.subarray(4, 12), 12);
  assert.deepEqual(
    dropsWhile(world, () => world.deliver(1, reflected, from(2))),
    { auth: 1 },
  );
});

test('a box from a former start of its receiver is answered with nothing but a small BOOT', () => {
  const world = settled(3);
  const { bytes } = nextBox(world, 1, 2);
  world.crash(2);
  world.start(2, [0]);
  world.run(5000);
  const answers: Sent[] = [];
  world.onSend = (sent) => answers.push(sent);
  for (let i = 0; i < 20; i++) world.deliver(2, bytes, from(1));
  assert.ok(answers.length > 0 && answers.length <= 5, `${answers.length} answers to 20`);
  for (const answer of answers) assert.ok(answer.bytes.length <= bytes.length);
});

test('a host whose boot counter went back learns the higher one and is understood again', () => {
  const world = settled(3);
  for (let i = 0; i < 5; i++) {
    world.crash(1);
    world.start(1, [0]);
    world.run(3000);
  }
  const { disk } = world.host(1);
  const highest = disk.boot;
  world.crash(1);
  disk.boot = 0;
  world.start(1, [0]);
  assert.ok(world.runUntil(() => world.agree(), 10_000) < Infinity);
  assert.ok(disk.boot > highest);
});

test('a host whose incarnation went back outbids its own old record', () => {
  const world = settled(3);
  const { disk } = world.host(1);
  const before = disk.incarnation;
  world.crash(1);
  disk.incarnation = 0;
  disk.saved = [];
  world.start(1, [0]);
  assert.ok(world.runUntil(() => world.agree(), 10_000) < Infinity, world.history.slice(-9).join('\n'));
  assert.ok(disk.incarnation >= before);
});

test('the answers to an old BOOT are few', () => {
  const world = settled(3);
  const boots: Sent[] = [];
  world.onSend = (sent) => boots.push(sent);
  world.crash(1);
  world.start(1, [0]);
  world.run(5000);
  const toRestarted = boots.filter((b) => b.to === 1 && b.bytes[0] === TYPE_BOX);
  world.onSend = () => {};
  const sent = world.datagrams;
  for (const b of toRestarted) world.deliver(1, b.bytes, from(b.from));
  assert.ok(world.datagrams - sent <= 10, `${world.datagrams - sent} answers`);
});

test('a stranger with the right framing is refused before its box is opened', () => {
  const world = settled(3);
  const box = sealerOf(idOf(99)).seal(idOf(0), new Uint8Array(32), new Uint8Array(24), new Uint8Array(40));
  assert.ok(box !== null);
  const bytes = encodeBox(idOf(99), idOf(0), new Uint8Array(24), box);
  assert.deepEqual(
    dropsWhile(world, () => world.deliver(0, bytes, from(99))),
    { gossip: 1 },
  );
});

test('garbage of any length changes nothing but a counter and is not answered', () => {
  const world = settled(3);
  const rng = new SeededRng(3);
  const sent = world.datagrams;
  for (let length = 0; length <= 1400; length += 7)
    for (const type of [TYPE_BOX, TYPE_INTRO, 0]) {
      const bytes = rng.fill(new Uint8Array(length));
      if (length > 0) bytes[0] = type;
      world.deliver(0, bytes, { ip: `192.0.2.${length % 250}`, port: 1 });
    }
  assert.equal(world.datagrams, sent);
  assert.ok(world.agree());
});

test('a flood from an unknown address is cut to 20 a second', () => {
  const world = settled(3);
  const drops = dropsWhile(world, () => {
    for (let i = 0; i < 500; i++) world.deliver(0, new Uint8Array(100), { ip: '192.0.2.9', port: 9 });
  });
  assert.deepEqual(drops, { garbage: 20, rate: 480 });
});

/** A box of host `sender` to `receiver`, in its next sequence numbers, as a member that misbehaves could make it. */
function forge(world: World, sender: number, receiver: number, messages: Uint8Array[]): Uint8Array {
  const inner = encodeInner(
    world.host(sender).disk.boot,
    world.swim(sender).member(idOf(receiver))?.channel.nextSeq() ?? 1,
    world.host(receiver).disk.boot,
    messages,
  );
  const nonce = new Uint8Array(24);
  const box = sealerOf(idOf(sender)).seal(idOf(receiver), new Uint8Array(32), nonce, inner);
  assert.ok(box !== null);
  return encodeBox(idOf(sender), idOf(receiver), nonce, box);
}

test('a member that accuses with a huge number makes nobody use up numbers or die', () => {
  const world = settled(3);
  const lie = encodeMessage({
    type: 'suspect',
    accusation: accusation(idOf(1), idOf(2), Number.MAX_SAFE_INTEGER),
  });
  for (const to of [0, 2]) world.deliver(to, forge(world, 1, to, [lie]), from(1));
  assert.equal(world.view(0, 2), 'alive');
  world.run(20_000);
  assert.ok(world.swim(2).own.incarnation < 10);
  assert.ok(world.agree());
});

test('one member that accuses all the time kills nobody', () => {
  const world = settled(5);
  for (let i = 1; i <= 60; i++) {
    const { incarnation } = world.swim(2).own;
    const lie = encodeMessage({ type: 'suspect', accusation: accusation(idOf(1), idOf(2), incarnation) });
    for (const to of [0, 3, 4]) world.deliver(to, forge(world, 1, to, [lie]), from(1));
    world.run(500);
  }
  assert.ok(world.history.every((line) => !/dead/.test(line)));
  assert.ok(world.swim(2).own.incarnation <= 62, 'at most two refutations a second');
});

test('T9: a member that sends 1,000 accusations a second kills nobody and makes nobody refute more than twice a second', () => {
  const world = settled(5);
  const before = world.swim(2).own.incarnation;
  const seconds = 10;
  for (let i = 0; i < seconds * 50; i++) {
    const { incarnation } = world.swim(2).own;
    for (let k = 0; k < 20; k++) {
      const lie = encodeMessage({ type: 'suspect', accusation: accusation(idOf(1), idOf(2), incarnation) });
      const to = [0, 3, 4][k % 3] ?? 0;
      world.deliver(to, forge(world, 1, to, [lie]), from(1));
    }
    world.run(20);
  }
  assert.ok(world.history.every((line) => !/dead/.test(line)));
  assert.ok(world.swim(2).own.incarnation - before <= 2 * seconds + 2);
  world.run(20_000);
  assert.ok(world.agree());
});

/** `liars` accuse host 2 to all others, all the time, for 30 s: before each has heard of its newest number. */
function conspire(world: World, liars: readonly number[]): void {
  const honest = world.hosts.map(({ n }) => n).filter((n) => n !== 2 && !liars.includes(n));
  for (let i = 0; i < 60; i++) {
    for (const to of honest) {
      const incarnation = world.swim(to).member(idOf(2))?.record.incarnation ?? 0;
      const lies = liars.map((liar) => accusation(idOf(liar), idOf(2), incarnation));
      for (const [at, lie] of lies.entries()) {
        const liar = liars[at] ?? 0;
        world.deliver(
          to,
          forge(world, liar, to, [encodeMessage({ type: 'suspect', accusation: lie })]),
          from(liar),
        );
      }
    }
    world.run(500);
  }
}

for (const [name, members, liars, voterClassOf] of [
  ['three of eight members', 8, [1, 3, 4], () => 0],
  ['six of eight members, with the token of all,', 8, [1, 3, 4, 5, 6, 7], () => 0],
  [
    'six of fourteen members, with a token of their own,',
    14,
    [1, 3, 4, 5, 6, 7],
    (n: number) => Number(n < 8 && n !== 0 && n !== 2),
  ],
] as const)
  for (const seed of [1, 2, 3])
    test(`T11: ${name} that accuse another together do not get it declared dead (seed ${seed})`, () => {
      const world = settled(members, { seed, voterClassOf });
      conspire(world, liars);
      assert.deepEqual(
        world.history.filter((line) => /dead/.test(line)),
        [],
      );
      world.run(20_000);
      assert.ok(world.agree());
    });

test('T11: the doubt of six with one token, a minority, takes as long as that of one; that of six with six tokens does not', () => {
  const liars = [1, 3, 4, 5, 6, 7];
  const diesAfterMs = (voterClassOf: (n: number) => number): number => {
    const world = settled(14, { voterClassOf });
    // Nothing passes between the accused one and host 0, and nothing but lies reaches host 0.
    world.reaches = (_from, to) => to !== 0;
    const { incarnation } = world.swim(2).own;
    for (const liar of liars) {
      const lie = encodeMessage({
        type: 'suspect',
        accusation: accusation(idOf(liar), idOf(2), incarnation),
      });
      world.deliver(0, forge(world, liar, 0, [lie]), from(liar));
    }
    return world.runUntil(() => world.view(0, 2) === 'dead', 60_000);
  };
  const [one, six] = [diesAfterMs((n) => (liars.includes(n) ? 1 : 0)), diesAfterMs((n) => n)];
  assert.ok(six < 7000, `${six} ms`);
  // Host 0 itself may have come to doubt it too, which is a second vote.
  assert.ok(one > 2 * six, `${one} ms and ${six} ms`);
});

test('a record with an old number does not bring a dead host back', () => {
  const world = settled(3);
  const { record } = world.swim(0).member(idOf(2)) ?? assert.fail('known');
  world.crash(2);
  world.run(20_000);
  assert.equal(world.view(0, 2), 'dead');
  const laterSeq = makeRecord(record.id, record.incarnation, record.seq + 1);
  for (const r of [record, laterSeq]) {
    const m = encodeMessage({ type: 'record', record: r.bytes, credential: r.credential });
    world.deliver(0, forge(world, 1, 0, [m]), from(1));
    assert.equal(world.view(0, 2), 'dead');
  }
});

test('T10: two different records with one number are reported and the first is kept', () => {
  const world = settled(3);
  const { record } = world.swim(0).member(idOf(2)) ?? assert.fail('known');
  const other = makeRecord(record.id, record.incarnation, record.seq, 'alive', '10.9.9.9');
  const m = encodeMessage({ type: 'record', record: other.bytes, credential: other.credential });
  const outputs = world.swim(0).datagram(world.nowMs, forge(world, 1, 0, [m]), from(1));
  assert.ok(outputs.some((o) => o.type === 'equivocation' && o.id === record.id));
  assert.equal(world.swim(0).member(idOf(2))?.record.address?.ip, ipOf(2));
});

/** Host 2 said two things under one number; host 0 has heard both. */
function contradicted(world: World): Uint8Array {
  const { record } = world.swim(0).member(idOf(2)) ?? assert.fail('known');
  const other = makeRecord(record.id, record.incarnation, record.seq, 'alive', '10.9.9.9');
  const m = encodeMessage({ type: 'record', record: other.bytes, credential: other.credential });
  world.deliver(0, forge(world, 1, 0, [m]), from(1));
  return encodeMessage({ type: 'equivocation', a: record.bytes, b: other.bytes });
}

const quarantines = (world: World): (readonly [number, boolean])[] =>
  world.up.filter(({ n }) => n !== 2).map(({ n }) => [n, world.swim(n).isQuarantined(idOf(2))]);

test('T10: a member that contradicted itself is quarantined everywhere within 2 s, knows it, and its doubt counts nowhere', () => {
  const world = settled(12);
  const seen: string[] = [];
  world.onOutput = (host, output) => {
    if (output.type === 'equivocation') seen.push(`${host.n} ${output.id === idOf(2)}`);
  };
  contradicted(world);
  const tookMs = world.runUntil(() => quarantines(world).every(([, out]) => out), 2000);
  assert.ok(tookMs < Infinity, JSON.stringify(quarantines(world)));
  world.run(1000);
  assert.ok(world.swim(2).ownQuarantineMs > 500_000);
  assert.equal(seen.length, 12, 'each host tells it once');
  assert.ok(world.up.every(({ swim }) => swim?.stats().equivocations === 1));
  const { incarnation } = world.swim(5).own;
  const lie = encodeMessage({ type: 'suspect', accusation: accusation(idOf(2), idOf(5), incarnation) });
  world.deliver(0, forge(world, 2, 0, [lie]), from(2));
  assert.equal(world.view(0, 5), 'alive');
});

test('T10: a proof that was missed behind a partition is told with the first comparison', () => {
  const world = settled(6);
  const apart = (n: number): boolean => n === 5;
  world.reaches = (a, b) => apart(a) === apart(b);
  contradicted(world);
  world.run(60_000);
  assert.equal(world.swim(5).isQuarantined(idOf(2)), false);
  world.reaches = () => true;
  const tookMs = world.runUntil(() => world.swim(5).isQuarantined(idOf(2)), 30_000);
  assert.ok(tookMs < Infinity);
});

test('T10: the quarantine ends after 10 minutes without a new proof, and the old one is not taken again', () => {
  const world = settled(3);
  const proof = contradicted(world);
  world.run(500_000);
  assert.ok(quarantines(world).every(([, out]) => out));
  world.run(110_000);
  assert.ok(quarantines(world).every(([, out]) => !out));
  for (const to of [0, 1]) world.deliver(to, forge(world, 1 - to, to, [proof]), from(1 - to));
  world.run(1000);
  assert.ok(quarantines(world).every(([, out]) => !out));
});

test('T10: what proves nothing is refused: one record twice, two numbers, two members, another owner', () => {
  const world = settled(4);
  const of = (n: number, seq: number, ip = ipOf(n)): Uint8Array =>
    makeRecord(idOf(n), 3, seq, 'alive', ip).bytes;
  for (const [a, b] of [
    [of(2, 1), of(2, 1)],
    [of(2, 1), of(2, 2, '10.9.9.9')],
    [of(2, 1), of(3, 1)],
    [of(2, 1), new Uint8Array(160)],
  ] as const) {
    const drops = dropsWhile(world, () =>
      world.deliver(0, forge(world, 1, 0, [encodeMessage({ type: 'equivocation', a, b })]), from(1)),
    );
    assert.deepEqual(drops, { gossip: 1 });
  }
  assert.ok(quarantines(world).every(([, out]) => !out));
});

for (const ip of [
  ipOf(0),
  '127.0.0.1',
  '::1',
  '::ffff:127.0.0.1',
  '224.0.0.1',
  'ff02::1',
  '255.255.255.255',
  '0.0.0.0',
])
  test(`nothing is sent to a member that claims to be at ${ip}`, () => {
    const world = settled(2);
    const liar = makeRecord(idOf(77), 1, 0, 'alive', ip);
    const m = encodeMessage({ type: 'record', record: liar.bytes, credential: liar.credential });
    const swim = world.swim(0);
    const outputs = [...swim.datagram(world.nowMs, forge(world, 1, 0, [m]), from(1))];
    for (let i = 0; i < 200; i++) outputs.push(...swim.tick(world.nowMs + i * 100));
    assert.ok(swim.member(idOf(77)) !== undefined, 'it is known');
    assert.deepEqual(
      outputs.filter((o) => o.type === 'send' && o.to.ip === ip),
      [],
    );
  });

test('an endpoint that never answered gets one attempt in 5 s', () => {
  const world = settled(2);
  const silent = makeRecord(idOf(77), 1, 0);
  const m = encodeMessage({ type: 'record', record: silent.bytes, credential: silent.credential });
  const swim = world.swim(0);
  let sends = 0;
  swim.datagram(world.nowMs, forge(world, 1, 0, [m]), from(1));
  for (let i = 0; i < 200; i++)
    for (const o of swim.tick(world.nowMs + i * 100))
      if (o.type === 'send' && o.to.ip === ipOf(77) && o.bytes[0] === TYPE_BOX) sends += 1;
  assert.ok(sends >= 1 && sends <= 4, `${sends} boxes in 20 s`);
});

test('at most 5 indirect probes are served for one asker in a second', () => {
  const world = settled(3);
  const swim = world.swim(0);
  const requests = Array.from({ length: 20 }, (_, i) =>
    encodeMessage({ type: 'pingReq', probe: BigInt(i), target: idOf(2) }),
  );
  const outputs = swim.datagram(world.nowMs, forge(world, 1, 0, requests), from(1));
  assert.equal(outputs.filter((o) => o.type === 'send' && o.to.ip === ipOf(2)).length, 5);
  assert.deepEqual(
    outputs.filter((o) => o.type === 'drop'),
    [{ type: 'drop', reason: 'rate' }],
    'the datagram counts once',
  );
});

test('an ack from somebody who was not asked does not answer a probe', () => {
  const world = settled(3);
  world.crash(2);
  let probe: bigint | null = null;
  const swim = world.swim(0);
  // Guessing is hopeless; even the right number from the wrong member counts for nothing.
  for (let i = 0; i < 64 && probe === null; i++) {
    const id = BigInt(i);
    const ack = encodeMessage({ type: 'ack', probe: id });
    const outputs = swim.datagram(world.nowMs, forge(world, 1, 0, [ack]), from(1));
    assert.ok(outputs.every((o) => o.type !== 'probe'));
    probe = i === 63 ? id : null;
  }
  world.run(20_000);
  assert.equal(world.view(0, 2), 'dead');
});
