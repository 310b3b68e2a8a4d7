/** A mesh of one admitter in memory, for the tests of agent/identity: fixed time, repeatable randomness, no disk. */
import type { Clock, Rng } from '../../agent/clock.ts';
import { AdmissionLog, type AppendFile } from '../../agent/identity/admission-log.ts';
import { type AdmissionReply, decodeAdmissionReply } from '../../agent/identity/admission-reply.ts';
import { Admitter, type MeshView } from '../../agent/identity/admitter.ts';
import { createMesh, type Genesis, type NodeKeys, newNodeKeys } from '../../agent/identity/genesis.ts';
import { type NodeAddress, parseNodeCert, type ReadNodeCert } from '../../agent/identity/node-cert.ts';
import { signNodeRequest } from '../../agent/identity/node-request.ts';
import { ReceiptBook } from '../../agent/identity/receipt-book.ts';
import { hash, signingKeyPair, sodiumReady, utf8 } from '../../agent/identity/sodium.ts';
import { createToken, type NewToken, parseToken, type Token } from '../../agent/identity/token.ts';
import { TrustStore } from '../../agent/identity/trust-store.ts';

await sodiumReady;

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
/** 2027-01-15T08:00:00Z */
export const NOW_MS = 1_800_000_000_000;
export const VNI = 42;

export class TestClock implements Clock {
  wall = NOW_MS;
  monotonic = 0;
  wallMs(): number {
    return this.wall;
  }
  monotonicMs(): number {
    return this.monotonic;
  }
  every(): () => void {
    return () => undefined;
  }
  after(): () => void {
    return () => undefined;
  }
  pass(ms: number): void {
    this.wall += ms;
    this.monotonic += ms;
  }
}

export function seededRng(name: string): Rng {
  let count = 0;
  return {
    fill(into) {
      for (let at = 0; at < into.length; at += 32)
        into.set(hash(utf8(`${name} ${count++}`)).subarray(0, into.length - at), at);
      return into;
    },
    float: () => 0.5,
  };
}

export function flipped(bytes: Uint8Array, at: number, mask = 1): Uint8Array {
  const copy = bytes.slice();
  copy[at] = (copy[at] ?? 0) ^ mask;
  return copy;
}

export class MemoryFile implements AppendFile {
  readonly path: string;
  constructor(path = '/state/admissions.log') {
    this.path = path;
  }
  text = '';
  /** What happened, in order. */
  readonly events: string[] = [];
  failing = false;
  read(): string {
    return this.text;
  }
  truncate(text: string): void {
    this.events.push('truncate');
    this.text = text;
  }
  append(text: string): void {
    if (this.failing) throw new Error('no space left on device');
    this.events.push('append');
    this.text += text;
  }
}

export interface Ask {
  readonly name?: string;
  readonly keys?: NodeKeys;
  readonly vnis?: readonly number[];
  readonly caps?: number;
  readonly addresses?: readonly NodeAddress[];
  /** A token to sign with other than the one asked with. */
  readonly signWith?: Uint8Array;
}

export class World {
  readonly clock = new TestClock();
  readonly rng: Rng;
  readonly mesh: Genesis;
  readonly trust: TrustStore;
  readonly self: ReadNodeCert;
  readonly file = new MemoryFile();
  /** What the mesh's other members hold: test data. */
  readonly held = {
    names: {} as Record<string, string>,
    keys: [] as string[],
    ips: ['10.80.0.1'],
    released: '',
  };
  readonly receiptFile = new MemoryFile('/state/receipts.log');
  /** What other admitters gave, as this one has heard. */
  receipts: ReceiptBook;
  log: AdmissionLog;
  admitter: Admitter;
  /** Where the seed sees joiners. */
  fromIp = '192.0.2.20';

  constructor(name = 'mesh', address = { ip: '10.80.0.1', length: 24 }, recovery = false) {
    this.rng = seededRng(name);
    const options = { meshName: name, hostName: 'alpha', vni: VNI, mtuBytes: 1390, address, recovery };
    this.mesh = createMesh({ ...options, mode: 'sealed', encap: 'vxlan' }, this.clock, this.rng);
    this.trust = this.store();
    const self = parseNodeCert(this.mesh.cert, this.mesh.meshId);
    if (self === null) throw new Error('the first certificate does not parse');
    this.self = self;
    this.receipts = new ReceiptBook(this.receiptFile, this.mesh.meshId, this.clock);
    [this.log, this.admitter] = this.restarted();
  }

  store(): TrustStore {
    const { meshId, policy } = this.mesh;
    return new TrustStore({ meshId, policy }, this.clock);
  }

  restarted(self = this.self, signSecretKey = this.mesh.keys.sign.secretKey): [AdmissionLog, Admitter] {
    const log = new AdmissionLog(this.file, this.clock);
    const view: MeshView = {
      nameHolder: (name) => this.held.names[name] ?? null,
      keyHolder: (signPk) => (this.held.keys.includes(Buffer.from(signPk).toString('hex')) ? 'other' : null),
      addressInUse: (_vni, ip) => this.held.ips.includes(ip),
      isReleased: (nodeId) => this.held.released === nodeId,
      usesOf: (tokenId) => this.receipts.usesOf(tokenId),
      receiptOf: (nodeId) => this.receipts.of(nodeId),
    };
    const { trust, clock } = this;
    return [log, new Admitter({ trust, self: () => self, signSecretKey, log, view, clock })];
  }

  restart(): void {
    this.receipts = new ReceiptBook(this.receiptFile, this.mesh.meshId, this.clock);
    [this.log, this.admitter] = this.restarted();
  }

  tokenText(limits: Partial<NewToken> = {}): string {
    const { mesh } = this;
    const options: NewToken = {
      meshId: mesh.meshId,
      rootPk: mesh.root.publicKey,
      rootNonce: mesh.policy.rootNonce,
      rootSecretKey: mesh.root.secretKey,
      suite: 2,
      psk: mesh.psk,
      policySeq: mesh.policy.seq,
      policyId: mesh.policy.id,
      seeds: [
        {
          ip: '192.0.2.10',
          sealedPort: 7947,
          gossipPort: 7946,
          dhPk: mesh.keys.dh.publicKey,
          signPk: mesh.keys.sign.publicKey,
          host: null,
        },
      ],
      notBeforeMs: this.clock.wall,
      expiresMs: this.clock.wall + HOUR_MS,
      uses: 1,
      count: 'strict',
      admitterId: this.self.nodeId,
      nameRule: 'any',
      name: '',
      vnis: [VNI],
      caps: 0,
      nodeLifeSec: (30 * DAY_MS) / 1000,
      underlay: [],
      ...limits,
    };
    return createToken(options, this.rng).text;
  }

  token(limits: Partial<NewToken> = {}): Token {
    return parseToken(this.tokenText(limits), this.clock);
  }

  request(token: Token, ask: Ask = {}): { readonly bytes: Uint8Array; readonly keys: NodeKeys } {
    const keys = ask.keys ?? newNodeKeys(this.rng);
    const bytes = signNodeRequest(
      {
        tokenId: token.cert.id,
        signPk: keys.sign.publicKey,
        dhPk: keys.dh.publicKey,
        name: ask.name ?? 'beta',
        vnis: ask.vnis ?? [VNI],
        caps: ask.caps ?? 0,
        addresses: ask.addresses ?? [],
        nonce: this.rng.fill(new Uint8Array(16)),
      },
      token.meshId,
      signingKeyPair(ask.signWith ?? token.seed).secretKey,
      keys.sign.secretKey,
    );
    return { bytes, keys };
  }

  /** Asks as a host would: `refused` is null when it was admitted. */
  ask(token: Token, ask: Ask = {}) {
    const request = this.request(token, ask);
    return { request, ...this.send(token, request) };
  }

  send(token: Token, request: { readonly bytes: Uint8Array; readonly keys: NodeKeys }) {
    const outcome = this.admitter.handle(token.cert.record.bytes, request.bytes, {
      dhPk: request.keys.dh.publicKey,
      fromIp: this.fromIp,
    });
    const answer = decodeAdmissionReply(outcome.reply) as AdmissionReply;
    return {
      refused: outcome.refused,
      admitted: outcome.admitted,
      reply: outcome.reply,
      text: answer.admitted ? '' : answer.text,
      cert: answer.admitted ? parseNodeCert(answer.cert, this.mesh.meshId) : null,
    };
  }
}
