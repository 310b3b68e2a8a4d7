/**
 * What the control socket says of tokens and admitters; a part of api-types.ts, with the same rules. `TokenReport.token` is secret.
 */
import type { MemberState } from './api-types.ts';

export type TokenRight = 'bridge';
export type TokenCount = 'strict' | 'each';

/** Body of `POST /v1/tokens`. */
export interface TokenRequest {
  readonly ttlMs: number;
  readonly uses: number;
  readonly namePrefix: string | null;
  /** The only name that it admits; null unless it is for one host. */
  readonly name: string | null;
  readonly segment: string | null;
  /** Segments that it opens; empty: `segment`, or the only one. */
  readonly vnis: readonly number[];
  /** Who counts its uses: one admitter, or each for itself. */
  readonly count: TokenCount;
  /** Underlay networks that joining hosts must come from, at most 8; empty: any. */
  readonly underlay: readonly string[];
  readonly allow: readonly TokenRight[];
  /** How long certificates of joining hosts last between renewals; null: as long as policy says. */
  readonly nodeLifeMs: number | null;
  /** `MEMBER`, `MEMBER=HOST` or `MEMBER=HOST:PORT`, at most 4; empty: the host that makes the token. */
  readonly seeds: readonly string[];
}

/** The answer to `POST /v1/tokens`. */
export interface TokenReport {
  readonly v: 1;
  /** `weft1_...`: whoever reads it can join. */
  readonly token: string;
  /** Hex. */
  readonly id: string;
  /** Unix milliseconds. */
  readonly expiresAt: number;
  readonly uses: number;
  readonly namePrefix: string | null;
  readonly vnis: readonly number[];
  readonly allow: readonly TokenRight[];
  /** `IP:PORT` or `NAME:PORT` of the hosts a joiner asks. */
  readonly seeds: readonly string[];
  /** Name of the host that counts the uses. */
  readonly admitter: string;
  readonly name: string | null;
  readonly count: TokenCount;
  /** Hosts that it lets in at most; with `each`, if none of the `admitters` sees what the others admit. */
  readonly bound: number;
  /** Names of the members that may admit with it now. */
  readonly admitters: readonly string[];
  readonly underlay: readonly string[];
  readonly nodeLifeMs: number;
}

/** Body of `POST /v1/admitters` and `DELETE /v1/admitters`. */
export interface AdmitterRequest {
  /** Name or node id of a member. */
  readonly name: string;
}

/** The answer to both. */
export interface AdmitterChange {
  readonly v: 1;
  readonly name: string;
  readonly nodeId: string;
  /** What the host may do from now on. */
  readonly admits: boolean;
  /** Whether it shows its new certificate; else it gets it when it is back. */
  readonly delivered: boolean;
  /** Certificates that it issued and that stay good; 0 for a host that gets the right. */
  readonly kept: number;
  /** Names of the members that it put out, because nobody knew of their admission. */
  readonly hosts: readonly string[];
}

export interface AdmitterReport {
  readonly name: string;
  readonly nodeId: string;
  /** Null for a host that a right waits for and that was not heard of since the start. */
  readonly state: MemberState | null;
  /** This host. */
  readonly self: boolean;
  /** It holds the root of the mesh; known of this host only. */
  readonly root: boolean;
  /** Whether its right counts now. */
  readonly admits: boolean;
  /** Unix milliseconds: when its certificate ends. */
  readonly expiresAt: number;
  /** What the host with the root has yet to hand to it; null elsewhere. */
  readonly pending: 'add' | 'remove' | null;
  /** Members and hosts on the way in that have a certificate of it, as far as this host knows. */
  readonly certified: number;
}

/** `GET /v1/admitters` */
export interface AdmittersReport {
  readonly v: 1;
  readonly admitters: readonly AdmitterReport[];
}
