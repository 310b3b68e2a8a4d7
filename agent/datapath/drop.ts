/**
 * Why a frame or datagram was not forwarded: the one table behind the counters, the `reason` label, `trace` and the
 * documentation. Only append; scripts rely on the labels. The data path returns these numbers and never throws.
 */

export const DROP = {
  none: 0,
  garbage: 1,
  unknownIndex: 2,
  mismatch: 3,
  replay: 4,
  auth: 5,
  lane: 6,
  csum: 7,
  vni: 8,
  unknownVtep: 9,
  macSpoof: 10,
  rate: 11,
  notListening: 12,
  sourceMac: 13,
  runt: 14,
  oversize: 15,
  noMember: 16,
  noSession: 17,
  exhausted: 18,
  tooBig: 19,
  txBusy: 20,
  unreachable: 21,
  refused: 22,
  txError: 23,
  local: 24,
  tapDown: 25,
  tapFull: 26,
  tapError: 27,
  header: 28,
  geneveCritical: 29,
  ringFull: 30,
  handshake: 31,
  gossip: 32,
  noPeer: 33,
  superFrame: 34,
  revoked: 35,
  macFrozen: 36,
  suspended: 37,
} as const;

export type Drop = (typeof DROP)[keyof typeof DROP];

export const DROP_COUNT = 38;

export interface DropInfo {
  readonly label: string;
  readonly directions: readonly ('transmit' | 'receive')[];
  /** One sentence for documentation and trace. */
  readonly why: string;
}

const rx = ['receive'] as const;
const tx = ['transmit'] as const;
const both = ['transmit', 'receive'] as const;

/** By drop number; position 0 is no drop. */
export const DROP_TABLE: readonly DropInfo[] = [
  { label: 'none', directions: [], why: 'Forwarded.' },
  { label: 'garbage', directions: rx, why: 'Not a datagram of any known type and size.' },
  { label: 'unknown_index', directions: rx, why: 'Sealed for a session that this host does not have.' },
  { label: 'mismatch', directions: rx, why: "Suite, inner protocol or flags differ from the session's." },
  { label: 'replay', directions: rx, why: 'The counter was seen before or is older than the replay window.' },
  { label: 'auth', directions: rx, why: 'The authentication tag does not verify.' },
  { label: 'lane', directions: rx, why: 'The lane belongs to another receive worker or is not accepted.' },
  {
    label: 'csum',
    directions: both,
    why: 'An inner checksum could not be completed: the packet cannot be parsed.',
  },
  {
    label: 'vni',
    directions: rx,
    why: "The VNI is unknown, not the sender's, or not of this mode and encapsulation.",
  },
  {
    label: 'unknown_vtep',
    directions: rx,
    why: 'A plain frame from an address that is no configured VTEP of the segment.',
  },
  {
    label: 'mac_spoof',
    directions: rx,
    why: 'The source MAC belongs to another host, or the sender may not bridge.',
  },
  { label: 'rate', directions: rx, why: 'Above a rate limit.' },
  { label: 'not_listening', directions: rx, why: 'This host does not expect such a message now.' },
  { label: 'source_mac', directions: both, why: 'The source MAC is zero or a group address.' },
  { label: 'runt', directions: both, why: 'Shorter than an Ethernet header.' },
  {
    label: 'oversize',
    directions: both,
    why: "Longer than the segment's MTU with Ethernet header and two tags.",
  },
  { label: 'no_member', directions: tx, why: 'The segment has no other member to flood to.' },
  {
    label: 'no_session',
    directions: both,
    why: 'There is no session with the peer, or none that the message belongs to.',
  },
  { label: 'exhausted', directions: tx, why: 'The session key has sealed all it may.' },
  { label: 'too_big', directions: tx, why: 'The packet is larger than the path to the peer carries.' },
  { label: 'tx_busy', directions: tx, why: "The kernel's send buffer stayed full." },
  { label: 'unreachable', directions: tx, why: 'The underlay has no route to the peer.' },
  { label: 'refused', directions: tx, why: 'A local firewall refused the datagram.' },
  { label: 'tx_error', directions: tx, why: 'The kernel refused the datagram for another reason.' },
  { label: 'local', directions: tx, why: 'The destination lives behind this very TAP.' },
  { label: 'tap_down', directions: rx, why: 'The TAP is down or gone.' },
  { label: 'tap_full', directions: rx, why: "The TAP's queue is full." },
  { label: 'tap_error', directions: rx, why: 'The TAP refused the frame.' },
  { label: 'header', directions: rx, why: 'The VXLAN or Geneve header is malformed.' },
  { label: 'geneve_critical', directions: rx, why: 'A critical Geneve option that this host does not know.' },
  { label: 'ring_full', directions: rx, why: 'Control datagrams came faster than they are handled.' },
  {
    label: 'handshake',
    directions: rx,
    why: 'A handshake message that is forged, stale or not for this host.',
  },
  {
    label: 'gossip',
    directions: rx,
    why: 'A membership datagram that does not open, repeats, or is malformed.',
  },
  { label: 'no_peer', directions: rx, why: 'There is no room for another peer.' },
  {
    label: 'super_frame',
    directions: tx,
    why: 'A super-frame that cannot be cut: contradictory headers, or datagrams larger than the path takes.',
  },
  { label: 'revoked', directions: rx, why: 'From a host whose certificate was revoked.' },
  {
    label: 'mac_frozen',
    directions: rx,
    why: 'The source MAC is claimed by two hosts, and the other one keeps it for now.',
  },
  {
    label: 'suspended',
    directions: tx,
    why: 'For a host that membership doubts or calls dead and that its session does not hear either.',
  },
];

/** The number of a label, or 0. */
export function dropByLabel(label: string): number {
  return Math.max(
    0,
    DROP_TABLE.findIndex((info) => info.label === label),
  );
}
