/** What the steps of one lab share: its topology, hosts and helpers. Made by lab.ts. */
import { WeftError } from '../errors.ts';
import type { Host } from './host.ts';
import type { Probe } from './probe-client.ts';
import type { Report } from './report.ts';
import type { Topology } from './topology.ts';

export interface Lab {
  readonly topology: Topology;
  /** State directories, sockets, logs. */
  readonly folder: string;
  /** Bounded by --hosts. */
  readonly hosts: readonly Host[];
  /** One for each host, then the router's; filled by the first step. */
  readonly probes: Probe[];
  readonly report: Report;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

/** The host that makes the mesh. */
export function firstHost(lab: Lab): Host {
  const [host] = lab.hosts;
  if (host === undefined) throw new WeftError('E_INTERNAL', 'a lab without hosts');
  return host;
}

/** The host that crashes and comes back. */
export function lastHost(lab: Lab): Host {
  return lab.hosts.at(-1) ?? firstHost(lab);
}

/** Helper inside host `index`; the router's follows the last host's. */
export function probeOf(lab: Lab, index: number): Probe {
  const probe = lab.probes[index];
  if (probe === undefined) throw new WeftError('E_INTERNAL', `no helper ${index} in the lab`);
  return probe;
}
