/** `weft fdb`: which MAC address lives where. */
import type { Command } from 'commander';
import type { FdbEntryReport, FdbReport } from '../../control/api-types.ts';
import { jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';
import { type Column, formatAge, formatTable, orDash } from '../print.ts';

const COLUMNS: readonly Column<FdbEntryReport>[] = [
  { title: 'MAC', cell: (entry) => entry.mac },
  { title: 'VNI', cell: (entry) => String(entry.vni), right: true },
  { title: 'PEER', cell: (entry) => entry.peer ?? '(local)' },
  { title: 'AGE', cell: (entry) => orDash(entry.ageMs, formatAge), right: true },
  { title: 'KIND', cell: kindOf },
];

function kindOf({ static: isStatic, suspended, frozen, rival, frozenMs }: FdbEntryReport): string {
  const kind = frozen
    ? `frozen for ${orDash(frozenMs, formatAge)}: ${rival ?? 'this host'} claims it too`
    : isStatic
      ? 'static'
      : 'learned';
  return suspended ? `${kind}, suspended` : kind;
}

export function addFdb(program: Command, context: Context): void {
  program
    .command('fdb')
    .summary('which MAC address lives where')
    .description('The forwarding table: which MAC address lives behind which peer, or locally.')
    .addOption(jsonOption())
    .action(async (flags: { readonly json?: boolean }) => {
      const report = await context.client().get<FdbReport>('/v1/fdb');
      context.show(report, flags.json, ({ entries }) =>
        formatTable(entries, COLUMNS, { coloured: context.coloured, empty: 'no addresses' }),
      );
    });
}
