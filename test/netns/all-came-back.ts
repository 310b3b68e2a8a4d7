/** That no ping was lost; and when one was, everything that may have counted it, for the log is all that is left of a test. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import type { Host } from '../../agent/lab/host.ts';
import type { Mesh } from './mesh.ts';
import type { PingCounts } from './programs.ts';

interface DropLine {
  readonly direction: string;
  readonly reason: string;
  readonly count: number;
}

/** Counters of the kernel that are not 0 and speak of trouble (nstat(8), and the devices' own). */
async function kernelTroubles(run: (command: string[]) => Promise<string>): Promise<string[]> {
  const counters = (await run(['nstat', '-as']))
    .split('\n')
    .filter((line) => /Discard|Err|Drop|NoRoutes|Overflow|Fails|FragNeeded|DestUnreach/.test(line));
  const devices: { ifname: string; stats64: Record<'rx' | 'tx', { dropped: number; errors: number }> }[] =
    JSON.parse(await run(['ip', '-s', '-j', 'link']));
  const dropped = devices.map(
    ({ ifname, stats64: { rx, tx } }) =>
      `${ifname} dropped ${rx.dropped} in, ${tx.dropped} out, errors ${rx.errors} in, ${tx.errors} out`,
  );
  return [...counters.map((line) => line.trim().replaceAll(/\s+/g, ' ')), ...dropped];
}

async function countsOf(mesh: Mesh, index: number, host: Host): Promise<unknown> {
  const kernel = await kernelTroubles((command) => mesh.runOk(index, command));
  // The far end may be a foreign one, or was stopped.
  if (!mesh.running.includes(host)) return { host: host.name, kernel };
  const { drops } = JSON.parse(await host.weftOk(['drops', '--json']));
  return {
    host: host.name,
    drops: drops.map((d: DropLine) => `${d.direction} ${d.reason} ${d.count}`),
    peers: JSON.parse(await host.weftOk(['peers', '--json'])).peers,
    kernel,
  };
}

/** @throws AssertionError with all counters of both ends and of the router */
export async function allCameBack(mesh: Mesh, counts: PingCounts): Promise<void> {
  if (counts.received === counts.sent && counts.duplicates === 0) return;
  const hosts = await Promise.all(mesh.hosts.map((host, index) => countsOf(mesh, index, host)));
  const router = await kernelTroubles((command) => mesh.inRouter(command));
  assert.fail(inspect({ ...counts, hosts, router }, { depth: 6, maxArrayLength: 200, breakLength: 160 }));
}
