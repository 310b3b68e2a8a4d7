/** `weft revoke`: end the trust in a host, a token, an admitter or a name, everywhere and for good. */
import { type Command, Option } from 'commander';
import type { RevocationReport, RevocationsReport, RevokeRequest } from '../../control/api-types.ts';
import { jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';
import { formatTable } from '../print.ts';

interface Flags {
  readonly reason?: string;
  readonly keep?: readonly string[];
  readonly yes?: boolean;
  readonly json?: boolean;
}

type Kind = RevokeRequest['kind'];

const KINDS: readonly (readonly [Kind, string, string, string])[] = [
  ['node', '<name>', 'a host: name, or node id', 'End the membership of one host. Its name is free again.'],
  [
    'token',
    '<id>',
    'a token and all hosts that joined with it',
    'End a token, and the membership of every host that joined with it.',
  ],
  [
    'admitter',
    '<name>',
    'an admitter and all that it certified',
    'End an admitter, and the membership of every host that it certified, but those of --keep.',
  ],
  [
    'name',
    '<name>',
    'a name, for ever',
    'End the membership of whoever holds a name; nobody can have it again in this mesh.',
  ],
];

export function addRevoke(program: Command, context: Context): void {
  const verb = program
    .command('revoke')
    .helpCommand(false)
    .summary('end the trust in a host, token, admitter or name')
    .description(
      'End the trust in a host, a token, an admitter or a name, everywhere and for good: sessions are cut, what was learned ' +
        'of the host is forgotten, and it cannot come back without a new token. Only the host that holds the root of the ' +
        'mesh, or one that the root gave the right to, can revoke.',
    );
  for (const [kind, argument, summary, description] of KINDS)
    addKind(verb, context, kind, argument, summary, description);
  verb
    .command('list')
    .summary('what was revoked')
    .description('What was revoked in this mesh, newest first.')
    .addOption(jsonOption())
    .action(async (flags: Flags) => {
      const report = await context.client().get<RevocationsReport>('/v1/revocations');
      context.show(report, flags.json, listText(context));
    });
}

function addKind(
  verb: Command,
  context: Context,
  kind: Kind,
  argument: string,
  summary: string,
  description: string,
): void {
  const command = verb
    .command(kind)
    .summary(summary)
    .description(description)
    .argument(argument, `the ${kind}`)
    .addOption(new Option('--reason <text>', 'why, for people: the host itself and everybody can read it'))
    .option('--yes', 'do not ask')
    .addOption(jsonOption());
  if (kind === 'admitter')
    command.addOption(
      new Option('--keep <host...>', 'hosts that it certified and that stay members, at most 32'),
    );
  command.action(async (what: string, flags: Flags) => {
    const { io } = context;
    if (flags.yes !== true && io.interactive) {
      const answer = await io.ask(`Revoke ${kind} ${what} for good? [y/N] `);
      if (!/^y(es)?$/i.test(answer.trim())) return context.note('nothing done');
    }
    const request: RevokeRequest = { kind, what, reason: flags.reason ?? '', keep: flags.keep ?? [] };
    const report = await context.client().send<RevocationReport>('POST', '/v1/revocations', request);
    if (flags.json === true) context.show(report, true, String);
    else context.note(`revoked ${kind} ${report.what}: ${endedText(report.hosts)}`);
  });
}

function endedText(hosts: readonly string[]): string {
  if (hosts.length === 0) return 'no host that this one knows was a member by it';
  return `${hosts.join(', ')} ${hosts.length === 1 ? 'is no member' : 'are no members'} any more`;
}

const listText =
  (context: Context) =>
  ({ revocations }: RevocationsReport): string =>
    formatTable(
      revocations,
      [
        { title: 'KIND', cell: (r) => r.kind },
        { title: 'WHAT', cell: (r) => r.what },
        { title: 'WHEN', cell: (r) => new Date(r.revokedAt).toISOString() },
        { title: 'BY', cell: (r) => (r.byRoot ? 'root' : 'host') },
        { title: 'REASON', cell: (r) => r.reason ?? '-' },
      ],
      { coloured: context.coloured, empty: 'nothing was revoked' },
    );
