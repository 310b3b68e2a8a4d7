/** What the control socket says of the mesh's policy, and takes. */
import type { Encap, Mode } from './api-types.ts';

/** `GET /v1/policy`, and the answer to changing it. */
export interface PolicyReport {
  readonly v: 1;
  /** Counts up with each change. */
  readonly seq: number;
  /** 64 hex digits. */
  readonly id: string;
  readonly mesh: string;
  /** Unix milliseconds, by the clock of the host with the root. */
  readonly signedAt: number;
  /** How long certificates last between renewals. */
  readonly nodeLifeMs: number;
  /** How far clocks may be apart. */
  readonly leewayMs: number;
  readonly segments: readonly {
    readonly vni: number;
    readonly mode: Mode;
    readonly encap: Encap;
    readonly suite: 'chacha20-poly1305' | 'aes-256-gcm';
    readonly mtu: number;
    /** Overlay network with the first host's address. */
    readonly network: string;
  }[];
}

/** Body of `POST /v1/policy`; null leaves as it is. */
export interface PolicyRequest {
  readonly nodeLifeMs: number | null;
  readonly leewayMs: number | null;
  /** VNI; null: the only one. */
  readonly segment: string | null;
  readonly mode: Mode | null;
  readonly suite: 'chacha20-poly1305' | 'aes-256-gcm' | null;
}
