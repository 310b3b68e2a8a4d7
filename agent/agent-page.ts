/**
 * What the web page shows, out of the reports that the verbs show: cut to what a page can hold, drops with their explanation. Part of
 * the composition root; called by agent-view.ts once a second for each open page. Nothing here may be secret.
 */
import type {
  EventsReport,
  FdbEntryReport,
  MemberReport,
  PeerReport,
  StatusReport,
} from './control/api-types.ts';
import type { DropReport, PageFdbReport, PageReport } from './control/page-types.ts';
import type { DataPlane } from './datapath/data-plane.ts';
import { DROP_TABLE, dropByLabel } from './datapath/drop.ts';

/** As many as there can be peers. */
export const MAX_PAGE_ROWS = 1024;
/** More entries are found by searching. */
export const MAX_PAGE_FDB = 500;

export interface PageParts {
  readonly at: number;
  readonly status: StatusReport;
  readonly peers: readonly PeerReport[];
  readonly members: readonly MemberReport[];
  readonly dataPlane: Pick<DataPlane, 'drops' | 'total'>;
  readonly events: EventsReport;
}

/** Reasons that have happened, with what they mean. */
export function explainedDrops(dataPlane: Pick<DataPlane, 'drops'>): DropReport[] {
  return dataPlane.drops().flatMap(({ direction, reason, count }) => {
    const why = DROP_TABLE[dropByLabel(reason)]?.why ?? '';
    return count === 0 ? [] : [{ direction, reason, count, why }];
  });
}

export function pageReport({ at, status, peers, members, dataPlane, events }: PageParts): PageReport {
  return {
    v: 1,
    at,
    status,
    peers: peers.slice(0, MAX_PAGE_ROWS),
    members: members.slice(0, MAX_PAGE_ROWS),
    drops: explainedDrops(dataPlane),
    traffic: {
      txFrames: dataPlane.total('transmit', 'FRAMES'),
      rxFrames: dataPlane.total('receive', 'FRAMES'),
      txBytes: dataPlane.total('transmit', 'FRAME_BYTES'),
      rxBytes: dataPlane.total('receive', 'FRAME_BYTES'),
    },
    events,
  };
}

/** Sorting is for what is shown; a table of 65,536 entries is walked once. */
export function pageFdb(entries: readonly FdbEntryReport[], find: string): PageFdbReport {
  const matching = entries.filter(
    ({ mac, peer }) => mac.includes(find) || (peer ?? 'local').toLowerCase().includes(find),
  );
  const shown = [...matching]
    .sort((a, b) => (a.mac === b.mac ? a.vni - b.vni : a.mac < b.mac ? -1 : 1))
    .slice(0, MAX_PAGE_FDB);
  return { v: 1, total: entries.length, matching: matching.length, entries: shown };
}
