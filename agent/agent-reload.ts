/**
 * `weft reload` and SIGHUP: reads the configuration again and applies what can change while frames flow, or nothing at all when the
 * new one is not valid. Part of the composition root. Never touches sockets, TAP, keys or tables: no packet is lost.
 */
import type { Logger } from 'pino';
import type { OffloadParts } from './agent-offloads.ts';
import { sessionLimits } from './agent-sessions.ts';
import type { Clock } from './clock.ts';
import { changedKeys, RELOADABLE } from './config/reload.ts';
import type { Config } from './config/schema.ts';
import type { ReloadReport } from './control/api-types.ts';
import { MetricsServer, type MetricsServerOptions } from './control/http-metrics.ts';
import { type Endpoint, formatEndpoint } from './endpoint.ts';
import type { SessionManager } from './session/session-manager.ts';

/** The port for Prometheus, which may move. */
export class MetricsPort {
  readonly #options: Omit<MetricsServerOptions, 'address'>;
  #server: MetricsServer | null = null;
  #address: string | null = null;

  constructor(options: Omit<MetricsServerOptions, 'address'>) {
    this.#options = options;
  }

  /** Listens at the new address before it leaves the old. @throws WeftError E_ADDRESS_IN_USE, E_CONFIG, E_PRIVILEGE */
  async listen(address: Endpoint | null): Promise<void> {
    const text = address === null ? null : formatEndpoint(address);
    if (text === this.#address) return;
    const server = address === null ? null : await MetricsServer.start({ address, ...this.#options });
    const old = this.#server;
    this.#server = server;
    this.#address = text;
    await old?.close();
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }
}

export interface Live {
  config: Config;
  /** Whether the last reading of the configuration was valid. */
  valid: boolean;
  /** Clock.wallMs of the last valid one. */
  readAtMs: number;
}

export interface ReloadParts {
  /** What holds now, and how the last reading went; replaced here. */
  readonly live: Live;
  /** As at the start: the same flags, the same environment, the file as it is now. @throws WeftError */
  readonly reread: () => Config;
  readonly log: Logger;
  readonly port: MetricsPort;
  readonly sessions: SessionManager;
  readonly offloads: OffloadParts;
  readonly clock: Clock;
}

/** @throws WeftError E_CONFIG and what MetricsPort.listen throws; then nothing has changed */
export async function reload(p: ReloadParts): Promise<ReloadReport> {
  try {
    const next = p.reread();
    // The only part that can fail comes first.
    await p.port.listen(next.metrics.address);
    const report = await apply(p, next);
    p.live.valid = true;
    p.live.readAtMs = p.clock.wallMs();
    return report;
  } catch (error) {
    p.live.valid = false;
    throw error;
  }
}

async function apply({ live, log, sessions, offloads }: ReloadParts, next: Config): Promise<ReloadReport> {
  const changed = changedKeys(live.config, next);
  log.level = next.log.level;
  sessions.setLimits(sessionLimits(next));
  offloads.wanted = { ...live.config.offload, gso: next.offload.gso, join: next.offload.join };
  await offloads.dataPlane.setOffloads(
    offloads.underlay.segments && next.offload.gso === 'on',
    offloads.tap.superFrameErrno === 0 && next.offload.join === 'on',
  );
  live.config = {
    ...live.config,
    log: { ...live.config.log, level: next.log.level },
    metrics: next.metrics,
    offload: offloads.wanted,
    session: next.session,
  };
  const applied = changed.filter((key) => RELOADABLE.includes(key));
  const needRestart = changed.filter((key) => !RELOADABLE.includes(key));
  log.info({ applied, needRestart }, 'configuration read again');
  return { v: 1, applied, needRestart };
}
