/**
 * Decides who becomes a member. A token only lets a host ask; the admitter that its certificate names counts its uses,
 * gives name and address, and signs the certificate. The row is on disk before the answer leaves, and the same request
 * gets the same bytes again, so that a lost answer costs nothing and a replayed request gains nothing.
 *
 * Checks stand in the order of cost and of what a stranger may learn: the token's signature first.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import type { AdmissionLog, AdmissionRow } from './admission-log.ts';
import { encodeAdmitted, encodeRefused, type RefusalCode } from './admission-reply.ts';
import { BACKDATE_MS } from './genesis.ts';
import {
  CAP,
  NODE_NAME,
  type NodeAddress,
  type NodeCert,
  nodeIdOf,
  type ReadNodeCert,
  signNodeCert,
} from './node-cert.ts';
import { parseNodeRequest, type ReadNodeRequest } from './node-request.ts';
import { contains, formatPrefix, hostsOf, isHostOf, type Share } from './prefix.ts';
import { nameTarget } from './revocation.ts';
import { equalBytes, hash, toHex, utf8 } from './sodium.ts';
import { nameAllowed, parseTokenCert, type ReadTokenCert } from './token.ts';
import type { TrustStore } from './trust-store.ts';

/** What other members hold, as this admitter's membership view knows it. */
export interface MeshView {
  /** Node id (hex) that holds a name, or null. */
  nameHolder(name: string): string | null;
  /** Node id (hex) that a sign or DH key belongs to, or null. */
  keyHolder(signPk: Uint8Array, dhPk: Uint8Array): string | null;
  addressInUse(vni: number, ip: string): boolean;
  /** Whether the member gave up its name and addresses by a signed leave. */
  isReleased(nodeId: string): boolean;
  /** Uses of a token that others have given, as far as their certificates were heard of. */
  usesOf(tokenId: string): readonly TokenUse[];
  /** What another admitter gave to a host; undefined if nothing was heard. */
  receiptOf(nodeId: string): { readonly cert: ReadNodeCert; readonly issuer: Uint8Array } | undefined;
}

export interface TokenUse {
  readonly nodeId: string;
  readonly slot: number;
}

export interface AdmitterOptions {
  readonly trust: TrustStore;
  /** This admitter's own certificate, which is renewed now and then. */
  readonly self: () => ReadNodeCert;
  readonly signSecretKey: Uint8Array;
  readonly log: AdmissionLog;
  readonly view: MeshView;
  readonly clock: Clock;
}

/** For each token. */
const ADMISSIONS_PER_SECOND = 5;
/** Tokens whose rate is watched; more than are in use in any second. */
const MAX_TOKEN_RATES = 256;
/** What a token may give; admitters are made by a root only. */
const GRANTABLE_CAPS = CAP.bridge | CAP.relay | CAP.plain;

/** What the seed saw of the joiner. */
export interface Seen {
  /** The static key of its handshake. */
  readonly dhPk: Uint8Array;
  /** Its address on the underlay. */
  readonly fromIp: string;
}

/** Certificate and issuer's certificate; with the row of an admission that is new. */
interface Given {
  readonly cert: Uint8Array;
  readonly issuer: Uint8Array;
  readonly row?: AdmissionRow;
}

class Refused extends Error {
  readonly code: RefusalCode;
  constructor(code: RefusalCode, text: string) {
    super(text);
    this.code = code;
  }
}

export type Outcome = {
  readonly reply: Uint8Array;
  readonly admitted: AdmissionRow | null;
  readonly refused: RefusalCode | null;
};

/** Where the search for an address begins, the same for the same host wherever it asks within an admitter's share. */
const startOf = ({ signPk }: ReadNodeRequest): number =>
  new DataView(hash(utf8('weft1 address'), signPk).buffer).getUint32(0);

export class Admitter {
  readonly #o: AdmitterOptions;
  /** Times of the latest admissions by token, at most ADMISSIONS_PER_SECOND each; bounded by MAX_TOKEN_RATES. */
  readonly #recent = new LRUCache<string, readonly number[]>({ max: MAX_TOKEN_RATES });

  constructor(options: AdmitterOptions) {
    this.#o = options;
  }

  /** Answers one request. Never throws for what the network sent; disk failures do throw and nobody is admitted. */
  handle(tokenCertBytes: Uint8Array, requestBytes: Uint8Array, seen: Seen): Outcome {
    try {
      const given = this.#admit(tokenCertBytes, requestBytes, seen);
      // The certificate with which it was signed then: this admitter may have another one by now.
      const issuer = given.issuer.length > 0 ? given.issuer : this.#o.self().record.bytes;
      const reply = encodeAdmitted(given.cert, this.#o.trust.policy.bytes, issuer);
      return { reply, admitted: 'row' in given ? given.row : null, refused: null };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return { reply: encodeRefused(error.code, error.message), admitted: null, refused: error.code };
    }
  }

  #admit(tokenBytes: Uint8Array, requestBytes: Uint8Array, { dhPk, fromIp }: Seen): Given {
    const { trust } = this.#o;
    const self = this.#o.self();
    const token = parseTokenCert(tokenBytes, trust.meshId, trust.roots);
    if (token === null) throw new Refused('wrongMesh', 'the token belongs to another mesh');
    const request = parseNodeRequest(requestBytes, trust.meshId);
    if (request === null || !equalBytes(request.tokenId, token.id))
      throw new Refused('malformed', 'the request is malformed');
    if (!request.verify(token.tokenPk) || !equalBytes(request.dhPk, dhPk))
      throw new Refused('tokenSignature', 'the request is not signed by the token and the host that sent it');
    const known = this.#given(request);
    if (known !== null && trust.revocationOf(known.cert, known.issuer) === null) return known;
    this.#checkToken(token, fromIp);
    if (known !== null)
      throw new Refused('nodeRevoked', 'this host was revoked: it cannot join with these keys');
    if (token.count === 'strict' && !equalBytes(token.admitterId, self.nodeId))
      throw new Refused(
        'notAdmitter',
        `host ${self.name} does not count this token; ask the host that made it`,
      );
    // Before anything that costs or counts: a token that is used up must not hinder others.
    const slot = this.#freeSlot(token);
    if (slot === null)
      throw new Refused('tokenUsedUp', `the token is used up: ${token.uses} of ${token.uses} uses`);
    this.#checkHost(token, request);
    const addresses = this.#assign(token, request);
    this.#checkRate(token);
    const row = this.#issue(token, request, addresses, slot);
    return { row, cert: row.cert, issuer: row.issuer };
  }

  /** What this request was given before, by this admitter or by another one that told of it. */
  #given(request: ReadNodeRequest): Given | null {
    const { log, view } = this.#o;
    const row = log.byRequest(toHex(request.id));
    if (row !== undefined) return { cert: row.cert, issuer: row.issuer };
    const receipt = view.receiptOf(toHex(nodeIdOf(request.signPk, request.dhPk)));
    if (receipt === undefined || !equalBytes(receipt.cert.requestId, request.id.subarray(0, 16))) return null;
    return { cert: receipt.cert.record.bytes, issuer: receipt.issuer };
  }

  /** The lowest use that nobody is known to have; null when as many hosts as the token lets in have one. */
  #freeSlot({ id, uses }: ReadTokenCert): number | null {
    const given = [...this.#o.log.usesOf(toHex(id)), ...this.#o.view.usesOf(toHex(id))];
    if (new Set(given.map(({ nodeId }) => nodeId)).size >= uses) return null;
    const slots = new Set(given.map(({ slot }) => slot));
    let free = 1;
    while (slots.has(free)) free++;
    return free;
  }

  #checkToken(token: ReadTokenCert, fromIp: string): void {
    if (this.#o.trust.revocations.tokenRevoked(token.id))
      throw new Refused('tokenRevoked', 'the token was revoked: create a new one with `weft token create`');
    const now = this.#o.trust.nowMs();
    if (now >= token.expiresMs)
      throw new Refused('tokenExpired', `the token expired at ${new Date(token.expiresMs).toISOString()}`);
    if (now + BACKDATE_MS < token.notBeforeMs)
      throw new Refused(
        'tokenNotYetValid',
        `the token is valid from ${new Date(token.notBeforeMs).toISOString()}`,
      );
    if (token.underlay.length > 0 && !token.underlay.some((prefix) => contains(prefix, fromIp)))
      throw new Refused(
        'underlayNotAllowed',
        `the token lets hosts in from ${token.underlay.map(formatPrefix).join(', ')} only, not from ${fromIp}`,
      );
  }

  #checkHost(token: ReadTokenCert, request: ReadNodeRequest): void {
    const { log, view } = this.#o;
    if (!NODE_NAME.test(request.name))
      throw new Refused('malformed', 'the host name is not made of a-z, 0-9 and hyphens');
    if (this.#o.trust.revocations.holds('name', nameTarget(request.name)))
      throw new Refused('nameTaken', `the name '${request.name}' was revoked in this mesh: choose another`);
    if (!nameAllowed(token, request.name))
      throw new Refused(
        'nameNotAllowed',
        `the token does not allow the name '${request.name}': it must ${token.nameRule === 'exact' ? 'be' : 'begin with'} '${token.name}'`,
      );
    if (request.caps & ~(token.caps & GRANTABLE_CAPS))
      throw new Refused('rightsNotAllowed', 'the token does not give the rights that were asked for');
    if (!request.vnis.every((vni) => token.vnis.includes(vni)))
      throw new Refused('segmentNotAllowed', 'the token does not give the segment that was asked for');
    const id = toHex(nodeIdOf(request.signPk, request.dhPk));
    const keyOwner =
      log.keyHolder(request.signPk, request.dhPk) ?? view.keyHolder(request.signPk, request.dhPk);
    if (keyOwner !== null)
      throw new Refused(
        'keyInUse',
        'a key of this host is already certified: remove its state directory to join anew',
      );
    const released = (nodeId: string): boolean => view.isReleased(nodeId);
    const holder = log.nameHolder(request.name, released) ?? view.nameHolder(request.name);
    if (holder !== null && holder !== id)
      throw new Refused(
        'nameTaken',
        `the name '${request.name}' is held by another host: choose another with --name`,
      );
  }

  /** Counts only what is about to be admitted. */
  #checkRate(token: ReadTokenCert): void {
    const id = toHex(token.id);
    const now = this.#o.clock.monotonicMs();
    const recent = (this.#recent.get(id) ?? []).filter((at) => now - at < 1000);
    if (recent.length >= ADMISSIONS_PER_SECOND)
      throw new Refused('tooFast', 'too many hosts are joining with this token at this moment: try again');
    this.#recent.set(id, [...recent, now]);
  }

  /** One address per segment: the one asked for, or the lowest that is free. */
  #assign(token: ReadTokenCert, request: ReadNodeRequest): NodeAddress[] {
    const vnis = request.vnis.length > 0 ? request.vnis : token.vnis;
    return vnis.map((vni) => {
      const rule = this.#o.trust.segment(vni);
      if (rule === undefined) throw new Refused('segmentNotAllowed', `this mesh has no segment ${vni}`);
      const taken = (ip: string): boolean =>
        this.#o.log.addressInUse(vni, ip, (id) => this.#o.view.isReleased(id)) ||
        this.#o.view.addressInUse(vni, ip);
      const wanted = request.addresses.find((a) => a.vni === vni)?.prefix;
      if (wanted === undefined) {
        // Admitters that do not see each other would all give the lowest.
        const each = token.count === 'each';
        const free = each ? hostsOf(rule.prefix, startOf(request), this.#share()) : hostsOf(rule.prefix);
        for (const ip of free) if (!taken(ip)) return { vni, prefix: { ip, length: rule.prefix.length } };
        throw new Refused('noAddressLeft', `no address of ${formatPrefix(rule.prefix)} is free`);
      }
      if (!isHostOf(rule.prefix, wanted.ip) || wanted.length !== rule.prefix.length)
        throw new Refused(
          'addressOutside',
          `${formatPrefix(wanted)} is no host address of the segment's network ${formatPrefix(rule.prefix)}`,
        );
      if (taken(wanted.ip))
        throw new Refused(
          'addressTaken',
          `the address ${wanted.ip} is held by another host: choose another or --address auto`,
        );
      return { vni, prefix: wanted };
    });
  }

  /**
   * This admitter's share of a network's addresses: as long as all admitters know of each other and no share is used up, no two
   * give the same address, whether they see each other or not.
   */
  #share(): Share {
    const { trust, self } = this.#o;
    const others = trust.knownAdmitters().filter((cert) => trust.mayAdmit(cert));
    const own = self().nodeIdHex;
    const ids = [...new Set([own, ...others.map(({ nodeIdHex }) => nodeIdHex)])].sort();
    return { index: ids.indexOf(own), of: ids.length };
  }

  #issue(
    token: ReadTokenCert,
    request: ReadNodeRequest,
    addresses: readonly NodeAddress[],
    slot: number,
  ): AdmissionRow {
    const { trust, log, clock } = this.#o;
    const self = this.#o.self();
    const now = Math.max(clock.wallMs(), trust.nowMs());
    const life = Math.min(token.nodeLifeSec, trust.policy.nodeLifeSec) * 1000;
    const cert = this.#sign({
      signPk: request.signPk,
      dhPk: request.dhPk,
      name: request.name,
      caps: request.caps | (token.caps & CAP.bridge),
      tokenId: token.id,
      slot,
      issuerId: self.record.id.slice(0, 16),
      requestId: request.id.slice(0, 16),
      notBeforeMs: now - BACKDATE_MS,
      expiresMs: now + life,
      generation: 1,
      vnis: addresses.map((a) => a.vni),
      addresses,
    });
    const row: AdmissionRow = {
      tokenId: toHex(token.id),
      slot,
      requestId: toHex(request.id),
      nodeId: toHex(nodeIdOf(request.signPk, request.dhPk)),
      signPk: toHex(request.signPk),
      dhPk: toHex(request.dhPk),
      name: request.name,
      cert,
      issuer: self.record.bytes,
      expiresMs: now + life,
      tokenExpiresMs: token.expiresMs,
      addresses: addresses.map((a) => ({ vni: a.vni, ip: a.prefix.ip })),
    };
    log.append(row);
    return row;
  }

  #sign(cert: NodeCert): Uint8Array {
    try {
      return signNodeCert(cert, this.#o.trust.meshId, this.#o.signSecretKey);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new Refused('malformed', 'name, segments and addresses together do not fit a certificate');
    }
  }
}
