/**
 * What the simulator injects into membership in the place of keys and disks: records and boxes that are as large as real
 * ones and say who made them, but cost no cryptography. A box bears its sender and receiver, so that a reflected one does
 * not open; a record bears its owner, so that one which lies about it is refused.
 */
import type {
  Accusation,
  Persistence,
  RecordVerifier,
  Rng,
  SavedMember,
  Sealer,
  Signer,
  VerifiedRecord,
} from '../../gossip/types.ts';

/** mulberry32: the same numbers for the same seed. */
export class SeededRng implements Rng {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  word(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  float(): number {
    return this.word() / 0x1_0000_0000;
  }

  fill(into: Uint8Array): Uint8Array {
    for (let i = 0; i < into.length; i += 4) {
      let word = this.word();
      for (let j = i; j < i + 4 && j < into.length; j++) {
        into[j] = word & 0xff;
        word >>>= 8;
      }
    }
    return into;
  }
}

/** Everybody came with one token, or votes for itself. */
const ONE_TOKEN = 0;
export const OWN_CLASS = 255;
const ID_BYTES = 32;
const RECORD_BYTES = 160;
const CREDENTIAL_BYTES = 600;
const TAG_BYTES = 16;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

const ids: string[] = [];

/** Node `n` of a simulation: ids spread over the digest's buckets. */
export function idOf(n: number): string {
  ids[n] ??= makeId(n);
  return ids[n];
}

function makeId(n: number): string {
  const bytes = new SeededRng(n * 7919 + 1).fill(new Uint8Array(ID_BYTES));
  new DataView(bytes.buffer).setUint32(28, n);
  return hex(bytes);
}

export const ipOf = (n: number): string => `10.${n >>> 16}.${(n >>> 8) & 255}.${n & 255}`;
export const numberOf = (id: string): number => Number.parseInt(id.slice(56), 16);

const identities = new Map<string, { readonly boxKey: Uint8Array; readonly credential: Uint8Array }>();

/** One copy for all hosts: a mesh of thousands holds each record thousands of times. */
function identityOf(id: string): { readonly boxKey: Uint8Array; readonly credential: Uint8Array } {
  let identity = identities.get(id);
  if (identity === undefined) {
    const credential = new Uint8Array(CREDENTIAL_BYTES);
    credential.set(unhex(id));
    identity = { boxKey: unhex(id), credential };
    identities.set(id, identity);
  }
  return identity;
}

/** Records that were verified, by their bytes: equal bytes are one object in all hosts. */
const verified = new Map<string, VerifiedRecord>();

/** id 32 | incarnation 8 | seq 4 | status 1 | voter class 1 (255: none) | address | zeros */
export function makeRecord(
  id: string,
  incarnation: number,
  seq: number,
  status: 'alive' | 'left' = 'alive',
  ip: string | null = ipOf(numberOf(id)),
  voterClass = ONE_TOKEN,
): VerifiedRecord {
  const bytes = new Uint8Array(RECORD_BYTES);
  bytes.set(unhex(id));
  const view = new DataView(bytes.buffer);
  view.setBigUint64(32, BigInt(incarnation));
  view.setUint32(40, seq);
  bytes[44] = status === 'left' ? 1 : 0;
  bytes[45] = voterClass;
  bytes.set(new TextEncoder().encode(ip ?? ''), 46);
  const { boxKey, credential } = identityOf(id);
  return {
    id,
    incarnation,
    seq,
    status,
    address: ip === null ? null : { ip, port: 7946 },
    boxKey,
    voterClass: voterClass === OWN_CLASS ? null : `class ${voterClass}`,
    bytes,
    credential,
  };
}

export const verifier: RecordVerifier = {
  claimedId: (record) => (record.length === RECORD_BYTES ? hex(record.subarray(0, ID_BYTES)) : null),
  verify(record, credential) {
    if (record.length !== RECORD_BYTES || credential.length !== CREDENTIAL_BYTES) return null;
    const id = hex(record.subarray(0, ID_BYTES));
    if (id !== hex(credential.subarray(0, ID_BYTES))) return null;
    const key = hex(record);
    const before = verified.get(key);
    if (before !== undefined) return before;
    const view = new DataView(record.buffer, record.byteOffset);
    const ip = new TextDecoder().decode(record.subarray(46, 86)).replace(/\0+$/, '');
    const status = record[44] === 1 ? 'left' : 'alive';
    const made = makeRecord(
      id,
      Number(view.getBigUint64(32)),
      view.getUint32(40),
      status,
      ip === '' ? null : ip,
      record[45],
    );
    const whole = { ...made, bytes: record };
    verified.set(key, whole);
    return whole;
  },
  verifyAccusation(bytes, credentialOf): Accusation | null {
    if (bytes.length !== 2 * ID_BYTES + 8) return null;
    const accuser = hex(bytes.subarray(0, ID_BYTES));
    if (credentialOf(accuser) === null) return null;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return {
      accuser,
      target: hex(bytes.subarray(ID_BYTES, 2 * ID_BYTES)),
      incarnation: Number(view.getBigUint64(2 * ID_BYTES)),
    };
  },
};

export function accusation(accuser: string, target: string, incarnation: number): Uint8Array {
  const bytes = new Uint8Array(2 * ID_BYTES + 8);
  bytes.set(unhex(accuser));
  bytes.set(unhex(target), ID_BYTES);
  new DataView(bytes.buffer).setBigUint64(2 * ID_BYTES, BigInt(incarnation));
  return bytes;
}

export function sealerOf(self: string): Sealer {
  const wrap = (from: string, to: string, plaintext: Uint8Array): Uint8Array => {
    const box = Buffer.alloc(TAG_BYTES + plaintext.length);
    box.write(from.slice(0, 16), 'hex');
    box.write(to.slice(0, 16), 8, 'hex');
    box.set(plaintext, TAG_BYTES);
    return box;
  };
  const unwrap = (from: string, to: string, box: Uint8Array): Uint8Array | null =>
    hex(box.subarray(0, TAG_BYTES)) === from.slice(0, 16) + to.slice(0, 16) ? box.slice(TAG_BYTES) : null;
  const intro = '1'.repeat(16);
  return {
    seal: (to, _key, _nonce, plaintext) => wrap(self, to, plaintext),
    open: (from, _key, _nonce, box) => unwrap(from, self, box),
    sealIntro: (_nonce, plaintext) => wrap(intro, intro, plaintext),
    openIntro: (_nonce, box) => unwrap(intro, intro, box),
  };
}

/** What outlives a process: counters and saved members. `forget` is a disk restored from an old copy. */
export class Disk implements Persistence {
  readonly id: string;
  boot = 0;
  incarnation = 0;
  seq = 0;
  /** Not every simulation restarts hosts: saving thousands of tables costs more than all else. */
  keeps = true;
  /** Sees each accusation that this host signs. */
  onAccuse: (target: string, incarnation: number) => void = () => {};
  saved: readonly SavedMember[] = [];
  /** Null for a host that gives no address. */
  ip: string | null;
  voterClass = ONE_TOKEN;

  constructor(n: number) {
    this.id = idOf(n);
    this.ip = ipOf(n);
  }

  nextBoot(atLeast: number): number {
    this.boot = Math.max(this.boot, atLeast) + 1;
    return this.boot;
  }

  loadMembers(): readonly SavedMember[] {
    return this.saved;
  }

  saveMembers(members: Iterable<SavedMember>): void {
    if (this.keeps) this.saved = [...members];
  }

  record(status: 'alive' | 'left', raiseAbove: number | null): VerifiedRecord {
    if (raiseAbove === null) this.seq += 1;
    else {
      this.incarnation = Math.max(this.incarnation, raiseAbove) + 1;
      this.seq = 0;
    }
    return makeRecord(this.id, this.incarnation, this.seq, status, this.ip, this.voterClass);
  }

  signer(): Signer {
    return {
      ownRecord: (status, raiseAbove) => this.record(status, raiseAbove),
      accuse: (target, incarnation) => {
        this.onAccuse(target, incarnation);
        return accusation(this.id, target, incarnation);
      },
    };
  }
}
