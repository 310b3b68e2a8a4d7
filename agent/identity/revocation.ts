/**
 * "This is trusted no more", signed by a root or by a host that a root gave the right to revoke. It names no time from
 * which it counts: whoever holds a stolen key can write any time it likes. Body:
 *
 *   u8 kind (1 node, 2 token, 3 admitter, 4 name) | target[32] | u64 time ms | signer certificate id[16], zeros: a root
 *   text label (<=63) | text reason (<=120) | u8 keep (<=32): certificate id[16]
 *   of a grant only: u32 generation | u8 part, from 1 | u8 parts
 *   extensions
 *
 * target: node id; token id and zeros; node id of the admitter; H("", name); node id whose grant ends. `keep`, of an admitter
 * or a grant only: certificates that it issued and that stay good. The label is what the operator typed, for people.
 *
 * The end of a grant takes the right to admit from the certificates of a host up to a generation, and nothing else: the host
 * stays a member. What it issued and is to stay may need several statements, its parts.
 *
 * A statement is the record and, unless a root signed, the certificate of its signer behind it.
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { CAP, parseNodeCert } from './node-cert.ts';
import {
  announcedLength,
  parseRecord,
  type RawRecord,
  recordSignedBy,
  signRecord,
  skipExtensions,
} from './record.ts';
import { concat, equalBytes, hash, utf8 } from './sodium.ts';

export const REVOCATION_KINDS = ['node', 'token', 'admitter', 'name', 'grant'] as const;
export type RevocationKind = (typeof REVOCATION_KINDS)[number];

export const MAX_KEPT_CERTS = 32;
/** Statements that end one grant: together they keep 2,048 certificates. */
export const MAX_GRANT_PARTS = 64;
export const MAX_REASON_BYTES = 120;
const MAX_LABEL_BYTES = 63;
/** Record and certificate; what a gossip datagram can carry. */
export const MAX_STATEMENT_BYTES = 1100;
/** Shown on terminals and in logs, whoever signed it. */
const PRINTABLE = /^[\x20-\x7e]*$/;

export interface Revocation {
  readonly kind: RevocationKind;
  readonly target: Uint8Array;
  /** Of the signer's clock; for people. */
  readonly timeMs: number;
  /** First 16 bytes of the id of the signer's certificate; zeros when a root signed. */
  readonly signerId: Uint8Array;
  readonly label: string;
  readonly reason: string;
  /** 16 bytes each. */
  readonly keep: readonly Uint8Array[];
  /** Of the kind grant, and of no other. */
  readonly grant?: GrantEnd;
}

/** Which certificates of a host gave it a right that they give no more, and which part of the statement this is. */
export interface GrantEnd {
  /** The newest of them. */
  readonly generation: number;
  /** From 1. */
  readonly part: number;
  readonly parts: number;
}

export interface ReadRevocation extends Revocation {
  readonly record: RawRecord;
  /** The whole statement, as it travels and is kept. */
  readonly bytes: Uint8Array;
  /** Node id of the signer; null when a root signed. */
  readonly signerNode: Uint8Array | null;
  /** The root that signed, or that signed the signer's certificate; null: policy adopted that certificate. */
  readonly root: Uint8Array | null;
}

/** Whose word counts: what a policy says of it. */
export interface Authority {
  readonly roots: readonly Uint8Array[];
  readonly adopted: readonly Uint8Array[];
}

/** A 32-byte target of a shorter id. */
export function paddedTarget(id: Uint8Array): Uint8Array {
  const target = new Uint8Array(32);
  target.set(id.subarray(0, 32));
  return target;
}

export const nameTarget = (name: string): Uint8Array => hash(utf8(name));

/**
 * @param signer secret key, and the certificate that gives it the right; null certificate: a root
 * @throws RangeError when it cannot be encoded
 */
export function signRevocation(
  revocation: Omit<Revocation, 'signerId'>,
  meshId: Uint8Array,
  signer: { readonly secretKey: Uint8Array; readonly cert: RawRecord | null },
): Uint8Array {
  const w = new ByteWriter().u8(REVOCATION_KINDS.indexOf(revocation.kind) + 1).bytes(revocation.target);
  w.u64(revocation.timeMs).bytes(signer.cert?.id.subarray(0, 16) ?? new Uint8Array(16));
  w.text(revocation.label).text(revocation.reason);
  if (revocation.keep.length > MAX_KEPT_CERTS)
    throw new RangeError(`at most ${MAX_KEPT_CERTS} certificates can be kept`);
  w.list(revocation.keep, (id) => w.bytes(id));
  if (revocation.grant !== undefined)
    w.u32(revocation.grant.generation).u8(revocation.grant.part).u8(revocation.grant.parts);
  const record = signRecord('revocation', meshId, w.finish(), signer.secretKey);
  return signer.cert === null ? record : concat(record, signer.cert.bytes);
}

function readGrant(r: ByteReader): GrantEnd {
  const grant = { generation: r.u32(), part: r.u8(), parts: r.u8() };
  if (grant.part < 1 || grant.part > grant.parts || grant.parts > MAX_GRANT_PARTS) r.fail();
  return grant;
}

/** Kinds that end what a host issued: only a root's word does that. */
const OF_ADMITTERS: readonly RevocationKind[] = ['admitter', 'grant'];

/** Reads a statement whose signer had the right to make it. Null for anything else. */
export function parseRevocation(
  bytes: Uint8Array,
  meshId: Uint8Array,
  { roots, adopted }: Authority,
): ReadRevocation | null {
  const length = announcedLength(bytes);
  if (length === 0 || length > bytes.length || bytes.length > MAX_STATEMENT_BYTES) return null;
  const record = parseRecord('revocation', meshId, bytes.subarray(0, length));
  if (record === null) return null;
  const r = new ByteReader(record.body);
  const kind = REVOCATION_KINDS[r.u8() - 1];
  const read = {
    target: r.bytes(32),
    timeMs: r.timeMs(),
    signerId: r.bytes(16),
    label: r.text(MAX_LABEL_BYTES),
    reason: r.text(MAX_REASON_BYTES),
    keep: r.list(MAX_KEPT_CERTS, () => r.bytes(16)),
    ...(kind === 'grant' ? { grant: readGrant(r) } : {}),
  };
  if (kind === undefined || !skipExtensions(r)) return null;
  if (!OF_ADMITTERS.includes(kind) && read.keep.length > 0) return null;
  if (!PRINTABLE.test(read.label) || !PRINTABLE.test(read.reason)) return null;
  const byRoot = read.signerId.every((b) => b === 0);
  const rootOf = (signed: RawRecord): Uint8Array | null =>
    roots.find((root) => recordSignedBy(signed, root)) ?? null;
  if (byRoot) {
    const root = length === bytes.length ? rootOf(record) : null;
    return root === null ? null : { ...read, kind, record, bytes, signerNode: null, root };
  }
  const signer = parseNodeCert(bytes.slice(length), meshId);
  if (signer === null || !(signer.caps & CAP.revoke) || OF_ADMITTERS.includes(kind)) return null;
  if (!signer.issuerId.every((b) => b === 0) || !equalBytes(read.signerId, signer.record.id.subarray(0, 16)))
    return null;
  const root = rootOf(signer.record);
  const stands = root !== null || adopted.some((id) => equalBytes(id, read.signerId));
  if (!stands || !recordSignedBy(record, signer.signPk)) return null;
  return { ...read, kind, record, bytes, signerNode: signer.nodeId, root };
}
