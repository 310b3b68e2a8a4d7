/**
 * What a member is: its two keys, name, segments, rights and overlay addresses, signed by a root (an admitter's own
 * certificate) or by an admitter. At most 448 bytes, so that it fits a handshake beside its admitter's. Body:
 *
 *   sign pk[32] | dh pk[32] | text name (<=63) | u16 caps | token id[16] | u32 slot | issuer id[16] | request id[16]
 *   u64 nbf ms | u64 exp ms | u32 generation | u8 vnis (<=8): u32
 *   u8 addresses (<=8): u32 vni | ip[16] | u8 prefix length
 *   extensions
 *
 * issuer id: first 16 bytes of the issuing certificate's object id; zeros when a root signed.
 */
import { ipFromBytes, ipToBytes } from '../endpoint.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { Prefix } from './prefix.ts';
import { parseRecord, type RawRecord, signRecord, skipExtensions } from './record.ts';
import { hash, toHex } from './sodium.ts';

export const MAX_NODE_CERT_BYTES = 448;
export const MAX_CERT_VNIS = 8;
export const MAX_CERT_ADDRESSES = 8;
export const MAX_NAME_BYTES = 63;
/** A host's name. Names go to terminals and logs: nothing else is ever believed, whoever signed it. */
export const NODE_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Whether each segment number is one and stands once. */
export const distinctVnis = (vnis: readonly number[]): boolean =>
  new Set(vnis).size === vnis.length && vnis.every((vni) => vni <= 0xffffff);

/** Rights, a bit each. */
export const CAP = { admit: 1, relay: 2, bridge: 4, revoke: 8, plain: 16 } as const;

export interface NodeAddress {
  readonly vni: number;
  readonly prefix: Prefix;
}

export interface NodeCert {
  readonly signPk: Uint8Array;
  readonly dhPk: Uint8Array;
  readonly name: string;
  readonly caps: number;
  readonly tokenId: Uint8Array;
  readonly slot: number;
  readonly issuerId: Uint8Array;
  readonly requestId: Uint8Array;
  readonly notBeforeMs: number;
  readonly expiresMs: number;
  readonly generation: number;
  readonly vnis: readonly number[];
  readonly addresses: readonly NodeAddress[];
}

export interface ReadNodeCert extends NodeCert {
  readonly record: RawRecord;
  /** H("", sign pk || dh pk): who the node is, whatever its certificate. */
  readonly nodeId: Uint8Array;
  /** 64 hex digits of nodeId. */
  readonly nodeIdHex: string;
}

export const nodeIdOf = (signPk: Uint8Array, dhPk: Uint8Array): Uint8Array => hash(signPk, dhPk);

export const NO_ISSUER: Uint8Array = new Uint8Array(16);

/** @throws RangeError when the certificate would exceed 448 bytes */
export function signNodeCert(cert: NodeCert, meshId: Uint8Array, issuerSecretKey: Uint8Array): Uint8Array {
  const w = new ByteWriter().bytes(cert.signPk).bytes(cert.dhPk).text(cert.name).u16(cert.caps);
  w.bytes(cert.tokenId).u32(cert.slot).bytes(cert.issuerId).bytes(cert.requestId);
  w.u64(cert.notBeforeMs).u64(cert.expiresMs).u32(cert.generation);
  w.list(cert.vnis, (vni) => w.u32(vni));
  w.list(cert.addresses, (a) => w.u32(a.vni).bytes(ipToBytes(a.prefix.ip)).u8(a.prefix.length));
  const bytes = signRecord('nodeCert', meshId, w.finish(), issuerSecretKey);
  if (bytes.length > MAX_NODE_CERT_BYTES)
    throw new RangeError(`NodeCert exceeds ${MAX_NODE_CERT_BYTES} bytes`);
  return bytes;
}

export function readAddress(r: ByteReader): NodeAddress {
  const vni = r.u32();
  const ip = ipFromBytes(r.bytes(16));
  const length = r.u8();
  if (vni > 0xffffff || length > (ip.includes(':') ? 128 : 32)) r.fail();
  return { vni, prefix: { ip, length } };
}

/** Reads the fields; the signature is for the trust store to check. Null if it is no certificate. */
export function parseNodeCert(bytes: Uint8Array, meshId: Uint8Array): ReadNodeCert | null {
  const record = bytes.length <= MAX_NODE_CERT_BYTES ? parseRecord('nodeCert', meshId, bytes) : null;
  if (record === null) return null;
  const r = new ByteReader(record.body);
  const signPk = r.bytes(32);
  const dhPk = r.bytes(32);
  const cert: NodeCert = {
    signPk,
    dhPk,
    name: r.text(MAX_NAME_BYTES),
    caps: r.u16(),
    tokenId: r.bytes(16),
    slot: r.u32(),
    issuerId: r.bytes(16),
    requestId: r.bytes(16),
    notBeforeMs: r.timeMs(),
    expiresMs: r.timeMs(),
    generation: r.u32(),
    vnis: r.list(MAX_CERT_VNIS, () => r.u32()),
    addresses: r.list(MAX_CERT_ADDRESSES, () => readAddress(r)),
  };
  if (!skipExtensions(r) || !NODE_NAME.test(cert.name) || !distinctVnis(cert.vnis)) return null;
  const nodeId = nodeIdOf(signPk, dhPk);
  return { ...cert, record, nodeId, nodeIdHex: toHex(nodeId) };
}
