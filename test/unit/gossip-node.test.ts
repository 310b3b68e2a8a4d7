import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { GossipNode, type SwimOutput } from '../../gossip/index.ts';
import { Disk, idOf, makeRecord, SeededRng, sealerOf, verifier } from '../sim/cheap-parts.ts';

const clock = {
  monotonicMs: () => performance.now(),
  every(intervalMs: number, run: () => void) {
    const timer = setInterval(run, intervalMs);
    return () => clearInterval(timer);
  },
  after(delayMs: number, run: () => void) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

async function start(n: number, port: number, seedPort: number | null, outputs: SwimOutput[] = []) {
  const disk = new Disk(n);
  disk.incarnation = 1;
  const own = { ...makeRecord(disk.id, 1, 0), address: { ip: '127.0.0.1', port } };
  // Cheap records carry no port, so that what they verify to is given the one of the test.
  const ports = [47_946, 47_947];
  const addressed = {
    ...verifier,
    verify: (record: Uint8Array, credential: Uint8Array) => {
      const found = verifier.verify(record, credential);
      if (found === null) return null;
      const i = [0, 1].findIndex((k) => idOf(k) === found.id);
      return { ...found, address: { ip: '127.0.0.1', port: ports[i] ?? 1 } };
    },
  };
  return GossipNode.start({
    own,
    sealer: sealerOf(disk.id),
    verifier: addressed,
    signer: disk.signer(),
    persistence: disk,
    rng: new SeededRng(n + 1),
    contacts:
      seedPort === null
        ? []
        : [{ id: idOf(0), boxKey: new Uint8Array(32), address: { ip: '127.0.0.1', port: seedPort } }],
    listen: { ip: '127.0.0.1', port },
    clock,
    onOutput: (output) => outputs.push(output),
    tickMs: 20,
  });
}

async function eventually(what: () => boolean): Promise<void> {
  for (let i = 0; i < 250 && !what(); i++) await delay(20);
  assert.ok(what());
}

test('two hosts on real sockets find each other, and one hears that the other leaves', async () => {
  const outputs: SwimOutput[] = [];
  const a = await start(0, 47_946, null);
  const b = await start(1, 47_947, 47_946, outputs);
  try {
    await eventually(
      () => a.swim.member(idOf(1))?.state === 'alive' && b.swim.member(idOf(0))?.state === 'alive',
    );
    await eventually(() => outputs.some((o) => o.type === 'reachable' && o.id === idOf(0)));
    await eventually(() => outputs.some((o) => o.type === 'probe' && o.rttMs !== null));
    assert.ok(a.traffic.rxPackets > 0 && a.traffic.txBytes > 0);
    assert.ok(outputs.every((o) => o.type !== 'send'));
    await b.leave();
    await eventually(() => a.swim.member(idOf(1))?.state === 'left');
  } finally {
    await a.stop();
    await b.stop();
  }
});

test('a port that is taken is the system error, by its name', async () => {
  const a = await start(0, 47_946, null);
  try {
    await assert.rejects(start(0, 47_946, null), { code: 'EADDRINUSE' });
  } finally {
    await a.stop();
  }
  await a.stop();
});
