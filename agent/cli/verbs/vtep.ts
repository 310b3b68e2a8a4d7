/** `weft vtep`: plain tunnel endpoints that are no agents: a kernel vxlan device, Open vSwitch, a switch. */
import type { Command } from 'commander';
import type { VtepRequest, VtepsReport } from '../../control/api-types.ts';
import { jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';
import { formatTable } from '../print.ts';

interface Flags {
  readonly segment?: string;
  readonly json?: boolean;
}

export function addVtep(program: Command, context: Context): void {
  const vtep = program
    .command('vtep')
    .helpCommand(false)
    .summary('plain tunnel endpoints that are no agents')
    .description(
      'Endpoints of a plain segment that are no agents: kernel vxlan, Open vSwitch, a switch. They take effect at once and ' +
        'survive a restart. Plain traffic is neither secret nor authentic: whoever can forge the address can inject.',
    );
  const segment = '--segment <segment>';
  const segmentHelp = 'segment (name or VNI); default: the only one';

  vtep
    .command('add <address>')
    .summary('exchange frames with IP[:PORT]')
    .description('Exchange frames with a plain endpoint at IP or IP:PORT.')
    .option(segment, segmentHelp)
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  weft vtep add 192.0.2.7')
    .action(async (address: string, flags: Flags) => {
      const report = await context.client().send<VtepsReport>('POST', '/v1/vteps', requestOf(address, flags));
      if (flags.json === true) context.show(report, true, formatVteps(context));
      else context.note(`${address} added`);
    });

  vtep
    .command('remove <address>')
    .summary('stop exchanging frames with it')
    .description('Stop exchanging frames with a plain endpoint and forget what was learned from it.')
    .option(segment, segmentHelp)
    .addOption(jsonOption())
    .action(async (address: string, flags: Flags) => {
      const report = await context
        .client()
        .send<VtepsReport>('DELETE', '/v1/vteps', requestOf(address, flags));
      if (flags.json === true) context.show(report, true, formatVteps(context));
      else context.note(`${address} removed`);
    });

  vtep
    .command('list')
    .summary('show them')
    .description('Show the plain endpoints.')
    .addOption(jsonOption())
    .action(async (flags: Flags) => {
      context.show(await context.client().get<VtepsReport>('/v1/vteps'), flags.json, formatVteps(context));
    });
}

function requestOf(address: string, flags: Flags): VtepRequest {
  return { address, segment: flags.segment ?? null };
}

function formatVteps({ coloured }: Context): (report: VtepsReport) => string {
  return ({ vteps }) =>
    formatTable(
      vteps,
      [
        { title: 'ADDRESS', cell: (entry) => entry.address },
        { title: 'VNI', cell: (entry) => String(entry.vni), right: true },
      ],
      { coloured, empty: 'no plain endpoints' },
    );
}
