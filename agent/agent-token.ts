/**
 * `weft token create` on the running agent that holds the mesh's root: this host counts the token's uses, or each admitter for
 * itself. Its seeds are this host, the other admitters if they may count, or the members that the request names; a seed that does
 * not count passes requests on. Part of the composition root.
 */
import type { GossipNode } from '../gossip/index.ts';
import { type Clock, systemRng } from './clock.ts';
import type { TokenReport, TokenRequest } from './control/admission-types.ts';
import { type Endpoint, parseEndpoint } from './endpoint.ts';
import { WeftError } from './errors.ts';
import { BACKDATE_MS } from './identity/genesis.ts';
import { CAP } from './identity/node-cert.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import { parseNodeState } from './identity/node-state.ts';
import type { SegmentRule } from './identity/policy.ts';
import { formatPrefix, networkOf, type Prefix, parsePrefix } from './identity/prefix.ts';
import { toHex } from './identity/sodium.ts';
import { createToken, HOST_NAME, placeText, type TokenSeed } from './identity/token.ts';
import type { PeerTable } from './peer/peer-table.ts';

export interface TokenParts {
  readonly identity: NodeIdentity;
  readonly segment: SegmentRule;
  readonly listen: Endpoint;
  readonly gossipPort: number;
  readonly clock: Clock;
  /** Another member by its name, with its keys and where it listens; null if there is none. */
  readonly member: (name: string) => TokenSeed | null;
  /** Names of the other members that may admit. */
  readonly admitters: () => readonly string[];
}

/** Of a token; the rest are found through these. */
const MAX_DEFAULT_SEEDS = 4;

/** `MEMBER`, `MEMBER=HOST` or `MEMBER=HOST:PORT`; HOST is an address or a name. */
const SEED = /^(?<name>[a-z0-9-]+)(?:=(?<where>.+))?$/;

/** @throws WeftError E_NOT_FOUND, E_REQUEST */
function seedOf(parts: TokenParts, text: string): TokenSeed {
  const { name = '', where } = SEED.exec(text)?.groups ?? {};
  const seed = name === parts.identity.cert.name ? ownSeed(parts) : parts.member(name);
  if (seed === null)
    throw new WeftError(
      'E_NOT_FOUND',
      `no member '${name}' that is there to be a seed: see \`weft members\``,
    );
  if (where === undefined) return seed;
  const place = parseEndpoint(where, seed.sealedPort);
  if (place !== null) return { ...seed, ip: place.ip, sealedPort: place.port };
  const [host = '', port = String(seed.sealedPort), ...rest] = where.split(':');
  const sealedPort = Number(port);
  if (rest.length > 0 || !HOST_NAME.test(host) || !(sealedPort >= 1 && sealedPort <= 65_535))
    throw new WeftError('E_REQUEST', `seed '${text}': after = comes an address or a name, and perhaps :PORT`);
  return { ...seed, host, sealedPort };
}

/**
 * What a token says of a member that is to be a seed; null for one that is not there. A session says more than gossip's
 * doubt: a member that has just come back may be dead to gossip for another second.
 */
export function seedOfMember(
  gossip: GossipNode,
  peers: PeerTable,
  meshId: Uint8Array,
  name: string,
): TokenSeed | null {
  const peer = peers.members().find((p) => p.name === name);
  const member = peer === undefined ? undefined : gossip.swim.member(peer.id);
  const at = member === undefined ? undefined : parseNodeState(member.record.bytes, meshId)?.endpoints[0];
  if (peer === undefined || at === undefined) return null;
  const there = peer.state === 'up' || member?.state === 'alive' || member?.state === 'suspect';
  if (!there) return null;
  return { ...at, dhPk: peer.dhPk, signPk: peer.signPk, host: null };
}

function ownSeed({ identity, listen, gossipPort }: TokenParts): TokenSeed {
  return {
    ip: listen.ip,
    sealedPort: listen.port,
    gossipPort,
    dhPk: identity.keys.dh.publicKey,
    signPk: identity.keys.sign.publicKey,
    host: null,
  };
}

/** Segments that the token opens: what the request names, else this host's own. @throws WeftError E_NOT_FOUND, E_REFUSED */
function vnisOf({ identity, segment }: TokenParts, request: TokenRequest): readonly number[] {
  const named = request.segment === null ? [] : [request.segment];
  const asked = [...new Set([...named, ...request.vnis.map(String)])];
  if (asked.length === 0) return [segment.vni];
  const known = identity.policy.segments.map(({ vni }) => vni);
  return asked.map((text) => {
    const vni = known.find((v) => String(v) === text);
    if (vni === undefined)
      throw new WeftError('E_NOT_FOUND', `this mesh has no segment '${text}', only ${known.join(', ')}`);
    if (identity.cert.vnis.includes(vni)) return vni;
    throw new WeftError('E_REFUSED', `this host does not hold segment ${vni}: it cannot let others into it`);
  });
}

/** @throws WeftError E_REQUEST */
function underlayOf({ underlay }: TokenRequest): readonly Prefix[] {
  return underlay.map((text) => {
    const network = parsePrefix(text);
    if (network !== null) return networkOf(network);
    throw new WeftError('E_REQUEST', `underlay '${text}': must be a network such as 192.0.2.0/24`);
  });
}

/** @throws WeftError E_REQUEST */
function nameRuleOf({ name, namePrefix, uses }: TokenRequest): {
  readonly nameRule: 'any' | 'prefix' | 'exact';
  readonly name: string;
} {
  if (name === null) return { nameRule: namePrefix === null ? 'any' : 'prefix', name: namePrefix ?? '' };
  if (namePrefix !== null || uses !== 1)
    throw new WeftError('E_REQUEST', 'a token for one name has one use and no name prefix');
  return { nameRule: 'exact', name };
}

/** @throws WeftError E_REFUSED on a host without the root, E_NOT_FOUND for another segment, E_REQUEST */
export function createHostToken(parts: TokenParts, request: TokenRequest): TokenReport {
  const { identity, clock } = parts;
  if (identity.root === null)
    throw new WeftError(
      'E_REFUSED',
      'this host does not hold the root of the mesh: create tokens on the host that ran `weft init`',
    );
  const admitters = request.count === 'each' ? parts.admitters() : [];
  const named = request.seeds.map((text) => seedOf(parts, text));
  const others = admitters.flatMap((name) => parts.member(name) ?? []);
  const seeds = named.length > 0 ? named : [ownSeed(parts), ...others].slice(0, MAX_DEFAULT_SEEDS);
  const now = Math.max(clock.wallMs(), identity.trust.nowMs());
  const expiresAt = now + request.ttlMs;
  const limits = {
    ...nameRuleOf(request),
    vnis: vnisOf(parts, request),
    underlay: underlayOf(request),
    caps: request.allow.includes('bridge') ? CAP.bridge : 0,
    nodeLifeSec: Math.min(
      identity.policy.nodeLifeSec,
      request.nodeLifeMs === null ? Number.POSITIVE_INFINITY : Math.ceil(request.nodeLifeMs / 1000),
    ),
  };
  const { text, cert } = createToken(
    {
      meshId: identity.meshId,
      rootPk: identity.rootPk,
      rootNonce: identity.rootNonce,
      rootSecretKey: identity.root.secretKey,
      suite: identity.trust.segment(parts.segment.vni)?.suite ?? parts.segment.suite,
      psk: identity.psk,
      policySeq: identity.policy.seq,
      policyId: identity.policy.id,
      seeds,
      notBeforeMs: now - BACKDATE_MS,
      expiresMs: expiresAt,
      uses: request.uses,
      count: request.count,
      admitterId: identity.cert.nodeId,
      ...limits,
    },
    systemRng,
  );
  return {
    v: 1,
    token: text,
    id: toHex(cert.id),
    expiresAt,
    uses: request.uses,
    namePrefix: request.namePrefix,
    name: request.name,
    vnis: limits.vnis,
    allow: request.allow,
    seeds: seeds.map((s) => placeText(s)),
    admitter: identity.cert.name,
    count: request.count,
    bound: request.uses * (1 + admitters.length),
    admitters: [identity.cert.name, ...admitters],
    underlay: limits.underlay.map(formatPrefix),
    nodeLifeMs: limits.nodeLifeSec * 1000,
  };
}
