/**
 * T4, T7, T8, T12, T13 and T17 of the attack table: a stolen node key, a member that lies about addresses and segments, traffic that was never
 * sealed, members with a wrong clock, and a stranger who wants answers larger than questions. Real agents.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { FdbReport } from '../../agent/control/api-types.ts';
import { CHILD_ENV } from '../../agent/lab/command.ts';
import { Host } from '../../agent/lab/host.ts';
import { until } from '../../agent/lab/wait.ts';
import { BROADCAST, FrameSender, frame, framesFrom, vxlan } from '../netns/frames.ts';
import { Mesh, overlayOf } from '../netns/mesh.ts';
import { ping, Recording, reachable } from '../netns/programs.ts';
import { Attacker, drops, targetOf } from './attacker.ts';

const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';
const SPOOFED = '02:5e:00:00:00:66';

let mesh: Mesh;
before(async () => {
  mesh = await Mesh.start({ hosts: 3 });
});
after(() => mesh?.remove());

const namespace = (index: number): string => mesh.host(index).node.namespace;
const vniOf = async (): Promise<number> => (await mesh.host(0).api.get<{ vni: number }>('/v1/status')).vni;

test("T7: a member that speaks with another member's address is dropped, and the address stays where it is", async () => {
  const owner = (await mesh.host(1).api.get<{ mac: string }>('/v1/status')).mac;
  await reachable(namespace(0), await overlayOf(mesh.host(1)));
  const place = async (): Promise<string | undefined> =>
    (await mesh.host(0).api.get<FdbReport>('/v1/fdb')).entries.find(({ mac }) => mac === owner)?.peer ??
    undefined;
  assert.equal(await place(), 'host2');
  const before = await drops(mesh, 0, 'mac_spoof');
  const attacker = new FrameSender(namespace(2));
  try {
    const frames = Array.from({ length: 200 }, (_, seed) =>
      frame({ to: BROADCAST, from: owner, size: 80, seed }),
    );
    const counts = ping(namespace(0), await overlayOf(mesh.host(1)), { count: 100 });
    await attacker.frames({ device: 'weft0', frames });
    const { sent, received } = await counts;
    assert.equal(received, sent);
    await until('drops', { timeoutMs: 5000 }, async () =>
      (await drops(mesh, 0, 'mac_spoof')) >= before + 200 ? true : null,
    );
    assert.equal(await place(), 'host2');
  } finally {
    await attacker.stop();
  }
});

/** What comes out of the first host's TAP from the spoofed address while `work` runs. */
async function delivered(work: () => Promise<unknown>): Promise<number> {
  const recording = await Recording.start(namespace(0), 'weft0', mesh.folder, { direction: 'in' });
  await work();
  return framesFrom(await recording.stop(), SPOOFED).length;
}

const FRAME = frame({ to: BROADCAST, from: SPOOFED, size: 80 });

test('T12: frames that were never sealed do not get into a sealed segment, on any port', async () => {
  const vni = await vniOf();
  const attacker = new FrameSender(namespace(1));
  try {
    const { address } = mesh.host(0).node;
    const came = await delivered(async () => {
      for (const port of [4789, 7947, 7946, 6081])
        await attacker.datagrams({
          address,
          port,
          payloads: [vxlan(vni, FRAME), FRAME, vxlan(0, FRAME)],
          listenMs: 50,
        });
    });
    assert.equal(came, 0);
  } finally {
    await attacker.stop();
  }
});

test('T13: members with clocks at -1 year and +1 hour take part, one at +10 years is told so', async () => {
  const { node } = mesh.host(1);
  await mesh.host(1).stop();
  const withClock = (offset: string): Host =>
    new Host(node, mesh.folder, mesh.configPath, {
      ...CHILD_ENV,
      LD_PRELOAD: FAKETIME,
      FAKETIME: offset,
      DONT_FAKE_MONOTONIC: '1',
    });
  for (const offset of ['-365d', '+1h']) {
    const host = withClock(offset);
    host.start(['run']);
    try {
      await host.ready();
      await reachable(namespace(0), await overlayOf(host), 20_000);
    } finally {
      await host.stop();
    }
  }
  const ended = await withClock('+3650d').weft(['run'], { timeoutMs: 30_000 });
  assert.match(ended.err, /^weft: certificate of host2 expired at .*clock says .*set the clock/);
  assert.equal(ended.status, 4);
  mesh.host(1).start(['run']);
  await mesh.host(1).ready();
  await mesh.converged();
});

test('T17: whoever asks gets no more bytes than it sent, whatever it sends', async () => {
  const attackers = mesh.host(1).node;
  await mesh.host(1).stop();
  const { address } = mesh.host(0).node;
  // Everything that two real hosts ever said to the victim, and noise of every type.
  const genuine = await Recording.start(namespace(0), 'eth0', mesh.folder, {
    direction: 'in',
    filter: 'udp',
  });
  await mesh.host(2).kill();
  mesh.host(2).start(['run']);
  await mesh.host(2).ready();
  await reachable(namespace(0), await overlayOf(mesh.host(2)), 20_000);
  const payloads = (await genuine.stop()).map((packet) => packet.subarray(42)).slice(0, 600);
  const noise = Array.from({ length: 256 }, (_, type) => Buffer.alloc(64 + type * 4, type));
  const sender = new FrameSender(attackers.namespace);
  try {
    for (const port of [7947, 7946]) {
      for (const set of [payloads, noise]) {
        const sent = set.reduce((sum, { length }) => sum + length, 0);
        const answers = await sender.datagrams({ address, port, payloads: set, listenMs: 500 });
        assert.ok(answers.bytes <= sent, `port ${port}: ${answers.bytes} bytes for ${sent}`);
        assert.ok(answers.longest <= 1200, `an answer of ${answers.longest} bytes`);
      }
    }
  } finally {
    await sender.stop();
  }
  mesh.host(1).start(['run']);
  await mesh.host(1).ready();
  await mesh.converged();
});

test('T8: a member with a modified agent cannot send into another segment', async () => {
  const vni = await vniOf();
  const victim = await targetOf(mesh);
  await mesh.host(2).stop();
  const attacker = new Attacker(namespace(2));
  try {
    const { stateDir, node } = mesh.host(2);
    const isUp = await attacker.asStolen({ stateDir, listen: node.address, victim, waitMs: 10_000 });
    assert.equal(isUp, true, 'with the stolen state a session is possible');
    // The session works: what is allowed comes out.
    assert.equal(await delivered(() => attacker.seal({ plaintexts: [vxlan(vni, FRAME)] })), 1);
    const before = await drops(mesh, 0, 'vni');
    const others = [vni + 1, 0, 0xffffff].map((other) => vxlan(other, FRAME));
    assert.equal(await delivered(() => attacker.seal({ plaintexts: others })), 0);
    assert.equal((await drops(mesh, 0, 'vni')) - before, 3);
  } finally {
    await attacker.stop();
  }
});

test('T4: a stolen node key is worth nothing 5 s after the host was revoked', async () => {
  const vni = await vniOf();
  const victim = await targetOf(mesh);
  const { stateDir, node } = mesh.host(2);
  const theft = { stateDir, listen: node.address, victim, waitMs: 10_000 };
  const attacker = new Attacker(namespace(2));
  const again = new Attacker(namespace(2));
  try {
    assert.equal(await attacker.asStolen(theft), true);
    const one = { plaintexts: [vxlan(vni, FRAME)] };
    assert.equal(await delivered(() => attacker.seal(one)), 1);
    await mesh.host(0).weftOk(['revoke', 'node', 'host3', '--yes']);
    const startMs = performance.now();
    while (performance.now() - startMs < 5000 && (await delivered(() => attacker.seal(one))) > 0);
    const many = { plaintexts: Array.from({ length: 50 }, () => vxlan(vni, FRAME)) };
    assert.equal(await delivered(() => attacker.seal(many)), 0, 'frames under the old session');
    await attacker.stop();
    assert.equal(await again.asStolen({ ...theft, waitMs: 3000 }), false, 'a new session');
  } finally {
    await attacker.stop();
    await again.stop();
  }
});
