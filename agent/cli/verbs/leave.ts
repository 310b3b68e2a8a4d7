/** `weft leave`: give up membership. Stopping the agent does not need it. */
import type { Command } from 'commander';
import type { LeaveReport } from '../../control/api-types.ts';
import type { Context } from '../context.ts';

interface Flags {
  readonly yes?: boolean;
  readonly json?: boolean;
}

export function addLeave(program: Command, context: Context): void {
  program
    .command('leave')
    .summary('give up membership: releases name and certificate')
    .description(
      'Give up membership: the others are told, name and certificate are released, the agent stops. To come back the host ' +
        'needs a new token. To stop for a while, stop the agent instead (SIGTERM): it keeps its membership.',
    )
    .option('--yes', 'do not ask')
    .option('--json', 'one JSON object')
    .action(async (flags: Flags) => {
      const { io } = context;
      if (flags.yes !== true && io.interactive) {
        const answer = await io.ask('Leave the mesh for good? Coming back needs a new token. [y/N] ');
        if (!/^y(es)?$/i.test(answer.trim())) return context.note('nothing done');
      }
      const report = await context.client().send<LeaveReport>('POST', '/v1/leave', {});
      if (flags.json === true) context.show(report, true, String);
      else context.note(`${report.name} has left the mesh`);
    });
}
