/**
 * Split and join through their faces for tests, which copy frames in and out: what is compared is one version with the
 * next, not with the wire. batches.ts has the real path.
 */
import { bench, do_not_optimize, group } from 'mitata';
import { joinFrames, splitFrame } from 'tun-tap';
import { bulkSegments, bulkSuperFrame } from './bulk-frames.ts';

export function benchOffloads(): void {
  const { frame, vnet } = bulkSuperFrame();
  const segments = bulkSegments();
  const whole = segments.map((bytes) => ({ bytes, partial: false }));
  const partial = segments.map((bytes) => ({ bytes, partial: true }));
  group(`split and join, ${frame.length} bytes of TCP in ${segments.length} frames, with copies`, () => {
    bench('split, checksums left partial', () =>
      do_not_optimize(splitFrame(frame, vnet, { maxPacketBytes: 0, complete: false })),
    ).gc('once');
    bench('split, checksums finished', () =>
      do_not_optimize(splitFrame(frame, vnet, { maxPacketBytes: 0, complete: true })),
    ).gc('once');
    bench('join, checksums partial', () => do_not_optimize(joinFrames(partial))).gc('once');
    bench('join, checksums verified', () => do_not_optimize(joinFrames(whole))).gc('once');
  });
}
