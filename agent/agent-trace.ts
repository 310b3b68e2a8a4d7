/**
 * `weft trace`: what would become of a frame now, in the words of the control socket. Part of the composition root: gives the data
 * path's trace the names of peers and the devices of the underlay. Sends nothing, learns nothing.
 */
import { readFileSync } from 'node:fs';
import { localAddressFor } from 'tun-tap';
import type { TraceCopyReport, TraceReport, TraceRequest } from './control/api-types.ts';
import type { DataPlane } from './datapath/data-plane.ts';
import { DROP, DROP_TABLE } from './datapath/drop.ts';
import { frameSummary } from './datapath/frame-summary.ts';
import type { Traced, TraceWorld } from './datapath/trace.ts';
import { traceIn } from './datapath/trace-in.ts';
import { traceOut } from './datapath/trace-out.ts';
import { parseEndpoint } from './endpoint.ts';
import { WeftError } from './errors.ts';
import type { PeerTable } from './peer/peer-table.ts';
import { underlayInterface } from './peer/underlay-interface.ts';
import { UNDERLAY_MTU_BYTES } from './segment/mtu.ts';

export interface TraceParts {
  readonly dataPlane: DataPlane;
  readonly peers: PeerTable;
  readonly tapName: string;
}

const IFF_UP = 1;

/** @throws WeftError E_NOT_FOUND */
export function traceFrame(parts: TraceParts, request: TraceRequest): TraceReport {
  const { direction, peer, frame: hex, sizeBytes } = request;
  const held = Buffer.from(hex, 'hex');
  const frame = new Uint8Array(sizeBytes ?? held.length);
  frame.set(held.subarray(0, frame.length));
  const summary = frameSummary(frame);
  const world = worldOf(parts);
  const traced =
    direction === 'in' ? traceIn(world, slotOf(parts.peers, peer ?? ''), frame) : traceOut(world, frame);
  return reportOf(world, direction, summary, traced);
}

function worldOf({ dataPlane, peers, tapName }: TraceParts): TraceWorld {
  return {
    ...dataPlane.traceWorld(),
    nameOf: (slot) => peers.bySlot(slot)?.name ?? `slot ${slot}`,
    deviceMtuBytes: (ip) =>
      localAddressFor(ip) === null ? null : (underlayInterface(ip)?.mtuBytes ?? UNDERLAY_MTU_BYTES),
    tapIsUp: isUp(tapName),
  };
}

/** As sysfs has it; a device that is gone is not up. */
function isUp(device: string): boolean {
  try {
    return (Number(readFileSync(`/sys/class/net/${device}/flags`, 'utf8')) & IFF_UP) !== 0;
  } catch {
    return false;
  }
}

/** A member by name or overlay address, a plain endpoint by its underlay address. */
function slotOf(peers: PeerTable, text: string): number {
  const found =
    peers.members().find(({ name, address }) => name === text || address?.split('/')[0] === text) ??
    peers.vteps().find(({ name, endpoint }) => name === text || endpoint.ip === parseEndpoint(text, 1)?.ip);
  if (found !== undefined) return found.slot;
  throw new WeftError('E_NOT_FOUND', `there is no peer ${text}: see \`weft peers\` and \`weft vtep list\``);
}

function reportOf(
  world: TraceWorld,
  direction: TraceReport['direction'],
  summary: string,
  traced: Traced,
): TraceReport {
  const copies = traced.copies.map(
    ({ slot, drop }): TraceCopyReport => ({
      peer: world.nameOf(slot),
      verdict: drop === DROP.none ? 'sent' : 'dropped',
      reason: drop === DROP.none ? null : labelOf(drop),
    }),
  );
  const all = [traced.drop, ...traced.copies.map(({ drop }) => drop)].filter((drop) => drop !== DROP.none);
  const written = direction === 'in' && traced.drop === DROP.none;
  return {
    v: 1,
    direction,
    summary,
    verdict: written || copies.some(({ verdict }) => verdict === 'sent') ? 'forwarded' : 'dropped',
    drops: [...new Set(all)].map((drop) => ({
      reason: labelOf(drop),
      count: all.filter((other) => other === drop).length,
      why: DROP_TABLE[drop]?.why ?? '',
    })),
    copies,
    steps: traced.steps.map(({ stage, passed, text, slot }) => ({
      stage,
      passed,
      peer: slot === null ? null : world.nameOf(slot),
      text,
    })),
  };
}

const labelOf = (drop: number): string => DROP_TABLE[drop]?.label ?? String(drop);
