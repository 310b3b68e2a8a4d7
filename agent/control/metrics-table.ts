/**
 * Every metric of weft itself: name, type, labels, meaning, and where its value stands in the snapshot. metrics.ts makes
 * series of it and docs/METRICS.md is checked against it. Names follow Prometheus: base units, `_total` on counters,
 * bounded labels (no MAC, no address, no token). Names and labels are stable.
 */
import {
  byKey,
  byPeer,
  type HistogramDefinition,
  type MetricDefinition,
  one,
  type Sample,
} from './metric.ts';
import type { MetricsSnapshot } from './metrics-source.ts';

/** Drops of one reason, both directions. */
function dropsOf(snapshot: MetricsSnapshot, reason: string): readonly Sample[] {
  return one(snapshot.drops.reduce((sum, drop) => sum + (drop.reason === reason ? drop.count : 0), 0));
}

/** Bytes of all kinds for each direction and path. */
function packetBytes({ packets }: MetricsSnapshot): readonly Sample[] {
  const sums = new Map<string, { labels: Record<string, string>; value: number }>(); // bounded by directions x paths
  for (const { direction, path, bytes } of packets) {
    const key = `${direction} ${path}`;
    const sum = sums.get(key) ?? { labels: { direction, path }, value: 0 };
    sum.value += bytes;
    sums.set(key, sum);
  }
  return [...sums.values()];
}

function peersByState({ peers }: MetricsSnapshot): readonly Sample[] {
  const count = { up: 0, handshaking: 0, down: 0 };
  for (const peer of peers) count[peer.state]++;
  return byKey('state', count);
}

/** In the order of docs/METRICS.md. */
export const METRICS: readonly MetricDefinition[] = [
  {
    name: 'weft_frames_total',
    type: 'counter',
    labels: ['direction'],
    help: 'Ethernet frames read from the TAP (transmit) and written to it (receive).',
    read: ({ frames }) => byKey('direction', frames),
  },
  {
    name: 'weft_frame_bytes_total',
    type: 'counter',
    labels: ['direction'],
    help: 'Bytes of those frames.',
    read: ({ frameBytes }) => byKey('direction', frameBytes),
  },
  {
    name: 'weft_packets_total',
    type: 'counter',
    labels: ['direction', 'path', 'kind'],
    help: 'UDP datagrams on the underlay, by path (direct, plain) and kind (data, control, handshake, gossip).',
    read: ({ packets }) =>
      packets.map(({ direction, path, kind, packets: value }) => ({
        labels: { direction, path, kind },
        value,
      })),
  },
  {
    name: 'weft_packet_bytes_total',
    type: 'counter',
    labels: ['direction', 'path'],
    help: 'UDP payload bytes of those datagrams.',
    read: packetBytes,
  },
  {
    name: 'weft_dropped_frames_total',
    type: 'counter',
    labels: ['direction', 'reason'],
    help: 'Frames and datagrams that were not forwarded, each counted once under its reason.',
    read: ({ drops }) =>
      drops.map(({ direction, reason, count }) => ({ labels: { direction, reason }, value: count })),
  },
  {
    name: 'weft_replay_rejected_total',
    type: 'counter',
    labels: [],
    help: 'Sealed packets that had been received before or were too old; also in weft_dropped_frames_total.',
    read: (snapshot) => dropsOf(snapshot, 'replay'),
  },
  {
    name: 'weft_auth_failures_total',
    type: 'counter',
    labels: [],
    help: 'Sealed packets that did not open; also in weft_dropped_frames_total.',
    read: (snapshot) => dropsOf(snapshot, 'auth'),
  },
  {
    name: 'weft_flooded_frames_total',
    type: 'counter',
    labels: ['cause'],
    help: 'Frames copied to every host of the segment, by cause (unknown, broadcast, multicast).',
    read: ({ floods }) => floods.map(({ cause, count }) => ({ labels: { cause }, value: count })),
  },
  {
    name: 'weft_fdb_entries',
    type: 'gauge',
    labels: ['vni'],
    help: 'MAC addresses in the forwarding table.',
    read: ({ fdbEntries }) =>
      fdbEntries.map(({ vni, count }) => ({ labels: { vni: String(vni) }, value: count })),
  },
  {
    name: 'weft_fdb_limit',
    type: 'gauge',
    labels: [],
    help: 'MAC addresses that a segment may learn.',
    read: ({ fdbLimit }) => one(fdbLimit),
  },
  {
    name: 'weft_fdb_learned_total',
    type: 'counter',
    labels: [],
    help: 'MAC addresses learned behind peers: new ones, moved ones and those that another had to give way to.',
    read: ({ fdbLearned }) => one(fdbLearned),
  },
  {
    name: 'weft_fdb_not_learned_total',
    type: 'counter',
    labels: [],
    help: 'Frames from a new MAC address that was not learned because its peer has as many as fdb.per_peer_limit allows; answers to it are flooded.',
    read: ({ fdbNotLearned }) => one(fdbNotLearned),
  },
  {
    name: 'weft_fdb_moves_total',
    type: 'counter',
    labels: [],
    help: 'MAC addresses that were seen behind another peer than before.',
    read: ({ fdbMoves }) => one(fdbMoves),
  },
  {
    name: 'weft_fdb_freezes_total',
    type: 'counter',
    labels: [],
    help: 'MAC addresses that were frozen where they were, because two hosts claim them.',
    read: ({ fdbFreezes }) => one(fdbFreezes),
  },
  {
    name: 'weft_fdb_frozen',
    type: 'gauge',
    labels: [],
    help: 'MAC addresses that are frozen now.',
    read: ({ fdbFrozen }) => one(fdbFrozen),
  },
  {
    name: 'weft_fdb_evictions_total',
    type: 'counter',
    labels: [],
    help: 'MAC addresses that had to give way because the table was full.',
    read: ({ fdbEvictions }) => one(fdbEvictions),
  },
  {
    name: 'weft_peers',
    type: 'gauge',
    labels: ['state'],
    help: 'Hosts this one exchanges frames with, by state (up, handshaking, down).',
    read: peersByState,
  },
  {
    name: 'weft_peer_info',
    type: 'gauge',
    labels: ['peer', 'endpoint_family'],
    help: 'Always 1; what is known of a peer.',
    read: (_snapshot, peers) =>
      peers.map(({ peer, family }) => ({
        labels: { peer, endpoint_family: family ?? '' },
        value: 1,
      })),
  },
  {
    name: 'weft_peer_receive_bytes_total',
    type: 'counter',
    labels: ['peer'],
    help: 'Inner Ethernet bytes from a peer, without gossip and control.',
    read: (_snapshot, peers) => byPeer(peers, (peer) => peer.receiveBytes),
  },
  {
    name: 'weft_peer_transmit_bytes_total',
    type: 'counter',
    labels: ['peer'],
    help: 'Inner Ethernet bytes to a peer, without gossip and control.',
    read: (_snapshot, peers) => byPeer(peers, (peer) => peer.transmitBytes),
  },
  {
    name: 'weft_peer_receive_packets_total',
    type: 'counter',
    labels: ['peer'],
    help: 'Inner Ethernet frames from a peer.',
    read: (_snapshot, peers) => byPeer(peers, (peer) => peer.receivePackets),
  },
  {
    name: 'weft_peer_transmit_packets_total',
    type: 'counter',
    labels: ['peer'],
    help: 'Inner Ethernet frames to a peer.',
    read: (_snapshot, peers) => byPeer(peers, (peer) => peer.transmitPackets),
  },
  {
    name: 'weft_peer_last_handshake_timestamp_seconds',
    type: 'gauge',
    labels: ['peer'],
    help: 'When the last handshake with a peer was completed; absent before the first.',
    read: (_snapshot, peers) => byPeer(peers, (peer) => peer.lastHandshakeSec),
  },
  {
    name: 'weft_peer_rtt_seconds',
    type: 'gauge',
    labels: ['peer'],
    help: 'Smoothed round trip time to a peer on the underlay; absent until measured.',
    read: (_snapshot, peers) => byPeer(peers, (peer) => peer.rttSec),
  },
  {
    name: 'weft_peer_path_mtu_bytes',
    type: 'gauge',
    labels: ['peer'],
    help: 'Largest outer IP packet that reaches a peer; absent until probed.',
    read: (_snapshot, peers) => byPeer(peers, (peer) => peer.pathMtuBytes),
  },
  {
    name: 'weft_peer_probe_loss_ratio',
    type: 'gauge',
    labels: ['peer'],
    help: 'Share of the last 32 liveness probes to a peer that was not answered, 0 to 1; absent before the first.',
    read: (_snapshot, peers) => byPeer(peers, (peer) => peer.probeLoss),
  },
  {
    name: 'weft_path_probes_total',
    type: 'counter',
    labels: [],
    help: 'Probes sent to measure path MTUs.',
    read: ({ pathProbes }) => one(pathProbes),
  },
  {
    name: 'weft_path_probes_lost_total',
    type: 'counter',
    labels: [],
    help: 'Of these, probes that were not answered in time; a search for the size loses some by design.',
    read: ({ pathProbesLost }) => one(pathProbesLost),
  },
  {
    name: 'weft_packet_too_big_sent_total',
    type: 'counter',
    labels: [],
    help: 'Senders behind the TAP that were told of a smaller path (ICMP fragmentation needed, ICMPv6 packet too big).',
    read: ({ tooBigAnswers }) => one(tooBigAnswers),
  },
  {
    name: 'weft_mss_clamped_total',
    type: 'counter',
    labels: ['direction'],
    help: 'TCP SYNs whose MSS was lowered to what the path to the peer carries.',
    read: ({ mssClamped }) => byKey('direction', mssClamped),
  },
  {
    name: 'weft_handshakes_started_total',
    type: 'counter',
    labels: [],
    help: 'Handshakes begun by this host, and first messages of others, repeats left out.',
    read: ({ handshakesStarted }) => one(handshakesStarted),
  },
  {
    name: 'weft_handshakes_total',
    type: 'counter',
    labels: ['result'],
    help: 'Handshakes ended, by result (ok, timeout, refused, invalid).',
    read: ({ handshakes }) => handshakes.map(({ result, count }) => ({ labels: { result }, value: count })),
  },
  {
    name: 'weft_rekeys_total',
    type: 'counter',
    labels: [],
    help: 'Sessions that went on with new keys.',
    read: ({ rekeys }) => one(rekeys),
  },
  {
    name: 'weft_gossip_members',
    type: 'gauge',
    labels: ['state'],
    help: 'Members that this host knows, itself included, by state (alive, suspect, dead, left).',
    read: ({ gossipMembers }) => byKey('state', gossipMembers),
  },
  {
    name: 'weft_gossip_messages_total',
    type: 'counter',
    labels: ['direction', 'type'],
    help: 'Membership messages by type.',
    read: ({ gossipMessages }) =>
      gossipMessages.map(({ direction, type, count }) => ({ labels: { direction, type }, value: count })),
  },
  {
    name: 'weft_gossip_probes_total',
    type: 'counter',
    labels: [],
    help: 'Members probed.',
    read: ({ gossipProbes }) => one(gossipProbes),
  },
  {
    name: 'weft_gossip_probe_failures_total',
    type: 'counter',
    labels: [],
    help: 'Probes that no direct or indirect answer came back for.',
    read: ({ gossipProbeFailures }) => one(gossipProbeFailures),
  },
  {
    name: 'weft_gossip_suspicions_total',
    type: 'counter',
    labels: ['outcome'],
    help: 'Suspicions ended, by outcome (refuted, dead).',
    read: ({ gossipSuspicions }) =>
      gossipSuspicions.map(({ outcome, count }) => ({ labels: { outcome }, value: count })),
  },
  {
    name: 'weft_gossip_health_score',
    type: 'gauge',
    labels: [],
    help: 'How unwell this host believes itself to be (Lifeguard); 0 is well.',
    read: ({ gossipHealthScore }) => one(gossipHealthScore),
  },
  {
    name: 'weft_gossip_broadcast_queue_length',
    type: 'gauge',
    labels: [],
    help: 'Records that wait to be passed on.',
    read: ({ gossipBroadcastQueue }) => one(gossipBroadcastQueue),
  },
  {
    name: 'weft_gossip_incarnation',
    type: 'gauge',
    labels: [],
    help: 'Incarnation of this host; grows at each start and at each refuted suspicion.',
    read: ({ gossipIncarnation }) => one(gossipIncarnation),
  },
  {
    name: 'weft_equivocations_total',
    type: 'counter',
    labels: [],
    help: 'Proofs that a member, or this host, signed two different records with one number.',
    read: ({ equivocations }) => one(equivocations),
  },
  {
    name: 'weft_policy_conflicts_total',
    type: 'counter',
    labels: [],
    help: 'Policies that followed one that another follows too: a mistake, or a stolen root key.',
    read: ({ policyConflicts }) => one(policyConflicts),
  },
  {
    name: 'weft_state_writable',
    type: 'gauge',
    labels: [],
    help: '0 while the disk of the state directory takes nothing: it is full or read-only.',
    read: ({ stateWritable }) => one(stateWritable ? 1 : 0),
  },
  {
    name: 'weft_offload',
    type: 'gauge',
    labels: ['offload'],
    help: '1 for each offload that is on, 0 for one that is off; `weft status` says why.',
    read: ({ offloads }) =>
      offloads.map(({ name, on }) => ({ labels: { offload: name }, value: on ? 1 : 0 })),
  },
  {
    name: 'weft_udp_socket_drops_total',
    type: 'counter',
    labels: ['socket'],
    help: 'Datagrams that the kernel dropped because a socket buffer was full; raise udp.receive_buffer_bytes.',
    read: ({ udpSocketDrops }) =>
      udpSocketDrops.map(({ socket, count }) => ({ labels: { socket }, value: count })),
  },
  {
    name: 'weft_tap_queue_length',
    type: 'gauge',
    labels: [],
    help: 'Frames that each queue of the TAP holds (txqueuelen).',
    read: ({ tapQueueLength }) => (tapQueueLength === null ? [] : one(tapQueueLength)),
  },
  {
    name: 'weft_tap_queue_drops_total',
    type: 'counter',
    labels: [],
    help: 'Frames that the kernel dropped before the agent could read them: the queue of the TAP was full.',
    read: ({ tapQueueDrops }) => (tapQueueDrops === null ? [] : one(tapQueueDrops)),
  },
  {
    name: 'weft_worker_checks_total',
    type: 'counter',
    labels: [],
    help: 'Looks after the data-plane threads, one every 5 s.',
    read: ({ workerChecks }) => one(workerChecks),
  },
  {
    name: 'weft_worker_stalls_total',
    type: 'counter',
    labels: [],
    help: 'Of these, looks at which a data-plane thread had not answered the one before.',
    read: ({ workerStalls }) => one(workerStalls),
  },
  {
    name: 'weft_control_refused_total',
    type: 'counter',
    labels: [],
    help: 'Connections to the control socket by users who may not use it.',
    read: ({ controlRefused }) => one(controlRefused),
  },
  {
    name: 'weft_config_last_reload_successful',
    type: 'gauge',
    labels: [],
    help: '1 if the configuration was valid when it was last read, 0 if it was not and the one before still holds.',
    read: ({ configValid }) => one(Number(configValid)),
  },
  {
    name: 'weft_config_last_reload_success_timestamp_seconds',
    type: 'gauge',
    labels: [],
    help: 'When a valid configuration was last read: at the start, or by `weft reload`.',
    read: ({ configReadSec }) => one(configReadSec),
  },
  {
    name: 'weft_events_total',
    type: 'counter',
    labels: ['type'],
    help: 'What `weft events` tells of, by type; admitted and refused are requests to join that this host decided.',
    read: ({ events }) => byKey('type', events),
  },
  {
    name: 'weft_join_tokens',
    type: 'gauge',
    labels: ['state'],
    help: 'Join tokens with which this host has admitted somebody, by state (used, expired); forgotten a day after all has expired.',
    read: ({ joinTokens }) => joinTokens.map(({ state, count }) => ({ labels: { state }, value: count })),
  },
  {
    name: 'weft_admission_requests_total',
    type: 'counter',
    labels: ['result'],
    help: 'Requests to be admitted that this host decided, by result: admitted, repeated, or why it refused.',
    read: ({ admissionRequests }) => byKey('result', admissionRequests),
  },
  {
    name: 'weft_admission_overuse_total',
    type: 'counter',
    labels: [],
    help: 'Pairs of hosts that were heard to have the same use of a token: admitters did not see each other, or a key was stolen.',
    read: ({ admissionOveruse }) => one(admissionOveruse),
  },
  {
    name: 'weft_admitters',
    type: 'gauge',
    labels: [],
    help: 'Members that are alive and may admit others, this host included.',
    read: ({ admitters }) => one(admitters),
  },
  {
    name: 'weft_identity_expiry_timestamp_seconds',
    type: 'gauge',
    labels: [],
    help: 'When the certificate of this host expires.',
    read: ({ identityExpirySec }) => one(identityExpirySec),
  },
  {
    name: 'weft_revocations',
    type: 'gauge',
    labels: ['kind'],
    help: 'Statements in force that end trust, by kind (node, token, admitter, name, grant).',
    read: ({ revocations }) => revocations.map(({ kind, count }) => ({ labels: { kind }, value: count })),
  },
];

export const HANDSHAKE_DURATION: HistogramDefinition = {
  name: 'weft_handshake_duration_seconds',
  help: 'Time from the first message of a handshake to its end, for those that this host began.',
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
};

export const LOOP_DELAY: HistogramDefinition = {
  name: 'weft_event_loop_delay_seconds',
  help: 'How late the event loop of the control plane comes to a timer of one second.',
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
};

export const PROBE_DURATION: HistogramDefinition = {
  name: 'weft_gossip_probe_duration_seconds',
  help: 'Time from a direct membership probe to its answer.',
  buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
};
