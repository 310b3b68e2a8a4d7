/**
 * Where a member is and whether it is there, signed by itself and gossiped; at most 224 bytes. Only its owner states it:
 * there is no record by which one member declares another dead. Body:
 *
 *   node id[32] | cert id[16] | u64 incarnation | u32 seq | u8 status (1 alive, 2 left, 3 released) | u64 policy seq
 *   revocation digest[16] | u64 valid until ms | u8 endpoints (<=2): ip[16] | u16 sealed port | u16 gossip port
 *   extensions
 *
 * `left` is a host that stopped and keeps its name and certificate; `released` is one that gave them up.
 * The higher (incarnation, seq) wins. Incarnations come from a counter on disk, never from a clock.
 */
import { ipFromBytes, ipToBytes } from '../endpoint.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { parseRecord, type RawRecord, signRecord, skipExtensions } from './record.ts';

export const MAX_NODE_STATE_BYTES = 224;
/** Endpoints in one record; more go into records of their own. */
export const MAX_STATE_ENDPOINTS = 2;

export interface NodeEndpoint {
  readonly ip: string;
  readonly sealedPort: number;
  readonly gossipPort: number;
}

const STATUS = ['alive', 'left', 'released'] as const;
export type NodeStatus = (typeof STATUS)[number];

export interface NodeState {
  readonly nodeId: Uint8Array;
  /** First 16 bytes of the certificate's object id. */
  readonly certId: Uint8Array;
  readonly incarnation: number;
  readonly seq: number;
  readonly status: NodeStatus;
  readonly policySeq: number;
  readonly revocationDigest: Uint8Array;
  readonly validUntilMs: number;
  readonly endpoints: readonly NodeEndpoint[];
}

export interface ReadNodeState extends NodeState {
  readonly record: RawRecord;
}

/** @throws RangeError when the record would exceed 224 bytes */
export function signNodeState(state: NodeState, meshId: Uint8Array, signSecretKey: Uint8Array): Uint8Array {
  const w = new ByteWriter().bytes(state.nodeId).bytes(state.certId).u64(state.incarnation).u32(state.seq);
  w.u8(STATUS.indexOf(state.status) + 1)
    .u64(state.policySeq)
    .bytes(state.revocationDigest)
    .u64(state.validUntilMs);
  w.list(state.endpoints, (e) => w.bytes(ipToBytes(e.ip)).u16(e.sealedPort).u16(e.gossipPort));
  const bytes = signRecord('nodeState', meshId, w.finish(), signSecretKey);
  if (bytes.length > MAX_NODE_STATE_BYTES)
    throw new RangeError(`NodeState exceeds ${MAX_NODE_STATE_BYTES} bytes`);
  return bytes;
}

/** Reads the fields; the signature is checked against the certificate's key by the trust store. */
export function parseNodeState(bytes: Uint8Array, meshId: Uint8Array): ReadNodeState | null {
  const record = bytes.length <= MAX_NODE_STATE_BYTES ? parseRecord('nodeState', meshId, bytes) : null;
  if (record === null) return null;
  const r = new ByteReader(record.body);
  const nodeId = r.bytes(32);
  const certId = r.bytes(16);
  const incarnation = r.u64();
  const seq = r.u32();
  const status = STATUS[r.u8() - 1];
  const state: NodeState = {
    nodeId,
    certId,
    incarnation,
    seq,
    status: status ?? 'alive',
    policySeq: r.u64(),
    revocationDigest: r.bytes(16),
    validUntilMs: r.timeMs(),
    endpoints: r.list(MAX_STATE_ENDPOINTS, () => ({
      ip: ipFromBytes(r.bytes(16)),
      sealedPort: r.u16(),
      gossipPort: r.u16(),
    })),
  };
  if (status === undefined || !skipExtensions(r)) return null;
  return { ...state, record };
}
