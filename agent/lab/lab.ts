/**
 * `weft lab`: a real mesh between hosts made of network namespaces on this machine, shown working step by step. Needs root,
 * iproute2 and /dev/net/tun, and nothing else. Called by main.ts. It removes everything that it made, also on failure and
 * on Ctrl-C, unless told to keep it.
 */
import { accessSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT, WeftError } from '../errors.ts';
import { run } from './command.ts';
import { Host } from './host.ts';
import { keepInstructions } from './keep.ts';
import type { Probe } from './probe-client.ts';
import { Report } from './report.ts';
import type { Lab } from './setting.ts';
import { STEPS } from './steps.ts';
import { Topology } from './topology.ts';

export interface LabOptions {
  readonly hosts: number;
  /** Leave it up and print how to enter each host. */
  readonly keep: boolean;
}

const SHOWN_COMPLAINTS = 5;
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** @returns the exit status: 0 only if all that it showed is true. @throws WeftError if this machine cannot run it */
export async function runLab(options: LabOptions, report: Report = new Report()): Promise<number> {
  await checkMachine();
  const stopped = new AbortController();
  const stop = (): void => stopped.abort(new WeftError('E_TIMEOUT', 'stopped'));
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  const lab = prepare(options.hosts, report, stopped.signal);
  let keep = false;
  try {
    report.line(`weft lab: ${options.hosts} hosts around one router, namespaces ${lab.topology.prefix}-*`);
    for (const step of STEPS) await report.step(step.title, () => step.run(lab));
    keep = options.keep;
    return EXIT.ok;
  } catch (error) {
    if (stopped.signal.aborted) return EXIT.interrupted;
    if (!(error instanceof WeftError)) throw error;
    showLogs(lab);
    return EXIT.failure;
  } finally {
    if (keep) leave(lab);
    else await clear(lab);
    for (const signal of STOP_SIGNALS) process.off(signal, stop);
  }
}

/** @throws WeftError naming the one thing that is missing */
async function checkMachine(): Promise<void> {
  if (process.geteuid?.() !== 0) {
    throw new WeftError('E_PRIVILEGE', 'the lab makes network namespaces: run it as root (sudo)');
  }
  try {
    accessSync('/dev/net/tun');
  } catch (cause) {
    throw new WeftError('E_DEVICE', '/dev/net/tun is missing: load the tun module (modprobe tun)', { cause });
  }
  await run(['ip', '-V']);
}

function prepare(hosts: number, report: Report, signal: AbortSignal): Lab {
  const topology = Topology.plan({ hosts });
  const folder = mkdtempSync(join(tmpdir(), `${topology.prefix}-`));
  const configPath = join(folder, 'config.yaml');
  // Its own configuration, so that what this machine runs with stays out of it.
  writeFileSync(configPath, 'log:\n  level: info\n');
  const members = topology.nodes.map((node) => new Host(node, folder, configPath));
  return { topology, folder, hosts: members, probes: [], report, signal };
}

/** What the agents complained of, for whoever looks into the failure. */
function showLogs(lab: Lab): void {
  for (const host of lab.hosts) {
    const complaints = host.log().split('\n').filter(isComplaint);
    if (complaints.length === 0) continue;
    lab.report.line(`    log of ${host.name}:`);
    lab.report.details(complaints.slice(-SHOWN_COMPLAINTS).join('\n'));
  }
}

/** A line of a log that is no ordinary event: of a higher level, or not of the log at all. */
function isComplaint(line: string): boolean {
  return line !== '' && !line.includes('"level":"info"') && !line.includes('"level":"debug"');
}

/** Never throws: what is gone already is fine. */
async function clear(lab: Lab): Promise<void> {
  await Promise.all(lab.probes.map((probe: Probe) => probe.stop()));
  await Promise.all(lab.hosts.map((host) => host.stop().catch(() => null)));
  await lab.topology.remove();
  rmSync(lab.folder, { recursive: true, force: true });
}

function leave(lab: Lab): void {
  for (const probe of lab.probes) void probe.stop();
  for (const host of lab.hosts) host.release();
  lab.report.line(keepInstructions(lab));
}
