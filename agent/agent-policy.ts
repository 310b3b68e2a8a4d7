/**
 * `weft policy`: shows what the mesh's root has laid down, and on the host with the root lays down something else, at run
 * time and for everybody. Part of the composition root.
 */
import type { GossipNode } from '../gossip/index.ts';
import type { StatementBook } from './agent-statements.ts';
import type { Verdicts } from './agent-verdicts.ts';
import type { Clock } from './clock.ts';
import type { PolicyReport, PolicyRequest } from './control/api-types.ts';
import { WeftError } from './errors.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import { signPolicy } from './identity/policy.ts';
import { formatPrefix } from './identity/prefix.ts';
import { toHex } from './identity/sodium.ts';

export interface PolicyParts {
  readonly identity: NodeIdentity;
  readonly gossip: GossipNode;
  readonly statements: StatementBook;
  readonly verdicts: Verdicts;
  readonly clock: Clock;
}

export function policyReport({ policy }: NodeIdentity): PolicyReport {
  return {
    v: 1,
    seq: policy.seq,
    id: toHex(policy.id),
    mesh: policy.meshName,
    signedAt: policy.timeMs,
    nodeLifeMs: policy.nodeLifeSec * 1000,
    leewayMs: policy.leewaySec * 1000,
    segments: policy.segments.map(({ vni, mode, encap, suite, mtuBytes, prefix }) => ({
      vni,
      mode,
      encap,
      suite: suite === 1 ? 'chacha20-poly1305' : 'aes-256-gcm',
      mtu: mtuBytes,
      network: formatPrefix(prefix),
    })),
  };
}

/** @throws WeftError E_REFUSED on a host without the root */
export function setPolicy(parts: PolicyParts, request: PolicyRequest): PolicyReport {
  const { identity, gossip, statements, verdicts, clock } = parts;
  const { policy, root, meshId } = identity;
  if (root === null)
    throw new WeftError(
      'E_REFUSED',
      'this host does not hold the root of the mesh: change the policy on the host that ran `weft init`',
    );
  const next = {
    ...policy,
    seq: policy.seq + 1,
    prevId: policy.id,
    timeMs: Math.max(clock.wallMs(), policy.timeMs),
    nodeLifeSec: request.nodeLifeMs === null ? policy.nodeLifeSec : Math.ceil(request.nodeLifeMs / 1000),
    leewaySec: request.leewayMs === null ? policy.leewaySec : Math.ceil(request.leewayMs / 1000),
  };
  const taken = statements.receive(signPolicy(next, meshId, root.secretKey));
  if (typeof taken === 'string')
    throw new WeftError('E_INTERNAL', 'the new policy does not follow the old one');
  gossip.tell(taken.id);
  verdicts.changed();
  return policyReport(identity);
}
