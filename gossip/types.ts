/**
 * The words between membership and the rest of the world. gossip/ moves opaque, owner-signed records between members and
 * decides who is alive; what a record means, how a datagram is sealed and where counters are kept is injected.
 *
 * Ids are 32 bytes, written as 64 hex digits where a key is needed.
 */

export interface Address {
  readonly ip: string;
  readonly port: number;
}

/** What the verifier found in a record that its owner signed. */
export interface VerifiedRecord {
  readonly id: string;
  readonly incarnation: number;
  readonly seq: number;
  readonly status: 'alive' | 'left';
  /** Where the owner takes gossip; null when it gave none. */
  readonly address: Address | null;
  /** The owner's X25519 key. */
  readonly boxKey: Uint8Array;
  /**
   * Members that one secret let in share a class: while it holds less than half of the mesh, all their doubt about one
   * member is one vote. Null: votes for itself.
   */
  readonly voterClass: string | null;
  readonly bytes: Uint8Array;
  /** Certificate chain that the record was verified with. */
  readonly credential: Uint8Array;
}

export interface Accusation {
  readonly accuser: string;
  readonly target: string;
  /** Incarnation of the target that is doubted. */
  readonly incarnation: number;
}

/** Judges what comes from the network. Never throws; null means: not signed by whom it should be. */
export interface RecordVerifier {
  /** Id that a record claims, without verifying it; null if it is no record. */
  claimedId(record: Uint8Array): string | null;
  verify(record: Uint8Array, credential: Uint8Array): VerifiedRecord | null;
  /** `credential` is the accuser's. */
  verifyAccusation(bytes: Uint8Array, credentialOf: (id: string) => Uint8Array | null): Accusation | null;
}

/** Makes this host's own signed statements. */
export interface Signer {
  /** A new own record with a higher (incarnation, seq); `raise` starts an incarnation, on disk before it returns. */
  ownRecord(status: 'alive' | 'left', raiseAbove: number | null): VerifiedRecord;
  accuse(target: string, incarnation: number): Uint8Array;
}

/**
 * Boxes between two members: K(s to r) = H(crypto_box_beforenm, "weft1 gossip" || mesh_id || s_id || r_id) with
 * crypto_box_easy_afternm, so that direction and both ids are bound. Introductions are sealed under the mesh's psk: they
 * hide, they do not authorise.
 */
export interface Sealer {
  seal(to: string, toBoxKey: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array | null;
  open(from: string, fromBoxKey: Uint8Array, nonce: Uint8Array, box: Uint8Array): Uint8Array | null;
  sealIntro(nonce: Uint8Array, plaintext: Uint8Array): Uint8Array;
  openIntro(nonce: Uint8Array, sealed: Uint8Array): Uint8Array | null;
}

/** A host whose certificate was ended by a statement. */
export interface Banned {
  readonly id: string;
  readonly boxKey: Uint8Array;
  readonly address: Address;
  readonly statement: Uint8Array;
}

/**
 * Signed statements for everybody. Ids are 16 hex digits, in order. Never throws for what the network sent; `receive`
 * returns only when what it took is on disk.
 */
export interface StatementStore {
  /** 16 bytes; equal where the same statements are in force. */
  digest(): Uint8Array;
  ids(): readonly string[];
  get(id: string): Uint8Array | null;
  /** Ids within the range (both ends included) that are not there, in the order in which they must be told. */
  missing(from: string, to: string, there: ReadonlySet<string>): readonly string[];
  /** Whether a statement is held, or was and is out of force. */
  knows(id: string): boolean;
  holds(statement: Uint8Array): boolean;
  receive(statement: Uint8Array): 'refused' | 'known' | { readonly id: string };
  banned(record: Uint8Array, credential: Uint8Array): Banned | null;
}

export interface SavedMember {
  readonly record: Uint8Array;
  readonly credential: Uint8Array;
}

export interface Persistence {
  /** This start's number: persisted + 1, on disk before it returns; `atLeast` raises it further. */
  nextBoot(atLeast: number): number;
  loadMembers(): readonly SavedMember[];
  saveMembers(members: Iterable<SavedMember>): void;
}

export interface Clock {
  monotonicMs(): number;
  every(intervalMs: number, run: () => void): () => void;
  after(delayMs: number, run: () => void): () => void;
}

export interface Rng {
  fill(into: Uint8Array): Uint8Array;
  float(): number;
}

/** A host to begin with: known by the token or the configuration, not yet by a record. */
export interface Contact {
  readonly id: string;
  readonly boxKey: Uint8Array;
  readonly address: Address;
}

export type MemberState = 'alive' | 'suspect' | 'dead' | 'left';

export type SwimOutput =
  | { readonly type: 'send'; readonly to: Address; readonly bytes: Uint8Array }
  /** A member is new, or its state, record or reachability changed. */
  | { readonly type: 'member'; readonly id: string }
  /** The first box of a member opened since this start. */
  | { readonly type: 'reachable'; readonly id: string }
  /** Two different records of one owner with one number, for the first time: it is out of use for a while. */
  | { readonly type: 'equivocation'; readonly id: string }
  | { readonly type: 'probe'; readonly id: string; readonly rttMs: number | null }
  /** A statement is new and in force. */
  | { readonly type: 'statement'; readonly id: string }
  | { readonly type: 'drop'; readonly reason: DropReason };

/** Why a datagram was not used; the agent counts each once. */
export type DropReason = 'garbage' | 'auth' | 'replay' | 'rate' | 'gossip' | 'revoked';
