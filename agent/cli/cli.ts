/**
 * The `weft` command line: global options, one file per verb, and what happens when a verb fails. Data goes to stdout,
 * everything else to stderr. Called by main.ts, which hands in the verbs that run things in this process.
 */
import { Command, CommanderError } from 'commander';
import { EXIT } from '../errors.ts';
import type { Actions } from './actions.ts';
import { Context, type GlobalOptions, type Io, processIo } from './context.ts';
import { exitStatusOf, failureLine, stackOf } from './failure.ts';
import { SUMMARY, WALK_THROUGH } from './help.ts';
import { addAdmitter } from './verbs/admitter.ts';
import { addBugreport } from './verbs/bugreport.ts';
import { addCapture } from './verbs/capture.ts';
import { addCompletion } from './verbs/completion.ts';
import { addConfig } from './verbs/config.ts';
import { addDoctor } from './verbs/doctor.ts';
import { addDrops } from './verbs/drops.ts';
import { addEvents } from './verbs/events.ts';
import { addFdb } from './verbs/fdb.ts';
import { addGraph } from './verbs/graph.ts';
import { addInit } from './verbs/init.ts';
import { addLab } from './verbs/lab.ts';
import { addLeave } from './verbs/leave.ts';
import { addMembers } from './verbs/members.ts';
import { addMetrics } from './verbs/metrics.ts';
import { addPeers } from './verbs/peers.ts';
import { addPing } from './verbs/ping.ts';
import { addPolicy } from './verbs/policy.ts';
import { addReload } from './verbs/reload.ts';
import { addRevoke } from './verbs/revoke.ts';
import { addRoot } from './verbs/root.ts';
import { addRun } from './verbs/run.ts';
import { addSd } from './verbs/sd.ts';
import { addStatus } from './verbs/status.ts';
import { addToken } from './verbs/token.ts';
import { addTrace } from './verbs/trace.ts';
import { addUi } from './verbs/ui.ts';
import { addUp } from './verbs/up.ts';
import { addVersion } from './verbs/version.ts';
import { addVtep } from './verbs/vtep.ts';

export interface Cli {
  /** Runs one command line (without node and script) to its exit status. Never throws, never ends the process. */
  run(argv: readonly string[]): Promise<number>;
}

export function buildCli(actions: Actions, io: Io = processIo): Cli {
  return {
    async run(argv) {
      const { program, context } = buildProgram(actions, io);
      try {
        await program.parseAsync(argv, { from: 'user' });
        return context.exitStatus;
      } catch (error) {
        return endOf(error, io);
      }
    },
  };
}

/** The whole command line as commander has it; completion.ts and man-page.ts walk it too. */
export function buildProgram(
  actions: Actions,
  io: Io,
): { readonly program: Command; readonly context: Context } {
  const program = new Command('weft');
  const context = new Context(io, actions, () => program.opts<GlobalOptions>());
  addGlobals(program, io);
  const groups: readonly [string, readonly ((program: Command, context: Context) => void)[]][] = [
    [
      'Make and join:',
      [addInit, addToken, addUp, addRun, addPolicy, addRoot, addAdmitter, addRevoke, addLeave],
    ],
    [
      'Look:',
      [
        addStatus,
        addPeers,
        addMembers,
        addFdb,
        addDrops,
        addMetrics,
        addSd,
        addPing,
        addTrace,
        addCapture,
        addDoctor,
        addGraph,
        addUi,
        addEvents,
        addBugreport,
        addVersion,
      ],
    ],
    ['More:', [addConfig, addReload, addCompletion, addVtep, addLab]],
  ];
  for (const [title, verbs] of groups) {
    program.commandsGroup(title);
    for (const add of verbs) add(program, context);
  }
  return { program, context };
}

function addGlobals(program: Command, io: Io): void {
  program
    .description(SUMMARY)
    .usage('[--state DIR] [--socket PATH] [--config FILE] VERB')
    .option('--state <dir>', 'state directory (default: /var/lib/weft)')
    .option('--socket <path>', 'control socket (default: /run/weft/weft.sock)')
    .option('--config <file>', 'configuration file (default: /etc/weft/config.yaml if there is one)')
    .helpOption('-h, --help', 'show help; weft VERB --help for one verb')
    .helpCommand(false)
    .addHelpText('after', WALK_THROUGH)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out(text),
      writeErr: (text) => io.err(text),
      // The one line is written by endOf.
      outputError: () => undefined,
    });
}

/** Says what ended the verb and returns its exit status. */
function endOf(error: unknown, io: Io): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok;
    // Help that nobody asked for: a verb is missing. It has been written to stderr.
    if (error.code !== 'commander.help') io.err(`${usageLine(error.message)}\n`);
    return EXIT.usage;
  }
  io.err(`${failureLine(error)}\n${stackOf(error, io.env)}`);
  return exitStatusOf(error);
}

/** commander's message as one line of ours, with where to look. */
function usageLine(message: string): string {
  const text = message
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, ' ')
    .replace(/\.$/, '');
  return `weft: ${text}; see \`weft --help\``;
}
