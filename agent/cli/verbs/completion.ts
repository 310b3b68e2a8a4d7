/** `weft completion bash|zsh|fish`: a script that makes the shell complete weft's words. */
import { Argument, type Command } from 'commander';
import { treeOf } from '../command-tree.ts';
import { completionScript, SHELLS, type Shell } from '../completion.ts';
import type { Context } from '../context.ts';

export function addCompletion(program: Command, context: Context): void {
  program
    .command('completion')
    .summary('make the shell complete verbs and options')
    .description('Print a script that makes a shell complete the verbs, options and values of weft.')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .addHelpText(
      'after',
      '\nExamples:\n  weft completion bash > /etc/bash_completion.d/weft\n' +
        '  weft completion zsh > /usr/local/share/zsh/site-functions/_weft\n' +
        '  weft completion fish > /etc/fish/completions/weft.fish',
    )
    .action((shell: Shell) => context.io.out(completionScript(shell, treeOf(program))));
}
