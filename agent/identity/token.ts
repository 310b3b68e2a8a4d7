/**
 * The join token: what lets a host ask to be admitted. It holds a certificate, signed by a root, that names the limits,
 * and the secret key of that certificate, with which the request is signed. It admits nobody by itself: an admitter
 * counts its uses. Text: `weft1_` and base64url of
 *
 *   u8 version = 1 | block TokenCert | token seed[32] | mesh id[32] | root pk[32] | root nonce[16] | psk[32]
 *   u64 policy seq | policy id[32] | u8 seeds (<=4): ip[16] u16 sealed port u16 gossip port dh pk[32] sign pk[32]
 *   only if a seed has a name or what follows: u8 names (<=4): u8 which seed, text name (<=253)
 *   only if not the first root signed, or the suite is not 2: u8 suite | pk[32] of the root that signed
 *   u32 crc32 of everything before
 *
 * TokenCert body: token pk[32] | u64 nbf ms | u64 exp ms | u32 uses | u8 count (1 strict, 2 each) | counting admitter[32]
 *   u8 name rule (0 any, 1 prefix, 2 exact) | text name (<=63) | u8 vnis (<=8): u32 | u16 caps | u32 node life s
 *   nonce[16] | extensions
 *
 * Extension 1, critical, only if there is such a limit: u8 networks (<=8): ip[16] | u8 prefix length, IPv4 mapped; a host must
 * come from one of them.
 */
import { crc32 } from 'node:zlib';
import type { Clock, Rng } from '../clock.ts';
import { formatEndpoint, ipFromBytes, ipToBytes } from '../endpoint.ts';
import { WeftError } from '../errors.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { DEFAULT_SUITE } from './genesis.ts';
import { CAP, MAX_CERT_VNIS, MAX_NAME_BYTES } from './node-cert.ts';
import { meshIdOf } from './policy.ts';
import { formatPrefix, type Prefix } from './prefix.ts';
import { parseRecord, type RawRecord, readExtensions, recordSignedBy, signRecord } from './record.ts';
import { equalBytes, signingKeyPair } from './sodium.ts';

const PREFIX = 'weft1_';
const VERSION = 1;
const MAX_SEEDS = 4;
const MAX_TOKEN_CERT = 512;
const MAX_HOST_BYTES = 253;
/** Underlay networks in a token. */
export const MAX_TOKEN_NETWORKS = 8;
const UNDERLAY = 1;
const CRITICAL = 0x80;
/** A token of four seeds has 1,300 characters, and 2,700 if they have the longest names. */
const MAX_TOKEN_TEXT = 4096;
/** A clock may be this much behind the one that made the token. */
const CLOCK_LEEWAY_MS = 600_000;

/** Labels of letters, digits, hyphens and underscores, as DNS has them; not an address. */
export const HOST_NAME =
  /^(?=.{1,253}$)(?![\d.]+$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*$/i;

export interface TokenSeed {
  readonly ip: string;
  readonly sealedPort: number;
  readonly gossipPort: number;
  readonly dhPk: Uint8Array;
  readonly signPk: Uint8Array;
  /** A name that is looked up before `ip` is tried: of a host (A, AAAA), or of a service when it begins with `_` (SRV). */
  readonly host: string | null;
}

/** Where a seed is, for a person. */
export function placeText(seed: TokenSeed): string {
  return seed.host === null
    ? formatEndpoint({ ip: seed.ip, port: seed.sealedPort })
    : `${seed.host}:${seed.sealedPort}`;
}

export interface TokenCert {
  readonly tokenPk: Uint8Array;
  readonly notBeforeMs: number;
  readonly expiresMs: number;
  readonly uses: number;
  readonly count: 'strict' | 'each';
  /** Node id of the admitter that counts. */
  readonly admitterId: Uint8Array;
  readonly nameRule: 'any' | 'prefix' | 'exact';
  readonly name: string;
  readonly vnis: readonly number[];
  readonly caps: number;
  readonly nodeLifeSec: number;
  /** Underlay networks that hosts must come from; empty: any. */
  readonly underlay: readonly Prefix[];
}

export interface ReadTokenCert extends TokenCert {
  readonly record: RawRecord;
  /** First 16 bytes of the object id. */
  readonly id: Uint8Array;
}

export interface Token {
  readonly cert: ReadTokenCert;
  readonly seed: Uint8Array;
  readonly meshId: Uint8Array;
  /** The first root of the mesh, which names it. */
  readonly rootPk: Uint8Array;
  readonly rootNonce: Uint8Array;
  /** The root that signed the certificate. */
  readonly signerPk: Uint8Array;
  /** Of the handshake, which begins before the joiner knows a policy. */
  readonly suite: 1 | 2;
  readonly psk: Uint8Array;
  readonly policySeq: number;
  readonly policyId: Uint8Array;
  readonly seeds: readonly TokenSeed[];
}

/** A name may begin with this token's prefix, or must be its name. */
export function nameAllowed(cert: TokenCert, name: string): boolean {
  if (cert.nameRule === 'any') return true;
  return cert.nameRule === 'exact' ? name === cert.name : name.startsWith(cert.name);
}

/** A token's limits in one line, without anything secret. */
export function describeToken(cert: TokenCert): string {
  const uses = cert.uses === 1 ? '1 use' : `${cert.uses} uses`;
  const name = {
    any: 'any name',
    prefix: `names that begin with '${cert.name}'`,
    exact: `the name '${cert.name}'`,
  };
  const rights = cert.caps & CAP.bridge ? ', may bridge' : '';
  const from = cert.underlay.length === 0 ? '' : `, from ${cert.underlay.map(formatPrefix).join(' or ')}`;
  const each = cert.count === 'each' ? ' with each admitter that cannot see the others' : '';
  const segments = `${cert.vnis.length === 1 ? 'segment' : 'segments'} ${cert.vnis.join(', ')}`;
  return `${uses}${each} until ${new Date(cert.expiresMs).toISOString()}, ${name[cert.nameRule]}, ${segments}${rights}${from}`;
}

const NAME_RULES = ['any', 'prefix', 'exact'] as const;

function signTokenCert(
  cert: TokenCert,
  nonce: Uint8Array,
  meshId: Uint8Array,
  rootSecretKey: Uint8Array,
): Uint8Array {
  const w = new ByteWriter().bytes(cert.tokenPk).u64(cert.notBeforeMs).u64(cert.expiresMs).u32(cert.uses);
  w.u8(cert.count === 'strict' ? 1 : 2).bytes(cert.admitterId);
  w.u8(NAME_RULES.indexOf(cert.nameRule))
    .text(cert.name)
    .list(cert.vnis, (vni) => w.u32(vni));
  w.u16(cert.caps).u32(cert.nodeLifeSec).bytes(nonce);
  if (cert.underlay.length > 0) {
    const networks = new ByteWriter();
    networks.list(cert.underlay, ({ ip, length }) => networks.bytes(ipToBytes(ip)).u8(length));
    w.u8(CRITICAL | UNDERLAY).block(networks.finish());
  }
  return signRecord('tokenCert', meshId, w.finish(), rootSecretKey);
}

function readNetwork(r: ByteReader): Prefix {
  const network = { ip: ipFromBytes(r.bytes(16)), length: r.u8() };
  if (network.length > (network.ip.includes(':') ? 128 : 32)) r.fail();
  return network;
}

/** Of the extension; none without one. Null if it cannot be read whole. */
function readNetworks(value: Uint8Array | undefined): readonly Prefix[] | null {
  if (value === undefined) return [];
  const r = new ByteReader(value);
  const networks = r.list(MAX_TOKEN_NETWORKS, () => readNetwork(r));
  return r.done ? networks : null;
}

/** Reads a TokenCert that one of the roots signed. Null for anything else. */
export function parseTokenCert(
  bytes: Uint8Array,
  meshId: Uint8Array,
  roots: readonly Uint8Array[],
): ReadTokenCert | null {
  const record = parseRecord('tokenCert', meshId, bytes);
  if (record === null || !roots.some((root) => recordSignedBy(record, root))) return null;
  const r = new ByteReader(record.body);
  const tokenPk = r.bytes(32);
  const notBeforeMs = r.timeMs();
  const expiresMs = r.timeMs();
  const uses = r.u32();
  const count = r.u8();
  const admitterId = r.bytes(32);
  const nameRule = NAME_RULES[r.u8()];
  const name = r.text(MAX_NAME_BYTES);
  const vnis = r.list(MAX_CERT_VNIS, () => r.u32());
  const caps = r.u16();
  const nodeLifeSec = r.u32();
  r.bytes(16);
  const extensions = readExtensions(r, [CRITICAL | UNDERLAY, UNDERLAY]);
  const underlay = readNetworks(extensions?.get(CRITICAL | UNDERLAY) ?? extensions?.get(UNDERLAY));
  if (extensions === null || underlay === null || count < 1 || count > 2 || nameRule === undefined)
    return null;
  return {
    tokenPk,
    notBeforeMs,
    expiresMs,
    uses,
    count: count === 1 ? 'strict' : 'each',
    admitterId,
    nameRule,
    name,
    vnis,
    caps,
    nodeLifeSec,
    underlay,
    record,
    id: record.id.slice(0, 16),
  };
}

export interface NewToken extends Omit<TokenCert, 'tokenPk'> {
  readonly meshId: Uint8Array;
  /** The first root of the mesh. */
  readonly rootPk: Uint8Array;
  readonly rootNonce: Uint8Array;
  /** Of the root that signs. */
  readonly rootSecretKey: Uint8Array;
  readonly suite: 1 | 2;
  readonly psk: Uint8Array;
  readonly policySeq: number;
  readonly policyId: Uint8Array;
  readonly seeds: readonly TokenSeed[];
}

/** Makes a token. The text is the secret: whoever reads it can ask to join within its limits. */
export function createToken(
  options: NewToken,
  rng: Rng,
): { readonly text: string; readonly cert: ReadTokenCert } {
  const seed = rng.fill(new Uint8Array(32));
  const tokenPk = signingKeyPair(seed).publicKey;
  const certBytes = signTokenCert(
    { ...options, tokenPk },
    rng.fill(new Uint8Array(16)),
    options.meshId,
    options.rootSecretKey,
  );
  const w = new ByteWriter()
    .u8(VERSION)
    .block(certBytes)
    .bytes(seed)
    .bytes(options.meshId)
    .bytes(options.rootPk);
  w.bytes(options.rootNonce).bytes(options.psk).u64(options.policySeq).bytes(options.policyId);
  w.list(options.seeds.slice(0, MAX_SEEDS), (s) =>
    w.bytes(ipToBytes(s.ip)).u16(s.sealedPort).u16(s.gossipPort).bytes(s.dhPk).bytes(s.signPk),
  );
  const named = options.seeds
    .slice(0, MAX_SEEDS)
    .flatMap(({ host }, index) => (host === null ? [] : [{ host, index }]));
  const signerPk = options.rootSecretKey.slice(32);
  const usual = options.suite === DEFAULT_SUITE && equalBytes(signerPk, options.rootPk);
  if (named.length > 0 || !usual) w.list(named, ({ host, index }) => w.u8(index).text(host));
  if (!usual) w.u8(options.suite).bytes(signerPk);
  const body = w.finish();
  const bytes = new ByteWriter().bytes(body).u32(crc32(body)).finish();
  const cert = parseTokenCert(certBytes, options.meshId, [signerPk]);
  if (cert === null) throw new RangeError('token limits cannot be encoded');
  return { text: PREFIX + Buffer.from(bytes).toString('base64url'), cert };
}

function refuse(what: string): never {
  throw new WeftError('E_TOKEN', what);
}

/**
 * Reads the text of a token and checks it against itself: damage, version, signature, times.
 * @throws WeftError E_TOKEN with one line that says what is wrong
 */
export function parseToken(text: string, clock: Clock): Token {
  const trimmed = text.trim();
  if (trimmed === '') refuse('the token is empty: pass the file that `weft token create --out FILE` wrote');
  if (!/^weft\d+_/.test(trimmed)) refuse('this is no weft token: it should begin with weft1_');
  if (!trimmed.startsWith(PREFIX))
    refuse(
      `the token is of version ${trimmed.slice(0, trimmed.indexOf('_'))}, newer than this weft: upgrade weft`,
    );
  if (trimmed.length > MAX_TOKEN_TEXT) refuse('the token is damaged: it is longer than any token');
  const encoded = trimmed.slice(PREFIX.length);
  if (!/^[A-Za-z0-9_-]*$/.test(encoded)) refuse('the token is damaged: it has characters that no token has');
  const bytes = new Uint8Array(Buffer.from(encoded, 'base64url'));
  if (bytes.length < 8) refuse('the token is damaged or cut off: copy it again');
  const body = bytes.subarray(0, bytes.length - 4);
  if (new DataView(bytes.buffer, bytes.byteOffset).getUint32(body.length) !== crc32(body))
    refuse('the token is damaged or cut off (its checksum does not match): copy it again');
  if (bytes[0] !== VERSION)
    refuse(`the token is of version ${bytes[0]}, which this weft does not know: upgrade weft`);
  const token = readToken(body);
  if (token === null) refuse('the token is damaged: its parts do not belong together');
  const now = clock.wallMs();
  if (now >= token.cert.expiresMs)
    refuse(
      `the token expired at ${new Date(token.cert.expiresMs).toISOString()}: create a new one with \`weft token create\``,
    );
  if (now + CLOCK_LEEWAY_MS < token.cert.notBeforeMs)
    refuse(
      `the token is valid from ${new Date(token.cert.notBeforeMs).toISOString()}, and this machine's clock says ${new Date(now).toISOString()}: set the clock`,
    );
  return token;
}

function readToken(body: Uint8Array): Token | null {
  const r = new ByteReader(body);
  r.u8();
  const certBytes = r.block(MAX_TOKEN_CERT);
  const token = {
    seed: r.bytes(32),
    meshId: r.bytes(32),
    rootPk: r.bytes(32),
    rootNonce: r.bytes(16),
    psk: r.bytes(32),
    policySeq: r.u64(),
    policyId: r.bytes(32),
    seeds: r.list(MAX_SEEDS, () => ({
      ip: ipFromBytes(r.bytes(16)),
      sealedPort: r.u16(),
      gossipPort: r.u16(),
      dhPk: r.bytes(32),
      signPk: r.bytes(32),
      host: null,
    })),
  };
  const names =
    r.remaining === 0 ? [] : r.list(MAX_SEEDS, () => ({ index: r.u8(), host: r.text(MAX_HOST_BYTES) }));
  if (names.some(({ index, host }) => token.seeds[index] === undefined || !HOST_NAME.test(host))) return null;
  const given = r.remaining === 0 ? DEFAULT_SUITE : r.u8();
  const signerPk = r.remaining === 0 ? token.rootPk : r.bytes(32);
  if (given !== 1 && given !== 2) return null;
  if (!r.done || !equalBytes(meshIdOf(token.rootPk, token.rootNonce), token.meshId)) return null;
  const cert = parseTokenCert(certBytes, token.meshId, [signerPk]);
  if (cert === null || !equalBytes(signingKeyPair(token.seed).publicKey, cert.tokenPk)) return null;
  const seeds = token.seeds.map((seed, i) => ({
    ...seed,
    host: names.find(({ index }) => index === i)?.host ?? null,
  }));
  return { ...token, seeds, cert, signerPk, suite: given };
}
