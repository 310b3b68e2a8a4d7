/**
 * What an agent says of itself: as it is ready, in the log and as events, and later what it notices each second. Part of the
 * composition root.
 */
import type { Logger } from 'pino';
import type { LiveView } from './agent-view.ts';
import type { Clock } from './clock.ts';
import type { EventRing } from './control/event-ring.ts';
import { EventWatch } from './control/event-watch.ts';
import type { Metrics } from './control/metrics.ts';
import type { DataPlane } from './datapath/data-plane.ts';
import { type Endpoint, formatEndpoint } from './endpoint.ts';
import type { NodeIdentity } from './identity/node-identity.ts';
import type { SegmentRule } from './identity/policy.ts';
import { buildVersion } from './version.ts';

const EVENT_LOOK_MS = 1000;
/** Of a member, and of this host itself. */
export const EQUIVOCATION =
  'signed two different records with one number: its state was copied or its key stolen';
export const OWN_EQUIVOCATION =
  'the other hosts leave this one alone, for its key signed in two places: stop the copy of its state, or revoke it and join anew';

export interface Watched {
  readonly view: LiveView;
  readonly dataPlane: DataPlane;
  readonly metrics: Metrics;
  readonly events: EventRing;
  readonly clock: Clock;
}

/** Compares each second what is with what was; the result ends it. */
export function watchEvents({ view, dataPlane, metrics, events, clock }: Watched): () => void {
  const watch = new EventWatch(
    {
      peers: () => view.watchedPeers(),
      members: () => view.watchedMembers(),
      drops: () => dataPlane.drops(),
      fdbTotal: (of) => dataPlane.total('receive', of),
      fdbEntries: () => view.fdbEntries(),
    },
    events,
  );
  let lookedAtMs = clock.monotonicMs();
  return clock.every(EVENT_LOOK_MS, () => {
    const nowMs = clock.monotonicMs();
    metrics.observeLoopDelay(Math.max(0, nowMs - lookedAtMs - EVENT_LOOK_MS) / 1000);
    lookedAtMs = nowMs;
    watch.look();
  });
}

export interface Announced {
  readonly identity: NodeIdentity;
  readonly segment: SegmentRule;
  /** Why no frame goes in or out; null where they do. */
  readonly closed: string | null;
  readonly address: string | null;
  readonly listen: Endpoint;
  readonly tapName: string;
  readonly events: EventRing;
  readonly clock: Clock;
  readonly log: Logger;
}

/** An agent is ready: what its operator should know. */
export function announce(a: Announced): void {
  const { identity, segment, closed, events, clock, log } = a;
  if (clock.wallMs() + identity.policy.leewaySec * 1000 < identity.trust.nowMs())
    log.warn(
      { clock: new Date(clock.wallMs()).toISOString() },
      'the clock of this machine is behind the time that the mesh has signed, which counts instead: set the clock',
    );
  events.add('agent', identity.cert.name, `started, version ${buildVersion().version}`);
  if (closed !== null) {
    events.add('policy', String(segment.vni), closed);
    log.error({ vni: segment.vni }, closed);
  }
  if (segment.mode === 'plain')
    log.warn(
      { vni: segment.vni },
      'this segment is plain: whoever is on the underlay can read and forge frames',
    );
  log.info(
    {
      name: identity.cert.name,
      mesh: identity.policy.meshName,
      address: a.address,
      endpoint: formatEndpoint(a.listen),
      tap: a.tapName,
    },
    'ready',
  );
}
