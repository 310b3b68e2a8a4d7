/**
 * `weft token create` on the running agent that holds the mesh's root: this host is the token's first seed and counts its
 * uses. Part of the composition root.
 */
import { type Clock, systemRng } from './clock.ts';
import type { TokenReport, TokenRequest } from './control/api-types.ts';
import { type Endpoint, formatEndpoint } from './endpoint.ts';
import { WeftError } from './errors.ts';
import { BACKDATE_MS } from './identity/genesis.ts';
import { CAP } from './identity/node-cert.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import type { SegmentRule } from './identity/policy.ts';
import { toHex } from './identity/sodium.ts';
import { createToken } from './identity/token.ts';

export interface TokenParts {
  readonly identity: NodeIdentity;
  readonly segment: SegmentRule;
  readonly listen: Endpoint;
  readonly gossipPort: number;
  readonly clock: Clock;
}

/** @throws WeftError E_REFUSED on a host without the root, E_NOT_FOUND for another segment */
export function createHostToken(parts: TokenParts, request: TokenRequest): TokenReport {
  const { identity, segment, listen, gossipPort, clock } = parts;
  if (identity.root === null)
    throw new WeftError(
      'E_REFUSED',
      'this host does not hold the root of the mesh: create tokens on the host that ran `weft init`',
    );
  if (request.segment !== null && request.segment !== String(segment.vni))
    throw new WeftError('E_NOT_FOUND', `this mesh has no segment '${request.segment}', only ${segment.vni}`);
  const now = Math.max(clock.wallMs(), identity.trust.nowMs());
  const expiresAt = now + request.ttlMs;
  const { text, cert } = createToken(
    {
      meshId: identity.meshId,
      rootPk: identity.rootPk,
      rootNonce: identity.rootNonce,
      rootSecretKey: identity.root.secretKey,
      psk: identity.psk,
      policySeq: identity.policy.seq,
      policyId: identity.policy.id,
      seeds: [
        {
          ip: listen.ip,
          sealedPort: listen.port,
          gossipPort,
          dhPk: identity.keys.dh.publicKey,
          signPk: identity.keys.sign.publicKey,
        },
      ],
      notBeforeMs: now - BACKDATE_MS,
      expiresMs: expiresAt,
      uses: request.uses,
      count: 'strict',
      admitterId: identity.cert.nodeId,
      nameRule: request.namePrefix === null ? 'any' : 'prefix',
      name: request.namePrefix ?? '',
      vnis: [segment.vni],
      caps: request.allow.includes('bridge') ? CAP.bridge : 0,
      nodeLifeSec: identity.policy.nodeLifeSec,
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
    vnis: [segment.vni],
    allow: request.allow,
    seeds: [formatEndpoint(listen)],
    admitter: identity.cert.name,
  };
}
