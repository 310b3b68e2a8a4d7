/**
 * `weft capture`: takes what the workers show off their ring and hands it up with names. Part of the composition root. Costs nothing
 * while nobody captures: the workers look at one word per batch, and this file's timer does not run.
 */
import type { Clock } from './clock.ts';
import type { AgentView, CaptureRecord } from './control/api-types.ts';
import { C, CAPTURED, INWARD } from './datapath/capture-ring.ts';
import type { DataPlane } from './datapath/data-plane.ts';
import { DROP, DROP_TABLE } from './datapath/drop.ts';
import { formatEndpoint, ipFromBytes } from './endpoint.ts';
import { WeftError } from './errors.ts';
import type { PeerTable } from './peer/peer-table.ts';

const TICK_MS = 10;
/** Records a tick: gossip and sessions share this thread. */
const DRAIN_PER_TICK = 256;

export class Captures {
  readonly #dataPlane: DataPlane;
  readonly #peers: PeerTable;
  readonly #clock: Clock;
  #busy = false;

  constructor(dataPlane: DataPlane, peers: PeerTable, clock: Clock) {
    this.#dataPlane = dataPlane;
    this.#peers = peers;
    this.#clock = clock;
  }

  /** @throws WeftError E_REFUSED, E_REQUEST */
  start(snapBytes: number, take: Parameters<AgentView['capture']>[1]): () => void {
    if (this.#busy) throw new WeftError('E_REFUSED', 'another capture is under way: stop it first');
    const { capture } = this.#dataPlane;
    this.#busy = true;
    capture.start(snapBytes);
    take([{ v: 1, lost: 0 }]);
    /** Lost because the reader was slow. */
    let refused = 0;
    let told = 0;
    const cancel = this.#clock.every(TICK_MS, () => {
      const records: CaptureRecord[] = []; // bounded by DRAIN_PER_TICK
      const offsetMs = this.#clock.wallMs() - this.#dataPlane.nowMs();
      capture.drain(DRAIN_PER_TICK, (meta, bytes, timeMs) =>
        records.push(this.#record(meta, bytes, timeMs + offsetMs)),
      );
      if (records.length > 0 && !take(records)) refused += records.length;
      const lost = capture.lost + refused;
      if (lost !== told && take([{ v: 1, lost }])) told = lost;
    });
    return () => {
      if (!this.#busy) return;
      cancel();
      capture.stop();
      this.#busy = false;
    };
  }

  #record(m: Int32Array, bytes: Uint8Array, at: number): CaptureRecord {
    const drop = m[C.DROP] ?? 0;
    const vni = m[C.VNI] ?? -1;
    const slot = m[C.PEER] ?? -1;
    const inward = m[C.DIRECTION] === INWARD;
    const from = inward ? fromOf(m) : null;
    return {
      at: Math.round(at * 1000) / 1000,
      direction: inward ? 'in' : 'out',
      kind: m[C.KIND] === CAPTURED.frame ? 'frame' : 'datagram',
      peer: slot < 0 ? null : (this.#peers.bySlot(slot)?.name ?? null),
      vni: vni < 0 ? null : vni,
      reason: drop === DROP.none ? null : (DROP_TABLE[drop]?.label ?? null),
      from,
      sizeBytes: m[C.ORIGINAL] ?? 0,
      segments: m[C.SEGMENTS] ?? 1,
      data: Buffer.from(bytes).toString('base64'),
    };
  }
}

function fromOf(m: Int32Array): string {
  const address = new Uint8Array(16);
  const view = new DataView(address.buffer);
  for (let i = 0; i < 4; i++) view.setInt32(i * 4, m[C.FROM + 2 + i] ?? 0);
  return formatEndpoint({ ip: ipFromBytes(address), port: m[C.FROM + 1] ?? 0 });
}
