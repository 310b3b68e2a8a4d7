/** Where a host of a mesh is: its address on the underlay, and its segment. Part of the composition root. */
import type { Config } from './config/schema.ts';
import { SEALED_PORT } from './config/schema.ts';
import type { Endpoint } from './endpoint.ts';
import { WeftError } from './errors.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import type { SegmentRule } from './identity/policy.ts';
import { defaultUnderlayIp } from './peer/underlay.ts';

/**
 * Where this host listens; without a setting, the address of the route to the mesh: to the first seed of the token that it
 * joined with, then and at every later start.
 * @throws WeftError E_CONFIG when there is no route
 */
export function listenEndpoint(config: Config, seedIp: string | undefined): Endpoint {
  return config.underlay ?? { ip: defaultUnderlayIp(seedIp), port: SEALED_PORT };
}

/** The segment of this host: the first of its certificate that policy knows. */
export function ownSegment(identity: NodeIdentity): SegmentRule {
  const segment = identity.policy.segments.find((s) => identity.cert.vnis.includes(s.vni));
  if (segment === undefined)
    throw new WeftError('E_STATE', 'the certificate of this host names no segment of the policy: join anew');
  return segment;
}
