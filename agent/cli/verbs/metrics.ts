/** `weft metrics`: the Prometheus exposition, without the HTTP port. */
import type { Command } from 'commander';
import type { MetricsReport } from '../../control/api-types.ts';
import { jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';

export function addMetrics(program: Command, context: Context): void {
  program
    .command('metrics')
    .summary('what Prometheus scrapes')
    .description('What Prometheus scrapes from 127.0.0.1:9586/metrics, read through the control socket.')
    .addOption(jsonOption())
    .action(async (flags: { readonly json?: boolean }) => {
      const client = context.client();
      if (flags.json !== true) return context.io.out(await client.getText('/v1/metrics'));
      context.show(await client.get<MetricsReport>('/v1/metrics?format=json'), true, String);
    });
}
