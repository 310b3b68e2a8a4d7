/** `weft lab`: hosts out of network namespaces on this machine and a real mesh between them. */
import type { Command } from 'commander';
import { wholeNumber } from '../arguments.ts';
import type { Context } from '../context.ts';

interface Flags {
  readonly hosts: number;
  readonly keep?: boolean;
}

export function addLab(program: Command, context: Context): void {
  program
    .command('lab')
    .summary('try it: a mesh of namespaces on this machine')
    .description(
      'Build hosts out of network namespaces on this machine, run a real mesh between them and show it working. Needs root ' +
        'and iproute2; removes everything it made, also on Ctrl-C. Exits 0 only if all that it shows is true.',
    )
    .option('--hosts <count>', 'how many', wholeNumber(2, 20), 3)
    .option('--keep', 'leave it up and print how to enter each host')
    .action(async (flags: Flags) => {
      context.exitStatus = await context.actions.lab({ hosts: flags.hosts, keep: flags.keep === true });
    });
}
