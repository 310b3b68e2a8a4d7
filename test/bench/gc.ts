#!/usr/bin/env node
/**
 * `npm run bench:gc -- [--secs 60] [--mode sealed|plain]`: the proof that the data path makes no garbage. Two data planes in two
 * namespaces, TCP in both directions at full load, with a pair of workers and with one for both directions. First the watch
 * must see a deliberate allocation in every worker; then it must see no collection of any kind for the whole time. Status 1
 * if it does, or if there was no load to speak of. test/netns/data-plane.test.ts has the short form.
 */
import { parseArgs } from 'node:util';
import { nodeCommand } from '../../agent/lab/command.ts';
import { Probe } from '../../agent/lab/probe-client.ts';
import type { Collections, DataPlaneEnd } from '../netns/data-plane-host.ts';
import { Mesh } from '../netns/mesh.ts';
import { iperf, reachable } from '../netns/programs.ts';

const HOST = nodeCommand('../netns/data-plane-host.ts', import.meta.url);
const ADDRESSES = ['10.80.0.1', '10.80.0.2'] as const;
const MACS = [Uint8Array.of(2, 0, 0, 0, 0, 0xa), Uint8Array.of(2, 0, 0, 0, 0, 0xb)] as const;
const KEYS = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)] as const;
/** The segment's MTU over 1,500 bytes of underlay (docs/CONFIG.md). */
const MTU_BYTES = { sealed: 1390, plain: 1422 } as const;
const DELIBERATE_SEC = 2;
/** Long enough for the code to have been compiled and the garbage of the start to be gone. */
const WARM_SEC = 8;
const MIN_BITS_PER_SEC = 100e6;

const { values } = parseArgs({
  options: { secs: { type: 'string', default: '60' }, mode: { type: 'string', default: 'sealed' } },
});
const seconds = Number(values.secs);
const mode = values.mode === 'plain' ? 'plain' : 'sealed';

function endOf(mesh: Mesh, i: 0 | 1, single: boolean): DataPlaneEnd {
  const far = i === 0 ? 1 : 0;
  return {
    ...{ mode, encap: 'vxlan', mtuBytes: MTU_BYTES[mode], single },
    local: mesh.host(i).node.address,
    remote: mesh.host(far).node.address,
    overlay: `${ADDRESSES[i]}/24`,
    mac: MACS[i],
    remoteMac: MACS[far],
    sendKey: KEYS[i],
    receiveKey: KEYS[far],
  };
}

/** True if nothing was collected. */
async function watchLayout(single: boolean): Promise<boolean> {
  const mesh = await Mesh.underlay({ hosts: 2 });
  const namespaces = mesh.hosts.map((host) => host.node.namespace);
  const [first = '', second = ''] = namespaces;
  const ends = namespaces.map((namespace) => Probe.start(namespace, HOST));
  const watch = (sec: number, deliberate: boolean): Promise<Collections[]> =>
    Promise.all(ends.map((end) => end.ask<Collections>('watch', { seconds: sec, deliberate })));
  const load = (sec: number) => iperf(second, first, ADDRESSES[1], ['-C', 'cubic', '--bidir'], sec);
  try {
    await Promise.all([0, 1].map((i) => ends[i]?.ask('start', endOf(mesh, i as 0 | 1, single))));
    await reachable(first, ADDRESSES[1]);
    const [seen] = await Promise.all([watch(DELIBERATE_SEC, true), load(DELIBERATE_SEC + 1)]);
    await load(WARM_SEC);
    const [counts, { bitsPerSec }] = await Promise.all([watch(seconds, false), load(seconds + 1)]);
    return judge(single ? 'one worker for both directions' : 'a pair of workers', seen, counts, bitsPerSec);
  } finally {
    await Promise.all(ends.map((end) => end.stop()));
    await mesh.remove();
  }
}

function judge(layout: string, seen: Collections[], counts: Collections[], bitsPerSec: number): boolean {
  const all = (list: readonly Collections[]): number[] =>
    list.flatMap(({ transmit, receive }) => [transmit, receive]);
  const isWatched = all(seen).length === 4 && all(seen).every((count) => count > 0);
  const isClean = all(counts).length === 4 && all(counts).every((count) => count === 0);
  const isLoaded = bitsPerSec > MIN_BITS_PER_SEC;
  console.log(
    `${isWatched && isClean && isLoaded ? 'ok' : 'FAILED'} ${mode}, ${layout}: ` +
      `collections by worker ${all(counts).join(' ')} in ${seconds} s at ${(bitsPerSec / 1e9).toFixed(2)} Gb/s towards one side; ` +
      `with deliberate garbage ${all(seen).join(' ')} in ${DELIBERATE_SEC} s`,
  );
  return isWatched && isClean && isLoaded;
}

const pair = await watchLayout(false);
const single = await watchLayout(true);
process.exitCode = pair && single ? 0 : 1;
