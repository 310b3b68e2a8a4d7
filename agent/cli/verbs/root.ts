/** `weft root`: the keys that sign everything in the mesh: shows them, replaces them, and replaces them when one is lost. */
import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { systemClock } from '../../clock.ts';
import type { RecoverRequest, RootChangeReport, RootsReport } from '../../control/root-types.ts';
import { WeftError } from '../../errors.ts';
import { duration, jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';
import { formatFacts } from '../print.ts';

interface Flags {
  readonly json?: boolean;
  readonly wait: number;
}

interface RecoverFlags extends Flags {
  readonly keyFile: string;
  readonly stolenFrom?: string;
  readonly keep?: readonly string[];
}

const WAIT_MS = 30_000;
const ASK_GAP_MS = 500;

export function addRoot(program: Command, context: Context): void {
  const root = program
    .command('root')
    .helpCommand(false)
    .summary('the keys that sign everything in the mesh')
    .description(
      'The root keys of the mesh, which sign its policy, its admitters, its tokens and its revocations. See docs/OPERATIONS.md ' +
        'for what to back up and what to do when a key is lost or stolen.',
    );
  root
    .command('list')
    .summary('show the roots that policy names')
    .description(
      'Show the roots and recovery roots that the policy in force names, and whose key is on this host.',
    )
    .addOption(jsonOption())
    .action(async ({ json }: Flags) => {
      context.show(await context.client().get<RootsReport>('/v1/roots'), json, factsOf(context));
    });
  root
    .command('rotate')
    .summary('replace the root by a new key')
    .description(
      'Make a new root key on this host, have everybody certified anew under it, and take the old one away. A host that is down ' +
        'meanwhile stays a member. Can be broken off and given again at any moment.',
    )
    .addOption(waitOption())
    .addOption(jsonOption())
    .action(async (flags: Flags) => {
      await change(context, flags, '/v1/roots/rotate', {});
    });
  root
    .command('recover')
    .summary('make this host the new root, with the recovery key')
    .description(
      'Make this member the holder of a new root and an admitter, with the recovery key that `weft init --recovery-out` wrote. ' +
        'For a root that was lost nobody has to join again. For one that was stolen (--stolen-from) the old root, and the host it ' +
        'was stolen from, end at once; hosts that it admitted stay if they are known now, or only those named with --keep.',
    )
    .requiredOption('--key-file <file>', 'file with the recovery key; - reads stdin')
    .option('--stolen-from <host>', 'the root key was stolen from this host: end both')
    .addOption(
      new Option(
        '--keep <host...>',
        'after a theft, keep only these of the hosts that it admitted, at most 32 (default: all that are known now)',
      ),
    )
    .addOption(waitOption())
    .addOption(jsonOption())
    .addHelpText('after', '\nExample:\n  weft root recover --key-file /media/usb/recovery.txt')
    .action(async (flags: RecoverFlags) => {
      const stolenFrom = flags.stolenFrom ?? null;
      const keep = flags.keep ?? [];
      if (keep.length > 0 && stolenFrom === null)
        throw new WeftError('E_USAGE', '--keep goes with --stolen-from: a lost root keeps everybody');
      const key = await readKey(context, flags.keyFile);
      const request: Omit<RecoverRequest, 'finish'> = { key, stolenFrom, keep };
      await change(context, flags, '/v1/roots/recover', request);
    });
}

const waitOption = (): Option =>
  new Option('--wait <duration>', 'how long to wait for hosts that are up to renew their certificates')
    .argParser(duration)
    .default(WAIT_MS, '30s');

/** @throws WeftError E_REQUEST that names the file and nothing of its content */
async function readKey({ io }: Context, path: string): Promise<string> {
  if (path === '-') return (await io.readStdin()).trim();
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    throw new WeftError('E_REQUEST', `--key-file ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Asks until nobody waits any more, or the time is over; then the old root goes all the same. */
async function change(context: Context, flags: Flags, path: string, request: object): Promise<void> {
  const client = context.client();
  const send = (finish: boolean): Promise<RootChangeReport> =>
    client.send<RootChangeReport>('POST', path, { ...request, finish });
  let report = await send(flags.wait === 0);
  const endMs = systemClock.monotonicMs() + flags.wait;
  while (report.state === 'waiting') {
    await new Promise<void>((resolve) => systemClock.after(ASK_GAP_MS, resolve));
    report = await send(systemClock.monotonicMs() >= endMs);
  }
  if (flags.json === true) return context.show(report, true, String);
  for (const line of linesOf(report)) context.note(line);
}

function linesOf({ root, policySeq, waiting, kept, dropped }: RootChangeReport): string[] {
  const late = waiting.length === 0 ? [] : [`still under the old root, and kept: ${waiting.join(', ')}`];
  const stay = kept.length === 0 ? [] : [`stay members: ${kept.join(', ')}`];
  const gone =
    dropped.length === 0
      ? []
      : [`revocations of the stolen root count no more: ${dropped.join(', ')}; revoke again what is right`];
  return [
    `the root of the mesh is ${root.slice(0, 16)}, its key is on this host: back up its state directory (policy ${policySeq})`,
    ...late,
    ...stay,
    ...gone,
  ];
}

const factsOf =
  ({ coloured }: Context) =>
  ({ policySeq, roots, adopted, waiting }: RootsReport): string =>
    formatFacts(
      [
        ['policy', String(policySeq)],
        ...roots.map(({ id, kind, newest, here }): [string, string] => [
          kind,
          `${id.slice(0, 16)}${newest && roots.length > 1 ? ', signs' : ''}${here ? ', its key is here' : ''}`,
        ]),
        ...(adopted.length === 0
          ? []
          : [['adopted', `${adopted.length} certificates of roots that are gone`] as [string, string]]),
        ...(waiting.length === 0 ? [] : [['waiting', waiting.join(', ')] as [string, string]]),
      ],
      coloured,
    );
