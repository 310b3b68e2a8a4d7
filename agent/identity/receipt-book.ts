/**
 * Receipts: every certificate says with which use of which token its host was admitted, and by whom. This is what a host knows
 * of the uses that others have given: from gossip, and between admitters from one another. An admitter keeps them on disk, a
 * line of JSON each, so that a use does not come back with a restart. Two hosts in one use of a token mean that admitters could
 * not see each other, or that a key was stolen: both stay, and it is told.
 */
import type { Clock } from '../clock.ts';
import { WeftError } from '../errors.ts';
import type { AppendFile } from './admission-log.ts';
import { parseNodeCert, type ReadNodeCert } from './node-cert.ts';
import { toHex } from './sodium.ts';

/** As many as gossip keeps members. */
export const MAX_RECEIPTS = 16_384;
/** No token lives longer. */
const KEEP_MS = 367 * 86_400_000;

export interface Receipt {
  readonly cert: ReadNodeCert;
  /** The certificate of its issuer; empty when a root signed. */
  readonly issuer: Uint8Array;
  readonly heardMs: number;
}

/** What a certificate that was heard of means. */
export interface Heard {
  /** Whether the admission was not known before. */
  readonly isNew: boolean;
  /** A host that was admitted with the same use of the same token. */
  readonly overused: ReadNodeCert | null;
}

const NOTHING: Heard = { isNew: false, overused: null };

export class ReceiptBook {
  readonly #file: AppendFile;
  readonly #clock: Clock;
  /** By node id, the one heard of first ahead; bounded by MAX_RECEIPTS. */
  readonly #byNode = new Map<string, Receipt>();
  /** Node ids by token id; bounded by MAX_RECEIPTS in all. */
  readonly #byToken = new Map<string, Set<string>>();
  /** Node ids that are on disk; bounded by MAX_RECEIPTS. */
  readonly #stored = new Set<string>();
  #overuse = 0;

  /** @throws WeftError E_STATE when a line other than the last is damaged */
  constructor(file: AppendFile, meshId: Uint8Array, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
    const lines = file.read().split('\n');
    // A line that was cut off by a power cut is heard of again.
    const torn = lines.pop() !== '';
    for (const [i, line] of lines.entries()) {
      const receipt = parseLine(line, meshId);
      if (receipt === null)
        throw new WeftError(
          'E_STATE',
          `${file.path}:${i + 1}: damaged row; restore the file from a backup, or move it away: it is learned again`,
        );
      if (receipt.heardMs + KEEP_MS > clock.wallMs()) this.#put(receipt);
    }
    for (const id of this.#byNode.keys()) this.#stored.add(id);
    if (torn || this.#stored.size !== lines.length) file.truncate(this.#all().map(formatLine).join(''));
  }

  #all(): Receipt[] {
    return [...this.#byNode.values()];
  }

  /** Pairs of hosts in one use of a token that were heard of since the start. */
  get overuse(): number {
    return this.#overuse;
  }

  all(): readonly ReadNodeCert[] {
    return this.#all().map(({ cert }) => cert);
  }

  /** The receipt of a host, whichever of its certificates was heard of last. */
  of(nodeIdHex: string): Receipt | undefined {
    return this.#byNode.get(nodeIdHex);
  }

  /** Uses of a token: which host has which. */
  usesOf(tokenIdHex: string): readonly { readonly nodeId: string; readonly slot: number }[] {
    return [...(this.#byToken.get(tokenIdHex) ?? [])].flatMap((nodeId) => {
      const receipt = this.#byNode.get(nodeId);
      return receipt === undefined ? [] : { nodeId, slot: receipt.cert.slot };
    });
  }

  /**
   * Takes a certificate that verified.
   * @param keep whether this host admits others, and so must not forget
   */
  hear(cert: ReadNodeCert, issuer: Uint8Array, keep: boolean): Heard {
    if (cert.tokenId.every((b) => b === 0)) return NOTHING;
    const known = this.#byNode.get(cert.nodeIdHex);
    if (known !== undefined && (known.cert.generation >= cert.generation || isSame(known.cert, cert))) {
      if (keep) this.#store(known);
      return NOTHING;
    }
    const receipt = { cert, issuer: issuer.slice(), heardMs: known?.heardMs ?? this.#clock.wallMs() };
    const isNew = known === undefined;
    const other = isNew ? this.#inUse(cert) : null;
    if (other !== null) this.#overuse += 1;
    this.#put(receipt);
    if (keep) this.#store(receipt);
    return { isNew, overused: other };
  }

  #inUse({ tokenId, slot }: ReadNodeCert): ReadNodeCert | null {
    const holder = this.usesOf(toHex(tokenId)).find((use) => use.slot === slot);
    return holder === undefined ? null : (this.#byNode.get(holder.nodeId)?.cert ?? null);
  }

  #put(receipt: Receipt): void {
    const { nodeIdHex, tokenId } = receipt.cert;
    this.#byNode.set(nodeIdHex, receipt);
    const token = toHex(tokenId);
    const nodes = this.#byToken.get(token) ?? new Set();
    this.#byToken.set(token, nodes.add(nodeIdHex));
    const [oldest] = this.#byNode.keys();
    if (this.#byNode.size > MAX_RECEIPTS && oldest !== undefined) this.#drop(oldest);
  }

  #drop(nodeId: string): void {
    const token = toHex(this.#byNode.get(nodeId)?.cert.tokenId ?? new Uint8Array(0));
    this.#byNode.delete(nodeId);
    this.#stored.delete(nodeId);
    const nodes = this.#byToken.get(token);
    nodes?.delete(nodeId);
    if (nodes?.size === 0) this.#byToken.delete(token);
  }

  /** This host admits others from now on: what it has heard must outlive a restart. */
  keepAll(): void {
    if (this.#stored.size === this.#byNode.size) return;
    const missing = this.#all().filter(({ cert }) => !this.#stored.has(cert.nodeIdHex));
    this.#file.append(missing.map(formatLine).join(''));
    for (const { cert } of missing) this.#stored.add(cert.nodeIdHex);
  }

  /** Once for each host: what its later certificates say of the use is the same. */
  #store(receipt: Receipt): void {
    const { nodeIdHex } = receipt.cert;
    if (this.#stored.has(nodeIdHex)) return;
    this.#file.append(formatLine(receipt));
    this.#stored.add(nodeIdHex);
  }
}

const isSame = (a: ReadNodeCert, b: ReadNodeCert): boolean => Buffer.compare(a.record.id, b.record.id) === 0;

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

const formatLine = ({ cert, issuer, heardMs }: Receipt): string =>
  `${JSON.stringify({ heardMs, cert: base64(cert.record.bytes), issuer: base64(issuer) })}\n`;

function parseLine(line: string, meshId: Uint8Array): Receipt | null {
  try {
    const { heardMs, cert, issuer } = JSON.parse(line) as Record<string, unknown>;
    if (typeof cert !== 'string' || typeof issuer !== 'string' || !Number.isSafeInteger(heardMs)) return null;
    const read = parseNodeCert(new Uint8Array(Buffer.from(cert, 'base64')), meshId);
    const by = new Uint8Array(Buffer.from(issuer, 'base64'));
    return read === null ? null : { cert: read, issuer: by, heardMs: Number(heardMs) };
  } catch {
    return null;
  }
}
