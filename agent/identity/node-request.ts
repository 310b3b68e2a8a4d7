/**
 * A host's request to become a member: the token's certificate goes beside it, this record inside the join session.
 * Two signatures: the token's key (over the body before it) shows the right to ask, the node's own key (the record's
 * signature) shows possession. Body:
 *
 *   token id[16] | sign pk[32] | dh pk[32] | text name (<=63) | u8 vnis (<=8): u32 | u16 caps
 *   u8 addresses (<=8): u32 vni | ip[16] | u8 prefix length | nonce[16] | u16 extensions length + extensions
 *   token signature[64]
 *
 * token signature = Ed25519("weft/v1/NodeRequestToken\0" || mesh_id || body before it). request id = H("", mesh_id ||
 * header and body without the token signature): the same request asked again is the same request.
 */
import { ipToBytes } from '../endpoint.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import {
  distinctVnis,
  MAX_CERT_ADDRESSES,
  MAX_CERT_VNIS,
  MAX_NAME_BYTES,
  type NodeAddress,
  readAddress,
} from './node-cert.ts';
import { parseRecord, recordSignedBy, signRecord } from './record.ts';
import { concat, hash, sign, utf8, verifySignature } from './sodium.ts';

export interface NodeRequest {
  readonly tokenId: Uint8Array;
  readonly signPk: Uint8Array;
  readonly dhPk: Uint8Array;
  readonly name: string;
  readonly vnis: readonly number[];
  readonly caps: number;
  /** Empty: the admitter assigns. */
  readonly addresses: readonly NodeAddress[];
  readonly nonce: Uint8Array;
}

export interface ReadNodeRequest extends NodeRequest {
  readonly id: Uint8Array;
  /** Checks both signatures. */
  verify(tokenPk: Uint8Array): boolean;
}

const TOKEN_SIGNATURE_BYTES = 64;
const HEADER_BYTES = 6;

const tokenSigned = (meshId: Uint8Array, body: Uint8Array): Uint8Array =>
  concat(utf8('weft/v1/NodeRequestToken\0'), meshId, body);

export function signNodeRequest(
  request: NodeRequest,
  meshId: Uint8Array,
  tokenSecretKey: Uint8Array,
  nodeSecretKey: Uint8Array,
): Uint8Array {
  const w = new ByteWriter()
    .bytes(request.tokenId)
    .bytes(request.signPk)
    .bytes(request.dhPk)
    .text(request.name);
  w.list(request.vnis, (vni) => w.u32(vni)).u16(request.caps);
  w.list(request.addresses, (a) => w.u32(a.vni).bytes(ipToBytes(a.prefix.ip)).u8(a.prefix.length));
  w.bytes(request.nonce).u16(0);
  const body = w.finish();
  return signRecord(
    'nodeRequest',
    meshId,
    concat(body, sign(tokenSigned(meshId, body), tokenSecretKey)),
    nodeSecretKey,
  );
}

/** Reads the fields. Null if it is no request. */
export function parseNodeRequest(bytes: Uint8Array, meshId: Uint8Array): ReadNodeRequest | null {
  const record = parseRecord('nodeRequest', meshId, bytes);
  if (record === null || record.body.length < TOKEN_SIGNATURE_BYTES) return null;
  const split = record.body.length - TOKEN_SIGNATURE_BYTES;
  const body = record.body.subarray(0, split);
  const tokenSignature = record.body.subarray(split);
  const r = new ByteReader(body);
  const request: NodeRequest = {
    tokenId: r.bytes(16),
    signPk: r.bytes(32),
    dhPk: r.bytes(32),
    name: r.text(MAX_NAME_BYTES),
    vnis: r.list(MAX_CERT_VNIS, () => r.u32()),
    caps: r.u16(),
    addresses: r.list(MAX_CERT_ADDRESSES, () => readAddress(r)),
    nonce: r.bytes(16),
  };
  r.block(0); // no request extension is known yet
  if (!r.done || !distinctVnis(request.vnis)) return null;
  return {
    ...request,
    id: hash(meshId, bytes.subarray(0, HEADER_BYTES), body),
    verify: (tokenPk) =>
      verifySignature(tokenSignature, tokenSigned(meshId, body), tokenPk) &&
      recordSignedBy(record, request.signPk),
  };
}
