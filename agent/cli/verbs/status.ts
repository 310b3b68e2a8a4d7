/** `weft status`: this host in a few lines. */
import type { Command } from 'commander';
import type { StatusReport } from '../../control/api-types.ts';
import { jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';
import { clean, formatAge, formatFacts, orDash, paint } from '../print.ts';

export function addStatus(program: Command, context: Context): void {
  program
    .command('status')
    .summary('this host: state, address, segment, what is wrong')
    .description('This host: state, address, segment, how many peers, and what is wrong.')
    .addOption(jsonOption())
    .action(async (flags: { readonly json?: boolean }) => {
      const report = await context.client().get<StatusReport>('/v1/status');
      context.show(report, flags.json, (status) => formatStatus(status, context.coloured));
    });
}

function formatStatus(status: StatusReport, coloured: boolean): string {
  const well = status.state === 'up' && status.problems.length === 0;
  const state = paint(status.state, well ? 'green' : 'yellow', coloured);
  const facts: [string, string][] = [
    ['host', `${clean(status.name)} in mesh ${clean(status.mesh)}`],
    ['state', `${state} for ${formatAge(status.uptimeMs)}, version ${clean(status.version)}`],
    ['address', `${orDash(status.address)} on ${clean(status.tap)}, mac ${status.mac}, mtu ${status.mtu}`],
    ['segment', `vni ${status.vni}, ${status.mode} ${status.encap}`],
    ['underlay', orDash(status.endpoint)],
    [
      'offloads',
      status.offloads
        .filter((o) => o.on)
        .map((o) => o.name)
        .join(' ') || 'none',
    ],
    ['priority', `nice ${status.nice}`],
    ['peers', `${status.peers.up} of ${status.peers.total} up`],
    ['members', `${status.members.alive} of ${status.members.total} alive`],
  ];
  if (status.admitter) facts.push(['admits', 'other hosts, with tokens of this mesh']);
  for (const { name, why } of status.offloads) if (why !== null) facts.push([`${name} off`, clean(why)]);
  for (const problem of status.problems) facts.push(['problem', paint(clean(problem), 'red', coloured)]);
  for (const warning of status.warnings) facts.push(['warning', paint(clean(warning), 'yellow', coloured)]);
  return formatFacts(facts, coloured);
}
