/** `weft reload`: the running agent reads its configuration again. */
import type { Command } from 'commander';
import type { ReloadReport } from '../../control/api-types.ts';
import { jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';

export function addReload(program: Command, context: Context): void {
  program
    .command('reload')
    .summary('let the agent read its configuration again')
    .description(
      'Let the running agent read its configuration again and apply what can change without losing a packet: log level, metrics, ' +
        'rekeying, two offloads. Says which keys have changed and take effect only after a restart. A configuration that is not valid ' +
        'changes nothing. SIGHUP does the same. Flags and environment are those that the agent was started with.',
    )
    .addOption(jsonOption())
    .action(async (flags: { readonly json?: boolean }) => {
      const report = await context.client().send<ReloadReport>('POST', '/v1/reload', {});
      context.show(report, flags.json, format);
    });
}

function format({ applied, needRestart }: ReloadReport): string {
  const lines = [
    ...applied.map((key) => `${key}: applied`),
    ...needRestart.map((key) => `${key}: changed, and needs a restart of the agent`),
  ];
  return lines.length === 0 ? 'nothing has changed\n' : `${lines.join('\n')}\n`;
}
