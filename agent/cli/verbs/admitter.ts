/** `weft admitter`: which members may admit others. */
import type { Command } from 'commander';
import type { AdmitterChange, AdmitterReport, AdmittersReport } from '../../control/admission-types.ts';
import { jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';
import { type Column, formatTable } from '../print.ts';

interface Flags {
  readonly json?: boolean;
}

const STATE = { add: 'is handed the right when it is back', remove: 'gives the right back when it is back' };

const COLUMNS: readonly Column<AdmitterReport>[] = [
  { title: 'NAME', cell: (a) => (a.self ? `${a.name} (this host)` : a.name) },
  { title: 'STATE', cell: (a) => a.state ?? 'unheard' },
  { title: 'ADMITS', cell: (a) => (a.admits ? 'yes' : 'no'), colour: (a) => (a.admits ? 'green' : 'yellow') },
  { title: 'CERTIFIED', cell: (a) => String(a.certified), right: true },
  { title: 'UNTIL', cell: (a) => new Date(a.expiresAt).toISOString() },
  { title: 'NOTE', cell: (a) => (a.pending !== null ? STATE[a.pending] : a.root ? 'holds the root' : '-') },
];

export function addAdmitter(program: Command, context: Context): void {
  const verb = program
    .command('admitter')
    .helpCommand(false)
    .summary('which members may admit others')
    .description(
      'Admitters are the members that certify hosts with a token, and renew certificates. The first host of a mesh is one; it holds ' +
        'the root, and can give other members the right and take it again.',
    );
  verb
    .command('add')
    .summary('let a member admit others')
    .description(
      'Sign a certificate with the right to admit for a member and hand it over. A host that is off gets it when it is back. Only ' +
        'the host that holds the root of the mesh can do it.',
    )
    .argument('<name>', 'the member: name, or node id')
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  weft admitter add beta')
    .action(async (name: string, flags: Flags) => {
      const report = await context.client().send<AdmitterChange>('POST', '/v1/admitters', { name });
      if (flags.json === true) return context.show(report, true, String);
      context.note(`${report.name} may admit others${report.delivered ? '' : ' as soon as it is back'}`);
    });
  verb
    .command('remove')
    .summary('let a member admit nobody any more')
    .description(
      'End the right of a member to admit, everywhere at once. It stays a member, and so do the hosts that it admitted, as far as ' +
        'this host has heard of them. For an admitter whose keys may be stolen use `weft revoke admitter`.',
    )
    .argument('<name>', 'the admitter: name, or node id')
    .addOption(jsonOption())
    .action(async (name: string, flags: Flags) => {
      const report = await context.client().send<AdmitterChange>('DELETE', '/v1/admitters', { name });
      if (flags.json === true) return context.show(report, true, String);
      const out = report.hosts.length === 0 ? '' : `; put out: ${report.hosts.join(', ')}`;
      const kept = report.kept === 1 ? '1 certificate of it stays' : `${report.kept} certificates of it stay`;
      context.note(`${report.name} may admit nobody any more; ${kept} good${out}`);
    });
  verb
    .command('list')
    .summary('who may admit')
    .description('The members that may admit others, and those that are about to get or to lose the right.')
    .addOption(jsonOption())
    .action(async (flags: Flags) => {
      const report = await context.client().get<AdmittersReport>('/v1/admitters');
      context.show(report, flags.json, ({ admitters }) =>
        formatTable(admitters, COLUMNS, { coloured: context.coloured, empty: 'nobody known may admit' }),
      );
    });
}
