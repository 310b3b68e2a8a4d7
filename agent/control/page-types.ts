/**
 * What the web page asks the agent for. The same promises as in api-types.ts hold; nothing here is secret, since `metrics.page` may show
 * it to whoever reaches the metrics address.
 */
import type { EventsReport, FdbEntryReport, MemberReport, PeerReport, StatusReport } from './api-types.ts';

/** `GET /ui/data?after=SEQ`: what the web page shows, all at once; lists are cut at 1,024 rows. */
export interface PageReport {
  readonly v: 1;
  /** Unix milliseconds of the agent's clock. */
  readonly at: number;
  readonly status: StatusReport;
  readonly peers: readonly PeerReport[];
  readonly members: readonly MemberReport[];
  /** Reasons that have happened, in both directions. */
  readonly drops: readonly DropReport[];
  /** Frames read from the TAP (tx) and written to it (rx). */
  readonly traffic: {
    readonly txFrames: number;
    readonly rxFrames: number;
    readonly txBytes: number;
    readonly rxBytes: number;
  };
  /** Those after SEQ. */
  readonly events: EventsReport;
}

export interface DropReport {
  readonly direction: 'receive' | 'transmit';
  /** As in `weft_dropped_frames_total`. */
  readonly reason: string;
  readonly count: number;
  readonly why: string;
}

/** `GET /v1/drops`: in both directions, since the agent started. */
export interface DropsReport {
  readonly v: 1;
  readonly drops: readonly DropReport[];
}

/** `GET /ui/fdb?find=TEXT`: entries whose MAC or peer holds TEXT, in order of MAC, 500 at most. */
export interface PageFdbReport {
  readonly v: 1;
  readonly total: number;
  readonly matching: number;
  readonly entries: readonly FdbEntryReport[];
}
