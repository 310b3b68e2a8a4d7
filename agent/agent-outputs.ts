/**
 * Carries out what the session manager wants done: datagrams leave, keys go to the workers, and what happened to a session
 * goes to whom it concerns. Part of the composition root.
 */
import type { Logger } from 'pino';
import { sendDatagram } from 'tun-tap';
import type { Agreement, TransmitKeyOutput } from './agent-agreement.ts';
import type { Forward } from './agent-forward.ts';
import type { Paths } from './agent-path.ts';
import type { Pings } from './agent-ping.ts';
import type { Clock } from './clock.ts';
import type { DataPlane } from './datapath/data-plane.ts';
import type { Endpoint } from './endpoint.ts';
import type { SegmentRule } from './identity/policy.ts';
import { isPolicyQuestion } from './identity/policy-question.ts';
import type { MemberPeer, PeerTable } from './peer/peer-table.ts';
import type { SessionManager } from './session/session-manager.ts';
import type { SessionOutput } from './session/types.ts';

export interface OutputParts {
  readonly segment: SegmentRule;
  readonly sessions: SessionManager;
  readonly dataPlane: DataPlane;
  readonly peers: PeerTable;
  readonly sealedFd: number;
  readonly paths: Paths;
  readonly pings: Pings;
  readonly clock: Clock;
  readonly log: Logger;
  /** A peer can be reached from now on. */
  readonly onUp: (id: string, address: string | null) => void;
  /** The answer to a joining host that asks for policies. */
  readonly onPolicyQuestion: (question: Uint8Array) => Uint8Array;
  /** A member's message about certificates; false when it is about something else. */
  readonly onMessage: (from: string, isReply: boolean, body: Uint8Array) => boolean;
  readonly onHandshake: (result: 'ok' | 'timeout' | 'refused', durationSec: number) => void;
}

export type NewPeerOutput = Extract<SessionOutput, { kind: 'newPeer' }>;

/** What agent-mesh.ts knows of members. */
export interface OutputHooks {
  readonly agreement: Agreement;
  readonly forward: Forward;
  /** Asks a member what statements it has. */
  readonly compare: (id: string) => void;
  /** What a session heard has changed: whether the peer is in use. */
  readonly judge: (peer: MemberPeer, nowMs: number) => void;
  readonly newPeer: (output: NewPeerOutput) => void;
}

/** What the agent says of this host's sealed traffic besides data. */
export interface ControlTraffic {
  txPackets: number;
  txBytes: number;
}

export class Outputs {
  readonly #p: OutputParts;
  readonly #hooks: OutputHooks;
  readonly sent: { readonly control: ControlTraffic; readonly handshake: ControlTraffic } = {
    control: { txPackets: 0, txBytes: 0 },
    handshake: { txPackets: 0, txBytes: 0 },
  };

  constructor(parts: OutputParts, hooks: OutputHooks) {
    this.#p = parts;
    this.#hooks = hooks;
  }

  #send(to: Endpoint, bytes: Uint8Array): void {
    const error = sendDatagram(this.#p.sealedFd, bytes, to.ip, to.port);
    const traffic = bytes[0] === 4 ? this.sent.control : this.sent.handshake;
    if (error === 0) {
      traffic.txPackets += 1;
      traffic.txBytes += bytes.length;
    } else {
      this.#p.dataPlane.drop('transmit', 'unreachable');
    }
  }

  carryOut(outputs: readonly SessionOutput[]): void {
    for (const output of outputs) this.#one(output);
  }

  #one(o: SessionOutput): void {
    const { dataPlane, peers, clock, log } = this.#p;
    switch (o.kind) {
      case 'send':
        return this.#send(o.to, o.bytes);
      case 'installReceive': {
        const slot = o.peer === null ? -1 : (peers.byId(o.peer)?.slot ?? -1);
        const done = dataPlane.installReceive({ ...o, slot });
        o.laneKeys.fill(0);
        void done.then(
          () => this.carryOut(this.#p.sessions.installed(clock.monotonicMs(), o.token)),
          (error) => log.warn({ error: String(error) }, 'a receive key was not installed'),
        );
        return;
      }
      case 'removeReceive':
        void dataPlane.removeReceive(o.index);
        return;
      case 'installTransmit':
        return this.#hooks.agreement.take(o);
      default:
        return this.#event(o);
    }
  }

  /** Data to the peer is sealed with this key from now on. */
  installTransmit(o: TransmitKeyOutput): void {
    const { dataPlane, peers } = this.#p;
    const peer = peers.byId(o.peer);
    if (peer !== undefined) {
      void dataPlane.setEndpoint(peer.slot, peer.endpoint);
      void dataPlane.installTransmit({ ...o, slot: peer.slot });
    }
    o.key.fill(0);
  }

  /** Outputs that say what happened rather than what to install. */
  #event(
    o: Exclude<SessionOutput, { kind: 'send' | 'installReceive' | 'removeReceive' | 'installTransmit' }>,
  ): void {
    const { dataPlane, peers, clock, log } = this.#p;
    const peer = 'peer' in o ? peers.byId(o.peer) : undefined;
    switch (o.kind) {
      case 'clearTransmit':
        this.#hooks.agreement.drop(o.peer);
        if (peer !== undefined && this.#p.segment.mode === 'sealed') void dataPlane.clearTransmit(peer.slot);
        return;
      case 'newPeer':
        return this.#hooks.newPeer(o);
      case 'up':
        if (peer === undefined) return;
        if (peer.state !== 'up') {
          log.info({ peer: peer.name, endpoint: peer.endpoint }, 'peer up');
          this.#hooks.compare(peer.id);
        }
        peer.state = 'up';
        peer.reason = null;
        this.#p.paths.up(peer);
        this.#p.onUp(peer.id, peer.address);
        return this.#hooks.judge(peer, clock.monotonicMs());
      case 'down':
        if (peer === undefined) return;
        log.info({ peer: peer.name, reason: o.reason }, 'peer down');
        peer.state = 'down';
        peer.reason = o.reason;
        this.#hooks.judge(peer, clock.monotonicMs());
        return this.#p.paths.down(peer);
      case 'handshakeDone':
        this.#p.onHandshake(o.result, o.durationMs / 1000);
        if (o.result === 'ok' && peer !== undefined) {
          peer.lastHandshakeAtMs = clock.monotonicMs();
          peer.lastHandshakeWallMs = clock.wallMs();
        } else if (peer !== undefined && peer.state !== 'up') {
          peer.reason = o.reason ?? o.result;
        }
        return;
      case 'moved':
        if (peer === undefined) return;
        peer.endpoint = o.endpoint;
        void dataPlane.setEndpoint(peer.slot, o.endpoint);
        return this.#p.paths.moved(peer, o.endpoint);
      case 'pathProbeAcked':
        if (!this.#p.pings.acked(o.probe) && peer !== undefined) this.#p.paths.acked(peer, o.probe);
        return;
      case 'rtt':
        if (peer === undefined) return;
        peer.rttMs = o.ms;
        peer.probeLoss = o.loss;
        peer.seenAs = o.seenAs;
        return;
      case 'joinRequest':
        if (isPolicyQuestion(o.body)) {
          const answer = this.#p.onPolicyQuestion(o.body);
          return this.carryOut(this.#p.sessions.reply(clock.monotonicMs(), o.joinId, answer));
        }
        return this.#hooks.forward.joinRequest(o.joinId, { ...o, request: o.body, fromIp: o.from.ip });
      case 'message':
        if (!this.#p.onMessage(o.peer, o.reply, o.body)) this.#hooks.forward.message(o.peer, o.reply, o.body);
        return;
      case 'drop':
        // A datagram of an unknown index was counted by the worker that received it.
        if (o.reason !== 'unknown_index') dataPlane.drop('receive', o.reason);
        return;
      case 'joinReply':
      case 'joinFailed':
        return;
    }
  }
}
