/**
 * The mesh as hosts and paths, out of a report. An agent measures the paths that begin at itself: the picture is a star
 * around it. Positions are rings in the order of names, so that a host stays where it is while others come and go at
 * the end, and the time is that of a sort. Pure.
 */
import type { PeerReport } from '../../agent/control/api-types.ts';
import type { PageReport } from '../../agent/control/page-types.ts';
import type { Rates } from './rates.ts';
import { formatLoss, formatRate, formatRtt } from './text.ts';

export type HostState = 'up' | 'busy' | 'down';

export interface PictureHost {
  readonly id: string;
  readonly name: string;
  /** `endpoint`: a plain VTEP that is no agent. */
  readonly kind: 'self' | 'host' | 'endpoint';
  readonly state: HostState;
  /** In a few words: what a reader of the text form hears. */
  readonly says: string;
  readonly x: number;
  readonly y: number;
}

export interface PicturePath {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly state: HostState;
  readonly sealed: boolean;
  readonly label: string;
  /** Pixels, by the rate of both directions. */
  readonly width: number;
}

export interface Picture {
  readonly hosts: readonly PictureHost[];
  readonly paths: readonly PicturePath[];
}

const RING_STEP = 140;
/** Width of a ring over its height. */
const STRETCH = 1.9;
const FIRST_RING_HOSTS = 10;

export function pictureOf({ status, peers, members }: PageReport, rates: Rates): Picture {
  const sealed = status.mode === 'sealed';
  const known = new Set(peers.map(({ name }) => name)); // bounded by the report
  const silent = members.filter(({ name, self, state }) => !self && state !== 'left' && !known.has(name));
  const around = [
    ...peers.map((peer) => ({
      name: peer.name,
      peer,
      state: stateOf(peer, members),
      said: saysOf(peer, rates),
    })),
    ...silent.map(({ name, state }) => ({
      name,
      peer: null,
      state: (state === 'alive' ? 'busy' : 'down') as HostState,
      said: `${state}, no session`,
    })),
  ].sort((a, b) => (a.name < b.name ? -1 : 1));
  const hosts = around.map(({ name, peer, state, said }, i): PictureHost => {
    const kind = peer !== null && peer.nodeId === null ? 'endpoint' : 'host';
    return {
      id: `h:${name}`,
      name,
      kind,
      state,
      says: `${WORD[state]}, ${said}`,
      ...placeOf(i, around.length),
    };
  });
  const self: PictureHost = {
    id: `h:${status.name}`,
    name: status.name,
    kind: 'self',
    state: status.state === 'up' ? 'up' : 'busy',
    says: `this host, ${status.state}`,
    x: 0,
    y: 0,
  };
  const paths = around.flatMap(({ name, peer, state }): PicturePath[] => {
    if (peer === null) return [];
    const rate = rates.peers.get(name);
    return [
      {
        id: `p:${name}`,
        from: self.id,
        to: `h:${name}`,
        state,
        sealed: sealed && peer.path !== 'plain',
        label: labelOf(peer, state, rates),
        width: widthOf((rate?.tx ?? 0) + (rate?.rx ?? 0)),
      },
    ];
  });
  return { hosts: [self, ...hosts], paths };
}

const WORD: Readonly<Record<HostState, string>> = { up: 'up', busy: 'connecting', down: 'down' };

/** A session outlives its host by seconds: what membership says of a dead one counts too. */
function stateOf(peer: PeerReport, members: PageReport['members']): HostState {
  const member = peer.nodeId === null ? undefined : members.find(({ nodeId }) => nodeId === peer.nodeId);
  if (member?.state === 'dead' || member?.state === 'left') return 'down';
  if (peer.state === 'up') return 'up';
  return peer.state === 'handshaking' ? 'busy' : 'down';
}

function saysOf(peer: PeerReport, rates: Rates): string {
  if (peer.state !== 'up') return peer.reason ?? peer.state;
  const rate = rates.peers.get(peer.name);
  const moving =
    rate === undefined ? [] : [`sends ${formatRate(rate.tx)}`, `receives ${formatRate(rate.rx)}`];
  return [
    peer.path === 'plain' ? 'plain' : `sealed, ${peer.path}`,
    `round trip ${formatRtt(peer.rttMs)}`,
    `loss ${formatLoss(peer.loss)}`,
    `path MTU ${peer.pmtu ?? 'not measured'}`,
    ...moving,
  ].join(', ');
}

/** What stands at the line: measured values, the rate when there is one. */
function labelOf(peer: PeerReport, state: HostState, rates: Rates): string {
  if (state !== 'up') return peer.reason ?? WORD[state];
  const rate = rates.peers.get(peer.name);
  const both = (rate?.tx ?? 0) + (rate?.rx ?? 0);
  return [
    ...(peer.rttMs === null ? [] : [formatRtt(peer.rttMs)]),
    ...((peer.loss ?? 0) > 0 ? [`${formatLoss(peer.loss)} loss`] : []),
    ...(peer.pmtu === null ? [] : [`MTU ${peer.pmtu}`]),
    ...(both > 125 ? [formatRate(both)] : []),
  ].join(' · ');
}

/** 1.5 px in silence, one more for each factor of ten above 10 kb/s, 8 at most. */
export function widthOf(bytesPerSec: number): number {
  const decades = Math.log10(Math.max(1, (bytesPerSec * 8) / 10_000));
  return Math.min(8, 1.5 + decades);
}

/** Rings of 10, 20, 30 ... places around the middle, wider than high as screens are; the last is spread over its whole circle. */
export function placeOf(index: number, count: number): { readonly x: number; readonly y: number } {
  let ring = 1;
  let first = 0;
  while (index >= first + FIRST_RING_HOSTS * ring) {
    first += FIRST_RING_HOSTS * ring;
    ring += 1;
  }
  const places = Math.min(FIRST_RING_HOSTS * ring, count - first);
  // Every other ring is turned by half a place, so that hosts do not stand behind each other.
  const angle = ((index - first + (ring % 2 === 0 ? 0.5 : 0)) / places) * 2 * Math.PI;
  const radius = RING_STEP * ring;
  return { x: Math.round(Math.cos(angle) * radius * STRETCH), y: Math.round(Math.sin(angle) * radius) };
}
