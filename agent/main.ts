#!/usr/bin/env node
/**
 * The `weft` command: argv to verb, failures to one line on stderr and an exit status. The only process.exit of the
 * project is here. The data path is loaded only by the verbs that run it.
 */
import { setFlagsFromString } from 'node:v8';

// Before anything is loaded: what loading allocates would leave each agent with two halves of 8 MB for young objects, for good.
setFlagsFromString('--semi-space-growth-factor=1');
// Eight seconds after a start V8 would collect three times more to give back a megabyte, step by step and with helpers on
// every core, and a frame that comes meanwhile waits for up to 10 ms. The heap is small enough to be marked at once.
setFlagsFromString('--no-incremental-marking');

const { buildCli } = await import('./cli/cli.ts');
const { exitStatusOf, failureLine, stackOf } = await import('./cli/failure.ts');

/** Ends the process with one line; used for whatever nobody caught. */
function die(error: unknown): never {
  process.stderr.write(`${failureLine(error)}\n${stackOf(error, process.env)}`);
  process.exit(exitStatusOf(error));
}

/** A reader that went away (`weft fdb | head`) is no failure. */
function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0);
  die(error);
}

process.stdout.on('error', ignoreClosedPipe);
process.stderr.on('error', () => process.exit(1));
process.on('uncaughtException', die);
process.on('unhandledRejection', die);

const cli = buildCli({
  init: async (options) => (await import('./agent.ts')).initMesh(options),
  up: async (options) => (await import('./agent.ts')).joinAndRun(options),
  run: async (options) => (await import('./agent.ts')).runAgent(options),
  lab: async (options) => (await import('./lab/lab.ts')).runLab(options),
});

process.exit(await cli.run(process.argv.slice(2)));
