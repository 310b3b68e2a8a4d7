/** The replay window and the ring of control datagrams: once per control datagram. */
import { bench, do_not_optimize, group } from 'mitata';
import { ReplayWindow } from 'tun-tap';
import { createRing, R, RingReader, ringClaim, ringMeta, ringPublish } from '../../../agent/datapath/ring.ts';

const CONTROL_BYTES = 100;

export function benchWindows(): void {
  group('replay window', () => {
    const inOrder = new ReplayWindow();
    let next = 0;
    bench('accept the next counter', () => do_not_optimize(inOrder.accept(next++))).gc('once');
    const swapped = new ReplayWindow();
    let pair = 0;
    bench('accept two counters that overtook each other', () => {
      do_not_optimize(swapped.accept(pair + 1));
      do_not_optimize(swapped.accept(pair));
      pair += 2;
    }).gc('once');
    bench('refuse a replay', () => do_not_optimize(inOrder.accept(next - 1))).gc('once');
  });
  group('ring of control datagrams', () => {
    const ring = createRing();
    const reader = new RingReader(ring);
    const take = (meta: Int32Array, bytes: Uint8Array): void => {
      do_not_optimize(meta);
      do_not_optimize(bytes);
    };
    bench(`hand over one of ${CONTROL_BYTES} bytes`, () => {
      const slot = ringClaim(ring, true);
      ring.words[ringMeta(slot) + R.LENGTH] = CONTROL_BYTES;
      ringPublish(ring, slot);
      do_not_optimize(reader.drain(1, take));
    }).gc('once');
  });
}
