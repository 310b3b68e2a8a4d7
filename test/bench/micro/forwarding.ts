/** The forwarding database, as the workers use it: one look-up or one learning per frame. */
import { bench, do_not_optimize, group } from 'mitata';
import { createFdbMemory, Fdb } from '../../../agent/datapath/fdb.ts';

const ENTRIES = 8192;
const KNOWN = 4096;
const PORTS = 64;
const SEGMENT = 1;
const NOW_SEC = 100;
const MAC_HI = 0x0200;

/** Addresses that lie apart, as those of real hosts do. */
const macLo = (i: number): number => Math.imul(i, 0x9e3779b1) | 0;

export function benchForwarding(): void {
  const fdb = new Fdb({
    memory: createFdbMemory(ENTRIES, PORTS),
    generations: new Int32Array(PORTS),
    ageingSec: 300,
    perPortLimit: ENTRIES,
    duplicates: { moves: 5, windowSec: 180, freezeSec: 0 },
    local: null,
    here: -1,
  });
  for (let i = 0; i < KNOWN; i++) fdb.learn(SEGMENT, MAC_HI, macLo(i), i % PORTS, NOW_SEC);
  let next = 0;
  const step = (): number => {
    next = (next + 1) & (KNOWN - 1);
    return macLo(next);
  };
  group(`forwarding database, ${KNOWN} addresses`, () => {
    bench('look up a known address', () => do_not_optimize(fdb.lookup(SEGMENT, MAC_HI, step(), NOW_SEC))).gc(
      'once',
    );
    bench('look up an unknown address', () =>
      do_not_optimize(fdb.lookup(SEGMENT, MAC_HI + 1, step(), NOW_SEC)),
    ).gc('once');
    bench('learn an address that is where it was', () =>
      do_not_optimize(fdb.learn(SEGMENT, MAC_HI, step(), next % PORTS, NOW_SEC)),
    ).gc('once');
    let port = 0;
    bench('learn an address that moved', () => {
      port = (port + 1) % PORTS;
      do_not_optimize(fdb.learn(SEGMENT + 1, MAC_HI, 1, port, NOW_SEC));
    }).gc('once');
  });
}
