/**
 * The mesh's policy, signed by a root: what every segment is, and how long nodes live. Body:
 *
 *   u64 seq | prev id[32] | text mesh name (<=63) | root nonce[16] | u64 time ms | u32 node life s | u16 leeway s
 *   u8 roots (<=8): pk[32]
 *   u8 segments (<=16): u32 vni | u8 mode (1 sealed, 2 plain) | u8 inner (1 VXLAN, 2 Geneve) | u8 suite | u16 mtu
 *                       | ip[16] | u8 prefix length
 *   extensions
 *
 * mesh_id = H("", first root pk || root nonce); a successor has seq + 1 and the predecessor's id.
 */
import { ipFromBytes, ipToBytes } from '../endpoint.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { Prefix } from './prefix.ts';
import { parseRecord, type RawRecord, recordSignedBy, signRecord, skipExtensions } from './record.ts';
import { equalBytes, hash } from './sodium.ts';

export type Mode = 'sealed' | 'plain';
export type Encap = 'vxlan' | 'geneve';

export interface SegmentRule {
  readonly vni: number;
  readonly mode: Mode;
  readonly encap: Encap;
  /** 1 ChaCha20-Poly1305, 2 AES-256-GCM. */
  readonly suite: 1 | 2;
  readonly mtuBytes: number;
  /** Overlay network; addresses are assigned from it. */
  readonly prefix: Prefix;
}

export interface Policy {
  readonly seq: number;
  /** Id of the policy before; zeros for the first. */
  readonly prevId: Uint8Array;
  readonly meshName: string;
  readonly rootNonce: Uint8Array;
  readonly timeMs: number;
  readonly nodeLifeSec: number;
  readonly leewaySec: number;
  /** Ed25519 public keys, the first one names the mesh. */
  readonly roots: readonly Uint8Array[];
  readonly segments: readonly SegmentRule[];
}

export interface SignedPolicy extends Policy {
  readonly id: Uint8Array;
  readonly bytes: Uint8Array;
}

const MAX_ROOTS = 8;
const MAX_SEGMENTS = 16;
const MAX_NAME = 63;

export const meshIdOf = (firstRoot: Uint8Array, rootNonce: Uint8Array): Uint8Array =>
  hash(firstRoot, rootNonce);

/** Signs a policy with a root's secret key. */
export function signPolicy(policy: Policy, meshId: Uint8Array, rootSecretKey: Uint8Array): Uint8Array {
  const w = new ByteWriter()
    .u64(policy.seq)
    .bytes(policy.prevId)
    .text(policy.meshName)
    .bytes(policy.rootNonce);
  w.u64(policy.timeMs).u32(policy.nodeLifeSec).u16(policy.leewaySec);
  w.list(policy.roots, (pk) => w.bytes(pk));
  w.list(policy.segments, (s) => {
    w.u32(s.vni)
      .u8(s.mode === 'sealed' ? 1 : 2)
      .u8(s.encap === 'vxlan' ? 1 : 2)
      .u8(s.suite)
      .u16(s.mtuBytes);
    w.bytes(ipToBytes(s.prefix.ip)).u8(s.prefix.length);
  });
  return signRecord('policy', meshId, w.finish(), rootSecretKey);
}

function readSegment(r: ByteReader): SegmentRule {
  const vni = r.u32();
  const mode = r.u8();
  const inner = r.u8();
  const suite = r.u8();
  const mtuBytes = r.u16();
  const ip = ipFromBytes(r.bytes(16));
  const length = r.u8();
  if (vni > 0xffffff || mode < 1 || mode > 2 || inner < 1 || inner > 2 || suite < 1 || suite > 2) r.fail();
  if (mtuBytes < 1280 || length > (ip.includes(':') ? 128 : 32)) r.fail();
  return {
    vni,
    mode: mode === 1 ? 'sealed' : 'plain',
    encap: inner === 1 ? 'vxlan' : 'geneve',
    suite: suite === 1 ? 1 : 2,
    mtuBytes,
    prefix: { ip, length },
  };
}

function readBody(body: Uint8Array): Policy | null {
  const r = new ByteReader(body);
  const policy: Policy = {
    seq: r.u64(),
    prevId: r.bytes(32),
    meshName: r.text(MAX_NAME),
    rootNonce: r.bytes(16),
    timeMs: r.timeMs(),
    nodeLifeSec: r.u32(),
    leewaySec: r.u16(),
    roots: r.list(MAX_ROOTS, () => r.bytes(32)),
    segments: r.list(MAX_SEGMENTS, () => readSegment(r)),
  };
  const named = new Set(policy.segments.map((s) => s.vni));
  const whole = skipExtensions(r) && policy.roots.length > 0 && named.size === policy.segments.length;
  return whole ? policy : null;
}

/** Reads a policy that `root` signed. Null for anything else. */
export function parsePolicy(bytes: Uint8Array, meshId: Uint8Array, root: Uint8Array): SignedPolicy | null {
  const record: RawRecord | null = parseRecord('policy', meshId, bytes);
  if (record === null || !recordSignedBy(record, root)) return null;
  const policy = readBody(record.body);
  return policy === null ? null : { ...policy, id: record.id, bytes };
}

export type PolicyStep = 'same' | 'successor' | 'older' | 'unchained' | 'conflictKeep' | 'conflictTake';

/**
 * What a policy that a root signed is to the one that is held: only the same or one that names it as its predecessor
 * is taken. Two of one number are a fault of the root's holder; everybody keeps the lower id, and it is to be reported.
 */
export function policyStep(
  held: { readonly seq: number; readonly id: Uint8Array },
  offered: { readonly seq: number; readonly id: Uint8Array; readonly prevId: Uint8Array },
): PolicyStep {
  if (offered.seq < held.seq) return 'older';
  if (offered.seq > held.seq)
    return offered.seq === held.seq + 1 && equalBytes(offered.prevId, held.id) ? 'successor' : 'unchained';
  if (equalBytes(offered.id, held.id)) return 'same';
  return Buffer.compare(offered.id, held.id) < 0 ? 'conflictTake' : 'conflictKeep';
}
