/**
 * Probing: one member at a time, 3 pings, then pings through 3 others, then doubt. Also serves the pings that others ask
 * for. An ack is believed about its sender, or from a member that was asked about this very probe.
 */

import type { Core } from './core.ts';
import type { Doubt } from './doubt.ts';
import { type Member, smoothRtt } from './member.ts';
import type { Message } from './message.ts';
import { type Probe, startProbe } from './probe.ts';
import { isHere } from './roster.ts';
import type { Statements } from './statements.ts';

/** Indirect probes served for one asker in a second, and altogether at one time. */
const PING_REQ_PER_SECOND = 5;
const MAX_RELAYED = 256;

interface Relay {
  readonly asker: string;
  readonly target: string;
  /** The asker's probe id. */
  readonly probe: bigint;
  readonly untilMs: number;
}

export class Prober {
  readonly #core: Core;
  readonly #doubt: Doubt;
  readonly #statements: Statements;
  #probe: Probe | null = null;
  /** By the probe id that went to the target; bounded by MAX_RELAYED. */
  readonly #relayed = new Map<bigint, Relay>();
  /** Asker to its requests in this second; bounded by the member table, cleared each second. */
  readonly #asked = new Map<string, number>();
  #nextProbeMs = 0;
  #nextSecondMs = 0;

  constructor(core: Core, doubt: Doubt, statements: Statements) {
    this.#core = core;
    this.#doubt = doubt;
    this.#statements = statements;
  }

  get isWaiting(): boolean {
    return this.#probe !== null;
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#nextSecondMs) {
      this.#nextSecondMs = nowMs + 1000;
      this.#asked.clear();
      for (const [id, relay] of this.#relayed) if (relay.untilMs < nowMs) this.#relayed.delete(id);
    }
    this.#step(nowMs);
    if (this.#probe !== null || nowMs < this.#nextProbeMs) return;
    this.#nextProbeMs = nowMs + this.#core.config.probeIntervalMs * (this.#core.health + 1);
    this.#begin(nowMs);
  }

  #begin(nowMs: number): void {
    const { roster, config, parts, counts } = this.#core;
    const id = roster.order.next((candidate) => {
      const m = roster.member(candidate);
      return m !== undefined && isHere(m) && m.record.address !== null;
    });
    const target = id === null ? undefined : roster.member(id);
    if (target === undefined) return;
    counts.probes += 1;
    this.#probe = startProbe(target, config, parts.rng, nowMs);
    this.#step(nowMs);
  }

  /** Direct pings, then indirect ones, then doubt. */
  #step(nowMs: number): void {
    const probe = this.#probe;
    if (probe === null) return;
    const target = this.#core.roster.member(probe.target);
    if (target === undefined || !isHere(target)) {
      this.#probe = null;
    } else if (probe.pingsLeft > 0) {
      if (nowMs < probe.nextPingAtMs) return;
      probe.pingsLeft -= 1;
      probe.nextPingAtMs = nowMs + probe.spacingMs;
      if (probe.pingsSent++ === 0) probe.firstPingAtMs = nowMs;
      this.#ping(target, probe.id, nowMs);
    } else if (!probe.indirectSent) {
      if (nowMs >= probe.indirectAtMs) this.#askOthers(probe, target, nowMs);
    } else if (nowMs >= probe.endsAtMs) {
      this.#probe = null;
      this.#failed(target, nowMs);
    }
  }

  /** A doubted member is told of the doubt before the ping, so that the answer brings its new record. */
  #ping(target: Member, probe: bigint, nowMs: number): void {
    const doubt = this.#doubt.about(target);
    const messages: Message[] = doubt === null ? [] : [doubt];
    messages.push({ type: 'ping', probe }, ...this.#statements.digest());
    this.#core.send(target, messages, nowMs);
  }

  #askOthers(probe: Probe, target: Member, nowMs: number): void {
    probe.indirectSent = true;
    const wanted = (m: Member): boolean =>
      m.id !== target.id && m.state === 'alive' && m.channel.opened && m.quarantinedUntilMs <= nowMs;
    for (const helper of this.#core.roster.pick(this.#core.config.indirectProbes, wanted)) {
      probe.helpers.add(helper.id);
      this.#core.send(helper, [{ type: 'pingReq', probe: probe.id, target: target.id }], nowMs);
    }
  }

  #failed(target: Member, nowMs: number): void {
    const { roster, counts } = this.#core;
    counts.probeFailures += 1;
    this.#core.emit({ type: 'probe', id: target.id, rttMs: null });
    target.missedProbes += 1;
    // To an endpoint that never answered goes one datagram in 5 s: a single lost one proves nothing.
    if (!this.#core.outbox.isProven(target) && target.missedProbes < 2) return;
    // Nobody else to have asked says more about the mesh than about us.
    if (roster.size > 1) this.#core.changeHealth(1);
    this.#doubt.unreachable(target, nowMs);
  }

  /** The channel to `id` was opened in the middle of its probe: ask again, the first ping was not understood. */
  channelOpened(id: string, nowMs: number): void {
    const target = this.#core.roster.member(id);
    if (this.#probe?.target === id && target !== undefined) this.#ping(target, this.#probe.id, nowMs);
  }

  acked(from: string, probeId: bigint, nowMs: number): void {
    const relay = this.#relayed.get(probeId);
    if (relay !== undefined) {
      if (from !== relay.target) return;
      this.#relayed.delete(probeId);
      const asker = this.#core.roster.member(relay.asker);
      if (asker !== undefined) this.#core.send(asker, [{ type: 'ack', probe: relay.probe }], nowMs);
      return;
    }
    const probe = this.#probe;
    if (probe === null || probe.id !== probeId) return;
    if (from !== probe.target && !probe.helpers.has(from)) return;
    this.#probe = null;
    this.#core.changeHealth(-1);
    const target = this.#core.roster.member(probe.target);
    if (target === undefined) return;
    target.missedProbes = 0;
    // With two pings under way nobody knows which was answered (Karn).
    const rttMs =
      from === target.id && probe.pingsSent === 1 && probe.firstPingAtMs !== null
        ? nowMs - probe.firstPingAtMs
        : null;
    if (rttMs !== null) smoothRtt(target, rttMs);
    this.#core.emit({ type: 'probe', id: target.id, rttMs: rttMs ?? target.rttMs });
  }

  /** Names a member, never an address. */
  asked(asker: string, probe: bigint, targetId: string, nowMs: number): void {
    const requests = (this.#asked.get(asker) ?? 0) + 1;
    this.#asked.set(asker, requests);
    if (requests > PING_REQ_PER_SECOND || this.#relayed.size >= MAX_RELAYED) return this.#core.drop('rate');
    const target = this.#core.roster.member(targetId);
    if (target === undefined) return this.#core.drop('gossip');
    const id = this.#core.randomU64();
    const untilMs = nowMs + this.#core.config.probeIntervalMs;
    this.#relayed.set(id, { asker, target: targetId, probe, untilMs });
    this.#core.send(target, [{ type: 'ping', probe: id }], nowMs);
  }

  /** The data plane heard the member: a probe is not needed. */
  heard(id: string): void {
    if (this.#probe?.target === id) this.#probe = null;
  }
}
