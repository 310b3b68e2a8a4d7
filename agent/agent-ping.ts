/**
 * `weft ping`: one probe inside the session with a peer, answered by its agent; the round trip or why there is none. Part
 * of the composition root. The same message measures paths (agent-path.ts), so a peer cannot tell the two apart.
 */
import { constants } from 'node:os';
import { sendDatagram } from 'tun-tap';
import type { Clock } from './clock.ts';
import type { PingReport, PingRequest } from './control/api-types.ts';
import { WeftError } from './errors.ts';
import type { PeerTable } from './peer/peer-table.ts';
import type { SessionManager } from './session/session-manager.ts';

export interface PingParts {
  readonly sessions: SessionManager;
  readonly peers: PeerTable;
  readonly sealedFd: number;
  readonly clock: Clock;
  /** Counts what was sent, in bytes of UDP payload. */
  readonly onSent: (bytes: number) => void;
}

/** Longer than any path that carries a session. */
const PATIENCE_MS = 3000;
/** More at once is no question of a person. */
export const MAX_PINGS = 64;
/** Outer IP and UDP headers, in bytes. */
const OUTER_BYTES = { 4: 20 + 8, 6: 40 + 8 } as const;

export class Pings {
  readonly #p: PingParts;
  /** What to do when a probe is answered, by its id; bounded by MAX_PINGS. */
  readonly #waiting = new Map<string, () => void>();

  constructor(parts: PingParts) {
    this.#p = parts;
  }

  /** @throws WeftError E_NOT_FOUND, E_REFUSED */
  async ping({ peer: name, sizeBytes }: PingRequest): Promise<PingReport> {
    const { sessions, peers, clock, sealedFd, onSent } = this.#p;
    const peer = peers.members().find((each) => each.name === name);
    if (peer === undefined)
      throw new WeftError('E_NOT_FOUND', `there is no host ${name}: see \`weft peers\``);
    if (this.#waiting.size >= MAX_PINGS)
      throw new WeftError('E_REFUSED', `${MAX_PINGS} pings are under way: wait for them`);
    const sentAtMs = clock.monotonicMs();
    const outer = OUTER_BYTES[peer.endpoint.ip.includes(':') ? 6 : 4];
    const probe = sessions.pathProbe(sentAtMs, peer.id, Math.max(0, (sizeBytes ?? 0) - outer));
    if (probe === null) return { v: 1, peer: name, result: 'no-session', rttMs: null, sizeBytes: 0 };
    const size = probe.bytes.length + outer;
    const error = sendDatagram(sealedFd, probe.bytes, probe.to.ip, probe.to.port);
    if (error !== 0) {
      const result = error === constants.errno.EMSGSIZE ? 'too-big' : 'unreachable';
      return { v: 1, peer: name, result, rttMs: null, sizeBytes: size };
    }
    onSent(probe.bytes.length);
    const answered = await this.#answer(probe.id);
    const rttMs = answered ? Math.round((clock.monotonicMs() - sentAtMs) * 1000) / 1000 : null;
    return { v: 1, peer: name, result: answered ? 'ok' : 'lost', rttMs, sizeBytes: size };
  }

  /** Whether the answer comes in time. */
  #answer(id: string): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (answered: boolean): void => {
        cancel();
        this.#waiting.delete(id);
        resolve(answered);
      };
      const cancel = this.#p.clock.after(PATIENCE_MS, () => end(false));
      this.#waiting.set(id, () => end(true));
    });
  }

  /** A probe was answered; whether it was one of these. */
  acked(id: string): boolean {
    const wake = this.#waiting.get(id);
    wake?.();
    return wake !== undefined;
  }
}
