/**
 * Paths that carry less than the segment's MTU: two hosts and a router that eats large packets without a word, or has a
 * narrow link. What the agents find out, what they tell senders, and what TCP makes of it.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { ip } from '../../agent/lab/command.ts';
import { delay, until } from '../../agent/lab/wait.ts';
import { packetLimitBytes } from '../../agent/segment/mtu.ts';
import { allCameBack } from './all-came-back.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { iperf, type PingCounts, ping, pingDuring, reachable } from './programs.ts';
import { transfer } from './traffic.ts';

const MIB = 1 << 20;
const INNER6 = ['fd80::1', 'fd80::2'] as const;

/** A silent black hole on the router for IP packets above `bytes`. */
async function swallowAbove(mesh: Mesh, bytes: number): Promise<void> {
  await mesh.inRouter(['nft', 'add', 'table', 'inet', 'hole']);
  await mesh.inRouter(['nft', 'add', 'chain inet hole forward { type filter hook forward priority 0; }']);
  await mesh.inRouter(['nft', 'add', `rule inet hole forward meta length gt ${bytes} drop`]);
}

const fill = (mesh: Mesh): Promise<string> => mesh.inRouter(['nft', 'delete', 'table', 'inet', 'hole']);

async function pmtu(mesh: Mesh, index: number): Promise<number | null> {
  const { peers } = JSON.parse(await mesh.host(index).weftOk(['peers', '--json']));
  return peers[0].pmtu;
}

async function untilPmtu(
  mesh: Mesh,
  index: number,
  timeoutMs: number,
  is: (bytes: number) => boolean,
): Promise<number> {
  return until(`path MTU of host ${index + 1}`, { timeoutMs, everyMs: 100 }, async () => {
    const bytes = await pmtu(mesh, index);
    return bytes !== null && is(bytes) ? bytes : null;
  });
}

/** Seconds until 1 MiB is at host 1, whole and unchanged; the start of both ends included. */
async function secondsOfMib(mesh: Mesh, address: string): Promise<number> {
  const [from, to] = [mesh.host(0).node.namespace, mesh.host(1).node.namespace];
  const { sent, received } = await transfer({ kind: 'tcp', from, to, address, bytes: MIB });
  assert.deepEqual([received.bytes, received.digest], [MIB, sent.digest]);
  return sent.seconds ?? Number.POSITIVE_INFINITY;
}

/** What ping(8) says to one packet of `size` bytes of IP that must not be cut. */
async function fullPing(mesh: Mesh, index: number, address: string, size: number): Promise<string> {
  const payload = String(size - (address.includes(':') ? 48 : 28));
  const ended = await mesh.run(index, [
    'ping',
    '-n',
    '-c',
    '1',
    '-W',
    '1',
    '-M',
    'do',
    '-s',
    payload,
    address,
  ]);
  return ended.out + ended.err;
}

/** IPv6 addresses inside the overlay, which the agents know nothing of. */
async function addInner6(mesh: Mesh): Promise<void> {
  for (const [index, address] of INNER6.entries())
    await ip([
      '-n',
      mesh.host(index).node.namespace,
      'address',
      'add',
      `${address}/64`,
      'dev',
      'weft0',
      'nodad',
    ]);
}

describe('a silent black hole above 1300 bytes', () => {
  let mesh: Mesh;
  let address: string;
  before(async () => {
    mesh = await Mesh.start({ hosts: 2 });
    address = await overlayOf(mesh.host(1));
    await addInner6(mesh);
  });
  after(() => mesh?.remove());

  test('a path of the whole interface is known as soon as the session is up', async () => {
    assert.equal(await untilPmtu(mesh, 0, 2000, (bytes) => bytes === 1500), 1500);
  });

  test('costs a transfer of 1 MiB less than 3 s, and a running one no more than a pause', async (t) => {
    await reachable(mesh.host(0).node.namespace, INNER6[1]);
    // Over IPv6, whose senders may not go below 1280 bytes, nor does the kernel: its segments have to be cut.
    const [client, server] = [mesh.host(0).node.namespace, mesh.host(1).node.namespace];
    const running = iperf(server, client, INNER6[1], [], 8);
    running.catch(() => {});
    await delay(1500);
    await swallowAbove(mesh, 1300);
    const seconds = await secondsOfMib(mesh, address);
    t.diagnostic(`1 MiB in ${seconds.toFixed(2)} s`);
    assert.ok(seconds < 3, `${seconds} s`);
    const found = await untilPmtu(mesh, 0, 10_000, (bytes) => bytes <= 1300);
    assert.ok(found >= 1200, `${found}`);
    const { bitsPerSec } = await running;
    t.diagnostic(`the running transfer: ${(bitsPerSec / 1e6).toFixed(0)} Mbit/s`);
    assert.ok(bitsPerSec > 20e6, `${bitsPerSec}`);
  });

  test('is then used to its last byte', async () => {
    assert.equal(await untilPmtu(mesh, 0, 15_000, (bytes) => bytes === 1300), 1300);
    const limit = packetLimitBytes(1300, 4, 'sealed', 'vxlan');
    const counts = await ping(mesh.host(0).node.namespace, address, {
      count: 20,
      args: ['-M', 'do', '-s', String(limit - 28)],
    });
    await allCameBack(mesh, counts);
  });

  test('TCP over IPv6, whose least MTU does not fit, runs too', async () => {
    assert.ok((await secondsOfMib(mesh, INNER6[1])) < 3);
  });

  test('is noticed to be gone within 60 s', async () => {
    await fill(mesh);
    assert.equal(await untilPmtu(mesh, 0, 60_000, (bytes) => bytes === 1500), 1500);
    assert.equal(await untilPmtu(mesh, 1, 60_000, (bytes) => bytes === 1500), 1500);
  });

  test('shows in the metrics', async () => {
    assert.equal(await mesh.metric(0, 'weft_peer_path_mtu_bytes', { peer: 'host2' }), 1500);
    assert.ok((await mesh.metric(0, 'weft_path_probes_total')) > 10);
    assert.ok((await mesh.metric(0, 'weft_path_probes_lost_total')) >= 3);
  });
});

/** Each waits much and works little: side by side they take as long as the longest. */
const ONE_BY_ONE = { concurrency: 1 };
describe('narrow paths', { concurrency: 4 }, () => {
  for (const family of [4, 6] as const) {
    describe(`a link of 1300 bytes on the way, IPv${family} underlay`, ONE_BY_ONE, () => {
      let mesh: Mesh;
      let address: string;
      const limit = packetLimitBytes(1300, family, 'sealed', 'vxlan');
      before(async () => {
        mesh = await Mesh.underlay({ hosts: 2, family });
        const { routerInterface, namespace } = mesh.host(1).node;
        await ip(['-n', mesh.topology.router, 'link', 'set', routerInterface, 'mtu', '1300']);
        await ip(['-n', namespace, 'link', 'set', 'eth0', 'mtu', '1300']);
        await mesh.init();
        await mesh.join([mesh.host(1)]);
        await mesh.converged();
        address = await overlayOf(mesh.host(1));
        await addInner6(mesh);
      });
      after(() => mesh?.remove());

      test('is measured exactly from both sides', async () => {
        assert.equal(await untilPmtu(mesh, 0, 15_000, (bytes) => bytes === 1300), 1300);
        assert.equal(await untilPmtu(mesh, 1, 15_000, (bytes) => bytes === 1300), 1300);
      });

      test('a ping of the full MTU is told the right one at once', async () => {
        const { mtu } = JSON.parse(await mesh.host(0).weftOk(['status', '--json']));
        await reachable(mesh.host(0).node.namespace, address);
        assert.match(
          await fullPing(mesh, 0, address, mtu),
          new RegExp(`From ${address} .*Frag needed.*mtu = ${limit}`),
        );
        await reachable(mesh.host(0).node.namespace, INNER6[1]);
        assert.match(
          await fullPing(mesh, 0, INNER6[1], mtu),
          new RegExp(`From ${INNER6[1]} .*Packet too big: mtu=${limit}`),
        );
        assert.ok((await mesh.metric(0, 'weft_packet_too_big_sent_total')) >= 2);
        assert.ok((await mesh.metric(0, 'weft_dropped_frames_total', { reason: 'too_big' })) >= 2);
      });

      test('the largest packet that fits passes, and what senders may cut themselves passes too', async () => {
        const counts = await ping(mesh.host(0).node.namespace, address, {
          count: 20,
          args: ['-M', 'do', '-s', String(limit - 28)],
        });
        await allCameBack(mesh, counts);
        // The first one, and its answer, tell their senders what fits; more than one would if they came in one batch.
        const large = (count: number): Promise<PingCounts> =>
          ping(mesh.host(0).node.namespace, address, { count, args: ['-M', 'dont', '-s', '4000'] });
        const first = [await large(1), await large(1), await large(1)];
        assert.equal(first.at(-1)?.received, 1, inspect(first));
        await allCameBack(mesh, await large(20));
      });

      test('TCP runs both ways and its SYNs were clamped', async () => {
        const [client, server] = [mesh.host(0).node.namespace, mesh.host(1).node.namespace];
        for (const target of [address, INNER6[1]])
          for (const direction of [[], ['-R']]) {
            const { bitsPerSec } = await iperf(server, client, target, direction, 1);
            assert.ok(bitsPerSec > 50e6, `${target} ${direction}: ${bitsPerSec / 1e6} Mbit/s`);
          }
        assert.ok((await mesh.metric(0, 'weft_mss_clamped_total')) >= 4);
      });

      test('follows the interface when it shrinks and grows', async () => {
        const { routerInterface, namespace } = mesh.host(1).node;
        const resize = async (bytes: number): Promise<void> => {
          await ip(['-n', mesh.topology.router, 'link', 'set', routerInterface, 'mtu', String(bytes)]);
          await ip(['-n', namespace, 'link', 'set', 'eth0', 'mtu', String(bytes)]);
        };
        // Towards a peer that nothing goes to the interface is looked at more seldom.
        await pingDuring(namespace, await overlayOf(mesh.host(0)), async () => {
          await resize(1280);
          assert.equal(await untilPmtu(mesh, 1, 8000, (bytes) => bytes === 1280), 1280);
          assert.equal(await untilPmtu(mesh, 0, 35_000, (bytes) => bytes === 1280), 1280);
          await resize(1500);
          assert.equal(await untilPmtu(mesh, 1, 8000, (bytes) => bytes === 1500), 1500);
          assert.equal(await untilPmtu(mesh, 0, 60_000, (bytes) => bytes === 1500), 1500);
        });
        const { mtu } = JSON.parse(await mesh.host(0).weftOk(['status', '--json']));
        await mesh.runOk(0, ['ip', 'route', 'flush', 'cache']);
        assert.match(await fullPing(mesh, 0, address, mtu), /1 received/);
      });
    });
  }

  describe('plain VXLAN over a link of 1300 bytes', ONE_BY_ONE, () => {
    let mesh: Mesh;
    before(async () => {
      mesh = await Mesh.underlay({ hosts: 2, mode: 'plain', vni: 5 });
      const { routerInterface, namespace } = mesh.host(1).node;
      await ip(['-n', mesh.topology.router, 'link', 'set', routerInterface, 'mtu', '1300']);
      await ip(['-n', namespace, 'link', 'set', 'eth0', 'mtu', '1300']);
      await mesh.init();
      await mesh.join([mesh.host(1)]);
      await mesh.converged();
    });
    after(() => mesh?.remove());

    test('is measured by the sessions, and TCP runs both ways', async () => {
      assert.equal(await untilPmtu(mesh, 0, 15_000, (bytes) => bytes === 1300), 1300);
      const address = await overlayOf(mesh.host(1));
      const [client, server] = [mesh.host(0).node.namespace, mesh.host(1).node.namespace];
      for (const direction of [[], ['-R']]) {
        const { bitsPerSec } = await iperf(server, client, address, direction, 1);
        assert.ok(bitsPerSec > 50e6, `${direction}: ${bitsPerSec / 1e6} Mbit/s`);
      }
    });
  });

  describe('a path under 1200 bytes', ONE_BY_ONE, () => {
    let mesh: Mesh;
    before(async () => {
      mesh = await Mesh.start({ hosts: 2 });
    });
    after(() => mesh?.remove());

    test('shows the peer as down, with the reason, and up again', async () => {
      await swallowAbove(mesh, 1100);
      const peer = async (): Promise<{ state: string; reason: string | null }> =>
        JSON.parse(await mesh.host(0).weftOk(['peers', '--json'])).peers[0];
      const address = await overlayOf(mesh.host(1));
      // Something large has to go for the agent to notice soon.
      await mesh.run(0, ['ping', '-c', '30', '-i', '0.1', '-s', '1200', address]);
      await until('down', { timeoutMs: 15_000 }, async () => ((await peer()).state === 'down' ? true : null));
      assert.match((await peer()).reason ?? '', /1200/);
      await fill(mesh);
      await until('up', { timeoutMs: 15_000 }, async () => ((await peer()).state === 'up' ? true : null));
      assert.equal((await peer()).reason, null);
    });
  });
});
