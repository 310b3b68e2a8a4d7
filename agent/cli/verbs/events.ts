/** `weft events`: what happened lately: peers up and down, moves, bursts of drops, admissions, MTUs, members. */
import type { Command } from 'commander';
import type { EventReport, EventsReport } from '../../control/api-types.ts';
import { jsonOption, wholeNumber } from '../arguments.ts';
import type { Context } from '../context.ts';
import { type Colour, clean, paint } from '../print.ts';

interface Flags {
  readonly follow?: boolean;
  readonly after: number;
  readonly json?: boolean;
}

/** How long one question to the agent may stay open. */
const WAIT_MS = 8000;
const COLOUR: Readonly<Record<string, Colour>> = {
  'peer-up': 'green',
  admitted: 'green',
  'peer-down': 'red',
  'drop-burst': 'yellow',
  refused: 'yellow',
};

export function addEvents(program: Command, context: Context): void {
  program
    .command('events')
    .summary('what happened lately')
    .description(
      'The newest events of the agent, 1,024 at most: peers up, down and moved, MAC addresses that moved, bursts of drops, ' +
        'hosts admitted and refused, path MTUs, states of members. Numbers count from the start of the agent.',
    )
    .option('--follow', 'go on until Ctrl-C; with --json one object on each line')
    .option('--after <number>', 'only events after this number', wholeNumber(0, Number.MAX_SAFE_INTEGER), 0)
    .addOption(jsonOption())
    .addHelpText('after', '\nExamples:\n  weft events\n  weft events --follow --json')
    .action((flags: Flags) => (flags.follow === true ? follow(context, flags) : once(context, flags)));
}

async function once(context: Context, { after, json }: Flags): Promise<void> {
  const report = await context.client().get<EventsReport>(`/v1/events?after=${after}`);
  tellLoss(context, report);
  context.show(report, json, ({ events }) => events.map((event) => format(event, context.coloured)).join(''));
}

/** Ends with an error when the agent does; a new agent numbers anew. */
async function follow(context: Context, flags: Flags): Promise<void> {
  const client = context.client();
  let { after } = flags;
  let startedAt: number | null = null;
  for (;;) {
    const report: EventsReport = await client.get(`/v1/events?after=${after}&wait=${WAIT_MS}`);
    const restarted = startedAt !== null && report.startedAt !== startedAt;
    startedAt = report.startedAt;
    after = restarted ? 0 : report.last;
    if (restarted) continue;
    tellLoss(context, report);
    for (const event of report.events)
      context.io.out(
        flags.json === true ? `${JSON.stringify({ v: 1, ...event })}\n` : format(event, context.coloured),
      );
  }
}

function tellLoss(context: Context, { lost }: EventsReport): void {
  if (lost > 0) context.note(`${lost} older events are no longer kept`);
}

/** `2026-11-23 14:40:01.123 UTC  12  peer-up     beta  up at ...` */
function format({ seq, at, type, subject, text }: EventReport, coloured: boolean): string {
  const when = new Date(at).toISOString().replace('T', ' ').replace('Z', ' UTC');
  const what = paint(type.padEnd(10), COLOUR[type] ?? null, coloured);
  return `${when}  ${String(seq).padStart(4)}  ${what}  ${subject === null ? '' : `${clean(subject)}  `}${clean(text)}\n`;
}
