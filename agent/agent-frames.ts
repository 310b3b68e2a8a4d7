/**
 * What frames pass in a running agent: the sockets of the underlay, the TAP, and the workers between them, which prove
 * before the first frame that a sealed segment takes no plain one. Part of the composition root.
 */
import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import { useIpsecMb } from 'tun-tap';
import { type OffloadParts, watchOffloads } from './agent-offloads.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config/schema.ts';
import { DataPlane } from './datapath/data-plane.ts';
import type { SpareWorkers } from './datapath/spare-workers.ts';
import { type WorkerLayout, workerLayout } from './datapath/worker-layout.ts';
import type { Endpoint } from './endpoint.ts';
import type { WeftError } from './errors.ts';
import type { SegmentRule } from './identity/policy.ts';
import { openUnderlay, PLAIN_PORT, type Underlay } from './peer/underlay.ts';
import { superFrameBytes } from './segment/mtu.ts';
import { openTapDevice, type TapDevice } from './segment/tap-device.ts';

export interface DataPathStart {
  readonly config: Config;
  readonly segment: SegmentRule;
  /** Where sealed datagrams arrive. */
  readonly listen: Endpoint;
  readonly mac: Uint8Array;
  /** Of the TAP, with prefix length; null for none. */
  readonly address: string | null;
  readonly spare: SpareWorkers;
  readonly clock: Clock;
  readonly log: Logger;
  /** What is to be taken down, in the reverse order; said as soon as it is there. */
  readonly onStop: (what: string, close: () => Promise<void> | void) => void;
  readonly onFailure: (error: WeftError) => void;
}

export interface DataPath {
  readonly layout: WorkerLayout;
  readonly underlay: Underlay;
  readonly tap: TapDevice;
  readonly dataPlane: DataPlane;
  readonly offloadParts: OffloadParts;
}

/** @throws WeftError what openUnderlay, openTapDevice, DataPlane.start and its self-test throw */
export async function openDataPath(o: DataPathStart): Promise<DataPath> {
  const { config, segment, listen, mac, address, spare, clock, log, onStop, onFailure } = o;
  const aesMissing = useIpsecMb(config.offload.aes === 'on').missing ?? null;
  const layout = workerLayout(config.workers, availableParallelism());
  const underlay = openUnderlay({
    listen,
    pairs: layout.pairs,
    join: config.offload.gro === 'on',
    plainPort: segment.mode === 'sealed' ? null : PLAIN_PORT[segment.encap],
    sendPorts: config.udp.sendPorts,
    receiveBufferBytes: config.udp.receiveBufferBytes,
    sendBufferBytes: config.udp.sendBufferBytes,
  });
  onStop('sockets', () => underlay.close());

  const tap = await openTapDevice({
    name: config.tap,
    mac,
    mtuBytes: segment.mtuBytes,
    address,
    queues: layout.pairs,
    tso: config.offload.tso === 'on',
    uso: config.offload.uso === 'on',
    superFrameBytes: superFrameBytes(segment.mtuBytes, segment.mode),
  });
  onStop('TAP', () => tap.close());

  const dataPlane = await DataPlane.start({
    single: layout.single,
    tapFds: tap.fds,
    sealedFds: underlay.sealedFds,
    plainFds: underlay.plainFds,
    sendFds: underlay.sendFds,
    segmenting: underlay.segments && config.offload.gso === 'on',
    joining: tap.superFrameErrno === 0 && config.offload.join === 'on',
    fdb: config.fdb,
    spare,
    clock,
    onFailure,
  });
  onStop('workers', () => dataPlane.stop());
  dataPlane.setSegment({ ...segment, ownMac: mac });
  await dataPlane.selfTest();

  const offloadParts = { wanted: config.offload, tap, underlay, dataPlane, aesMissing };
  onStop('offload watch', watchOffloads(offloadParts, clock, log));
  return { layout, underlay, tap, dataPlane, offloadParts };
}
