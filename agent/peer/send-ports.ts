/**
 * Whether frames to one peer may leave from the pool of sending ports, which spreads flows over the underlay's paths and the
 * far host's queues (PROTOCOL.md, Source ports). A firewall or NAT may pass the listening port alone, so a pool port counts
 * only after a probe sent from it was acknowledged; the acknowledgement goes to the listening port. Sans-IO, called by
 * agent-path.ts; times are Clock.monotonicMs.
 *
 *   begin -> every port is asked -> all have answered: usable -> each asked again every 30 s, and in turn while frames go
 *                 ^                                                    |
 *                 +---------------- 30 s later <-- one of them missed three times: none is usable
 */

export const CHECK_MS = 30_000;
export const GAP_MS = 500;
export const MAX_TRIES = 3;
/** Frames within this time: they are going to the peer. */
const ACTIVE_MS = 3_000;

interface Port {
  proven: boolean;
  provenMs: number;
  tries: number;
  sentMs: number;
  /** bounded by MAX_TRIES. */
  ids: string[];
}

export class SendPorts {
  /** bounded by the sockets of the pool. */
  readonly #ports: Port[];
  #on = false;
  #restUntilMs = 0;
  #turn = 0;
  #turnMs = Number.NEGATIVE_INFINITY;

  /** @param count sockets in the pool */
  constructor(count: number) {
    this.#ports = Array.from({ length: count }, () => ({
      proven: false,
      provenMs: 0,
      tries: 0,
      sentMs: 0,
      ids: [],
    }));
  }

  get on(): boolean {
    return this.#on;
  }

  get usable(): boolean {
    return this.#on && this.#ports.length > 0 && this.#ports.every((port) => port.proven);
  }

  /** The peer is up, at an endpoint that it signed. */
  begin(): void {
    this.end();
    this.#on = true;
  }

  end(): void {
    this.#on = false;
    this.#restUntilMs = 0;
    this.#turnMs = Number.NEGATIVE_INFINITY;
    this.#forget();
  }

  #forget(): void {
    for (const port of this.#ports) Object.assign(port, { proven: false, tries: 0, ids: [] });
  }

  /** @returns positions of the sockets to probe from; `sent` follows for each @param lastTxMs when a frame last went to the peer */
  tick(nowMs: number, lastTxMs: number | null): number[] {
    if (!this.#on || nowMs < this.#restUntilMs) return [];
    const wanted: number[] = [];
    const turn = this.#takeTurn(nowMs, lastTxMs);
    for (const [i, port] of this.#ports.entries()) {
      const due =
        port.tries > 0
          ? nowMs - port.sentMs >= GAP_MS
          : !port.proven || i === turn || nowMs - port.provenMs >= CHECK_MS;
      if (!due) continue;
      if (port.tries >= MAX_TRIES) {
        this.#forget();
        this.#restUntilMs = nowMs + CHECK_MS;
        return [];
      }
      wanted.push(i);
    }
    return wanted;
  }

  /** While frames go, one port after the other, so that a firewall that changes its mind costs seconds and not half a minute. */
  #takeTurn(nowMs: number, lastTxMs: number | null): number {
    if (lastTxMs === null || nowMs - lastTxMs > ACTIVE_MS || nowMs - this.#turnMs < GAP_MS) return -1;
    this.#turnMs = nowMs;
    this.#turn = (this.#turn + 1) % Math.max(1, this.#ports.length);
    return this.#turn;
  }

  sent(nowMs: number, position: number, id: string): void {
    const port = this.#ports[position];
    if (port === undefined) return;
    port.tries++;
    port.sentMs = nowMs;
    port.ids.push(id);
  }

  /** @returns false for an answer that is not awaited */
  acked(nowMs: number, id: string): boolean {
    const port = this.#ports.find(({ ids }) => ids.includes(id));
    if (port === undefined) return false;
    Object.assign(port, { proven: true, provenMs: nowMs, tries: 0, ids: [] });
    return true;
  }
}
