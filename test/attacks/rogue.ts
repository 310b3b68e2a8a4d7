/**
 * Far end of a helper process inside a namespace, started by attacker.ts: an attacker with the project's own code and with
 * what it stole. It speaks the handshake from a socket of its own, with an identity from a stolen state directory, or with a
 * certificate that it made itself, and seals whatever it likes.
 */
import { createSocket, type Socket } from 'node:dgram';
import { ReplayWindow, SealingKey } from 'tun-tap';
import { join } from '../../agent/agent-join.ts';
import { systemClock, systemRng } from '../../agent/clock.ts';
import { newNodeKeys } from '../../agent/identity/genesis.ts';
import { prepareJoin } from '../../agent/identity/joiner.ts';
import { nodeIdOf, parseNodeCert, signNodeCert } from '../../agent/identity/node-cert.ts';
import { type NodeIdentity, readIdentity } from '../../agent/identity/node-identity.ts';
import { signingKeyPair, sodiumReady, toHex } from '../../agent/identity/sodium.ts';
import { STATE_FILE, StateDir } from '../../agent/identity/state-dir.ts';
import { parseToken, type Token } from '../../agent/identity/token.ts';
import { serveProbe } from '../../agent/lab/probe-server.ts';
import { delay } from '../../agent/lab/wait.ts';
import { createLog } from '../../agent/log.ts';
import { SessionManager } from '../../agent/session/session-manager.ts';
import type { SessionOptions, SessionOutput } from '../../agent/session/types.ts';

export interface Target {
  readonly ip: string;
  readonly port: number;
  readonly dhPk: Uint8Array;
  readonly signPk: Uint8Array;
}

export interface StolenMember {
  readonly stateDir: string;
  readonly listen: string;
  readonly victim: Target;
  readonly waitMs: number;
}

export interface ForgedMember {
  readonly token: string;
  readonly listen: string;
  readonly victim: Target;
  readonly waitMs: number;
}

/** What a thief of an admitter's state writes into the certificate of a host of its own. */
export interface CertifiedMember extends StolenMember {
  readonly name: string;
  readonly caps: number;
  readonly vnis?: readonly number[];
  /** Added to the times of the certificate. */
  readonly shiftMs?: number;
}

export interface SealedFrames {
  readonly plaintexts: readonly Uint8Array[];
}

export interface JoinAttempt {
  readonly stateDir: string;
  readonly token: string;
  readonly name: string;
  readonly listen: string;
}

interface Lane {
  readonly index: number;
  readonly key: SealingKey;
  next: bigint;
}

/** Keys of the newest session as this side has them; bounded by the lanes. */
let keys: string[] = [];
let socket: Socket | null = null;
let lane: Lane | null = null;
let victim: Target | null = null;

const base = {
  suite: 2,
  inner: 1,
  dataLanes: 0x7fff,
  transmitLanes: 1,
  transmitFlags: 1,
  /** Far above anything the stolen host or an attacker before used: a replay guard shall not be what stops this one. */
  get incarnation(): number {
    return Date.now();
  },
  sealer: (suite: 1 | 2, key: Uint8Array) => new SealingKey(suite, key),
  window: () => new ReplayWindow(),
  verifyToken: () => ({ ok: false, reason: 'an attacker' }) as const,
} as const;

function stolen(identity: NodeIdentity): SessionOptions {
  const { keys, policy, certBytes, admitterBytes } = identity;
  return {
    ...base,
    meshId: identity.meshId,
    psk: identity.psk,
    identity: { dhSk: keys.dh.secretKey, dhPk: keys.dh.publicKey, signPk: keys.sign.publicKey },
    resetSecrets: { current: systemRng.fill(new Uint8Array(32)), previous: null },
    local: () => ({
      policySeq: policy.seq,
      policyId: policy.id.slice(0, 16),
      revocationDigest: new Uint8Array(16),
      certificates: [certBytes, admitterBytes.length > 0 ? admitterBytes : certBytes],
    }),
    verifyMember: believe(identity.meshId),
  };
}

const believe =
  (meshId: Uint8Array): SessionOptions['verifyMember'] =>
  (certificates, dhPk) => {
    const cert = parseNodeCert(certificates[0] ?? new Uint8Array(0), meshId);
    if (cert === null) return { ok: false, reason: 'no certificate' };
    return { ok: true, value: { id: cert.nodeIdHex, dhPk, signPk: cert.signPk } };
  };

/** A member that a stolen admitter's key certified. */
function certified(admitter: NodeIdentity, wish: CertifiedMember): SessionOptions {
  const keys = newNodeKeys(systemRng);
  const { cert: issuer, certBytes } = admitter;
  const now = Date.now() + (wish.shiftMs ?? 0);
  const cert = signNodeCert(
    {
      signPk: keys.sign.publicKey,
      dhPk: keys.dh.publicKey,
      name: wish.name,
      caps: wish.caps,
      tokenId: systemRng.fill(new Uint8Array(16)),
      slot: 1,
      issuerId: issuer.record.id.slice(0, 16),
      requestId: systemRng.fill(new Uint8Array(16)),
      notBeforeMs: now - 600_000,
      // A thief that dates back gives the certificate a life that lasts until today.
      expiresMs: Date.now() + 86_400_000,
      generation: 1,
      vnis: wish.vnis ?? issuer.vnis,
      addresses: [],
    },
    admitter.meshId,
    admitter.keys.sign.secretKey,
  );
  const identity = { dhSk: keys.dh.secretKey, dhPk: keys.dh.publicKey, signPk: keys.sign.publicKey };
  const { policy } = admitter;
  return {
    ...base,
    meshId: admitter.meshId,
    psk: admitter.psk,
    identity,
    resetSecrets: { current: systemRng.fill(new Uint8Array(32)), previous: null },
    local: () => ({
      policySeq: policy.seq,
      policyId: policy.id.slice(0, 16),
      revocationDigest: new Uint8Array(16),
      certificates: [cert, certBytes],
    }),
    verifyMember: believe(admitter.meshId),
  };
}

/** A member that nobody admitted: its certificate is signed with the token's key, back-dated into the token's life. */
function forged(token: Token): SessionOptions {
  const keys = newNodeKeys(systemRng);
  const cert = signNodeCert(
    {
      signPk: keys.sign.publicKey,
      dhPk: keys.dh.publicKey,
      name: 'intruder',
      caps: 0,
      tokenId: token.cert.id,
      slot: 1,
      issuerId: token.cert.id,
      requestId: new Uint8Array(16),
      notBeforeMs: token.cert.notBeforeMs,
      expiresMs: token.cert.notBeforeMs + 86_400_000,
      generation: 1,
      vnis: token.cert.vnis,
      addresses: [],
    },
    token.meshId,
    signingKeyPair(token.seed).secretKey,
  );
  return {
    ...base,
    meshId: token.meshId,
    psk: token.psk,
    identity: { dhSk: keys.dh.secretKey, dhPk: keys.dh.publicKey, signPk: keys.sign.publicKey },
    resetSecrets: { current: systemRng.fill(new Uint8Array(32)), previous: null },
    local: () => ({
      policySeq: token.policySeq,
      policyId: token.policyId.slice(0, 16),
      revocationDigest: new Uint8Array(16),
      certificates: [cert, token.cert.record.bytes],
    }),
    verifyMember: believe(token.meshId),
  };
}

/** @returns whether a handshake with the victim came to its end */
async function handshake(
  options: SessionOptions,
  listen: string,
  target: Target,
  waitMs: number,
): Promise<boolean> {
  victim = target;
  socket = createSocket('udp4');
  const out = socket;
  await new Promise<void>((resolve) => out.bind(7947, listen, resolve));
  const sessions = new SessionManager(options, systemRng);
  let isDone = false;
  const carryOut = (outputs: readonly SessionOutput[]): void => {
    for (const o of outputs) {
      if (o.kind === 'send') out.send(o.bytes, o.to.port, o.to.ip);
      else if (o.kind === 'installReceive') {
        keys = [toHex(o.laneKeys.slice(0, 32)), toHex(o.laneKeys.slice(15 * 32))];
        carryOut(sessions.installed(performance.now(), o.token));
      } else if (o.kind === 'installTransmit') {
        isDone = true;
        keys.push(toHex(o.key));
        if (o.lane === 0) lane = { index: o.index, key: new SealingKey(o.suite, o.key), next: 0n };
      }
    }
  };
  out.on('message', (bytes, from) => {
    const source = { ip: from.address, port: from.port };
    if (bytes[0] !== 4) carryOut(sessions.datagram(performance.now(), 16 + (bytes[0] ?? 0), bytes, source));
  });
  const id = toHex(nodeIdOf(target.signPk, target.dhPk));
  carryOut(
    sessions.connect(performance.now(), { id, ...target, endpoint: { ip: target.ip, port: target.port } }),
  );
  const endMs = performance.now() + waitMs;
  while (!isDone && performance.now() < endMs) {
    carryOut(sessions.tick(performance.now()));
    await delay(20);
  }
  return isDone;
}

async function asStolen(o: StolenMember): Promise<boolean> {
  await sodiumReady;
  return handshake(
    stolen(readIdentity(StateDir.open(o.stateDir), systemClock)),
    o.listen,
    o.victim,
    o.waitMs,
  );
}

async function asCertified(o: CertifiedMember): Promise<boolean> {
  await sodiumReady;
  const admitter = readIdentity(StateDir.open(o.stateDir), systemClock);
  return handshake(certified(admitter, o), o.listen, o.victim, o.waitMs);
}

/** The token's own clock is asked: an attacker does not care that it has expired. */
async function asForged(o: ForgedMember): Promise<boolean> {
  await sodiumReady;
  return handshake(forged(readStolenToken(o.token)), o.listen, o.victim, o.waitMs);
}

function readStolenToken(text: string): Token {
  return parseToken(text, { ...systemClock, wallMs: () => Date.now() - 60_000 });
}

/** Sends these plaintexts (tunnel header and frame) on data lane 0 of the session. */
async function seal({ plaintexts }: SealedFrames): Promise<number> {
  if (lane === null || socket === null || victim === null) throw new Error('no session');
  for (const plaintext of plaintexts) {
    const header = Buffer.alloc(16);
    header.set([4, 2, 1, 1]);
    header.writeUInt32BE(lane.index, 4);
    header.writeBigUInt64BE(lane.next, 8);
    const sealed = lane.key.seal(Number(lane.next), header, plaintext);
    lane.next += 1n;
    const out = socket;
    const { port, ip } = victim;
    await new Promise<void>((resolve) =>
      out.send(Buffer.concat([header, sealed]), port, ip, () => resolve()),
    );
  }
  return plaintexts.length;
}

/** In hex: what the victim seals with in lanes 0 and 15, then what it opens lane 0 with. */
const sessionKeys = (): string[] => keys;

/** Only the first half of joining: keys and request on disk, as an attacker might copy them. */
async function prepare({ stateDir, token, name }: JoinAttempt): Promise<void> {
  await sodiumReady;
  const state = StateDir.open(stateDir);
  prepareJoin(state, parseToken(token, systemClock), name, null, systemRng);
}

/** @returns the certificate in hex, or what it was refused with */
async function finish({ stateDir, token, name, listen }: JoinAttempt): Promise<string> {
  await sodiumReady;
  const state = StateDir.open(stateDir);
  const log = createLog({ level: 'error', format: 'json' });
  const place = { ip: listen, port: 7947 };
  try {
    const read = parseToken(token, systemClock);
    await join({ state, token: read, name, address: null, listen: place, clock: systemClock, log });
    return toHex(state.read(STATE_FILE.cert));
  } catch (error) {
    return (error as Error).message;
  }
}

serveProbe({ asStolen, asForged, seal, sessionKeys, prepare, finish, asCertified });
