/** `weft drops`: what this host did not forward, why, and whether it goes on. */
import { type Command, Option } from 'commander';
import { systemClock } from '../../clock.ts';
import type { AgentView } from '../../control/api-types.ts';
import { duration, jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';
import { type Column, formatTable } from '../print.ts';

type DropsReport = ReturnType<AgentView['drops']>;

/** `weft drops --json` */
interface DropRates {
  readonly v: 1;
  /** How long was looked. */
  readonly seconds: number;
  readonly drops: readonly DropRate[];
}

interface DropRate {
  readonly direction: string;
  readonly reason: string;
  /** Since the agent started. */
  readonly count: number;
  readonly perSecond: number;
  readonly why: string;
}

const COLUMNS: readonly Column<DropRate>[] = [
  { title: 'REASON', cell: (drop) => drop.reason },
  { title: 'DIRECTION', cell: (drop) => drop.direction },
  { title: 'DROPPED', cell: (drop) => String(drop.count), right: true },
  {
    title: 'NOW',
    cell: (drop) => `${drop.perSecond}/s`,
    right: true,
    colour: (drop) => (drop.perSecond > 0 ? 'red' : null),
  },
  { title: 'MEANING', cell: (drop) => drop.why },
];

export function addDrops(program: Command, context: Context): void {
  program
    .command('drops')
    .summary('what was not forwarded, and why')
    .description(
      'Frames and datagrams that this host did not forward since it started, by reason, with what the reason means and how many ' +
        'there are a second now. One particular frame: `weft trace`; to see them: `weft capture dropped`.',
    )
    .addOption(
      new Option('--for <duration>', 'how long to look for what happens now')
        .argParser(duration)
        .default(1000, '1s'),
    )
    .addOption(jsonOption())
    .addHelpText('after', '\nExamples:\n  weft drops\n  weft drops --for 10s')
    .action(async (flags: { readonly for: number; readonly json?: boolean }) => {
      const client = context.client();
      const ask = (): Promise<DropsReport> => client.get<DropsReport>('/v1/drops');
      const startMs = systemClock.monotonicMs();
      const before = await ask();
      await new Promise<void>((resolve) => systemClock.after(flags.for, resolve));
      const now = await ask();
      const report = ratesOf(before, now, (systemClock.monotonicMs() - startMs) / 1000);
      context.show(report, flags.json, ({ drops }) =>
        formatTable(drops, COLUMNS, { coloured: context.coloured, empty: 'nothing was dropped' }),
      );
    });
}

/** Those that go on first, then by how many there were. */
export function ratesOf(before: DropsReport, now: DropsReport, seconds: number): DropRates {
  const then = new Map(before.drops.map(({ direction, reason, count }) => [`${direction} ${reason}`, count]));
  const drops = now.drops.map(({ direction, reason, count, why }) => {
    const grown = Math.max(0, count - (then.get(`${direction} ${reason}`) ?? 0));
    return { direction, reason, count, perSecond: Math.round(grown / seconds), why };
  });
  const order = (a: DropRate, b: DropRate): number => b.perSecond - a.perSecond || b.count - a.count;
  return { v: 1, seconds: Math.round(seconds * 10) / 10, drops: drops.sort(order) };
}
