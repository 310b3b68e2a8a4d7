/**
 * The admitter's memory: one JSON line for each host admitted, on disk before the answer leaves. Rows live until their
 * certificate and its token have been expired for a day. A torn last line is the trace of a power cut during a write that was never
 * answered, and is dropped; damage anywhere else is refused, for it would free a used slot.
 */
import type { Clock } from '../clock.ts';
import { WeftError } from '../errors.ts';
import { parseNodeCert } from './node-cert.ts';
import { toHex } from './sodium.ts';

export interface AdmissionRow {
  readonly tokenId: string;
  readonly slot: number;
  readonly requestId: string;
  readonly nodeId: string;
  readonly signPk: string;
  readonly dhPk: string;
  readonly name: string;
  readonly cert: Uint8Array;
  /** The certificate with which it was signed; empty in rows of earlier versions. */
  readonly issuer: Uint8Array;
  /** Of the certificate. */
  readonly expiresMs: number;
  /** Of the token: until then its slot must not be given again. */
  readonly tokenExpiresMs: number;
  readonly addresses: readonly { readonly vni: number; readonly ip: string }[];
}

/** Where the rows are kept; the state directory implements it. */
export interface AppendFile {
  readonly path: string;
  read(): string;
  /** Replaces the content, atomically. */
  truncate(text: string): void;
  /** Returns only when the text is on disk. */
  append(text: string): void;
}

const KEEP_AFTER_EXPIRY_MS = 86400_000;
const NO_MESH = new Uint8Array(32);

export class AdmissionLog {
  readonly #file: AppendFile;
  /** By request id; bounded by the uses of the tokens that this mesh's root has signed and that have not expired. */
  readonly #rows = new Map<string, AdmissionRow>();

  /** @throws WeftError E_STATE when a line other than the last is damaged */
  constructor(file: AppendFile, clock: Clock) {
    this.#file = file;
    const lines = file.read().split('\n');
    const last = lines.pop() ?? '';
    for (const [i, line] of lines.entries()) {
      const row = parseRow(line);
      if (row === null)
        throw new WeftError(
          'E_STATE',
          `${file.path}:${i + 1}: damaged row; restore the file from a backup, or move it away and give new tokens only`,
        );
      const endsMs = Math.max(row.expiresMs, row.tokenExpiresMs);
      if (endsMs + KEEP_AFTER_EXPIRY_MS > clock.wallMs()) this.#rows.set(row.requestId, row);
    }
    // A torn row was never answered: cut it off, so that the next row stands on a line of its own.
    if (last !== '') file.truncate(lines.map((line) => `${line}\n`).join(''));
  }

  byRequest(requestId: string): AdmissionRow | undefined {
    return this.#rows.get(requestId);
  }

  rows(): readonly AdmissionRow[] {
    return [...this.#rows.values()];
  }

  usesOf(tokenId: string): readonly { readonly nodeId: string; readonly slot: number }[] {
    return this.rows().filter((row) => row.tokenId === tokenId);
  }

  /** Rows of members that `released` their name do not count. */
  nameHolder(name: string, released: (nodeId: string) => boolean): string | null {
    return this.rows().find((row) => row.name === name && !released(row.nodeId))?.nodeId ?? null;
  }

  keyHolder(signPk: Uint8Array, dhPk: Uint8Array): string | null {
    const sign = toHex(signPk);
    const dh = toHex(dhPk);
    return this.rows().find((row) => row.signPk === sign || row.dhPk === dh)?.nodeId ?? null;
  }

  addressInUse(vni: number, ip: string, released: (nodeId: string) => boolean): boolean {
    const holds = (row: AdmissionRow): boolean => row.addresses.some((a) => a.vni === vni && a.ip === ip);
    return this.rows().some((row) => holds(row) && !released(row.nodeId));
  }

  append(row: AdmissionRow): void {
    this.#file.append(`${JSON.stringify({ ...row, cert: base64(row.cert), issuer: base64(row.issuer) })}\n`);
    this.#rows.set(row.requestId, row);
  }
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

const HEX_FIELDS = { tokenId: 32, requestId: 64, nodeId: 64, signPk: 64, dhPk: 64 } as const;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isHex = (value: unknown, digits: number): boolean =>
  typeof value === 'string' && value.length === digits && /^[0-9a-f]*$/.test(value);

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;

const isAddress = (value: unknown): boolean =>
  isRecord(value) && isCount(value.vni) && typeof value.ip === 'string';

interface StoredRow extends Omit<AdmissionRow, 'cert' | 'issuer'> {
  readonly cert: string;
  readonly issuer?: string;
}

function isStoredRow(v: unknown): v is StoredRow {
  return (
    isRecord(v) &&
    Object.entries(HEX_FIELDS).every(([field, digits]) => isHex(v[field], digits)) &&
    [v.slot, v.expiresMs, v.tokenExpiresMs].every(isCount) &&
    typeof v.name === 'string' &&
    typeof v.cert === 'string' &&
    (v.issuer === undefined || typeof v.issuer === 'string') &&
    Array.isArray(v.addresses) &&
    v.addresses.every(isAddress)
  );
}

/** Null unless the row is whole and says of itself what the certificate in it says. */
function parseRow(line: string): AdmissionRow | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (!isStoredRow(value)) return null;
  const row = {
    ...value,
    cert: new Uint8Array(Buffer.from(value.cert, 'base64')),
    issuer: new Uint8Array(Buffer.from(value.issuer ?? '', 'base64')),
  };
  // Read for its fields only: which mesh it is of plays no part, and the admitter's signature was its own.
  const cert = parseNodeCert(row.cert, NO_MESH);
  const agrees =
    cert !== null &&
    cert.nodeIdHex === row.nodeId &&
    toHex(cert.tokenId) === row.tokenId &&
    row.requestId.startsWith(toHex(cert.requestId)) &&
    cert.slot === row.slot &&
    cert.name === row.name &&
    cert.expiresMs === row.expiresMs;
  return agrees ? row : null;
}
