/** Addresses and control datagrams between the main thread and shared memory (ring.ts). Called by data-plane.ts. */
import { ipFromBytes, ipToBytes } from '../endpoint.ts';
import type { ControlMessage } from './data-plane-types.ts';
import { R } from './ring.ts';

/** @param m description of the slot @param bytes the datagram, the caller's to keep */
export function readMessage(m: Int32Array, bytes: Uint8Array): ControlMessage {
  const address = new Uint8Array(16);
  const view = new DataView(address.buffer);
  for (let i = 0; i < 4; i++) view.setInt32(i * 4, m[R.FROM + 2 + i]!);
  return {
    kind: m[R.KIND]!,
    slot: m[R.SLOT]!,
    index: m[R.INDEX]! >>> 0,
    counter: (m[R.COUNTER_HI]! >>> 0) * 0x1_0000_0000 + (m[R.COUNTER_LO]! >>> 0),
    wireBytes: m[R.WIRE]!,
    from: { ip: ipFromBytes(address), port: m[R.FROM + 1]! },
    fromListener: m[R.FLAGS] === 1,
    bytes,
  };
}

/** An address as four big-endian words, as workers compare it. */
export function addressWords(ip: string): number[] {
  const view = new DataView(ipToBytes(ip).buffer);
  return [0, 4, 8, 12].map((at) => view.getInt32(at));
}
