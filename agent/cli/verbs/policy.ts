/** `weft policy`: what the mesh's root has laid down for everybody. */
import { type Command, Option } from 'commander';
import type { PolicyReport, PolicyRequest } from '../../control/api-types.ts';
import { WeftError } from '../../errors.ts';
import { duration, jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';
import { formatAge, formatFacts } from '../print.ts';

interface Flags {
  readonly nodeLife?: number;
  readonly leeway?: number;
  readonly segment?: string;
  readonly mode?: 'sealed' | 'plain';
  readonly suite?: 'chacha20-poly1305' | 'aes-256-gcm';
  readonly json?: boolean;
}

export function addPolicy(program: Command, context: Context): void {
  const policy = program
    .command('policy')
    .helpCommand(false)
    .summary('what the root has laid down for the mesh')
    .description('What the root of the mesh has laid down for everybody, signed and numbered.');
  policy
    .command('show')
    .summary('show it')
    .description('Show the policy that is in force on this host.')
    .addOption(jsonOption())
    .action(async (flags: Flags) => {
      context.show(await context.client().get<PolicyReport>('/v1/policy'), flags.json, factsOf(context));
    });
  policy
    .command('set')
    .summary('lay down something else')
    .description(
      'Sign the next policy and tell everybody. It acts at once on every host that is there, and on the others when they come ' +
        'back. Only the host that holds the root of the mesh can do it.',
    )
    .addOption(
      new Option(
        '--node-life <duration>',
        'how long certificates last, from their next renewal on: 1m to 366d',
      ).argParser(duration),
    )
    .addOption(
      new Option('--leeway <duration>', 'how far clocks may be apart: 1s to 12h').argParser(duration),
    )
    .option('--segment <vni>', 'the segment that the following change; needed if there are several')
    .addOption(
      new Option(
        '--mode <mode>',
        'sealed or plain; plain only where allow_plain in the configuration of a host names the segment, other hosts exchange no frames from then on',
      ).choices(['sealed', 'plain']),
    )
    .addOption(
      new Option('--suite <suite>', 'cipher of sealed frames').choices(['chacha20-poly1305', 'aes-256-gcm']),
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nExample:\n  weft policy set --node-life 7d\n  weft policy set --suite chacha20-poly1305',
    )
    .action(async (flags: Flags) => {
      const { nodeLife = null, leeway = null, segment = null, mode = null, suite = null } = flags;
      if ([nodeLife, leeway, mode, suite].every((value) => value === null))
        throw new WeftError('E_USAGE', 'nothing to set: give --node-life, --leeway, --mode or --suite');
      const request: PolicyRequest = { nodeLifeMs: nodeLife, leewayMs: leeway, segment, mode, suite };
      const report = await context.client().send<PolicyReport>('POST', '/v1/policy', request);
      if (flags.json === true) context.show(report, true, String);
      else context.note(`policy ${report.seq} is in force`);
    });
}

const factsOf =
  ({ coloured }: Context) =>
  (report: PolicyReport): string =>
    formatFacts(
      [
        ['mesh', report.mesh],
        ['policy', `${report.seq}, signed ${new Date(report.signedAt).toISOString()}`],
        ['certificates', `last ${formatAge(report.nodeLifeMs)}`],
        ['clocks', `may be ${formatAge(report.leewayMs)} apart`],
        ...report.segments.map((s): [string, string] => [
          `segment ${s.vni}`,
          `${s.mode} ${s.encap}${s.mode === 'sealed' ? `, ${s.suite}` : ''}, MTU ${s.mtu}, ${s.network}`,
        ]),
      ],
      coloured,
    );
