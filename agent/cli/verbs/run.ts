/** `weft run`: the agent of what the state directory holds, in the foreground; what systemd starts. */
import type { Command } from 'commander';
import type { Context } from '../context.ts';

export function addRun(program: Command, context: Context): void {
  program
    .command('run')
    .summary('run what the state directory holds')
    .description(
      'Run the agent of the mesh that the state directory holds, in the foreground, until SIGTERM or Ctrl-C. Logs go to ' +
        'standard error: for people on a terminal, JSON lines otherwise; the line with msg "ready" says that it is up.',
    )
    .action(() => context.actions.run({ config: context.config(), reread: () => context.config() }));
}
