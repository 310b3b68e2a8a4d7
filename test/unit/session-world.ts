/**
 * A world for the session manager: hosts with simulated workers, a network that loses, delays, duplicates and reorders, and
 * virtual time, all from one seed. Workers seal and open with node:crypto, so nothing here shares code with tun-tap.
 * Used by the session tests; it checks at every step that no key is used twice with one counter.
 */
import assert from 'node:assert/strict';
import { type CipherGCMTypes, createCipheriv, createDecipheriv } from 'node:crypto';
import type { Rng } from '../../agent/clock.ts';
import type { Endpoint } from '../../agent/endpoint.ts';
import { dhKeyPair, hash, keyedHash, signingKeyPair, toHex } from '../../agent/identity/sodium.ts';
import { SessionManager } from '../../agent/session/session-manager.ts';
import {
  DATAGRAM,
  type Sealer,
  type SessionLimits,
  type SessionOptions,
  type SessionOutput,
  type SessionPeer,
  type Suite,
  type Verdict,
  type VerifiedMember,
  type Window,
} from '../../agent/session/types.ts';

/** A reproducible Rng (mulberry32). */
export function seededRng(seed: number): Rng {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
  return {
    fill(into) {
      for (let i = 0; i < into.length; i++) into[i] = next() & 0xff;
      return into;
    },
    float: () => next() / 0x1_0000_0000,
  };
}

function nonceOf(counter: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(counter), 4);
  return nonce;
}

const algorithm = (suite: Suite): 'chacha20-poly1305' =>
  (suite === 1 ? 'chacha20-poly1305' : 'aes-256-gcm') as 'chacha20-poly1305' & CipherGCMTypes;

function seal(
  suite: Suite,
  key: Uint8Array,
  counter: number,
  aad: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv(algorithm(suite), key, nonceOf(counter), { authTagLength: 16 });
  cipher.setAAD(aad, { plaintextLength: plaintext.length });
  return new Uint8Array(Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]));
}

export function open(
  suite: Suite,
  key: Uint8Array,
  counter: number,
  aad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | null {
  if (sealed.length < 16) return null;
  const decipher = createDecipheriv(algorithm(suite), key, nonceOf(counter), { authTagLength: 16 });
  decipher.setAAD(aad, { plaintextLength: sealed.length - 16 });
  decipher.setAuthTag(sealed.subarray(sealed.length - 16));
  try {
    return new Uint8Array(
      Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - 16)), decipher.final()]),
    );
  } catch {
    return null;
  }
}

/** A window without end: enough for a simulation. */
function exactWindow(): Window {
  const seen = new Set<number>();
  return {
    accept(counter) {
      if (seen.has(counter)) return false;
      seen.add(counter);
      return true;
    },
  };
}

export interface NetworkFaults {
  loss: number;
  duplicate: number;
  minDelayMs: number;
  maxDelayMs: number;
}

interface ReceiveKey {
  readonly lanes: number;
  readonly laneKeys: Uint8Array;
  readonly suite: Suite;
  readonly windows: Map<number, Window>;
}

interface TransmitKey {
  readonly index: number;
  readonly suite: Suite;
  readonly flags: number;
  readonly key: Uint8Array;
  counter: number;
}

export interface Keys {
  readonly dhSk: Uint8Array;
  readonly dhPk: Uint8Array;
  readonly signPk: Uint8Array;
  readonly id: string;
}

export function keysOf(rng: Rng): Keys {
  const sign = signingKeyPair(rng.fill(new Uint8Array(32)));
  const dh = dhKeyPair(rng.fill(new Uint8Array(32)));
  const id = toHex(hash(sign.publicKey, dh.publicKey));
  return { dhSk: dh.secretKey, dhPk: dh.publicKey, signPk: sign.publicKey, id };
}

/** Stands for NodeCert: sign_pk, dh_pk, and filler up to a certificate's size. */
export function certOf(keys: Keys): Uint8Array {
  const cert = new Uint8Array(448).fill(0xcc);
  cert.set(keys.signPk);
  cert.set(keys.dhPk, 32);
  return cert;
}

export const ADMITTER_CERT = new Uint8Array(448).fill(0xad);
export const TOKEN_CERT = new Uint8Array(300).fill(0x70);

function verifyMember(certificates: readonly Uint8Array[], dhPk: Uint8Array): Verdict<VerifiedMember> {
  const [cert, admitter] = certificates;
  if (cert?.length !== 448 || admitter?.[0] !== 0xad) return { ok: false, reason: 'bad certificate' };
  const member = { signPk: cert.slice(0, 32), dhPk: cert.slice(32, 64) };
  if (toHex(member.dhPk) !== toHex(dhPk)) return { ok: false, reason: 'static key differs' };
  return { ok: true, value: { ...member, id: toHex(hash(member.signPk, member.dhPk)) } };
}

type Event = { readonly atMs: number; readonly order: number; readonly run: () => void };

export class World {
  nowMs = 1000;
  readonly rng: Rng;
  readonly faults: NetworkFaults = { loss: 0, duplicate: 0, minDelayMs: 1, maxDelayMs: 5 };
  readonly hosts: Host[] = [];
  readonly meshId = new Uint8Array(32).fill(1);
  readonly psk = new Uint8Array(32).fill(2);
  installDelayMs = 2;
  /** Sees every datagram before the network does; false takes it out. */
  tap: (from: Host, to: Endpoint, bytes: Uint8Array) => boolean = () => true;
  /** (key, counter) pairs used; a second use fails the test. */
  readonly #used = new Set<string>();
  readonly #events: Event[] = [];
  #order = 0;

  constructor(seed: number) {
    this.rng = seededRng(seed);
  }

  useNonce(key: Uint8Array, counter: number): void {
    const pair = `${toHex(key)}/${counter}`;
    assert.ok(!this.#used.has(pair), `key used twice with counter ${counter}`);
    this.#used.add(pair);
  }

  at(delayMs: number, run: () => void): void {
    const event = { atMs: this.nowMs + delayMs, order: this.#order++, run };
    let i = this.#events.length;
    while (i > 0 && this.#events[i - 1]!.atMs > event.atMs) i--;
    this.#events.splice(i, 0, event);
  }

  send(from: Host, source: Endpoint, to: Endpoint, bytes: Uint8Array): void {
    if (!this.tap(from, to, bytes)) return;
    const { loss, duplicate, minDelayMs, maxDelayMs } = this.faults;
    if (this.rng.float() < loss) return;
    const copies = this.rng.float() < duplicate ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const delay = minDelayMs + this.rng.float() * (maxDelayMs - minDelayMs);
      this.at(delay, () => this.deliver(source, to, bytes));
    }
  }

  deliver(from: Endpoint, to: Endpoint, bytes: Uint8Array): void {
    this.hosts.find((host) => host.alive && host.listens(to))?.receive(from, bytes.slice());
  }

  /** Runs until `durationMs` later, ticking every host each 50 ms. */
  run(durationMs: number): void {
    const end = this.nowMs + durationMs;
    for (;;) {
      const event = this.#events[0];
      if (event === undefined || event.atMs > end) break;
      this.#events.shift();
      this.nowMs = event.atMs;
      event.run();
    }
    this.nowMs = end;
  }

  /** Runs until the condition holds; how long it took. Fails after `limitMs`. */
  until(condition: () => boolean, limitMs: number, what: string): number {
    const start = this.nowMs;
    while (!condition()) {
      assert.ok(this.nowMs - start < limitMs, `${what} did not happen in ${limitMs} ms`);
      this.run(1);
    }
    return this.nowMs - start;
  }
}

export interface HostOptions {
  readonly limits?: Partial<SessionLimits>;
  readonly suite?: Suite;
  readonly keys?: Keys;
  readonly incarnation?: number;
  readonly certificates?: readonly Uint8Array[];
  readonly resetSecrets?: SessionOptions['resetSecrets'];
  readonly overrides?: Partial<SessionOptions>;
}

export class Host {
  readonly world: World;
  readonly keys: Keys;
  endpoint: Endpoint;
  manager: SessionManager;
  alive = true;
  readonly outputs: SessionOutput[] = [];
  readonly receiveKeys = new Map<number, ReceiveKey>();
  readonly transmitKeys = new Map<string, TransmitKey>();
  readonly peerEndpoints = new Map<string, Endpoint>();
  readonly up = new Set<string>();
  readonly delivered: string[] = [];
  /** Data packets that came but could not be opened. */
  undeliverable = 0;
  readonly bytesIn = new Map<string, number>();
  readonly #lastTx = new Map<string, number>();
  readonly #lastRx = new Map<string, number>();
  readonly #owners = new Map<number, string | null>();

  constructor(world: World, endpoint: Endpoint, options: HostOptions = {}) {
    this.world = world;
    this.endpoint = endpoint;
    this.keys = options.keys ?? keysOf(world.rng);
    this.manager = this.#makeManager(options);
    world.hosts.push(this);
    const tick = (): void => {
      if (!this.alive) return;
      this.#report();
      this.carryOut(this.manager.tick(world.nowMs));
      world.at(50, tick);
    };
    world.at(world.rng.float() * 50, tick);
  }

  #makeManager(options: HostOptions): SessionManager {
    const { world } = this;
    const sealer = (suite: Suite, given: Uint8Array): Sealer => {
      const key = given.slice();
      return {
        seal(counter, aad, plaintext) {
          world.useNonce(key, counter);
          return seal(suite, key, counter, aad, plaintext);
        },
        destroy: () => key.fill(0),
      };
    };
    const secret = world.rng.fill(new Uint8Array(32));
    return new SessionManager(
      {
        meshId: world.meshId,
        psk: world.psk,
        suite: options.suite ?? 2,
        inner: 1,
        dataLanes: 0x7fff,
        transmitLanes: 1,
        transmitFlags: 1,
        identity: this.keys,
        incarnation: options.incarnation ?? 1,
        resetSecrets: options.resetSecrets ?? { current: secret, previous: null },
        local: () => ({
          policySeq: 1,
          policyId: new Uint8Array(16).fill(9),
          revocationDigest: new Uint8Array(16),
          certificates: options.certificates ?? [certOf(this.keys), ADMITTER_CERT],
        }),
        verifyMember,
        verifyToken: (cert) =>
          cert.length === TOKEN_CERT.length ? { ok: true, value: null } : { ok: false, reason: 'no token' },
        sealer,
        window: exactWindow,
        ...(options.limits === undefined ? {} : { limits: options.limits }),
        ...options.overrides,
      },
      world.rng,
    );
  }

  listens(to: Endpoint): boolean {
    return to.ip === this.endpoint.ip && to.port === this.endpoint.port;
  }

  get peer(): SessionPeer {
    return { id: this.keys.id, dhPk: this.keys.dhPk, signPk: this.keys.signPk, endpoint: this.endpoint };
  }

  connect(other: Host, endpoint: Endpoint = other.endpoint): void {
    this.peerEndpoints.set(other.keys.id, endpoint);
    this.carryOut(this.manager.connect(this.world.nowMs, { ...other.peer, endpoint }));
  }

  /** Tells the manager what the shared tables would. */
  #report(): void {
    for (const [id, key] of this.transmitKeys) {
      const activity = {
        lastTxMs: this.#lastTx.get(id) ?? null,
        lastRxMs: this.#lastRx.get(id) ?? null,
        nextCounter: key.counter,
      };
      this.carryOut(this.manager.activity(this.world.nowMs, id, activity));
    }
  }

  carryOut(outputs: readonly SessionOutput[]): void {
    for (const output of outputs) {
      this.outputs.push(output);
      if (output.kind === 'send') this.world.send(this, this.endpoint, output.to, output.bytes);
      else if (output.kind === 'installReceive') this.#install(output);
      else if (output.kind === 'removeReceive') this.receiveKeys.delete(output.index);
      else if (output.kind === 'installTransmit')
        this.transmitKeys.set(output.peer, { ...output, key: output.key.slice(), counter: 0 });
      else if (output.kind === 'clearTransmit') this.transmitKeys.delete(output.peer);
      else if (output.kind === 'newPeer') this.peerEndpoints.set(output.peer, output.endpoint);
      else if (output.kind === 'moved') this.peerEndpoints.set(output.peer, output.endpoint);
      else if (output.kind === 'up') this.up.add(output.peer);
      else if (output.kind === 'down') this.up.delete(output.peer);
    }
  }

  #install(output: Extract<SessionOutput, { kind: 'installReceive' }>): void {
    const { token, index, lanes, suite } = output;
    const laneKeys = output.laneKeys.slice();
    output.laneKeys.fill(0);
    this.#owners.set(index, output.peer);
    this.world.at(this.world.rng.float() * 2 * this.world.installDelayMs, () => {
      if (!this.alive) return;
      this.receiveKeys.set(index, { lanes, suite, laneKeys, windows: new Map() });
      this.carryOut(this.manager.installed(this.world.nowMs, token));
    });
  }

  /** Seals one data frame under the current key; false when there is none. */
  sendData(to: Host, text: string): boolean {
    const id = to.keys.id;
    const key = this.transmitKeys.get(id);
    if (key === undefined) return false;
    const header = Buffer.alloc(16);
    header.set([4, key.suite, 1, key.flags]);
    header.writeUInt32BE(key.index, 4);
    header.writeBigUInt64BE(BigInt(key.counter), 8);
    this.world.useNonce(key.key, key.counter);
    const sealed = seal(key.suite, key.key, key.counter, header, Buffer.from(text));
    key.counter++;
    this.#lastTx.set(id, this.world.nowMs);
    const endpoint = this.peerEndpoints.get(id) ?? to.endpoint;
    this.world.send(this, this.endpoint, endpoint, new Uint8Array(Buffer.concat([header, sealed])));
    return true;
  }

  receive(from: Endpoint, bytes: Uint8Array): void {
    const type = bytes[0] ?? 0;
    this.bytesIn.set(from.ip, (this.bytesIn.get(from.ip) ?? 0) + bytes.length);
    if (type !== 4) {
      this.carryOut(this.manager.datagram(this.world.nowMs, 16 + type, bytes, from));
      return;
    }
    if (bytes.length < 32) return;
    const header = Buffer.from(bytes.subarray(0, 16));
    const index = header.readUInt32BE(4);
    const lane = index % 16;
    const counter = Number(header.readBigUInt64BE(8));
    const key = this.receiveKeys.get(index - lane);
    const data = lane < 15;
    if (key === undefined) {
      if (data) this.undeliverable++;
      this.carryOut(
        this.manager.datagram(this.world.nowMs, DATAGRAM.unknownIndex, header, from, bytes.length),
      );
      return;
    }
    const laneKey = key.laneKeys.subarray(lane * 32, lane * 32 + 32);
    const plaintext = open(key.suite, laneKey, counter, header, bytes.subarray(16));
    if (plaintext === null || (key.lanes & (1 << lane)) === 0) {
      if (data) this.undeliverable++;
      return;
    }
    if (!data) {
      const listener = (header[3]! & 1) === 1;
      this.carryOut(
        this.manager.control(this.world.nowMs, index, counter, plaintext, bytes.length, from, listener),
      );
      return;
    }
    const window = key.windows.get(lane) ?? exactWindow();
    key.windows.set(lane, window);
    if (!window.accept(counter)) return;
    const owner = this.#owners.get(index - lane);
    if (owner != null) this.#lastRx.set(owner, this.world.nowMs);
    this.delivered.push(Buffer.from(plaintext).toString());
  }

  count(kind: SessionOutput['kind']): number {
    return this.outputs.filter((output) => output.kind === kind).length;
  }
}

/** A secret for RESET tokens that tests can recognise. */
export const secretOf = (name: string): Uint8Array => keyedHash(null, [Buffer.from(name)]);

/** Two hosts that know each other's keys and nothing else. */
export function pair(seed: number, options: HostOptions = {}): { world: World; a: Host; b: Host } {
  const world = new World(seed);
  const a = new Host(world, { ip: '10.0.0.1', port: 7947 }, options);
  const b = new Host(world, { ip: '10.0.0.2', port: 7947 }, options);
  return { world, a, b };
}

export const bothUp = (a: Host, b: Host): boolean => a.up.has(b.keys.id) && b.up.has(a.keys.id);
