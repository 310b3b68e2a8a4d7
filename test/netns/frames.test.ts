/** Frames of any size, type and tagging cross the mesh byte for byte. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { StatusReport } from '../../agent/control/api-types.ts';
import { BROADCAST, FrameSender, frame, framesFrom, type Tag } from './frames.ts';
import { Mesh } from './mesh.ts';
import { Recording } from './programs.ts';

/** A source that nothing else uses; the first host holds BRIDGE, so it may have any. */
const SOURCE = '02:5e:00:00:00:01';
const BRIDGE_TAG: Tag = { tpid: 0x88a8, tci: 0x0064 };
const VLAN_TAG: Tag = { tpid: 0x8100, tci: 0xe00a };
/** Frames of one go: fewer than any queue on the way holds. */
const BURST = 200;

for (const encap of ['vxlan', 'geneve'] as const) {
  describe(`sealed ${encap}`, () => crossings(encap));
}

function crossings(encap: 'vxlan' | 'geneve'): void {
  let mesh: Mesh;
  let sender: FrameSender;
  let target: StatusReport;
  let mtu: number;
  before(async () => {
    mesh = await Mesh.start({ hosts: 2, encap });
    sender = new FrameSender(mesh.host(0).node.namespace);
    target = await mesh.host(1).api.get<StatusReport>('/v1/status');
    mtu = target.mtu;
    // AF_PACKET refuses frames past its interface's MTU and one tag; the agent's own limit stays as it is.
    await mesh.runOk(0, ['ip', 'link', 'set', 'weft0', 'mtu', '9500']);
  });
  after(async () => {
    await sender?.stop();
    await mesh?.remove();
  });

  /** Sends frames into the first host's TAP and returns what comes out of the second's, once there are `count` of them. */
  const crossing = async (frames: readonly Buffer[], count = frames.length): Promise<string[]> => {
    const recording = await Recording.start(mesh.host(1).node.namespace, 'weft0', mesh.folder, {
      direction: 'in',
    });
    for (let at = 0; at < frames.length; at += BURST) {
      await sender.frames({ device: 'weft0', frames: frames.slice(at, at + BURST) });
    }
    return framesFrom(await recording.stop((seen) => framesFrom(seen, SOURCE).length >= count), SOURCE);
  };

  const same = async (frames: readonly Buffer[]): Promise<void> => {
    const sent = framesFrom(frames, SOURCE);
    assert.equal(sent.length, frames.length);
    const received = await crossing(frames);
    const missing = sent.filter((hex) => !received.includes(hex)).map((hex) => hex.length / 2);
    assert.deepEqual(missing, [], 'sizes of frames that did not arrive as sent');
    assert.equal(received.length, sent.length);
  };

  test('every size from 14 bytes to the MTU crosses unchanged', async () => {
    const sizes = Array.from({ length: mtu + 14 - 13 }, (_, i) => i + 14);
    await same(sizes.map((size, seed) => frame({ to: target.mac, from: SOURCE, size, seed })));
  });

  test('frames with one and two tags cross unchanged, up to MTU + 22', async () => {
    // A receiving kernel discards a tagged frame without room for a type behind the tag and two bytes more.
    const single = [20, 21, 64, 1000, mtu + 18];
    const double = [22, 23, 64, 1000, mtu + 21, mtu + 22];
    await same([
      ...single.map((size) => frame({ to: target.mac, from: SOURCE, tags: [VLAN_TAG], size })),
      ...single.map((size) => frame({ to: target.mac, from: SOURCE, tags: [BRIDGE_TAG], size })),
      ...double.map((size) => frame({ to: target.mac, from: SOURCE, tags: [BRIDGE_TAG, VLAN_TAG], size })),
    ]);
  });

  test('any ethertype crosses unchanged, to one host or to all', async () => {
    const types = [
      0x0000, 0x002e, 0x05dc, 0x0800, 0x0806, 0x0842, 0x22f0, 0x8847, 0x86dd, 0x8863, 0x88cc, 0x9100, 0xffff,
    ];
    const to = [target.mac, BROADCAST, '01:00:5e:00:00:fb', '33:33:00:00:00:01', '02:5e:00:00:00:99'];
    await same(
      types.flatMap((type) => to.map((mac, seed) => frame({ to: mac, from: SOURCE, type, size: 77, seed }))),
    );
  });

  test('a frame past MTU + 22 is dropped whole and counted', async () => {
    const dropped = (): Promise<number> =>
      mesh.metric(0, 'weft_dropped_frames_total', { direction: 'transmit' });
    const before = await dropped();
    const sizes = [mtu + 23, 2000, 9000];
    assert.deepEqual(
      await crossing(
        sizes.map((size) => frame({ to: target.mac, from: SOURCE, size })),
        0,
      ),
      [],
    );
    assert.ok((await dropped()) - before >= sizes.length);
    await same([frame({ to: target.mac, from: SOURCE, size: 100 })]);
  });
}
