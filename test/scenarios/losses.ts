/**
 * Where datagrams of a stream were lost: which ones, and what the agents, devices and sockets on the way counted as dropped
 * meanwhile. Printed beside a run that broke its criterion, so that a loss need not be provoked twice. Called by scenario.ts.
 */

import { run } from '../../agent/lab/command.ts';
import type { Mesh } from '../netns/mesh.ts';
import { expectOk } from '../netns/mesh.ts';
import { inside } from '../netns/programs.ts';
import type { StreamReport } from './stream.ts';

/** Counters of drops by place and reason. */
export type Tally = ReadonlyMap<string, number>;

/** Gaps that are named one by one. */
const MAX_GAPS = 8;

/** `12 at 3.1 s`: runs of numbers that never came, by when they were sent. */
export function gapsOf(report: Pick<StreamReport, 'sent' | 'arrivals'>, pps: number): string {
  const seen = new Set(report.arrivals.map(({ number }) => number));
  const gaps: { first: number; count: number }[] = [];
  for (let number = 0; number < report.sent; number++) {
    if (seen.has(number)) continue;
    const last = gaps.at(-1);
    if (last !== undefined && last.first + last.count === number) last.count++;
    else gaps.push({ first: number, count: 1 });
  }
  const named = gaps
    .slice(0, MAX_GAPS)
    .map(({ first, count }) => `${count} at ${(first / pps).toFixed(2)} s`);
  const rest = gaps.length - named.length;
  return `${named.join(', ')}${rest > 0 ? ` and ${rest} more gaps` : ''}`;
}

const DEVICE = /^\s*([^:\s]+):\s*(.*)$/;

/** Drops and errors of the devices of a namespace, and of its UDP sockets, from /proc/net/dev and /proc/net/snmp. */
async function kernelDrops(namespace: string, name: string): Promise<[string, number][]> {
  const command = inside(namespace, ['cat', '/proc/net/dev', '/proc/net/snmp']);
  const lines = expectOk(command, await run(command)).split('\n');
  const found: [string, number][] = [];
  for (const line of lines) {
    const [, device = '', rest = ''] = DEVICE.exec(line) ?? [];
    const fields = rest.trim().split(/\s+/).map(Number);
    if (device === 'Udp' && fields.every(Number.isFinite))
      found.push(
        [`${name} UDP receive buffers`, fields[4] ?? 0],
        [`${name} UDP send buffers`, fields[5] ?? 0],
      );
    else if (fields.length === 16)
      found.push(
        [`${name} ${device} in`, (fields[2] ?? 0) + (fields[3] ?? 0)],
        [`${name} ${device} out`, (fields[10] ?? 0) + (fields[11] ?? 0)],
      );
  }
  return found;
}

async function agentDrops(mesh: Mesh, index: number): Promise<[string, number][]> {
  const host = mesh.host(index);
  const text = await host.api.getText('/v1/metrics').catch(() => '');
  return [...text.matchAll(/^weft_dropped_frames_total\{direction="(\w+)",reason="(\w+)"\} (\S+)$/gm)].map(
    ([, direction, reason, value]) => [`${host.name} weft ${direction} ${reason}`, Number(value)],
  );
}

export async function tallyOf(mesh: Mesh): Promise<Tally> {
  const agents = mesh.hosts.map((_, index) => agentDrops(mesh, index));
  const kernels = mesh.hosts.map(({ node }) => kernelDrops(node.namespace, node.name));
  const all = await Promise.all([...agents, ...kernels, kernelDrops(mesh.topology.router, 'router')]);
  return new Map(all.flat());
}

/** What has grown, as one line. */
export function grown(before: Tally, after: Tally): string {
  const more = [...after].flatMap(([place, count]) => {
    const by = count - (before.get(place) ?? 0);
    return by > 0 ? [`${place} +${by}`] : [];
  });
  return more.length === 0 ? 'no counter moved' : more.join(', ');
}

/** What an agent's log says of its peers. */
const OF_PEERS = ['peer up', 'peer down', 'peer gone', 'nobody hears it', 'heard again'];
/** Lines that are named one by one, the first ones. */
const MAX_SAID = 12;

/** `2.1 s host1: peer down host2 (no answer)`: what the agents said of their peers since `sinceMs` (Unix time). */
export function saidOfPeers(
  hosts: readonly { readonly name: string; log(): string }[],
  sinceMs: number,
): string {
  const said = hosts
    .flatMap((host) =>
      host
        .log()
        .split('\n')
        .map((line) => ({ name: host.name, line })),
    )
    .flatMap(({ name, line }) => {
      // Neither what is no JSON nor a line that an agent which was killed did not end.
      if (!line.startsWith('{') || !line.endsWith('}')) return [];
      const { time, msg, peer, reason = null, why = reason } = JSON.parse(line) as Record<string, unknown>;
      const atMs = Number(new Date(String(time)));
      if (atMs < sinceMs || !OF_PEERS.includes(String(msg))) return [];
      return [{ atMs, text: `${name}: ${msg} ${peer}${why === null ? '' : ` (${why})`}` }];
    })
    .sort((a, b) => a.atMs - b.atMs);
  return said
    .slice(0, MAX_SAID)
    .map(({ atMs, text }) => `${((atMs - sinceMs) / 1000).toFixed(1)} s ${text}`)
    .join(', ');
}
