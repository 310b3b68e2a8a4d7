/**
 * One member as this host sees it: its newest record, whether it is thought alive, and the channel to it. Which of two
 * records counts is decided here and nowhere else.
 */
import { Channel } from './channel.ts';
import type { Suspicion } from './suspicion.ts';
import type { MemberState, VerifiedRecord } from './types.ts';

export interface Member {
  readonly id: string;
  record: VerifiedRecord;
  state: MemberState;
  stateSinceMs: number;
  suspicion: Suspicion | null;
  readonly channel: Channel;
  /** Smoothed round-trip time of probes; null before the first. */
  rttMs: number | null;
  /** Probes in a row that nothing answered. */
  missedProbes: number;
  /** When the data plane last heard it, authenticated. */
  dataAtMs: number;
  /** Dead, and no other member's doubt had come: perhaps only this host believes it. */
  deadToUsAlone: boolean;
  /** It contradicted itself: until then it is out of use. */
  quarantinedUntilMs: number;
}

export function newMember(record: VerifiedRecord, channel: Channel | null, nowMs: number): Member {
  return {
    id: record.id,
    record,
    state: record.status,
    stateSinceMs: nowMs,
    suspicion: null,
    channel: channel ?? new Channel(),
    rttMs: null,
    missedProbes: 0,
    dataAtMs: -Infinity,
    deadToUsAlone: false,
    quarantinedUntilMs: -Infinity,
  };
}

/** Positive if `a` is newer than `b`, 0 if they have one number. */
export function compareRecords(
  a: { readonly incarnation: number; readonly seq: number },
  b: { readonly incarnation: number; readonly seq: number },
): number {
  return a.incarnation - b.incarnation || a.seq - b.seq;
}

/** RFC 6298 with alpha 1/8. */
export function smoothRtt(member: Member, rttMs: number): void {
  member.rttMs = member.rttMs === null ? rttMs : member.rttMs + (rttMs - member.rttMs) / 8;
}
