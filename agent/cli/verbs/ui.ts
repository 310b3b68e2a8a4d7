/** `weft ui`: the agent's web page on a loopback port behind a random path, until Ctrl-C. */
import { spawn } from 'node:child_process';
import type { Command } from 'commander';
import { systemRng } from '../../clock.ts';
import type { StatusReport } from '../../control/api-types.ts';
import { jsonOption, wholeNumber } from '../arguments.ts';
import type { Context } from '../context.ts';
import { PageServer } from '../page-server.ts';

interface Flags {
  readonly open?: boolean;
  readonly port: number;
  readonly json?: boolean;
}

export function addUi(program: Command, context: Context): void {
  program
    .command('ui')
    .summary('the web page: the mesh as a picture, tables, drops, events')
    .description(
      'Serve the web page of the running agent on 127.0.0.1 and print its URL, which holds a random path that other users of this ' +
        'machine do not know. The page is read-only. Ends on Ctrl-C. From elsewhere: ssh -L PORT:127.0.0.1:PORT HOST.',
    )
    .option('--open', 'open a browser too (xdg-open)')
    .option('--port <port>', 'port of 127.0.0.1; 0 is one that is free', wholeNumber(0, 65_535), 0)
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nExamples:\n  weft ui --open\n  weft ui --port 8088     # with ssh -L 8088:127.0.0.1:8088 HOST',
    )
    .action((flags: Flags) => serve(context, flags));
}

async function serve(context: Context, { open, port, json }: Flags): Promise<void> {
  // Says at once that no agent runs, or that this user may not ask it.
  await context.client().get<StatusReport>('/v1/status');
  const server = await PageServer.start({ socketPath: context.socketPath(), port, rng: systemRng });
  try {
    const ended = untilSignal();
    context.show({ v: 1, url: server.url }, json, ({ url }) => `${url}\n`);
    if (json !== true) context.note('serving the page, Ctrl-C ends it');
    if (open === true) openBrowser(context, server.url);
    await ended;
  } finally {
    await server.close();
  }
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}

function openBrowser(context: Context, url: string): void {
  const browser = spawn('xdg-open', [url], { stdio: 'ignore', detached: true });
  browser.on('error', () => context.note('no browser opens: xdg-open is missing; open the URL yourself'));
  browser.unref();
}
