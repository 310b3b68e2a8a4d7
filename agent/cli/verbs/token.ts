/** `weft token create`: a secret that lets other hosts join. stdout holds the token alone, so that it can be piped. */
import { open } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import type { TokenReport, TokenRequest, TokenRight } from '../../control/api-types.ts';
import { WeftError } from '../../errors.ts';
import { duration, labelPrefix, wholeNumber } from '../arguments.ts';
import type { Context } from '../context.ts';
import { formatAge } from '../print.ts';

interface Flags {
  readonly ttl: number;
  readonly uses: number;
  readonly namePrefix?: string;
  readonly segment?: string;
  readonly nodeLife?: number;
  readonly allow?: readonly TokenRight[];
  readonly seed?: readonly string[];
  readonly out?: string;
  readonly json?: boolean;
}

export function addToken(program: Command, context: Context): void {
  const token = program
    .command('token')
    .helpCommand(false)
    .summary('let other hosts join')
    .description('Tokens that let other hosts join.');
  token
    .command('create')
    .summary('sign a token')
    .description(
      'Sign a token and print it. Whoever holds it can join until it expires or is used up: hand it over as a secret. ' +
        'This host counts its uses, so it must be reachable while others join.',
    )
    .addOption(
      new Option('--ttl <duration>', 'how long it is valid: 90s, 15m, 1h, 7d')
        .argParser(duration)
        .default(3_600_000, '1h'),
    )
    .option('--uses <count>', 'how many hosts may join with it', wholeNumber(1, 10_000), 1)
    .option('--name-prefix <prefix>', 'what names of joining hosts must start with', labelPrefix)
    .option('--segment <segment>', 'segment (name or VNI) that it opens; default: the only one')
    .addOption(
      new Option(
        '--node-life <duration>',
        'how long certificates of joining hosts last unless renewed; default: as policy says',
      ).argParser(duration),
    )
    .addOption(
      new Option('--allow <right...>', 'rights of joining hosts: bridge, other MACs behind them').choices([
        'bridge',
      ]),
    )
    .addOption(
      new Option(
        '--seed <member...>',
        'whom joining hosts ask, in this order, at most 4 (default: this host): MEMBER, or MEMBER=HOST[:PORT] with an address or a name',
      ),
    )
    .option('--out <file>', 'write it there, mode 0600, instead of printing it')
    .option('--json', 'one JSON object, the token among its fields')
    .addHelpText('after', '\nExample:\n  weft token create --ttl 1h --uses 3 --out /root/token')
    .action(async (flags: Flags) => {
      const request: TokenRequest = {
        ttlMs: flags.ttl,
        uses: flags.uses,
        namePrefix: flags.namePrefix ?? null,
        segment: flags.segment ?? null,
        allow: flags.allow ?? [],
        nodeLifeMs: flags.nodeLife ?? null,
        seeds: flags.seed ?? [],
      };
      const report = await context.client().send<TokenReport>('POST', '/v1/tokens', request);
      if (flags.out !== undefined) await writeTokenFile(flags.out, report.token);
      else context.show(report, flags.json, () => `${report.token}\n`);
      context.note(limitsOf(report, flags.ttl, flags.out));
    });
}

function limitsOf(report: TokenReport, ttlMs: number, file: string | undefined): string {
  const hosts = report.uses === 1 ? 'one host' : `${report.uses} hosts`;
  const names = report.namePrefix === null ? '' : ` named ${report.namePrefix}...`;
  const rights = report.allow.length === 0 ? '' : ` with the right ${report.allow.join(', ')}`;
  const where = file === undefined ? 'token' : `token in ${file}`;
  return `${where} lets ${hosts}${names} join within ${formatAge(ttlMs)}${rights}; ${report.admitter} counts; keep it secret`;
}

/** Never overwrites: the file may be another token that is still good. */
async function writeTokenFile(file: string, token: string): Promise<void> {
  try {
    const handle = await open(file, 'wx', 0o600);
    try {
      await handle.writeFile(`${token}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    const fix = reason === 'EEXIST' ? 'remove it or choose another' : 'choose a directory that you can write';
    throw new WeftError('E_CONFIG', `token file ${file} cannot be written (${reason}): ${fix}`, { cause });
  }
}
