/**
 * What an agent gives up before its data path starts: every capability but CAP_NET_ADMIN, which the TAP, its addresses and
 * the size of socket buffers need, in every thread and for every program it runs; the way to any new right; and its core, in
 * which the keys would be. CAP_NET_BIND_SERVICE stays only where a port below 1024 is configured. What it runs later, its
 * successor at an upgrade included, has no more. Part of the composition root; docs/SECURITY-MODEL.md.
 */
import { confine, isDumpable } from 'tun-tap';
import type { Config } from './config/schema.ts';
import type { RightsReport } from './control/api-types.ts';
import { WeftError } from './errors.ts';
import { Kernel } from './host/kernel.ts';
import { type Capability, capabilityBits, type ProcessRights, readRights } from './host/process-rights.ts';

/** Above this any user may bind (ip_unprivileged_port_start may say less). */
const FIRST_FREE_PORT = 1024;

/** Capabilities that the settings need after the start: also to listen again, at a reload or in a successor. */
export function neededCapabilities(config: Config): Capability[] {
  const { underlay, gossipPort, metrics } = config;
  const ports = [underlay?.port, gossipPort, metrics.address?.port];
  const low = ports.some((port) => port !== undefined && port > 0 && port < FIRST_FREE_PORT);
  return low ? ['NET_ADMIN', 'NET_BIND_SERVICE'] : ['NET_ADMIN'];
}

function refuse(why: string): never {
  throw new WeftError(
    'E_PRIVILEGE',
    `this process cannot give up the rights that it does not need (${why}): allow it capset and prctl, and /proc`,
  );
}

/**
 * Gives up what is not needed, and looks whether it is gone.
 * @throws WeftError E_PRIVILEGE when it is not
 */
export function giveUpRights(config: Config, kernel: Kernel = new Kernel()): RightsReport {
  const errno = confine(capabilityBits(neededCapabilities(config)));
  if (errno !== 0) refuse(`errno ${errno}`);
  const left = readRights(kernel, 'self');
  if (left === null) refuse('/proc/self/status cannot be read');
  if (left.others > 0 || !left.noNewPrivileges || isDumpable()) refuse('the kernel still shows them');
  return reportOf(left);
}

function reportOf({ held, boundsOthers, noNewPrivileges }: ProcessRights): RightsReport {
  return {
    user: process.geteuid?.() ?? 0,
    capabilities: [...held].sort(),
    bounded: boundsOthers === 0,
    noNewPrivileges,
    coreDumps: isDumpable(),
  };
}
