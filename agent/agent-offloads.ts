/**
 * Which offloads are on, and why one is off: what the configuration wants, what the kernel granted at start, and what it
 * refused later. For `weft status`, metrics and the log. Part of the composition root.
 *
 *   tso, uso   super-frames from the TAP (TUNSETOFFLOAD)          gso   UDP_SEGMENT when sending
 *   gro        UDP_GRO when receiving                             join  super-frames to the TAP
 *   aes        AES-256-GCM by intel-ipsec-mb instead of OpenSSL
 */
import type { Logger } from 'pino';
import { TUN_F } from 'tun-tap';
import type { Clock } from './clock.ts';
import type { Config } from './config/schema.ts';
import type { OffloadReport } from './control/api-types.ts';
import type { DataPlane } from './datapath/data-plane.ts';
import type { Underlay } from './peer/underlay.ts';
import type { TapDevice } from './segment/tap-device.ts';

/** Null when on. */
type Why = string | null;

export interface OffloadParts {
  /** A reload replaces it. */
  wanted: Config['offload'];
  readonly tap: TapDevice;
  readonly underlay: Underlay;
  readonly dataPlane: DataPlane;
  /** Why OpenSSL seals, if it does. */
  readonly aesMissing: Why;
}

function whyOff(name: OffloadReport['name'], p: OffloadParts): Why {
  if (p.wanted[name] === 'off') return `switched off by offload.${name}`;
  switch (name) {
    case 'tso':
      return (p.tap.offloads & TUN_F.TSO4) !== 0 ? null : 'this kernel gives no TCP super-frames to a TAP';
    case 'uso':
      return (p.tap.offloads & TUN_F.USO4) !== 0
        ? null
        : 'this kernel gives no UDP super-frames to a TAP (Linux 6.2)';
    case 'gso':
      if (!p.underlay.segments) return 'this kernel has no UDP_SEGMENT (Linux 4.18)';
      return p.dataPlane.refused().segmenting > 0
        ? 'refused while sending: the interface cannot do it'
        : null;
    case 'gro':
      return p.underlay.joins ? null : 'this kernel has no UDP_GRO (Linux 5.0)';
    case 'join':
      if (p.tap.superFrameErrno !== 0)
        return `this kernel refuses super-frames that are written to a TAP (errno ${p.tap.superFrameErrno})`;
      return p.dataPlane.refused().joining > 0 ? 'refused while writing to the TAP' : null;
    case 'aes':
      return p.aesMissing;
  }
}

const NAMES = ['tso', 'uso', 'gso', 'gro', 'join', 'aes'] as const;

export function offloads(p: OffloadParts): OffloadReport[] {
  return NAMES.map((name) => {
    const why = whyOff(name, p);
    return { name, on: why === null, why };
  });
}

const WATCH_MS = 5000;

/** Tells the log, once each, what is off at start and what the kernel refuses later. Returns what ends it. */
export function watchOffloads(p: OffloadParts, clock: Clock, log: Logger): () => void {
  const told = new Set<string>(); // bounded by NAMES
  const look = (later: boolean): void => {
    for (const { name, why } of offloads(p)) {
      if (why === null || told.has(name)) continue;
      told.add(name);
      log[later ? 'warn' : 'info']({ offload: name, why }, 'offload is off');
    }
  };
  look(false);
  return clock.every(WATCH_MS, () => look(true));
}
