/**
 * What the service manager is told (sd_notify(3), systemd.service(5) `Type=notify`, `WatchdogSec=`): ready, a line of
 * status, stopping, and that the agent is alive. Alive means: the event loop runs and every worker of the data plane has
 * just answered; one that is stuck ends the feeding, and the manager restarts the agent. Part of the composition root; says nothing
 * where nobody listens (no NOTIFY_SOCKET), and its failures never reach the agent.
 */
import type { Logger } from 'pino';
import { sendUnixDatagram } from 'tun-tap';
import type { Clock } from './clock.ts';
import type { StatusReport } from './control/api-types.ts';

/** What the environment says of the manager; `watchdogMs` is how long it waits for a sign of life. */
export interface Manager {
  readonly socket: string | null;
  readonly watchdogMs: number | null;
}

export interface ServiceParts {
  readonly manager: Manager;
  /** Sends a datagram to a UNIX socket; 0 or an errno. */
  readonly send: (name: string, bytes: Uint8Array) => number;
  /** Resolves when every worker has answered. */
  readonly answered: () => Promise<void>;
  /** One line, for `systemctl status`. */
  readonly status: () => string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What `systemctl status` shows. */
function statusLine({ name, mesh, address, peers, problems }: StatusReport): string {
  const well = problems.length === 0 ? '' : `; ${problems.join('; ')}`;
  return `${name} of ${mesh}, ${address ?? 'no address'}: ${peers.up} of ${peers.total} peers up${well}`;
}

/** The parts of a running agent. */
export function serviceOf(
  manager: Manager,
  dataPlane: { answered(): Promise<void> },
  view: { status(): StatusReport },
  clock: Clock,
  log: Logger,
): ServiceParts {
  const status = (): string => statusLine(view.status());
  return { manager, send: sendUnixDatagram, answered: () => dataPlane.answered(), status, clock, log };
}

/** Signs of life within the time that the manager waits; sd_watchdog_enabled(3) asks for two. */
const SIGNS_PER_WATCHDOG = 3;
/** How often the status line is looked at without a watchdog. */
const STATUS_MS = 10_000;

/** Reads what the manager left in `env` and takes it out, so that no child speaks in our name. */
export function takeManager(env: NodeJS.ProcessEnv = process.env, pid = process.pid): Manager {
  const { NOTIFY_SOCKET: socket = '', WATCHDOG_USEC: usec = '', WATCHDOG_PID: ours = '' } = env;
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name];
  const forUs = ours === '' || Number(ours) === pid;
  const watchdogMs = /^[1-9]\d{0,15}$/.test(usec) && forUs ? Number(usec) / 1000 : null;
  return { socket: socket === '' ? null : socket, watchdogMs: socket === '' ? null : watchdogMs };
}

/**
 * Says that the agent is ready and goes on saying that it lives. Returns what says that it stops, or, given a pid, that this
 * process is the service from now on.
 */
export function tellManager(p: ServiceParts): (successor: number | null) => void {
  const { socket, watchdogMs } = p.manager;
  if (socket === null) return () => {};
  let failed = false;
  const tell = (...lines: readonly string[]): void => {
    const errno = p.send(socket, new TextEncoder().encode(`${lines.join('\n')}\n`));
    if (errno !== 0 && !failed) p.log.warn({ errno }, 'the service manager cannot be told of this agent');
    failed = errno !== 0;
  };

  let status = p.status();
  tell('READY=1', `STATUS=${status}`);
  let asking = false;
  let stopping = false;
  const look = async (): Promise<void> => {
    // A worker that has not answered yet is not asked again: what waits for it stays one question.
    if (asking) return;
    asking = true;
    try {
      if (watchdogMs !== null) await p.answered();
    } catch {
      return;
    } finally {
      asking = false;
    }
    if (stopping) return;
    const now = p.status();
    const lines = [
      ...(watchdogMs === null ? [] : ['WATCHDOG=1']),
      ...(now === status ? [] : [`STATUS=${now}`]),
    ];
    status = now;
    if (lines.length > 0) tell(...lines);
  };
  const everyMs = watchdogMs === null ? STATUS_MS : Math.min(STATUS_MS, watchdogMs / SIGNS_PER_WATCHDOG);
  const cancel = p.clock.every(everyMs, () => void look());
  return (successor) => {
    stopping = true;
    cancel();
    if (successor === null) tell('STOPPING=1', 'STATUS=stopping');
    else tell(`MAINPID=${successor}`, 'STATUS=handing over');
  };
}
