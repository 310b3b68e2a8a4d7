/** What the control socket says of the mesh's roots, and takes. */

/** `GET /v1/roots`. */
export interface RootsReport {
  readonly v: 1;
  readonly policySeq: number;
  /** In the order of the policy: the newest root signs, a recovery root stands above all. */
  readonly roots: readonly {
    /** Public key, 64 hex digits. */
    readonly id: string;
    readonly kind: 'root' | 'recovery';
    readonly newest: boolean;
    /** Whether this host holds its key. */
    readonly here: boolean;
  }[];
  /** Ids (32 hex digits) of certificates that stay good although their root is gone. */
  readonly adopted: readonly string[];
  /** Living hosts whose certificate hangs on an older root than the newest. */
  readonly waiting: readonly string[];
}

/** Body of `POST /v1/roots/rotate`. */
export interface RotateRequest {
  /** Take the old root away although hosts still wait for a certificate: theirs is adopted. */
  readonly finish: boolean;
}

/** Body of `POST /v1/roots/recover`. */
export interface RecoverRequest {
  /** Text of the recovery key. Never logged. */
  readonly key: string;
  /** Name of the host whose root was stolen; null: it was lost. */
  readonly stolenFrom: string | null;
  /** Names of the hosts that this host certified and that stay; empty: all that are known. */
  readonly keep: readonly string[];
  readonly finish: boolean;
}

/** The answer to both; asked again until it is done. */
export interface RootChangeReport {
  readonly v: 1;
  readonly state: 'waiting' | 'done';
  /** Public key of the new root, 64 hex digits. */
  readonly root: string;
  readonly policySeq: number;
  readonly waiting: readonly string[];
  /** Certificates that stay good although their root is gone. */
  readonly adopted: number;
  /** After a theft: hosts that stay, and revocations of the stolen root that count no more. */
  readonly kept: readonly string[];
  readonly dropped: readonly string[];
}

/** The part of the agent behind it. */
export interface RootView {
  roots(): RootsReport;
  /** E_REFUSED on a host without the root. */
  rotateRoot(request: RotateRequest): Promise<RootChangeReport>;
  /** E_REFUSED for a key that the policy does not name, E_NOT_FOUND. */
  recoverRoot(request: RecoverRequest): Promise<RootChangeReport>;
}
