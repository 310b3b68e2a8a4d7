/**
 * All that was revoked: a set that only grows, one statement for each kind, target and signer, and the same on every host
 * whatever the order in which statements come (commutative, associative, idempotent). A root's statement stands above one of
 * a host with the right to revoke; of two of one signer the lower id stays. Each signer has a place of its own, since a thief
 * could otherwise say what an honest host has said, in its stead, and take it back by being revoked. What a host signed counts while a root has not revoked
 * that host, and never against a certificate that a root signed: a stolen key of an admitter does not end its mesh.
 *
 * The end of a grant may stand in several parts; one that a root says of a later generation takes the place of all earlier
 * parts. What it keeps is known only when all parts are there: until then nothing that the host issued ends.
 * A statement stands while policy names its root; with another policy the set is judged anew. Of two roots' statements
 * about one target that of the newer root stays, which will be the one that is left.
 */
import type { WeftError } from '../errors.ts';
import type { ReadNodeCert } from './node-cert.ts';
import {
  type Authority,
  nameTarget,
  paddedTarget,
  parseRevocation,
  type ReadRevocation,
  type RevocationKind,
} from './revocation.ts';
import { equalBytes, hash, toHex } from './sodium.ts';
import { STATE_FILE, type StateDir } from './state-dir.ts';

/** Statements kept. */
export const MAX_REVOCATIONS = 1024;
/** Of these, by hosts that are no root: a stolen key must not fill the set. */
export const MAX_REVOCATIONS_OF_HOSTS = 512;

const FILE_LENGTH_BYTES = 2;
const NO_DIGEST: Uint8Array = new Uint8Array(16);

const keyOf = (kind: RevocationKind, target: Uint8Array): string => `${kind} ${toHex(target)}`;

/** Where a statement stands: a root's in the place of the target, or of the part that it is; a host's in one of its own. */
function placeOf({ kind, target, signerNode, grant }: ReadRevocation): string {
  if (grant !== undefined) return `${keyOf(kind, target)} ${grant.part}`;
  return signerNode === null ? keyOf(kind, target) : `${keyOf(kind, target)} ${toHex(signerNode)}`;
}

/** Whether `b` ends a grant that `a` ends too, as of later: the order of generations, then of the root's time. */
function isSurpassed(a: ReadRevocation, b: ReadRevocation): boolean {
  if (a.grant === undefined || b.grant === undefined || !equalBytes(a.target, b.target)) return false;
  return (
    b.grant.generation > a.grant.generation ||
    (b.grant.generation === a.grant.generation && b.timeMs > a.timeMs)
  );
}

const keeps = ({ keep }: ReadRevocation, certId: Uint8Array): boolean =>
  keep.some((kept) => equalBytes(kept, certId.subarray(0, 16)));

const isByRoot = (cert: ReadNodeCert): boolean => cert.issuerId.every((b) => b === 0);

export class RevocationSet {
  /** By place; bounded by MAX_REVOCATIONS. */
  readonly #byKey = new Map<string, ReadRevocation>();
  /** By kind and target, of the statements of hosts the first; bounded by MAX_REVOCATIONS_OF_HOSTS. */
  readonly #ofHosts = new Map<string, ReadRevocation>();
  /** The parts that end a grant, by hex of the node id; bounded by MAX_REVOCATIONS. */
  readonly #grants = new Map<string, readonly ReadRevocation[]>();
  #digest: Uint8Array = NO_DIGEST;
  #told = 0;
  #authority: Authority = { roots: [], adopted: [] };

  get size(): number {
    return this.#byKey.size;
  }

  /** The first 16 bytes of a hash of all ids in order; zeros for the empty set. */
  get digest(): Uint8Array {
    return this.#digest;
  }

  all(): ReadRevocation[] {
    return [...this.#byKey.values()];
  }

  /** Another policy is in force: drops what nobody stands behind any more. True when the set changed. */
  judge({ roots, adopted }: Authority): boolean {
    this.#authority = { roots, adopted };
    const size = this.#byKey.size;
    for (const [key, r] of this.#byKey) if (!this.#stands(r)) this.#byKey.delete(key);
    if (this.#byKey.size !== size) this.#summarize();
    return this.#byKey.size !== size;
  }

  #stands({ root, signerId, signerNode }: ReadRevocation): boolean {
    if (this.#rankOf(root) >= 0) return true;
    return signerNode !== null && this.#authority.adopted.some((id) => equalBytes(id, signerId));
  }

  #rankOf(root: Uint8Array | null): number {
    return root === null ? -1 : this.#authority.roots.findIndex((pk) => equalBytes(pk, root));
  }

  /** Whether `a` stays where both name one target. */
  #precedes(a: ReadRevocation, b: ReadRevocation): boolean {
    if ((a.signerNode === null) !== (b.signerNode === null)) return a.signerNode === null;
    const newer = this.#rankOf(a.root) - this.#rankOf(b.root);
    return newer !== 0 ? newer > 0 : Buffer.compare(a.record.id, b.record.id) < 0;
  }

  /** Takes a statement that was read. True when the set changed. */
  add(statement: ReadRevocation): boolean {
    if (this.#isSilenced(statement) || this.all().some((r) => isSurpassed(statement, r))) return false;
    const key = placeOf(statement);
    const held = this.#byKey.get(key);
    const isLater = held !== undefined && isSurpassed(held, statement);
    if (held !== undefined && !isLater && !this.#precedes(statement, held)) return false;
    if (held === undefined && this.#isFull(statement)) return false;
    this.#byKey.set(key, statement);
    // Only a root's word can end a right to revoke: the order of arrival does not matter.
    for (const [other, r] of this.#byKey)
      if (this.#isSilenced(r) || isSurpassed(r, statement)) this.#byKey.delete(other);
    this.#summarize();
    return true;
  }

  #summarize(): void {
    this.#sortHosts();
    this.#grants.clear();
    for (const r of this.#byKey.values())
      if (r.kind === 'grant') {
        const node = toHex(r.target);
        this.#grants.set(node, [...(this.#grants.get(node) ?? []), r]);
      }
    const ids = this.all()
      .map((r) => r.record.id)
      .sort(Buffer.compare);
    this.#digest = ids.length === 0 ? NO_DIGEST : hash(...ids).slice(0, 16);
  }

  #sortHosts(): void {
    this.#ofHosts.clear();
    for (const r of this.#byKey.values()) {
      const key = keyOf(r.kind, r.target);
      const first = this.#ofHosts.get(key);
      if (r.signerNode !== null && (first === undefined || this.#precedes(r, first)))
        this.#ofHosts.set(key, r);
    }
  }

  #isFull(statement: ReadRevocation): boolean {
    if (this.#byKey.size >= MAX_REVOCATIONS) return true;
    const ofHosts = this.all().filter((r) => r.signerNode !== null).length;
    return statement.signerNode !== null && ofHosts >= MAX_REVOCATIONS_OF_HOSTS;
  }

  #isSilenced({ signerNode }: ReadRevocation): boolean {
    if (signerNode === null) return false;
    const by = this.#byKey.get(keyOf('node', signerNode)) ?? this.#byKey.get(keyOf('admitter', signerNode));
    return by !== undefined && by.signerNode === null;
  }

  #find(kind: RevocationKind, target: Uint8Array): ReadRevocation | undefined {
    const key = keyOf(kind, target);
    return this.#byKey.get(key) ?? this.#ofHosts.get(key);
  }

  holds(kind: RevocationKind, target: Uint8Array): boolean {
    return this.#find(kind, target) !== undefined;
  }

  /** Hex of the node ids whose right to admit was ended once; they may have got it back. */
  grantsEnded(): readonly string[] {
    return [...this.#grants.keys()];
  }

  /** What ended the right to admit that a certificate gives, as far as it is known; empty while the right holds. */
  grantEnd({ nodeIdHex, generation }: ReadNodeCert): readonly ReadRevocation[] {
    const parts = this.#grants.get(nodeIdHex) ?? [];
    return parts.filter(({ grant }) => grant !== undefined && generation <= grant.generation);
  }

  tokenRevoked(tokenId: Uint8Array): boolean {
    return this.holds('token', paddedTarget(tokenId));
  }

  /** What ends this certificate; null if nothing does. `issuer`: the admitter that signed it, unless a root did. */
  against(cert: ReadNodeCert, issuer: ReadNodeCert | undefined): ReadRevocation | null {
    if (this.#byKey.size === 0) return null;
    const found = [
      this.#find('node', cert.nodeId),
      this.#find('admitter', cert.nodeId),
      cert.tokenId.some((b) => b !== 0) ? this.#find('token', paddedTarget(cert.tokenId)) : undefined,
      this.#find('name', nameTarget(cert.name)),
      issuer === undefined ? undefined : this.#ofIssuer(cert, issuer),
    ];
    const strong = isByRoot(cert);
    return found.find((r) => r !== undefined && (!strong || r.signerNode === null)) ?? null;
  }

  #ofIssuer({ record }: ReadNodeCert, issuer: ReadNodeCert): ReadRevocation | undefined {
    const r = this.#find('admitter', issuer.nodeId);
    return r === undefined || keeps(r, record.id) ? this.#ofGrant(record.id, issuer) : r;
  }

  #ofGrant(certId: Uint8Array, issuer: ReadNodeCert): ReadRevocation | undefined {
    const parts = this.grantEnd(issuer);
    const isWhole = parts.length > 0 && parts.length >= (parts[0]?.grant?.parts ?? 0);
    if (!isWhole || parts.some((part) => keeps(part, certId))) return undefined;
    // Whoever is put out is told one part after the other, and needs them all.
    return parts[this.#told++ % parts.length];
  }
}

/**
 * The set as it lies on disk: `u16 length | statement` one after another. It may still hold what a root of an earlier
 * policy signed, if the host went down as the next one came into force.
 * @param known the policy in force and those before it
 * @throws WeftError E_STATE for a damaged file
 */
export function readRevocations(
  state: StateDir,
  meshId: Uint8Array,
  known: readonly Authority[],
): RevocationSet {
  const ever = {
    roots: known.flatMap(({ roots }) => roots),
    adopted: known.flatMap(({ adopted }) => adopted),
  };
  const set = new RevocationSet();
  set.judge(ever);
  if (!state.has(STATE_FILE.revocations)) return set;
  const bytes = state.read(STATE_FILE.revocations);
  // Whoever was revoked must not come back because a file was cut off: fail closed.
  const damaged = (): WeftError => state.damaged(STATE_FILE.revocations, 'is damaged');
  for (let at = 0; at < bytes.length; ) {
    if (at + FILE_LENGTH_BYTES > bytes.length) throw damaged();
    const end = at + FILE_LENGTH_BYTES + ((bytes[at]! << 8) | bytes[at + 1]!);
    const statement = parseRevocation(bytes.slice(at + FILE_LENGTH_BYTES, end), meshId, ever);
    if (end > bytes.length || statement === null) throw damaged();
    set.add(statement);
    at = end;
  }
  return set;
}

/** On disk before it returns. @throws WeftError E_STATE */
export function writeRevocations(state: StateDir, set: RevocationSet): void {
  const parts = set
    .all()
    .flatMap(({ bytes }) => [new Uint8Array([bytes.length >> 8, bytes.length & 0xff]), bytes]);
  state.write(STATE_FILE.revocations, Buffer.concat(parts));
}
