/** `weft members`: every host that gossip knows, this one included. */
import type { Command } from 'commander';
import type { MemberReport, MembersReport } from '../../control/api-types.ts';
import { jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';
import { type Column, formatTable, orDash } from '../print.ts';

const COLOUR_OF_STATE = { alive: 'green', suspect: 'yellow', dead: 'red', left: 'dim' } as const;

const COLUMNS: readonly Column<MemberReport>[] = [
  { title: 'NAME', cell: (member) => (member.self ? `${member.name} (this host)` : member.name) },
  { title: 'STATE', cell: (member) => member.state, colour: (member) => COLOUR_OF_STATE[member.state] },
  { title: 'ADDRESS', cell: (member) => orDash(member.address) },
  { title: 'ENDPOINT', cell: (member) => orDash(member.endpoint) },
  { title: 'ADMITS', cell: (member) => (member.admitter ? 'yes' : '-') },
  { title: 'INCARNATION', cell: (member) => String(member.incarnation), right: true },
  { title: 'NODE', cell: (member) => member.nodeId.slice(0, 16) },
];

export function addMembers(program: Command, context: Context): void {
  program
    .command('members')
    .summary('every host that gossip knows')
    .description('Every host that gossip knows, this one included: alive, suspect, dead or left.')
    .addOption(jsonOption())
    .action(async (flags: { readonly json?: boolean }) => {
      const report = await context.client().get<MembersReport>('/v1/members');
      context.show(report, flags.json, ({ members }) =>
        formatTable(members, COLUMNS, { coloured: context.coloured, empty: 'no members' }),
      );
    });
}
