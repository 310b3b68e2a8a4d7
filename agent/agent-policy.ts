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
import { signNext } from './identity/next-policy.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import type { SegmentRule } from './identity/policy.ts';
import { formatPrefix } from './identity/prefix.ts';
import { toHex } from './identity/sodium.ts';

export interface PolicyParts {
  readonly identity: NodeIdentity;
  readonly gossip: GossipNode;
  readonly statements: StatementBook;
  readonly verdicts: Verdicts;
  readonly clock: Clock;
  /** Segments that this host lets become plain. */
  readonly allowPlain: readonly number[];
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
  const change = {
    ...(request.nodeLifeMs === null ? {} : { nodeLifeSec: Math.ceil(request.nodeLifeMs / 1000) }),
    ...(request.leewayMs === null ? {} : { leewaySec: Math.ceil(request.leewayMs / 1000) }),
    segments: changedSegments(parts, request),
  };
  const key = { meshId, secretKey: root.secretKey, nowMs: clock.wallMs() };
  const taken = statements.receive(signNext(policy, change, key));
  if (typeof taken === 'string')
    throw new WeftError('E_INTERNAL', 'the new policy does not follow the old one');
  gossip.tell(taken.id);
  verdicts.changed();
  return policyReport(identity);
}

const SUITES = { 'chacha20-poly1305': 1, 'aes-256-gcm': 2 } as const;

/** @throws WeftError E_NOT_FOUND, E_REQUEST; E_REFUSED for what would cut this host off */
function changedSegments(parts: PolicyParts, request: PolicyRequest): readonly SegmentRule[] {
  const { segments } = parts.identity.policy;
  const { segment, mode, suite } = request;
  if (mode === null && suite === null) return segments;
  const meant = segments.filter(({ vni }) => segment === null || String(vni) === segment);
  const [one, ...others] = meant;
  const known = segments.map(({ vni }) => vni).join(', ');
  if (one === undefined)
    throw new WeftError('E_NOT_FOUND', `this mesh has no segment '${segment}', only ${known}`);
  if (others.length > 0)
    throw new WeftError('E_REQUEST', `say which segment is meant: --segment one of ${known}`);
  if (mode === 'plain' && one.mode === 'sealed' && !parts.allowPlain.includes(one.vni))
    throw new WeftError(
      'E_REFUSED',
      `allow_plain of this host does not name segment ${one.vni}, which it would lose: set allow_plain: [${one.vni}] in the configuration of every host that is to go along, restart it, then change the policy`,
    );
  const changed = {
    ...one,
    mode: mode ?? one.mode,
    suite: suite === null ? one.suite : SUITES[suite],
  };
  return segments.map((s) => (s.vni === one.vni ? changed : s));
}
