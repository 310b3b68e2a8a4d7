/**
 * Grants that a root has signed and that their host does not have yet: `grants.bin`, `block NodeCert` one after another, on the
 * host that holds the root. They outlive its restart, and the time for which their host is off.
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { MAX_NODE_CERT_BYTES, parseNodeCert, type ReadNodeCert } from './node-cert.ts';
import { STATE_FILE, type StateDir } from './state-dir.ts';

/** Hosts that were given the right and have not been back since. */
export const MAX_PENDING_GRANTS = 64;

export class GrantBook {
  readonly #state: StateDir;
  /** By node id (hex); bounded by MAX_PENDING_GRANTS. */
  readonly #grants = new Map<string, ReadNodeCert>();

  /** @throws WeftError E_STATE for a damaged file */
  constructor(state: StateDir, meshId: Uint8Array) {
    this.#state = state;
    if (!state.has(STATE_FILE.grants)) return;
    const r = new ByteReader(state.read(STATE_FILE.grants));
    while (r.remaining > 0) {
      const cert = parseNodeCert(r.block(MAX_NODE_CERT_BYTES), meshId);
      if (cert === null || this.#grants.size >= MAX_PENDING_GRANTS)
        throw state.damaged(STATE_FILE.grants, 'is damaged');
      this.#grants.set(cert.nodeIdHex, cert);
    }
    if (!r.done) throw state.damaged(STATE_FILE.grants, 'is damaged');
  }

  get isFull(): boolean {
    return this.#grants.size >= MAX_PENDING_GRANTS;
  }

  all(): readonly ReadNodeCert[] {
    return [...this.#grants.values()];
  }

  of(nodeIdHex: string): ReadNodeCert | undefined {
    return this.#grants.get(nodeIdHex);
  }

  /** On disk before it returns. */
  put(cert: ReadNodeCert): void {
    this.#grants.set(cert.nodeIdHex, cert);
    this.#write();
  }

  remove(nodeIdHex: string): void {
    if (this.#grants.delete(nodeIdHex)) this.#write();
  }

  #write(): void {
    const w = this.all().map(({ record }) => new ByteWriter().block(record.bytes).finish());
    this.#state.write(STATE_FILE.grants, Buffer.concat(w));
  }
}
