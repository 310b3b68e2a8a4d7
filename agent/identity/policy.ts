/**
 * The mesh's policy, signed by a root: what every segment is, and how long nodes live. Body:
 *
 *   u64 seq | prev id[32] | text mesh name (<=63) | root nonce[16] | u64 time ms | u32 node life s | u16 leeway s
 *   u8 roots (<=8): pk[32]
 *   u8 segments (<=16): u32 vni | u8 mode (1 sealed, 2 plain) | u8 inner (1 VXLAN, 2 Geneve) | u8 suite | u16 mtu
 *                       | ip[16] | u8 prefix length
 *   extensions: 0x81 recovery roots (1 or 2): pk[32] each
 *               0x82 adopted certificates (1 to 8): first 16 bytes of the object id of each
 *               0x83 u8 signer, counted through the roots and then the recovery roots; absent: 0
 *
 * mesh_id = H("", first root pk || root nonce) of policy 1; a successor has seq + 1 and the predecessor's id. A policy is
 * signed by a root that it names itself; what makes it a successor is decided in policy-chain.ts. The signer is part of
 * what is signed, so that one id cannot have two signers.
 *
 * A recovery root signs policies and nothing else. A certificate that is adopted stays good although its root is gone.
 */
import { ipFromBytes, ipToBytes } from '../endpoint.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { Prefix } from './prefix.ts';
import { parseRecord, type RawRecord, readExtensions, recordSignedBy, signRecord } from './record.ts';
import { concat, hash, toHex } from './sodium.ts';

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
  /** Ed25519 public keys, oldest first; the first one of policy 1 names the mesh. */
  readonly roots: readonly Uint8Array[];
  /** Of keys that lie in no host; they sign nothing but policies. */
  readonly recovery: readonly Uint8Array[];
  /** First 16 bytes of the ids of certificates that a root signed which is a root no more, and that stay good. */
  readonly adopted: readonly Uint8Array[];
  readonly segments: readonly SegmentRule[];
}

export interface SignedPolicy extends Policy {
  readonly id: Uint8Array;
  /** The root or recovery root that signed it. */
  readonly signer: Uint8Array;
  readonly bytes: Uint8Array;
}

const MAX_ROOTS = 8;
const MAX_RECOVERY_ROOTS = 2;
/** Certificates adopted: what fits an admission's answer beside two certificates. */
export const MAX_ADOPTED = 8;
const KEY_BYTES = 32;
export const ADOPTED_BYTES = 16;
const EXTENSION = { recovery: 0x81, adopted: 0x82, signer: 0x83 } as const;
const MAX_SEGMENTS = 16;
const MAX_NAME = 63;

export const meshIdOf = (firstRoot: Uint8Array, rootNonce: Uint8Array): Uint8Array =>
  hash(firstRoot, rootNonce);

/** A secret key is its seed and its public key. */
const publicOf = (secretKey: Uint8Array): Uint8Array => secretKey.subarray(32);

const indexOf = (keys: readonly Uint8Array[], key: Uint8Array): number => {
  const hex = toHex(key);
  return keys.findIndex((k) => toHex(k) === hex);
};

/** @throws RangeError for a key that the policy does not name: nobody would take such a policy */
function signerIndex(policy: Policy, secretKey: Uint8Array): number {
  const index = indexOf([...policy.roots, ...policy.recovery], publicOf(secretKey));
  if (index < 0) throw new RangeError('a policy is signed by a root that it names');
  return index;
}

/** Signs a policy with the secret key of a root or recovery root that it names. */
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
  const extend = (tag: number, value: Uint8Array): void => {
    if (value.length > 0) w.u8(tag).block(value);
  };
  extend(EXTENSION.recovery, concat(...policy.recovery));
  extend(EXTENSION.adopted, concat(...policy.adopted));
  const signer = signerIndex(policy, rootSecretKey);
  extend(EXTENSION.signer, signer === 0 ? new Uint8Array(0) : Uint8Array.of(signer));
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

/** A value that is a list of 1 to `max` items of one size; empty if there is none. Null for anything else. */
function items(value: Uint8Array | undefined, size: number, max: number): Uint8Array[] | null {
  if (value === undefined) return [];
  const count = value.length / size;
  if (!Number.isInteger(count) || count < 1 || count > max) return null;
  return Array.from({ length: count }, (_, i) => value.slice(i * size, (i + 1) * size));
}

/** Who signed: the first root needs no word. Null for a value that says so in another way. */
function signerOf(value: Uint8Array | undefined): number | null {
  if (value === undefined) return 0;
  const at = value.length === 1 ? value[0] : undefined;
  return at === undefined || at === 0 ? null : at;
}

const distinct = (keys: readonly Uint8Array[]): boolean => new Set(keys.map(toHex)).size === keys.length;

function readBody(body: Uint8Array): { readonly policy: Policy; readonly signer: Uint8Array } | null {
  const r = new ByteReader(body);
  const fixed = {
    seq: r.u64(),
    prevId: r.bytes(32),
    meshName: r.text(MAX_NAME),
    rootNonce: r.bytes(16),
    timeMs: r.timeMs(),
    nodeLifeSec: r.u32(),
    leewaySec: r.u16(),
    roots: r.list(MAX_ROOTS, () => r.bytes(KEY_BYTES)),
    segments: r.list(MAX_SEGMENTS, () => readSegment(r)),
  };
  const more = readExtensions(r, Object.values(EXTENSION));
  const recovery = items(more?.get(EXTENSION.recovery), KEY_BYTES, MAX_RECOVERY_ROOTS);
  const adopted = items(more?.get(EXTENSION.adopted), ADOPTED_BYTES, MAX_ADOPTED);
  const at = signerOf(more?.get(EXTENSION.signer));
  if (more === null || recovery === null || adopted === null || at === null) return null;
  const signer = [...fixed.roots, ...recovery][at];
  if (signer === undefined || fixed.roots.length === 0) return null;
  const named = new Set(fixed.segments.map((s) => s.vni));
  if (named.size !== fixed.segments.length || !distinct([...fixed.roots, ...recovery])) return null;
  return { policy: { ...fixed, recovery, adopted }, signer };
}

/**
 * Reads a policy that the root signed which it says it is signed by. Null for anything else. That proves nothing yet: the
 * policy is trusted if it follows one that is (policy-chain.ts), or if its id is known.
 */
export function parsePolicy(bytes: Uint8Array, meshId: Uint8Array): SignedPolicy | null {
  const record: RawRecord | null = parseRecord('policy', meshId, bytes);
  const read = record === null ? null : readBody(record.body);
  if (record === null || read === null || !recordSignedBy(record, read.signer)) return null;
  return { ...read.policy, id: record.id, signer: read.signer, bytes };
}

export const equalsAny = (keys: readonly Uint8Array[], key: Uint8Array): boolean => indexOf(keys, key) >= 0;

const RECOVERY_RANK = 1000;

/**
 * How high a key stands in a policy: above all a recovery root, then the newest root; -1 for a stranger. Of two policies
 * that both follow this one, that of the higher signer counts.
 */
export function rankIn(policy: Policy, key: Uint8Array): number {
  return indexOf(policy.recovery, key) >= 0 ? RECOVERY_RANK : indexOf(policy.roots, key);
}

/** The root that signs from now on: the newest. */
export function newestRoot({ roots }: Policy): Uint8Array {
  const newest = roots.at(-1);
  if (newest === undefined) throw new RangeError('a policy has at least one root');
  return newest;
}
