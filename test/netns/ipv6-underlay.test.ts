/** The whole mesh over an IPv6 underlay, sealed and plain. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { allCameBack } from './all-came-back.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { iperf, ping } from './programs.ts';

for (const mode of ['sealed', 'plain'] as const) {
  describe(`${mode} over IPv6`, () => {
    let mesh: Mesh;
    after(() => mesh?.remove());

    test('three hosts join and every pair pings without loss', async () => {
      mesh = await Mesh.start({ hosts: 3, family: 6, mode });
      for (const [from, to] of [
        [0, 1],
        [1, 2],
        [2, 0],
      ] as const) {
        const address = await overlayOf(mesh.host(to));
        const counts = await ping(mesh.host(from).node.namespace, address, {
          count: 300,
          intervalSec: 0.002,
        });
        await allCameBack(mesh, counts);
      }
    });

    test('a full MTU fits the underlay', async () => {
      const { mtu } = JSON.parse(await mesh.host(0).weftOk(['status', '--json']));
      const args = ['-s', String(mtu - 28), '-M', 'do'];
      const counts = await ping(mesh.host(0).node.namespace, await overlayOf(mesh.host(1)), {
        count: 20,
        args,
      });
      await allCameBack(mesh, counts);
    });

    test('TCP runs', async () => {
      const address = await overlayOf(mesh.host(2));
      const { bitsPerSec } = await iperf(mesh.host(2).node.namespace, mesh.host(1).node.namespace, address);
      assert.ok(bitsPerSec > 50e6, `${bitsPerSec / 1e6} Mbit/s`);
    });

    test('endpoints are IPv6', async () => {
      const { peers } = JSON.parse(await mesh.host(0).weftOk(['peers', '--json']));
      for (const peer of peers) assert.match(peer.endpoint, /^\[fd89:/);
    });
  });
}
