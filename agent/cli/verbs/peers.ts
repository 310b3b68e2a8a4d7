/** `weft peers`: the hosts this one exchanges frames with. */
import type { Command } from 'commander';
import type { PeerReport, PeersReport } from '../../control/api-types.ts';
import { jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';
import { type Column, formatAge, formatBytes, formatRtt, formatTable, orDash } from '../print.ts';

const COLUMNS: readonly Column<PeerReport>[] = [
  { title: 'NAME', cell: (peer) => peer.name },
  { title: 'ADDRESS', cell: (peer) => orDash(peer.address) },
  { title: 'ENDPOINT', cell: (peer) => orDash(peer.endpoint) },
  {
    title: 'STATE',
    cell: (peer) => peer.state,
    colour: (peer) => (peer.state === 'up' ? 'green' : peer.state === 'down' ? 'red' : 'yellow'),
  },
  { title: 'PATH', cell: (peer) => peer.path },
  { title: 'RTT', cell: (peer) => orDash(peer.rttMs, formatRtt), right: true },
  {
    title: 'LOSS',
    cell: (peer) => orDash(peer.loss, (share) => `${Math.round(share * 100)} %`),
    right: true,
  },
  { title: 'PMTU', cell: (peer) => orDash(peer.pmtu), right: true },
  { title: 'SENT', cell: (peer) => formatBytes(peer.txBytes), right: true },
  { title: 'RECEIVED', cell: (peer) => formatBytes(peer.rxBytes), right: true },
  {
    title: 'HANDSHAKE',
    cell: (peer) => orDash(peer.lastHandshakeMs, (ms) => `${formatAge(ms)} ago`),
    right: true,
  },
];

const REASON: Column<PeerReport> = { title: 'REASON', cell: (peer) => orDash(peer.reason) };

export function addPeers(program: Command, context: Context): void {
  program
    .command('peers')
    .summary('the hosts this one exchanges frames with')
    .description(
      'The hosts this one exchanges frames with: path, round trip, loss of the last 32 probes, path MTU, traffic, age of the keys.',
    )
    .addOption(jsonOption())
    .action(async (flags: { readonly json?: boolean }) => {
      const report = await context.client().get<PeersReport>('/v1/peers');
      context.show(report, flags.json, ({ peers }) => {
        const columns = peers.some((peer) => peer.reason !== null) ? [...COLUMNS, REASON] : COLUMNS;
        return formatTable(peers, columns, { coloured: context.coloured, empty: 'no peers' });
      });
    });
}
