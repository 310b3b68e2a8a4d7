/** What the underlay sees of a sealed mesh and of a plain one, and what a sealed mesh takes from it. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { StatusReport } from '../../agent/control/api-types.ts';
import { BROADCAST, FrameSender, frame, framesFrom, geneve, macBytes, vxlan } from './frames.ts';
import { Mesh, overlayOf } from './mesh.ts';
import { ping, Recording } from './programs.ts';

const MARKER = Buffer.from('known-payload-of-the-sealed-test;');
const INTRUDER = '02:5e:00:00:00:66';
const VNI = 7;
const PORTS = [4789, 6081, 7946, 7947];

/** What tcpdump sees on the underlay of host 1 while host 1 pings host 2 with a known payload. */
async function underlayOf(mesh: Mesh): Promise<Buffer> {
  const recording = await Recording.start(mesh.host(0).node.namespace, 'eth0', mesh.folder);
  const address = await overlayOf(mesh.host(1));
  const pattern = MARKER.subarray(0, 16).toString('hex');
  await ping(mesh.host(0).node.namespace, address, {
    count: 1000,
    intervalSec: 0.001,
    args: ['-p', pattern, '-s', '600'],
  });
  return Buffer.concat(await recording.stop());
}

async function macOf(mesh: Mesh, index: number): Promise<Buffer> {
  return macBytes((await mesh.host(index).api.get<StatusReport>('/v1/status')).mac);
}

for (const encap of ['vxlan', 'geneve'] as const) {
  describe(`sealed ${encap}`, () => {
    let mesh: Mesh;
    after(() => mesh?.remove());

    test('no byte of a known payload, no inner MAC address is readable on the underlay', async () => {
      mesh = await Mesh.start({ hosts: 2, encap, vni: VNI });
      const seen = await underlayOf(mesh);
      assert.ok(seen.length > 1_000_000, `${seen.length} bytes seen`);
      assert.equal(seen.indexOf(MARKER.subarray(0, 16)), -1);
      for (const index of [0, 1]) assert.equal(seen.indexOf(await macOf(mesh, index)), -1);
    });

    test('only the sealed port and the gossip port are open', async () => {
      const listening = await mesh.runOk(0, ['ss', '-Hlun']);
      const open = PORTS.filter((port) => new RegExp(`:${port}\\s`).test(listening));
      assert.deepEqual(open, [7946, 7947]);
    });

    test('plain frames to any port, from a member or a stranger, never come out of the TAP', async () => {
      await intrude(mesh, 1, []);
    });
  });
}

describe('plain', () => {
  let mesh: Mesh;
  after(() => mesh?.remove());

  test('the same payload and addresses are readable: the search of the sealed tests sees', async () => {
    mesh = await Mesh.start({ hosts: 3, mode: 'plain', vni: VNI });
    const seen = await underlayOf(mesh);
    assert.ok(seen.indexOf(MARKER.subarray(0, 16)) > 0);
    assert.ok(seen.indexOf(await macOf(mesh, 1)) > 0);
  });

  test('the same frames are taken from an endpoint that the operator named, and from nobody else', async () => {
    const stranger = mesh.host(2);
    await stranger.stop();
    await intrude(mesh, 2, []);
    await mesh.host(0).weftOk(['vtep', 'add', stranger.node.address]);
    await intrude(mesh, 2, ['vxlan']);
    await mesh.host(0).weftOk(['vtep', 'remove', stranger.node.address]);
    await intrude(mesh, 2, []);
    assert.ok((await mesh.metric(0, 'weft_dropped_frames_total', { reason: 'unknown_vtep' })) > 0);
  });
});

/** Sends plain VXLAN and Geneve to every port of host 1; exactly the frames of `accepted` may come out of its TAP. */
async function intrude(mesh: Mesh, from: number, accepted: readonly string[]): Promise<void> {
  const sender = new FrameSender(mesh.host(from).node.namespace);
  const recording = await Recording.start(mesh.host(0).node.namespace, 'weft0', mesh.folder, {
    direction: 'in',
  });
  const inner = frame({ to: BROADCAST, from: INTRUDER, size: 100 });
  const packets = { vxlan: vxlan(VNI, inner), geneve: geneve(VNI, inner) };
  for (const port of PORTS) {
    const options = {
      address: mesh.host(0).node.address,
      port,
      payloads: Object.values(packets),
      listenMs: 50,
    };
    await sender.datagrams(options);
  }
  await sender.stop();
  const recorded = await recording.stop((seen) => framesFrom(seen, INTRUDER).length >= accepted.length);
  assert.equal(framesFrom(recorded, INTRUDER).length, accepted.length);
}
